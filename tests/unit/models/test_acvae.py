from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import log_softmax, softplus
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models.acvae import (
    ACVAE,
    ACVAENet,
    Adversary,
    Discriminator,
    Encoder,
    adversarial,
    contrastive,
    correlation,
    ordered,
    padded,
)
from repro.nn.gaussians import gaussian_kl
from repro.split import Cases, Queries, Split
from repro.training.fit import fit
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
N_ITEMS = 12
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8, 9], [10], [11, 2, 3, 4]]
USERS = torch.tensor([1, 2, 4, 0])
"""Those with a step to learn from, in an order of their own; they have 1, 4, 3 and 2 steps."""
TINY = ACVAE(
    embedding_dim=5,
    hidden_dim=4,
    latent_dim=3,
    discriminator_dim=6,
    test_latent="mean",
    batch_size=2,
    n_epochs=3,
)
NOISY = replace(TINY, test_latent="sample")
VARIANTS = [
    replace(TINY, encoder=encoder, posterior=posterior)
    for encoder in ("cnn", "fc")
    for posterior in ("implicit", "gaussian")
]
every_variant = pytest.mark.parametrize(
    "model", VARIANTS, ids=[f"{v.encoder} {v.posterior}" for v in VARIANTS]
)


def network(model: ACVAE, n_items: int = N_ITEMS) -> ACVAENet:
    torch.manual_seed(0)
    return ACVAENet(n_items, model).eval()


def rivals(model: ACVAE) -> tuple[Adversary, Discriminator]:
    torch.manual_seed(1)
    return Adversary(model).eval(), Discriminator(model).eval()


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def snapshot(**modules: nn.Module) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }


