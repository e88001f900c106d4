from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import elu, linear, normalize, softplus
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models.avb import AVB, AVBNet
from repro.nn.batches import rows_of
from repro.nn.implicit import Adversary, Draw, NoiseBasisEncoder, NoisyEncoder
from repro.nn.losses import bernoulli_nll
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9]]
TINY = AVB(
    hidden_dims=(6,),
    latent_dim=3,
    decoder_dims=(),
    noise_dim=4,
    n_noises=2,
    discriminator_dims=(5,),
    learning_rate=0.01,
    discriminator_learning_rate=0.02,
    batch_size=2,
    n_epochs=2,
)
PLAIN = replace(TINY, adaptive_contrast=False)
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]
BOTH = pytest.mark.parametrize("model", [TINY, PLAIN], ids=["adaptive contrast", "prior"])


def normal_draw(n: int, mean: float, std: float, contrast: tuple[float, float]) -> Draw:
    """Return n draws of a known posterior, one-dimensional, with a contrast of any moments."""
    m, s = (torch.full((n, 1), value) for value in contrast)
    return Draw(mean + std * torch.randn(n, 1), torch.zeros(n, 2), m, s)


@pytest.mark.parametrize("contrast", [(0.0, 1.0), (0.6, 0.8)], ids=["prior", "a Gaussian near q"])
def test_the_estimate_approaches_the_known_divergence_of_two_gaussians(
    contrast: tuple[float, float],
) -> None:
    torch.manual_seed(0)
    t = Adversary(2, 1, (32,))
    adam = torch.optim.Adam(t.parameters(), 0.01)
    for _ in range(400):
        loss = t.loss(normal_draw(256, 1.0, 0.5, contrast))
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        found = t.kl(normal_draw(20_000, 1.0, 0.5, contrast)).mean()
    q, p, r = Normal(1.0, 0.5), Normal(0.0, 1.0), Normal(*contrast)
    known = torch.distributions.kl_divergence(q, p)  # 0.818
    assert_close(found, known, rtol=0, atol=0.1)
    # T itself is the divergence from the contrast: posterior 1, contrast 0, not the other way round
    draw = normal_draw(20_000, 1.0, 0.5, contrast)
    with torch.no_grad():
        ratio = t(draw.first, draw.standard).mean()
    assert_close(ratio, torch.distributions.kl_divergence(q, r), rtol=0, atol=0.1)


def test_with_the_exact_ratio_the_estimate_is_exact_whatever_the_contrast() -> None:
    torch.manual_seed(0)
    q, p = Normal(torch.tensor([1.0, -0.5]), torch.tensor([0.5, 2.0])), Normal(0.0, 1.0)
    r = Normal(torch.tensor([0.3, 0.1]), torch.tensor([0.7, 1.5]))
    z = q.sample(torch.Size([8]))
    draw = Draw(z, torch.zeros(8, 1), r.mean.expand(8, 2), r.stddev.expand(8, 2))
    log_q, log_r, log_p = (d.log_prob(z).sum(dim=1) for d in (q, r, p))
    assert_close(draw.log_ratio, log_r - log_p)
    assert_close((log_q - log_r) + draw.log_ratio, log_q - log_p)
    assert_close(Draw(z, z).log_ratio, torch.zeros(8))  # without adaptive contrast r is the prior


def test_the_contrast_has_the_moments_of_the_draws_and_no_gradient(build: Build) -> None:
    torch.manual_seed(0)
    encoder = NoiseBasisEncoder(12, (6,), 3, 4, 2, 0.0, 1)
    encoder.a.bias.data += 5.0  # more noise than at the beginning
    x = rows_of(build([[0, 1], [5]] * 2000), CPU)
    draw = encoder(x)
    assert isinstance(draw.mean, Tensor)
    assert isinstance(draw.std, Tensor)
    assert not draw.mean.requires_grad
    assert not draw.std.requires_grad
    for user in (0, 1):
        z = draw.z[user::2]
        assert_close(draw.mean[user], z.mean(dim=0), rtol=0, atol=0.1)
        assert_close(draw.std[user], z.std(dim=0), rtol=0.05, atol=0)


def test_a_batch_of_one_user_has_moments_too(build: Build) -> None:
    torch.manual_seed(0)
    encoder = NoiseBasisEncoder(12, (6,), 3, 4, 2, 0.0, 1)
    encoder.a.bias.data += 5.0
    draw = encoder(rows_of(build([[0, 1]]), CPU))
    assert isinstance(draw.std, Tensor)
    assert (draw.std > 0.05).all()
    assert draw.standard.abs().max() < 6


