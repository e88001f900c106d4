from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical as Choice
from torch.distributions import Independent, MixtureSameFamily, Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.models._se_vae.gated import ItemLinear, normalized
from repro.models.se_vae import SEVAE, HVamp, Latent, SEVAENet
from repro.nn.batches import rows_of
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9]]
TINY = SEVAE(hidden_dim=6, latent_dim=3, n_pseudo_inputs=5, batch_size=2, n_epochs=3)
SE: dict[str, Any] = {"expert": "stochastic", "n_experts": 3}
FLAT: dict[str, Any] = {"family": "multi_vae"}
PLAIN: dict[str, Any] = {"family": "multi_vae", "gated": False, "n_layers": 1}
KINDS: dict[str, dict[str, Any]] = {
    "multi_vae": PLAIN,
    "multi_vae, gated": FLAT,
    "multi_vae, gated, se": FLAT | SE,
    "multi_vae, moe": PLAIN | {"expert": "mixture"},
    "hvamp": {"gated": False},
    "hvamp, gated": {},
    "hvamp, gated, bernoulli": {"likelihood": "bernoulli"},
    "hvamp, gated, se": SE,
    "hvamp, gated, se, individual encoders": SE | {"individual_encoders": True},
    "hvamp, gated, moe": {"expert": "mixture"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def network(seed: int = 0, **change: Any) -> SEVAENet:
    torch.manual_seed(seed)
    return SEVAENet(12, replace(TINY, **change))


def gaussian(parameters: tuple[Tensor, Tensor]) -> Any:
    mean, logvar = parameters
    return Independent(Normal(mean, (0.5 * logvar).exp()), 1)


@pytest.mark.parametrize(
    ("model", "millions"),
    [
        (SEVAE(**PLAIN), 24.5),
        (SEVAE(**PLAIN, latent_dim=600), 25.2),
        (SEVAE(**FLAT, n_layers=1), 36.7),
        (SEVAE(**FLAT), 38.1),
        (SEVAE(**FLAT, latent_dim=600), 39.1),
        (SEVAE(gated=False), 59.7),
        (SEVAE(), 86.5),
        (SEVAE(latent_dim=600), 89.8),
        (SEVAE(**PLAIN, **SE), 61.5),
        (SEVAE(**PLAIN, **SE, share_output=True), 37.3),
        (SEVAE(**PLAIN, **SE, selector="trunk"), 49.4),
        (SEVAE(**PLAIN, **SE, share_output=True, selector="trunk"), 25.2),  # as with K = 600
        (SEVAE(**FLAT, **SE), 88.8),
        (SEVAE(**SE), 141.5),
    ],
)
def test_networks_have_the_size_that_the_papers_layers_give_on_movielens_20m(
    model: SEVAE, millions: float
) -> None:
    with torch.device("meta"):
        net = SEVAENet(20_108, model)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


@every_kind
def test_the_loss_reaches_every_parameter(build: Build, kind: str) -> None:
    net = network(**KINDS[kind] | {"select": "expected"})  # a draw may pass over an expert
    nll, kl = net(rows_of(build(LISTS), CPU))
    (nll + kl).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("change", [PLAIN, FLAT, {}, {"gated": False}])
def test_one_stochastic_expert_is_the_plain_model_to_the_bit(
    build: Build, change: dict[str, Any]
) -> None:
    train = build(LISTS)

    def trained(**expert: Any) -> tuple[list[Tensor], Tensor]:
        *_, net = replace(TINY, **change, **expert).epochs(train, Progress(0, CPU))
        return [*net.parameters()], net.score(Queries(np.arange(4), train))

    plain = trained()
    for expert in ("stochastic", "mixture"):
        assert_close(trained(expert=expert, n_experts=1), plain, rtol=0, atol=0)


def test_the_gaussian_terms_are_those_of_torch_distributions(build: Build) -> None:
    x = rows_of(build(LISTS), CPU)
    net = network(**FLAT, **SE)
    latent = net.vae(normalized(x, net.dropout))
    shape = latent.z2.shape
    assert shape == (4, 3, 3)
    prior = gaussian((torch.zeros(shape), torch.zeros(shape)))
    q = Independent(Normal(latent.q2[0], (0.5 * latent.q2[1]).exp()), 1)
    assert_close(net.vae.kl(latent), q.log_prob(latent.z2) - prior.log_prob(latent.z2))
    exact = network(**FLAT, **SE, kl="analytic")
    prior = Independent(Normal(torch.zeros(shape), torch.ones(shape)), 1)
    assert_close(exact.vae.kl(latent), kl_divergence(q, prior))


def hierarchical(net: SEVAENet, build: Build) -> tuple[Latent, Tensor]:
    """Return a draw, and its KL term worked out with torch.distributions."""
    x = rows_of(build(LISTS), CPU)
    vae = net.eval().vae
    assert isinstance(vae, HVamp)
    latent = vae(normalized(x, net.dropout))
    z2, z1 = latent.z2 + 0.1, (latent.z1 if latent.z1 is not None else latent.z2) - 0.2
    latent = latent._replace(z2=z2, z1=z1)
    u = vae.pseudo_inputs.weight.clamp(0, 1).T
    _, (c_mean, c_logvar) = vae.encoder(u)
    assert latent.q1 is not None
    terms = []
    for m in range(z2.shape[1]):
        q2, q1 = (gaussian((mean[:, m], var[:, m])) for mean, var in (latent.q2, latent.q1))
        mean, logvar = vae.p1[m](z2[:, m])
        p1 = gaussian((mean[:, 0], logvar[:, 0]))
        p2 = MixtureSameFamily(Choice(torch.ones(len(u))), gaussian((c_mean[:, m], c_logvar[:, m])))
        log_q = q2.log_prob(z2[:, m]) + q1.log_prob(z1[:, m])
        terms.append(log_q - p1.log_prob(z1[:, m]) - p2.log_prob(z2[:, m]))
    return latent, torch.stack(terms, dim=1)


@pytest.mark.parametrize("change", [{}, SE, SE | {"individual_encoders": True}])
def test_the_hierarchical_kl_is_that_of_torch_distributions(
    build: Build, change: dict[str, Any]
) -> None:
    net = network(**change)
    latent, expected = hierarchical(net, build)
    assert_close(net.vae.kl(latent), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_sampled_kl_term_has_the_exact_one_as_its_mean(build: Build) -> None:
    x = rows_of(build([LISTS[0]]), CPU)
    net, exact = (network(**FLAT, kl=kl, dropout=0.0) for kl in ("sample", "analytic"))
    entries = normalized(x, net.dropout)
    latent = exact.vae(entries)
    n = 20_000
    mean, logvar = (v.expand(n, -1, -1) for v in latent.q2)
    z2 = mean + torch.randn_like(mean) * (0.5 * logvar).exp()
    drawn = net.vae.kl(latent._replace(z2=z2, q2=(mean, logvar)))
    error = float(drawn.std() / n**0.5)
    assert abs(float(drawn.mean() - exact.vae.kl(latent))) < 4 * error


def test_the_kl_of_the_selector_and_that_of_the_experts_are_added_as_asked(build: Build) -> None:
    x = rows_of(build(LISTS), CPU)

    def kl(**change: Any) -> float:
        net = network(**FLAT, **SE, kl="analytic", dropout=0.0, **change)
        torch.manual_seed(1)
        return float(net(x)[1].detach())

    net = network(**FLAT, **SE, kl="analytic", dropout=0.0)
    entries = normalized(x, net.dropout)
    latent = net.vae(entries)
    of_z = float(net.vae.kl(latent).sum(dim=1).mean().detach())
    mean, logvar = net.selects(entries, latent)
    standard = Independent(Normal(torch.zeros(4, 3), torch.ones(4, 3)), 1)
    of_w = float(kl_divergence(gaussian((mean, logvar)), standard).mean().detach())
    assert kl() == pytest.approx(of_z + of_w, rel=1e-5)
    assert kl(selector_kl_weight=0.0) == pytest.approx(of_z, rel=1e-5)
    assert kl(experts_kl="mean", selector_kl_weight=2.0) == pytest.approx(of_z / 3 + 2 * of_w)


def test_the_kl_weight_rises_with_the_epochs_to_its_cap(build: Build) -> None:
    noted: list[float] = []

    class Noting(Progress):
        def log(self, **losses: Any) -> None:
            loss, nll, kl = (float(losses[name].detach()) for name in ("loss", "nll", "kl"))
            noted.append((loss - nll) / kl)

    model = replace(TINY, beta=0.4, warmup_epochs=4, n_epochs=6, batch_size=4, kl="analytic")
    for _ in model.epochs(build(LISTS), Noting(0, CPU)):
        pass
    assert noted == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4], rel=1e-3)


@every_kind
def test_scores_are_those_of_the_posterior_means_without_dropout(build: Build, kind: str) -> None:
    history = build(LISTS)
    net = network(**KINDS[kind])
    x = rows_of(history, CPU)
    scores = net.train().score(Queries(np.arange(4), history))
    net.eval()
    entries = normalized(x, net.dropout)
    latent = net.vae(entries)
    assert_close(latent.z2, latent.q2[0])
    hidden = net.vae.decode(latent)
    logits = torch.stack([net.experts.output(m)(h) for m, h in enumerate(hidden)], dim=2)
    expected = logits[:, :, 0]
    if net.selector is not None:
        a = net.selects(entries, latent)[0].softmax(dim=1)
        expected = (logits.softmax(dim=1) * a[:, None]).sum(dim=2).log()
    assert_close(scores, expected.detach())


@pytest.mark.parametrize("expert", ["stochastic", "mixture"])
def test_the_likelihood_is_that_of_the_experts_asked_for(
    build: Build, expert: Literal["stochastic", "mixture"]
) -> None:
    x = rows_of(build(LISTS), CPU)
    net = network(**FLAT, expert=expert, select="expected").eval()
    torch.manual_seed(1)
    nll, _ = net(x)
    entries = normalized(x, net.dropout)
    latent = net.vae(entries)
    mean, logvar = net.selects(entries, latent)
    torch.manual_seed(1)
    w = mean + torch.randn_like(mean) * (0.5 * logvar).exp()  # drawn in evaluation, too
    a = w.softmax(dim=1)[:, :, None]  # (B, M, 1)
    hidden = net.vae.decode(latent)
    logits = torch.stack([net.experts.output(m)(h) for m, h in enumerate(hidden)], dim=1)
    log_pi = logits.log_softmax(dim=2)  # (B, M, I)
    each = (a * log_pi).sum(dim=1) if expert == "stochastic" else (a * log_pi.exp()).sum(1).log()
    assert_close(nll, -(x.dense() * each).sum(dim=1).mean())


def test_the_bernoulli_likelihood_is_of_every_item(build: Build) -> None:
    x = rows_of(build(LISTS), CPU)
    net = network(likelihood="bernoulli").eval()
    latent = net.vae(normalized(x, net.dropout))
    logits = net.experts.output(0)(net.vae.decode(latent)[0])
    cross_entropy = binary_cross_entropy_with_logits(logits, x.dense(), reduction="sum")
    assert_close(net(x)[0], cross_entropy / 4)


@torch.no_grad()
def test_the_bernoulli_likelihood_takes_no_item_for_less_likely_than_1e_5(build: Build) -> None:
    net = network(likelihood="bernoulli")
    output = net.experts.output(0)
    output.weight.zero_()
    output.bias.fill_(-50.0)  # of 48 items 10 were clicked
    nll = 10 * -np.log(1e-5) + 38 * -np.log1p(-1e-5)
    assert float(net(rows_of(build(LISTS), CPU))[0]) == pytest.approx(nll / 4, rel=1e-5)


@torch.no_grad()
def test_how_an_expert_is_drawn_is_as_asked_for(build: Build) -> None:
    def nll(**change: Any) -> float:
        net = network(**FLAT, **SE, **change)
        torch.manual_seed(1)
        return float(net(rows_of(build(LISTS), CPU))[0])

    assert len({nll(), nll(hard=False), nll(hard=False, temperature=9.0)}) == 3


def test_at_a_high_temperature_all_experts_count_alike(build: Build) -> None:
    history = build(LISTS)
    net = network(**FLAT, **SE, temperature=1e6)
    scores = net.score(Queries(np.arange(4), history))
    net.eval()
    hidden = net.vae.decode(net.vae(normalized(rows_of(history, CPU), net.dropout)))
    pi = torch.stack([net.experts.output(m)(h).softmax(dim=1) for m, h in enumerate(hidden)])
    assert_close(scores, pi.mean(dim=0).log().detach())


def test_pseudo_inputs_pass_the_dropout_in_training_alone() -> None:
    inputs: Any = network(n_pseudo_inputs=400, dropout=0.3).vae
    dropped = inputs.pseudo_inputs() == 0.0
    assert float(dropped.float().mean()) == pytest.approx(0.3, abs=0.03)
    assert inputs.eval().pseudo_inputs().all()


@pytest.mark.parametrize("optimizer", ["normalized_adam", "adam"])
def test_gradients_have_length_one_where_they_are_normalised(
    build: Build, watching: Any, optimizer: Literal["normalized_adam", "adam"]
) -> None:
    next(replace(TINY, optimizer=optimizer).epochs(build(LISTS), watching))
    lengths = torch.stack([g.norm() for g in watching.gradients[0] if g.any()])
    one = torch.ones_like(lengths)
    assert torch.allclose(lengths, one, rtol=1e-3) == (optimizer == "normalized_adam")


def test_the_networks_of_z2_and_of_z1_drop_different_entries(build: Build) -> None:
    x = rows_of(build([range(12)]), CPU)
    masks: list[Tensor] = []
    net: Any = network()
    net.vae.encoder.trunks[0][0].register_forward_pre_hook(lambda _, a: masks.append(a[0].value))
    net.vae.q1[0].first.register_forward_pre_hook(lambda _, a: masks.append(a[0].value))
    net.vae(normalized(x, net.dropout))
    assert not torch.equal(*masks)


def test_the_selector_reads_the_input_that_the_encoder_reads(build: Build) -> None:
    x = rows_of(build([range(12)]), CPU)
    read: list[Any] = []
    net: Any = network(**SE)
    net.vae.encoder.trunks[0][0].register_forward_pre_hook(lambda _, a: read.append(a[0]))
    net.selector.register_forward_pre_hook(lambda _, a: read.append(a[0]))
    net(x)
    assert read[0] is read[-1]


def test_shared_weights_read_every_experts_z2_and_own_ones_only_theirs(build: Build) -> None:
    x = rows_of(build(LISTS), CPU)
    for individual in (False, True):
        net: Any = network(**SE, individual_encoders=individual).eval()
        latent = net.vae(normalized(x, net.dropout))
        for m in range(3):
            own = m if individual else 0
            h = net.vae.q1[own](normalized(x, net.dropout), latent.z2[:, m])
            assert_close(net.vae.q1_heads[own](h)[0][:, 0], latent.z1[:, m])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_layers": 1}, "at least two hidden layers"),
        ({"likelihood": "bernoulli", "expert": "stochastic"}, "experts are chosen per click"),
    ],
)
def test_what_is_not_defined_is_refused(build: Build, change: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        next(replace(TINY, **change).epochs(build(LISTS), Progress(0, CPU)))


@torch.no_grad()
def test_the_initial_weights_are_those_of_the_reference() -> None:
    torch.manual_seed(0)
    net: Any = SEVAENet(400, SEVAE(hidden_dim=200, latent_dim=100, n_pseudo_inputs=300))
    inputs = net.vae.pseudo_inputs.weight
    assert float(inputs.mean()) == pytest.approx(0.05, abs=1e-3)
    assert float(inputs.std()) == pytest.approx(0.01, rel=0.05)
    for name, module in net.named_modules():
        n_in = None
        if isinstance(module, nn.Linear):
            n_in = module.in_features
        elif isinstance(module, ItemLinear):
            n_in = len(module.weight)
        if n_in:
            assert float(module.weight.std()) == pytest.approx((2 / n_in) ** 0.5, rel=0.05), name
            assert 0.8 * n_in**-0.5 < float(module.bias.abs().max()) <= n_in**-0.5, name