class Noting(Progress):
    """A run that keeps every number logged, by update."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed, CPU)
        self.noted: list[dict[str, float]] = []

    def log(self, **losses: Tensor) -> None:
        self.noted.append({k: float(v.detach()) for k, v in losses.items()})


def trained(model: ACVAE, train: Interactions, run: Progress | None = None) -> ACVAENet:
    *_, net = model.epochs(train, run or Noting())
    return net


# The network


@pytest.mark.parametrize(
    ("n_items", "parameters"),
    [(7363, 2_136_224), (3533, 1_151_914), (10_472, 2_935_237), (31_637, 8_374_642)],
)
def test_the_networks_have_the_authors_sizes(n_items: int, parameters: int) -> None:
    with torch.device("meta"):
        unused = size(nn.Linear(100, 64)) + size(nn.Linear(100, 128))
        assert size(ACVAENet(n_items, ACVAE())) + unused == parameters
        assert size(Adversary(ACVAE())) == 99_008
        assert size(Discriminator(ACVAE())) == 123_777
        assert size(Encoder(ACVAE())) == 146_964
        assert size(Encoder(ACVAE(encoder="fc"))) == 36_764


def test_noise_is_added_twice_by_one_layer() -> None:
    encoder = Encoder(NOISY)
    h = torch.randn(2, 7, 4)
    drawn: list[Tensor] = []

    def epsilon(like: Tensor) -> Tensor:
        drawn.append(torch.randn_like(like))
        return drawn[-1]

    encoder.epsilon = epsilon  # type: ignore[method-assign]
    assert encoder.noise is not None
    assert_close(encoder.add_noise(h), h + torch.tanh(encoder.noise(drawn[0])))
    for variant in (encoder, Encoder(replace(NOISY, encoder="fc"))):
        drawn.clear()
        variant.epsilon = epsilon  # type: ignore[method-assign]
        variant(h)
        assert [tuple(noise.shape) for noise in drawn] == [(2, 7, 4)] * 2


def test_the_convolution_spans_the_last_filters_of_steps_and_zeros_before_the_first() -> None:
    encoder = Encoder(replace(TINY, filter_height=3)).eval()
    encoder.add_noise = lambda h: h  # type: ignore[method-assign]
    h = torch.randn(1, 6, 4)
    assert encoder.causal is not None
    filters, bias = encoder.causal.weight, encoder.causal.bias  # (2 H, H, 3), (2 H,)
    assert bias is not None
    y = softplus(encoder.first(h))[0]  # (6, H)
    for t in range(6):
        seen = bias + sum(filters[:, :, 2 - k] @ y[t - k] for k in range(3) if t - k >= 0)
        expected = encoder.output(h[0, t] + softplus(encoder.second(softplus(seen))))
        assert_close(encoder(h)[0][0, t], expected)


def test_dropout_stands_where_the_code_has_it() -> None:
    wiped = replace(NOISY, dropout=1.0, light_dropout=1.0)
    net, x = network(wiped).train(), torch.arange(6)[None]
    assert_close(net(x)[0], net.item(x))  # T and G see the whole embedding
    bias = net.encoder.output.bias
    assert_close(net(x)[1], bias.expand(1, 6, 3))  # behind the residual
    h = torch.randn(1, 6, 4)
    full = Encoder(replace(wiped, encoder="fc"))
    assert_close(full(h)[0], full.output(h))  # within it
    T, z = rivals(wiped)[0].train(), torch.randn(6, 3)
    assert_close(T(torch.randn(6, 5), z), 0.5 * z * z)
    default = ACVAE()
    shares = [ACVAENet(9, default).dropout.p, Encoder(default).dropout.p]
    assert [*shares, Encoder(replace(default, encoder="fc")).dropout.p] == [0.5, 0.5, 0.2]
    assert Adversary(default).dropout.p == 0.2


@every_variant
@pytest.mark.parametrize("t", [0, 3, 8])
def test_an_item_changes_nothing_before_its_step(model: ACVAE, t: int) -> None:
    net = network(model)
    x = torch.arange(9)[None]
    other = x.clone()
    other[0, t] = 11
    for before, after in zip(net(x), net(other), strict=True):
        assert_close(after[:, :t], before[:, :t], rtol=0, atol=0)
        assert not torch.isclose(after[:, t], before[:, t]).all()


@every_variant
def test_padding_behind_a_sequence_changes_nothing(model: ACVAE) -> None:
    net = network(model)
    x = torch.arange(6).view(2, 3)
    longer = torch.cat([x, torch.full((2, 20), N_ITEMS)], dim=1)
    for short, long in zip(net(x), net(longer), strict=True):
        assert_close(long[:, :3], short)


@every_variant
def test_the_encoder_is_noisy_in_training_and_at_test_time_unless_told(model: ACVAE) -> None:
    x = torch.arange(6)[None]
    quiet, loud = network(model), network(replace(model, test_latent="sample"))
    assert_close(quiet(x)[1], quiet(x)[1], rtol=0, atol=0)
    assert not torch.equal(loud(x)[1], loud(x)[1])
    for part in quiet.train().modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    assert not torch.equal(quiet(x)[1], quiet(x)[1])


def test_the_closed_form_is_the_kl_of_the_gaussian_that_z_is_drawn_from() -> None:
    net = network(replace(NOISY, posterior="gaussian"))
    x = torch.arange(6).repeat(20_000, 1)
    with torch.no_grad():
        _, z, encoded = net(x)
    mean, logvar = encoded[0].chunk(2, dim=1)  # (6, D)
    q = Normal(mean, (0.5 * logvar).exp())
    assert_close(gaussian_kl(mean, logvar), kl_divergence(q, Normal(0.0, 1.0)).sum(dim=1))
    assert_close(z.mean(dim=0), q.mean, atol=0.04, rtol=0)
    assert_close(z.std(dim=0), q.stddev, atol=0.04, rtol=0)


# Batches


def test_a_batch_has_the_longest_user_first_and_keeps_the_order_of_the_draw(build: Build) -> None:
    train = build(LISTS)
    batch = ordered(padded(train, CPU), torch.from_numpy(train.counts) - 1, USERS, N_ITEMS)
    pad = N_ITEMS
    assert batch.length.tolist() == [4, 3, 2, 1]  # users 2, 4, 0, 1
    assert batch.x.tolist() == [[5, 6, 7, 8], [11, 2, 3, pad], [0, 1, pad, pad], [3, pad, pad, pad]]
    assert batch.own.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9, 12]
    assert batch.target.tolist() == [6, 7, 8, 9, 2, 3, 4, 1, 2, 4]
    # drawn as 1, 2, 4, 0: after 2 comes 4, after 4 comes 0, after 0 the first, 1, and then 2
    assert batch.following.tolist() == [1, 2, 3, 0]


def test_every_user_with_two_items_is_trained_on_once_an_epoch(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    def noting(s: Tensor, steps: Tensor, users: Tensor, padding: int) -> Any:
        seen.append(users.tolist())
        return ordered(s, steps, users, padding)

    monkeypatch.setattr("repro.models.acvae.ordered", noting)
    trained(replace(TINY, n_epochs=4), build(LISTS))
    epochs = [[*seen[i], *seen[i + 1]] for i in range(0, 8, 2)]
    assert [sorted(users) for users in epochs] == [[0, 1, 2, 4]] * 4
    assert len({tuple(users) for users in epochs}) > 1


# The losses


def test_t_sees_items_and_latents_of_one_step_and_adds_half_of_z_squared() -> None:
    T, _ = rivals(TINY)
    e, z = torch.randn(7, 5), torch.randn(7, 3)
    x = T.input(torch.cat([e, z], dim=1))
    for block in T.blocks:
        y = x + block(x)
        x = torch.where(y > 0, y, y.exp() - 1)
    assert_close(T(e, z), T.output(x) + 0.5 * z * z)
    assert_close(T(e, z)[2:3], T(e[2:3], z[2:3]))


@torch.no_grad()
def test_ts_loss_is_the_authors_formula() -> None:
    T, _ = rivals(TINY)
    e, z = torch.randn(4, 5), torch.randn(4, 3)
    torch.manual_seed(3)
    loss = adversarial(T, e, z)
    torch.manual_seed(3)
    drawn, prior = T(e, z), T(e, torch.randn(4, 3))
    expected = 0.0
    for step in range(4):
        for d in range(3):
            own, other = torch.sigmoid(drawn[step, d]), torch.sigmoid(prior[step, d])
            expected -= float(torch.log(own + 1e-9) + torch.log(1.0 - other + 1e-9)) / 3
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_contrastive_loss_is_that_of_a_loop_over_users_and_steps(build: Build) -> None:
    net, (_, G) = network(TINY), rivals(TINY)
    train = build(LISTS)
    batch = ordered(padded(train, CPU), torch.from_numpy(train.counts) - 1, USERS, N_ITEMS)
    e, z, _ = net(batch.x)
    match, other = G(e, z, batch.length), G(e, z[batch.following], batch.length)

    expected, n_steps = torch.zeros(()), 0
    for place, user in enumerate(USERS.tolist()):
        items, follower = LISTS[user][:-1], LISTS[USERS.tolist()[(place + 1) % 4]][:-1]
        reach = len(items)
        own = torch.tensor([items])
        negative = torch.tensor([(follower + [N_ITEMS] * reach)[:reach]])
        e_one, z_one, z_other = net(own)[0], net(own)[1], net(negative)[1]
        for v, sign in ((z_one, -1.0), (z_other, 1.0)):
            h, _ = G.gru(torch.cat([e_one, v], dim=2).transpose(0, 1))
            logits = G.output(nn.functional.gelu(h))[:, 0, 0]
            for t in range(reach):
                expected = expected + softplus(sign * logits[t])
        n_steps += reach
    assert match.shape == other.shape == (n_steps,)
    assert_close(contrastive(match, other), expected)
    zeros = torch.zeros(n_steps)
    assert float(contrastive(zeros, zeros)) == pytest.approx(2 * n_steps * np.log(2))


def in_padded_form(
    net: ACVAENet, adversary: Adversary, discriminator: Discriminator, users: list[int]
) -> dict[str, Tensor]:
    """Return all sums over steps: computed at each of 9 steps in the order given, then masked."""
    x, y = torch.full((len(users), 9), N_ITEMS), torch.zeros(len(users), 9, dtype=torch.int64)
    mask = torch.zeros(len(users), 9)
    for row, user in enumerate(users):
        n = len(LISTS[user]) - 1
        x[row, :n] = torch.tensor(LISTS[user][:-1])
        y[row, :n] = torch.tensor(LISTS[user][1:])
        mask[row, :n] = 1.0
    e, z, encoded = net(x)  # (B, 9, ·)

    def t(e: Tensor, z: Tensor) -> Tensor:
        return adversary(e.flatten(0, 1), z.flatten(0, 1)).view_as(z)

    def g(z: Tensor) -> Tensor:
        h, _ = discriminator.gru(torch.cat([e, z], dim=2).transpose(0, 1))
        return discriminator.output(nn.functional.gelu(h))[:, :, 0].T

    drawn, prior = t(e.detach(), z.detach()), t(e.detach(), torch.randn_like(z))
    nll = -log_softmax(net.decoder(z), dim=2).gather(2, y[:, :, None])[:, :, 0]
    terms = {
        "nll": nll,
        "ratio": t(e, z).mean(dim=2),
        "contrast": softplus(-g(z)) + softplus(g(torch.cat([z[1:], z[:1]]))),
        "t_loss": (softplus(-drawn) + softplus(prior)).mean(dim=2),
    }
    if not net.encoder.implicit:
        terms["ratio"] = gaussian_kl(*encoded.flatten(0, 1).chunk(2, dim=1)).view_as(mask)
    return {name: (mask * term).sum() for name, term in terms.items()}


@pytest.mark.parametrize("posterior", ["implicit", "gaussian"])
def test_loss_and_gradients_are_those_of_the_padded_form(
    build: Build, posterior: Literal["implicit", "gaussian"]
) -> None:
    model = replace(TINY, posterior=posterior)
    net, (T, G) = network(model), rivals(model)
    train = build(LISTS)
    batch = ordered(padded(train, CPU), torch.from_numpy(train.counts) - 1, USERS, N_ITEMS)
    e, z, encoded = net(batch.x)
    e_own, z_own, q = (v.flatten(0, 1)[batch.own] for v in (e, z, encoded))
    ratio = T(e_own, z_own).mean(1) if posterior == "implicit" else gaussian_kl(*q.chunk(2, 1))
    pairs = G(e, z, batch.length), G(e, z[batch.following], batch.length)
    ours = {
        "nll": net.nll(z_own, batch.target),
        "ratio": ratio.sum(),
        "contrast": contrastive(*pairs),
    }
    theirs = in_padded_form(net, T, G, USERS.tolist())
    parameters = [*net.parameters(), *T.parameters(), *G.parameters()]
    for name, loss in ours.items():
        assert_close(loss, theirs[name])
        found, expected = (
            torch.autograd.grad(one, parameters, retain_graph=True, materialize_grads=True)
            for one in (loss, theirs[name])
        )
        assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("updates", ["code", "paper"])
@pytest.mark.parametrize("change", [{}, {"alpha_anneal_steps": 4}, {"posterior": "gaussian"}])
def test_training_is_that_of_the_padded_form(
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    updates: Literal["code", "paper"],
    change: dict[str, Any],
) -> None:
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)  # of encoder and prior
    batches: list[list[int]] = []

    def noting(s: Tensor, steps: Tensor, users: Tensor, padding: int) -> Any:
        batches.append(users.tolist())
        return ordered(s, steps, users, padding)

    monkeypatch.setattr("repro.models.acvae.ordered", noting)
    model = replace(TINY, dropout=0.0, light_dropout=0.0, alpha=0.5, beta=0.3, updates=updates)
    model = replace(model, learning_rate=0.01, g_learning_rate=0.02, t_learning_rate=0.05, **change)
    run = Noting()
    trained_net = trained(model, build(LISTS), run)

    Noting()  # seeds as the run did
    net, T, G = ACVAENet(N_ITEMS, model), Adversary(model), Discriminator(model)
    by_vae, by_g, by_t = model.optimizers(net, T, G)
    logged = iter(run.noted)
    avb = model.posterior == "implicit"
    assert len(batches) == 6
    for step, users in enumerate(batches):
        turn_of_t = avb and step % 2 == 1 if updates == "paper" else None
        terms = {k: v / len(users) for k, v in in_padded_form(net, T, G, users).items()}
        weight = 0.5 * min(1.0, step / 4) if model.alpha_anneal_steps else 0.5
        loss = terms["nll"] + weight * terms["ratio"] + 0.3 * terms["contrast"]
        if not turn_of_t:
            assert next(logged)["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
            by_vae.zero_grad()
            by_g.zero_grad()
            loss.backward()
            by_vae.step()
            by_g.step()
        if avb and turn_of_t is not False:
            assert next(logged)["t_loss"] == pytest.approx(
                float(terms["t_loss"].detach()), rel=1e-4
            )
            by_t.zero_grad()
            terms["t_loss"].backward()
            by_t.step()
    assert next(logged, None) is None
    for name, value in snapshot(net=net).items():
        assert_close(snapshot(net=trained_net)[name], value, rtol=1e-3, atol=1e-4)


def test_the_likelihood_in_pieces_is_the_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(TINY)
    z, target = torch.randn(7, 3), torch.randint(N_ITEMS, (7,))
    whole = net.nll(z, target)
    monkeypatch.setattr("repro.models.acvae.PIECE", 2 * (N_ITEMS + 1))
    assert_close(net.nll(z, target), whole)
    expected = -log_softmax(net.decoder(z), dim=1)[torch.arange(7), target].sum()
    assert_close(whole, expected)


def test_alpha_and_beta_weigh_their_terms_and_all_is_per_user(build: Build) -> None:
    def first(**change: Any) -> dict[str, float]:
        run = Noting()
        trained(replace(TINY, n_epochs=1, **change), build(LISTS[:2]), run)
        return run.noted[0]

    usual = first()
    assert set(usual) == {"loss", "nll", "avb", "contrast"}
    total = usual["nll"] + usual["avb"] + usual["contrast"]
    assert usual["loss"] == pytest.approx(total, rel=1e-6)
    assert first(alpha=0.5)["avb"] == pytest.approx(10 * usual["avb"], rel=1e-5)
    assert first(beta=0.3)["contrast"] == pytest.approx(3 * usual["contrast"], rel=1e-5)
    assert first(alpha=0.0)["avb"] == first(beta=0.0)["contrast"] == 0.0
    assert usual["nll"] == pytest.approx(1.5 * np.log(N_ITEMS + 1), rel=0.3)  # 3 steps, 2 users
    assert usual["contrast"] == pytest.approx(0.1 * 1.5 * 2 * np.log(2), rel=0.3)


# The updates


@pytest.mark.parametrize(
    ("updates", "kind", "encoder_again"), [("code", "AdamW", True), ("paper", "Adam", False)]
)
def test_each_optimizer_changes_its_own_parameters_alone(
    updates: Literal["code", "paper"], kind: str, encoder_again: bool
) -> None:
    model = replace(TINY, updates=updates)
    net, (T, G) = network(model), rivals(model)
    optimizers = model.optimizers(net, T, G)
    assert [type(optimizer).__name__ for optimizer in optimizers] == [kind, "SGD", "SGD"]
    changes = []
    for optimizer in optimizers:
        for parameter in (*net.parameters(), *T.parameters(), *G.parameters()):
            parameter.grad = torch.ones_like(parameter)
        before = snapshot(net=net, T=T, G=G)
        optimizer.step()
        after = snapshot(net=net, T=T, G=G)
        changes.append({name for name in before if not torch.equal(before[name], after[name])})
    everything = snapshot(net=net, T=T, G=G)
    in_encoder = {name for name in everything if name.startswith("net.encoder.")}
    assert changes[0] == {name for name in everything if name.startswith("net.")}
    assert changes[1] - in_encoder == {name for name in everything if name.startswith("G.")}
    assert changes[1] & in_encoder == (in_encoder if encoder_again else set())
    assert changes[2] == {name for name in everything if name.startswith("T.")}


@pytest.mark.parametrize(
    ("change", "rates", "decays"),
    [
        ({}, [1e-3, 3e-4, 5e-4], [0.01, 0.1, 0.1]),
        ({"updates": "paper"}, [1e-4, 5e-4, 5e-4], [0.01, 0.1, 0.1]),
        (
            {
                "learning_rate": 0.5,
                "g_learning_rate": 0.25,
                "t_learning_rate": 0.125,
                "weight_decay": 0.0,
                "sgd_weight_decay": 1.0,
            },
            [0.5, 0.25, 0.125],
            [0.0, 1.0, 1.0],
        ),
    ],
    ids=["code", "paper", "given"],
)
def test_rates_and_decays_follow_the_code_the_paper_or_what_is_given(
    change: dict[str, Any], rates: list[float], decays: list[float]
) -> None:
    model = replace(TINY, **change)
    optimizers = model.optimizers(network(model), *rivals(model))
    assert [optimizer.param_groups[0]["lr"] for optimizer in optimizers] == rates
    assert [optimizer.param_groups[0]["weight_decay"] for optimizer in optimizers] == decays


@pytest.mark.parametrize(
    ("change", "turns"),
    [
        ({}, ["vae", "t", "vae", "t", "vae", "t", "vae", "t"]),
        ({"updates": "paper"}, ["vae", "t", "vae", "t"]),
        ({"alpha": 0.0}, ["vae"] * 4),
        ({"posterior": "gaussian"}, ["vae"] * 4),
        ({"updates": "paper", "alpha": 0.0}, ["vae"] * 4),
    ],
    ids=["code", "paper", "without AVB", "Gaussian", "paper without AVB"],
)
def test_both_players_move_on_every_batch_or_take_turns(
    build: Build, change: dict[str, Any], turns: list[str]
) -> None:
    run = Noting()
    trained(replace(TINY, n_epochs=2, **change), build(LISTS), run)  # two batches an epoch
    assert ["t" if "t_loss" in losses else "vae" for losses in run.noted] == turns


def test_the_encoder_is_stepped_twice_by_one_gradient(build: Build) -> None:
    train = build(LISTS[:2])

    def encoder(**change: Any) -> dict[str, Tensor]:
        net = trained(replace(TINY, n_epochs=1, weight_decay=0.0, **change), train)
        return snapshot(encoder=net.encoder)

    once = encoder(g_learning_rate=0.0)
    twice = encoder(g_learning_rate=0.5, sgd_weight_decay=0.0)
    decayed = encoder(g_learning_rate=0.5, sgd_weight_decay=0.1)
    for name, value in once.items():
        assert not torch.equal(twice[name], value), name
        assert_close(decayed[name], twice[name] - 0.05 * value)


# What is learned


def test_t_learns_the_log_ratio_of_posterior_and_prior() -> None:
    torch.manual_seed(0)
    model = replace(TINY, embedding_dim=2, latent_dim=1, discriminator_dim=32, light_dropout=0.0)
    T = Adversary(model)
    optimizer = torch.optim.Adam(T.parameters(), 0.005)
    q = Normal(torch.tensor([1.0, -0.5]), torch.tensor([0.5, 0.7]))  # a posterior for each of two e

    def drawn(n: int) -> tuple[Tensor, Tensor, Tensor]:
        which = torch.randint(2, (n,))
        return nn.functional.one_hot(which, 2).float(), q.sample((n,))[range(n), which], which

    for _ in range(500):
        e, z, _ = drawn(512)
        optimizer.zero_grad()
        (adversarial(T, e, z[:, None]) / 512).backward()
        optimizer.step()
    with torch.no_grad():
        e, z, which = drawn(2000)
        found = T(e, z[:, None])[:, 0]
        true = q.log_prob(z[:, None])[range(2000), which] - Normal(0.0, 1.0).log_prob(z)
    clear = true.abs() > 0.2
    assert (found.sign() == true.sign())[clear].float().mean() > 0.97
    assert torch.corrcoef(torch.stack([found, true]))[0, 1] > 0.95
    assert (found - true).abs().mean() < 0.15
    kl = kl_divergence(q, Normal(0.0, 1.0))
    for k in range(2):
        assert float(found[which == k].mean()) == pytest.approx(float(kl[k]), abs=0.15)


def test_g_learns_which_latents_belong_to_which_items() -> None:
    torch.manual_seed(0)
    G = Discriminator(replace(TINY, embedding_dim=2, latent_dim=1, discriminator_dim=16))
    optimizer = torch.optim.Adam(G.parameters(), 0.02)
    length = torch.full((64,), 3)

    def pairs() -> tuple[Tensor, Tensor, Tensor]:
        taste = torch.randint(2, (64,)).float() * 2 - 1  # z tells the sign of e's first entry
        e = taste[:, None, None] * torch.rand(64, 3, 2)
        z = taste[:, None, None].expand(64, 3, 1)
        return G(e, z, length), G(e, -z, length), G(e, z.roll(-1, 0), length)

    for _ in range(150):
        match, _, other = pairs()
        optimizer.zero_grad()
        (contrastive(match, other) / 64).backward()
        optimizer.step()
    match, mismatch, _ = pairs()
    # half of the next users have the same taste: the odds of a match are 2 to 1, of the rest 0
    assert_close(match.mean(), torch.tensor(2.0).log(), atol=0.3, rtol=0)
    assert (mismatch < -2).float().mean() > 0.95


@every_variant
def test_every_variant_learns_which_item_comes_next(build: Build, model: ACVAE) -> None:
    train = build([[(start + t) % 6 for t in range(6)] for start in range(6)] * 4, n_items=6)
    quick = replace(
        model,
        embedding_dim=16,
        hidden_dim=16,
        latent_dim=8,
        dropout=0.1,
        learning_rate=0.02,
        batch_size=8,
        n_epochs=30,
    )
    net = trained(quick, train)
    history = build([[2], [4, 5], [5, 0, 1, 2]], n_items=6)
    best = net.score(Queries(np.arange(3), history)).argmax(dim=1)
    assert best.tolist() == [3, 0, 3]


# Test time


@every_variant
def test_scores_are_the_logits_behind_the_newest_item(build: Build, model: ACVAE) -> None:
    net = network(model)
    scores = net.score(Queries(np.arange(len(LISTS)), build(LISTS)))
    assert scores.shape == (len(LISTS), N_ITEMS)  # padding is no item
    for row, items in enumerate(LISTS):
        z = net(torch.tensor([items]))[1][:, -1]
        assert_close(scores[row], net.decoder(z)[0, :-1])


def test_many_users_are_scored_in_parts(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    net, queries = network(TINY), Queries(np.arange(len(LISTS)), build(LISTS))
    whole = net.score(queries)
    monkeypatch.setattr("repro.models.acvae.SCORED_USERS", 2)
    assert_close(net.score(queries), whole)


def test_looking_at_the_scores_does_not_disturb_training(build: Build) -> None:
    train = build(LISTS)
    targets = build([[5], [6], [1], [2], [7]])
    split = Split(train, None, Cases(Queries(np.arange(5), train), targets))

    def curve(every: int, **change: Any) -> list[float]:
        model = replace(NOISY, n_epochs=4, **change)
        outcome = fit(model, split, Progress(7, CPU), name="", metrics=("ndcg@5",), every=every)
        return [entry["losses"]["loss"] for entry in outcome.curve]

    expected = curve(4)
    assert curve(1) == expected
    assert curve(4, log_corr=True) == expected


def test_corr_is_the_sum_of_squared_correlations_between_dimensions(build: Build) -> None:
    net = network(TINY).train()
    s = padded(build([*LISTS, []]), CPU)
    found = correlation(net, s)
    assert net.training
    net.eval()
    z = [net(torch.tensor([items]))[1][0].detach() for items in LISTS]
    for name, sample in (("last", torch.stack([v[-1] for v in z])), ("all", torch.cat(z))):
        c = np.corrcoef(sample.numpy(), rowvar=False)
        expected = sum(c[i, j] ** 2 for i in range(3) for j in range(3) if i != j)
        assert float(found[f"corr_{name}"]) == pytest.approx(expected, rel=1e-4)


def test_corr_is_logged_once_an_epoch(build: Build) -> None:
    run = Noting()
    trained(replace(TINY, log_corr=True), build(LISTS), run)
    logged = [losses for losses in run.noted if "corr_all" in losses]
    assert len(logged) == 3
    assert all(0.0 <= value <= 6.001 for losses in logged for value in losses.values())