def naive_basis(encoder: NoiseBasisEncoder, x: Tensor, noise: Tensor) -> Tensor:
    """Return z of one user (I,) and one noise of each network (N, E), in loops."""
    n, d = len(noise), encoder.z_0.out_features
    h = softplus(normalize(x, dim=0) @ encoder.input.weight + encoder.input.bias)
    a = linear(h, encoder.a.weight, encoder.a.bias).view(n, d)
    z = linear(h, encoder.z_0.weight, encoder.z_0.bias)
    for i in range(n):
        v = noise[i]
        for depth, (w, b) in enumerate(zip(encoder.weights, encoder.biases, strict=True)):
            v = v @ w[i] + b[i, 0]
            v = elu(v) if depth < len(encoder.weights) - 1 else v
        z = z + (elu(a[i] - 5.0) + 1.0) * v
    return z


def naive_noisy(encoder: NoisyEncoder, x: Tensor, noise: Tensor) -> Tensor:
    """Return z of one user (I,) and one noise (E,)."""
    h = softplus(
        normalize(x, dim=0) @ encoder.input.weight + encoder.input.bias + encoder.noises[0](noise)
    )
    for layer, added in zip(encoder.layers, list(encoder.noises)[1:], strict=True):
        h = layer(h + added(noise))
        h = softplus(h) if layer is not encoder.layers[-1] else h
    return h


def test_draws_are_those_of_a_loop_over_users_and_noises(build: Build) -> None:
    torch.manual_seed(0)
    x = rows_of(build(LISTS), CPU)
    basis = NoiseBasisEncoder(12, (6,), 3, 4, 2, 0.0, 5)
    noisy = NoisyEncoder(12, (6, 7), 3, 4, 0.0, 5)
    for made in (basis.z_0, noisy.layers[-1]):
        assert isinstance(made, nn.Linear)
        nn.init.normal_(made.weight)  # it begins at nearly zero, where little would be seen
    found, other = basis.test_draws(x), noisy.test_draws(x)
    assert found.shape == other.shape == (5, 4, 3)
    for user, row in enumerate(x.dense()):
        for s in range(5):
            assert_close(found[s, user], naive_basis(basis, row, basis.test_noise[:, s]))
            assert_close(other[s, user], naive_noisy(noisy, row, noisy.test_noise[s, 0]))


@BOTH
def test_every_draw_of_training_is_another_and_ts_own_loss_stays_in_t(
    build: Build, model: AVB
) -> None:
    torch.manual_seed(0)
    net, t = AVBNet(12, model), Adversary(6, 3, (5,))
    x = rows_of(build(LISTS), CPU)
    draw = net.encoder(x)
    assert not torch.equal(draw.z, net.encoder(x).z)
    t.loss(draw).backward()
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(parameter.grad is not None for parameter in t.parameters())


@BOTH
def test_the_estimates_gradient_passes_through_t_to_z_and_not_through_its_other_input(
    build: Build, model: AVB
) -> None:
    torch.manual_seed(0)
    net, t = AVBNet(12, model), Adversary(6, 3, (5,))
    draw = net.encoder(rows_of(build(LISTS), CPU))
    z = draw.z.detach().requires_grad_()
    first = draw.first.detach().requires_grad_()
    t.kl(Draw(z, first, draw.mean, draw.std)).sum().backward()
    assert first.grad is None
    # by the chain rule: d T / d z' / std + d (log r - log p) / d z
    u = draw.standard.detach().requires_grad_()
    (through,) = torch.autograd.grad(t(first, u).sum(), u)
    std = torch.as_tensor(draw.std)
    assert z.grad is not None
    assert_close(z.grad, through / std + z.detach() - u.detach() / std)


class Watching(Progress):
    """Notes at every update which parts have changed."""

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.parts = {k: v for k, v in state.items() if isinstance(v, nn.Module)}
        self.before = self._copy()
        self.losses: list[dict[str, float]] = []
        yield from super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        after = self._copy()
        for part in self.parts:
            same = [torch.equal(v, self.before[k]) for k, v in after.items() if k[0] == part]
            assert not any(same), part
        self.before = after
        self.losses.append({k: float(v.detach()) for k, v in losses.items()})

    def _copy(self) -> dict[tuple[str, str], Tensor]:
        return {
            (part, name): parameter.detach().clone()
            for part, net in self.parts.items()
            for name, parameter in net.named_parameters()
        }


@BOTH
def test_every_update_moves_all_of_both_networks(build: Build, model: AVB) -> None:
    watching = Watching(0, CPU)
    for _ in replace(model, batch_size=4).epochs(build([range(12)] * 4), watching):
        pass
    assert len(watching.losses) == 2
    assert set(watching.parts) == {"net", "T"}
    for noted in watching.losses:
        assert noted["loss"] == pytest.approx(noted["nll"] + noted["kl"], rel=1e-5)


