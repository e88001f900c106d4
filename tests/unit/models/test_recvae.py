from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal, kl_divergence
from torch.nn.functional import layer_norm, linear, normalize
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models import recvae
from repro.models.recvae import Encoder, OldEncoder, OldPosteriors, RecVAE, RecVAENet
from repro.nn.batches import Rows, UserRows, rows_of
from repro.nn.gaussians import drawn
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [], [5, 6, 7, 8], [9]]
TINY = RecVAE(hidden_dim=6, latent_dim=3, batch_size=3, n_epochs=2, learning_rate=0.01)
BOTH: list[Literal["stored", "copy"]] = ["stored", "copy"]


def net(model: RecVAE = TINY, n_items: int = 12) -> RecVAENet:
    torch.manual_seed(0)
    return RecVAENet(n_items, model)


def test_the_priors_log_density_is_that_of_a_mixture_in_every_dimension() -> None:
    rng = np.random.default_rng(0)
    z, mean, logvar = rng.normal(size=(3, 4, 3)) * np.array([3.0, 1.0, 1.0])[:, None, None]
    z[0] *= 100  # out here the wide normal alone has a density
    found = RecVAE().log_prior(*(torch.from_numpy(a) for a in (z, mean, logvar)))
    density = (
        3 / 20 * stats.norm.pdf(z)
        + 3 / 4 * stats.norm.pdf(z, mean, np.exp(logvar / 2))
        + 1 / 10 * stats.norm.pdf(z, 0.0, np.exp(10 / 2))
    )
    np.testing.assert_allclose(found.numpy(), np.log(density), rtol=1e-6)


def fixed(mean: Tensor, logvar: Tensor) -> RecVAENet:
    """Return a network whose posterior is the same for every row."""
    made = net()
    with torch.no_grad():
        made.encoder.output.weight.zero_()
        made.encoder.output.bias.copy_(torch.cat([mean, logvar]))
    return made


@pytest.mark.parametrize("weights", [(0.15, 0.75, 0.1), (1.0, 1e-30, 1e-30), (1e-30, 1.0, 1e-30)])
def test_the_mean_of_sampled_kl_terms_is_the_kl_divergence(
    build: Build, weights: tuple[float, ...]
) -> None:
    model = replace(TINY, prior_weights=weights)
    mean, logvar = torch.tensor([0.5, -1.0, 0.0]), torch.tensor([0.0, -1.0, 0.5])
    old_mean, old_logvar = torch.tensor([0.3, -0.5, 0.0]), torch.tensor([-0.5, 0.0, 0.1])
    n = 100_000
    x = rows_of(build([[0]] * n), CPU)
    old = OldPosteriors(n, 3)
    old.mean[:], old.logvar[:] = old_mean, old_logvar
    torch.manual_seed(0)
    _, kl = model.encoder_terms(fixed(mean, logvar), old, x)

    q = Normal(mean, (0.5 * logvar).exp())
    scale = torch.stack([torch.ones(3), (0.5 * old_logvar).exp(), torch.full((3,), np.exp(5.0))])
    means = torch.stack([torch.zeros(3), old_mean, torch.zeros(3)])
    if max(weights) == 1.0:
        which = weights.index(1.0)
        expected = kl_divergence(q, Normal(means[which], scale[which])).sum()
    else:
        p = MixtureSameFamily(
            Categorical(torch.tensor(weights).expand(3, 3)), Normal(means.T, scale.T)
        )
        z = q.sample((400_000,))
        expected = (q.log_prob(z) - p.log_prob(z)).sum(dim=1).mean()
    assert_close(kl.mean(), expected, rtol=0, atol=0.02)


def test_gradients_reach_the_posterior_and_not_the_prior(build: Build) -> None:
    x = rows_of(build([[0, 1], [2]]), CPU)
    torch.manual_seed(0)
    for old in (OldPosteriors(2, 3), OldEncoder(12, TINY)):
        made = net()
        _, kl = TINY.encoder_terms(made, old, x)
        kl.sum().backward()
        assert all(parameter.grad is not None for parameter in made.encoder.parameters())
        assert all(parameter.grad is None for parameter in old.parameters())