@pytest.mark.parametrize("updates", ["adversary_first", "simultaneous"])
def test_an_update_is_that_of_its_order(
    build: Build, updates: Literal["adversary_first", "simultaneous"]
) -> None:
    train = build(LISTS)
    model = replace(PLAIN, updates=updates, batch_size=4, n_epochs=1)
    (net,) = list(model.epochs(train, Progress(7, CPU)))

    torch.manual_seed(7)
    expected = AVBNet(12, model)
    t = Adversary(6, 3, (5,))
    by_vae = torch.optim.Adam(expected.parameters(), 0.01, (0.5, 0.999))
    by_t = torch.optim.Adam(t.parameters(), 0.02, (0.5, 0.999))
    order = torch.randperm(4)
    x = rows_of(train.rows(order.numpy()), CPU)
    draw = expected.encoder(x)
    t_gradients = torch.autograd.grad(t.loss(draw), list(t.parameters()))

    def step_t() -> None:
        for parameter, gradient in zip(t.parameters(), t_gradients, strict=True):
            parameter.grad = gradient
        by_t.step()

    if updates == "adversary_first":
        step_t()
    loss = (bernoulli_nll(expected.decoder(draw.z), x) + t.kl(draw)).mean()
    parts = list(expected.parameters())
    for parameter, gradient in zip(parts, torch.autograd.grad(loss, parts), strict=True):
        parameter.grad = gradient
    by_vae.step()
    for name, parameter in net.named_parameters():
        assert_close(parameter, expected.get_parameter(name), msg=name)
        assert_close(parameter.grad, expected.get_parameter(name).grad, msg=name)


def test_t_tells_two_posteriors_apart_by_the_first_layer() -> None:
    torch.manual_seed(0)
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(128, 1)
    own = torch.tensor([[-1.5], [1.5]]).repeat(128, 1)  # the means of the two posteriors
    t = Adversary(2, 1, (32,))
    adam = torch.optim.Adam(t.parameters(), 0.01)
    zero, one = torch.zeros(256, 1), torch.ones(256, 1)
    for _ in range(300):
        loss = t.loss(Draw(own + 0.5 * torch.randn(256, 1), first, zero, one))
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        theirs, others = t(first, own), t(first, -own)
    assert theirs.min() > 1.0  # log q / p at the mean is 1.8
    assert others.max() < -3.0


def test_the_weight_of_the_kl_term_rises_to_its_cap(build: Build) -> None:
    watching = Watching(0, CPU)
    model = replace(TINY, beta=0.3, anneal_steps=5)
    for _ in model.epochs(build([range(12)] * 4), watching):
        pass
    found = [(noted["loss"] - noted["nll"]) / noted["kl"] for noted in watching.losses]
    assert found == pytest.approx([0.0, 0.2, 0.3, 0.3], abs=1e-4)


@pytest.mark.parametrize("decoder_dims", [(), (5,)])
@BOTH
def test_scores_are_the_mean_logits_over_the_test_draws(
    build: Build, model: AVB, decoder_dims: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    net = AVBNet(12, replace(model, decoder_dims=decoder_dims, n_test_draws=3))
    history = build(LISTS)
    z = net.encoder.test_draws(rows_of(history, CPU))
    assert not torch.equal(z[0], z[1])
    expected = torch.stack([net.decoder(draw) for draw in z]).mean(dim=0)
    queries = Queries(np.full(4, -1), history)
    assert_close(net.score(queries), expected.detach())
    assert_close(net.score(queries), net.score(queries), rtol=0, atol=0)


@BOTH
def test_the_first_draws_are_near_the_prior_s_mean(build: Build, model: AVB) -> None:
    torch.manual_seed(0)
    net = AVBNet(12, model)
    assert net.encoder(rows_of(build(LISTS), CPU)).z.abs().max() < 0.1


def test_the_defaults_have_the_sizes_of_the_authors_networks() -> None:
    with torch.device("meta"):
        net, t = AVBNet(784, AVB()), Adversary(300, 32, AVB().discriminator_dims)
    one = (64 * 128 + 128) + 2 * (128 * 128 + 128) + (128 * 32 + 32)
    hidden = (784 * 300 + 300) + (300 * 300 + 300)
    encoder = hidden + (300 * 32 + 32) + (300 * 32 * 32 + 32 * 32) + 32 * one
    decoder = (32 * 300 + 300) + (300 * 300 + 300) + (300 * 784 + 784)
    assert sum(parameter.numel() for parameter in net.parameters()) == encoder + decoder
    widths = [332, 1024, 1024, 1024, 1]
    expected = sum((a + 1) * b for a, b in pairwise(widths))
    assert sum(parameter.numel() for parameter in t.parameters()) == expected


@BOTH
def test_it_learns_two_tastes(build: Build, model: AVB) -> None:
    train = build(TWO_TASTES)
    learning = replace(model, hidden_dims=(16,), batch_size=8, n_epochs=40, beta=0.2)
    *_, net = learning.epochs(train, Progress(0, CPU))
    scores = net.score(Queries(np.arange(24), train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9