def test_every_layer_of_the_encoder_is_added_to_the_sum_of_all_before_it(build: Build) -> None:
    encoder = net().encoder.eval()
    x = rows_of(build(LISTS), CPU)

    def swish(a: Tensor) -> Tensor:
        return a * a.sigmoid()

    def norm(a: Tensor) -> Tensor:
        return layer_norm(a, (6,), eps=1e-5)  # its weights are still 1 and 0

    fc = encoder.hidden
    h1 = norm(swish(normalize(x.dense()) @ encoder.input.weight + encoder.input.bias))
    h2 = norm(swish(fc[0](h1) + h1))
    h3 = norm(swish(fc[1](h2) + h1 + h2))
    h4 = norm(swish(fc[2](h3) + h1 + h2 + h3))
    h5 = norm(swish(fc[3](h4) + h1 + h2 + h3 + h4))
    mean, logvar = linear(h5, encoder.output.weight, encoder.output.bias).split(3, dim=1)
    assert_close(encoder(x), (mean, logvar))


def test_a_row_without_items_divides_by_nothing(build: Build) -> None:
    made = net()
    x = rows_of(build(LISTS), CPU)
    mean, logvar = made.encoder(x)
    assert bool(mean.isfinite().all() and logvar.isfinite().all())
    (mean.sum() + logvar.sum()).backward()
    gradients = [p.grad for p in made.encoder.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) for g in gradients)


class Watching(Progress):
    """Notes at every update its loss, what it changed, and whether inputs were dropped."""

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.state = state
        self.first = deepcopy(state["old"])
        self.updates: list[tuple[str, set[str], bool]] = []
        self.losses: list[float] = []
        self.before = self._copy()
        yield from super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        after, name = self._copy(), next(iter(losses))
        changed = {k.split(".")[0] for k in after if not torch.equal(after[k], self.before[k])}
        self.updates.append((name, changed, self.state["net"].encoder.training))
        self.losses.append(float(losses[name].detach()))
        self.before = after
        super().log(**losses)

    def _copy(self) -> dict[str, Tensor]:
        return {k: v.detach().clone() for k, v in self.state["net"].named_parameters()}


@pytest.mark.parametrize("old_posterior", BOTH)
def test_an_epoch_is_three_passes_of_the_encoder_alone_then_one_of_the_decoder_alone(
    build: Build, old_posterior: Literal["stored", "copy"]
) -> None:
    watching = Watching(0, CPU)
    model = replace(TINY, old_posterior=old_posterior)
    for _ in model.epochs(build(LISTS), watching):  # four users with items: two batches
        pass
    encoder, decoder = ("loss", {"encoder"}, True), ("decoder", {"decoder"}, False)
    assert watching.updates == ([encoder] * (3 * 2) + [decoder] * 2) * 2


def test_the_passes_are_as_many_as_asked(build: Build) -> None:
    watching = Watching(0, CPU)
    model = replace(TINY, n_encoder_passes=1, n_decoder_passes=2, n_epochs=1)
    for _ in model.epochs(build(LISTS), watching):
        pass
    assert [name for name, _, _ in watching.updates] == ["loss"] * 2 + ["decoder"] * 4


def test_the_kl_of_a_user_weighs_gamma_times_the_users_items(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terms(self: RecVAE, net: RecVAENet, old: Any, x: Rows) -> tuple[Tensor, Tensor]:
        zero = 0.0 * net.encoder(x)[0].sum(dim=1)
        return zero.sum() + 7.0, zero + 10.0**x.user  # the KL tells the users apart

    monkeypatch.setattr(RecVAE, "encoder_terms", terms)
    watching = Watching(0, CPU)
    model = replace(TINY, gamma=0.5, batch_size=10, n_epochs=1, n_encoder_passes=1)
    for _ in model.epochs(build([[0, 1, 2], [3, 4], [5]]), watching):
        pass
    expected = 7.0 + 0.5 * (3 * 1.0 + 2 * 10.0 + 1 * 100.0) / 3
    assert watching.losses[0] == pytest.approx(expected)


def test_the_stored_posterior_is_first_the_untrained_encoders_then_the_last_passes(
    build: Build,
) -> None:
    train = build(LISTS)
    x = rows_of(train, CPU)
    torch.manual_seed(3)
    untrained = RecVAENet(12, TINY).encoder.eval()
    watching = Watching(3, CPU)
    have = torch.tensor([0, 1, 3, 4])
    for _ in TINY.epochs(train, watching):
        old = watching.state["old"]
        mean, logvar = watching.state["net"].encoder.eval()(x)
        assert_close((old.mean[have], old.logvar[have]), (mean[have], logvar[have]))
    mean, logvar = untrained(x)
    first = watching.first
    assert_close((first.mean[have], first.logvar[have]), (mean[have], logvar[have]))


def test_a_copy_of_the_encoder_gives_the_stored_posterior_and_is_first_another_one(
    build: Build,
) -> None:
    made, batches = net(), UserRows(build(LISTS), 3, CPU)
    stored, copy = OldPosteriors(5, 3), OldEncoder(12, TINY)
    made.train()
    x = next(iter(batches))
    before = copy(x)
    for old in (stored, copy):
        old.renew(made.encoder, batches)
    assert made.encoder.training
    assert_close(stored(x), copy(x))
    assert not torch.allclose(before[0], copy(x)[0])
    assert not torch.equal(made.encoder(x)[0], made.encoder(x)[0])  # the input is dropped there

    watching = Watching(0, CPU)
    next(iter(replace(TINY, old_posterior="copy").epochs(build(LISTS), watching)))
    torch.manual_seed(0)
    own = RecVAENet(12, TINY)
    assert not torch.equal(watching.first.encoder.output.weight, own.encoder.output.weight)


@pytest.mark.parametrize("old_posterior", BOTH)
def test_a_run_that_was_cut_off_knows_the_old_posterior(
    build: Build,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    old_posterior: Literal["stored", "copy"],
) -> None:
    monkeypatch.setattr("repro.training.progress.CHECKPOINT_SECONDS", -1.0)
    train, model = build(LISTS), replace(TINY, old_posterior=old_posterior, n_epochs=3)

    def cut_off(phase: str, epoch: int, n: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    def scores(progress: Progress) -> Tensor:
        *_, scorer = model.epochs(train, progress)
        return scorer.score(Queries(np.arange(5), train))

    with contextlib.suppress(KeyboardInterrupt):
        scores(Progress(3, CPU, tmp_path, cut_off))
    assert_close(scores(Progress(3, CPU, tmp_path)), scores(Progress(3, CPU)), rtol=0, atol=0)


def test_scores_are_the_logits_at_the_posterior_mean_without_dropout(build: Build) -> None:
    made, history = net(), build(LISTS)
    x = rows_of(history, CPU)
    mean, logvar = made.encoder.eval()(x)
    scores = made.train().score(Queries(np.full(5, -1), history))
    assert_close(scores, (mean @ made.decoder.weight.T + made.decoder.bias).detach())
    assert not torch.equal(drawn(mean, logvar), drawn(mean, logvar))


def test_the_decoder_is_trained_on_a_draw(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recvae, "drawn", lambda mean, logvar: torch.zeros_like(mean))
    noted: list[float] = []

    class Noting(Progress):
        def log(self, **losses: Tensor) -> None:
            noted.append(float(losses["decoder"].detach()))

    lists = [items for items in LISTS if items]
    model = replace(TINY, n_encoder_passes=0, n_epochs=1, batch_size=4)
    first = next(replace(model, learning_rate=0.0).epochs(build(lists), Noting(0, CPU)))
    x = rows_of(build(lists), CPU).dense()
    of_z_0 = first.decoder.bias.detach().log_softmax(dim=0)  # the logits of z = 0
    assert noted == pytest.approx([-float((x @ of_z_0).mean())])


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_layer_norms_have_the_epsilon_of_the_branch(eps: float) -> None:
    encoder = Encoder(5, replace(TINY, layer_norm_eps=eps))
    assert [norm.eps for norm in encoder.norms] == [eps] * 5


def test_the_network_has_the_size_of_the_original_on_movielens_20m() -> None:
    with torch.device("meta"):
        made = RecVAENet(20_108, RecVAE())
    encoder, decoder = (
        sum(p.numel() for p in part.parameters()) for part in (made.encoder, made.decoder)
    )
    layers = 20_108 * 600 + 600 + 4 * (600 * 600 + 600) + 2 * (600 * 200 + 200)
    assert encoder == layers + 5 * 2 * 600
    assert decoder == 200 * 20_108 + 20_108
    assert encoder + decoder == pytest.approx(17.8e6, rel=0.001)


def test_the_first_layer_begins_as_a_dense_one_does() -> None:
    encoder = net(RecVAE(hidden_dim=50, latent_dim=10), n_items=400).encoder
    for parameter in encoder.input.parameters():
        assert 0.9 / 20 < parameter.abs().max() <= 1 / 20  # 1 / sqrt(400)


@pytest.mark.parametrize("old_posterior", BOTH)
def test_it_learns_two_tastes(build: Build, old_posterior: Literal["stored", "copy"]) -> None:
    lists = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]
    train = build(lists)
    model = RecVAE(
        hidden_dim=32,
        latent_dim=8,
        learning_rate=0.01,
        batch_size=12,
        n_epochs=12,
        old_posterior=old_posterior,
    )
    *_, scorer = model.epochs(train, Progress(0, CPU))
    scores = scorer.score(Queries(np.arange(24), train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9
