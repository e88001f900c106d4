from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, normalize
from torch.testing import assert_close

from repro.errors import ReproError
from repro.interactions import Interactions
from repro.models import dave
from repro.models._dave.pairs import Side, Vectors
from repro.models.dave import (
    AVE,
    DAVE,
    DAVENet,
    Discriminator,
    Discriminators,
    Posterior,
    Trained,
    item_vectors,
)
from repro.nn.batches import Positives
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [], [0, 2, 5, 11], [0, 1, 2, 3]]  # nobody has items 6 to 10
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]
TINY = DAVE(latent_dim=4, hidden_dims=(6,), batch_size=8, n_negatives=2, n_epochs=2)
VARIANTS = {
    "DAVE": TINY,
    "DAVE-adv": replace(TINY, regularizer="kl"),
    "DAVE+aae": replace(TINY, stochastic=False),
    "non-saturating": replace(TINY, stochastic=False, encoder_loss="non_saturating"),
    "conditional": replace(TINY, regularizer="conditional"),
    "conditional, masked": replace(TINY, regularizer="conditional", mask_target=True),
    "masked": replace(TINY, mask_target=True),
    "sum": replace(TINY, reconstruction="sum"),
    "sampled": replace(TINY, decoder="sampled", sampled_entries=4),
    "deep": replace(TINY, hidden_dims=(6, 5), decoder_hidden_dims=(5,), activation="relu"),
    "raw": replace(TINY, normalize=False),
}


def sides(train: Interactions, masked: bool = False) -> tuple[Side, Side, Tensor]:
    """Return both sides of a batch that has every pair of user and item, and the labels."""
    u = torch.arange(train.n_users).repeat_interleave(train.n_items)
    v = torch.arange(train.n_items).repeat(train.n_users)
    label = torch.from_numpy(train.matrix().toarray()).flatten()
    user = Vectors(train, CPU).of(u, v, label, masked)
    return user, Vectors(item_vectors(train), CPU).of(v, u, label, masked), label


def net(train: Interactions, model: DAVE = TINY) -> DAVENet:
    torch.manual_seed(0)
    return DAVENet(train.n_users, train.n_items, model)


def last(model: DAVE, train: Interactions, progress: Progress | None = None) -> Trained:
    *_, scorer = model.epochs(train, progress or Progress(0, CPU))
    return scorer


def everyone(history: Interactions, candidates: Any = None) -> Queries:
    chosen = None if candidates is None else np.array(candidates)
    return Queries(np.arange(history.n_users), history, chosen)


def two_users(n_pairs: int) -> Side:
    """Return pairs that alternate between a vector with a one at 0 and one with a one at 1."""
    number = torch.arange(n_pairs) % 2
    one_each = Interactions(np.arange(2), np.arange(2), 2, 2, ordered=False)
    return Vectors(one_each, CPU).of(number, number, number.float(), masked=False)


def estimate(model: DAVE, mean: tuple[float, float], sigma: float) -> float:
    """Return the mean of -D under q after training D on two users' posteriors."""

    def draw(side: Side) -> Tensor:
        x = torch.tensor(mean)[side.pair] + sigma * torch.randn(len(side.pair))
        return x[:, None]

    torch.manual_seed(0)
    d, batch, many = Discriminator(2, model), two_users(1000), two_users(20_000)
    adam = torch.optim.Adam(d.parameters(), 0.01)
    slower = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.01, total_iters=300)
    for _ in range(300):
        loss = d.loss(draw(batch), batch)
        adam.zero_grad()
        loss.backward()
        adam.step()
        slower.step()
    with torch.no_grad():
        return float(-d(draw(many), many).mean())


@pytest.mark.parametrize(("mean", "sigma"), [(0.0, 1.0), (1.0, 0.5), (0.0, 0.3)])
def test_the_mean_of_minus_d_under_q_approaches_the_kl_divergence(
    mean: float, sigma: float
) -> None:
    kl = 0.5 * (sigma**2 + mean**2 - 1.0) - np.log(sigma)
    assert estimate(DAVE(latent_dim=1), (mean, mean), sigma) == pytest.approx(kl, abs=0.08)


def test_only_a_conditional_d_tells_the_divergence_of_each_posterior() -> None:
    single = 0.5 * 0.4**2 - np.log(0.4)  # of either user, at -1 or 1: 1.0
    grid = np.linspace(-4.0, 4.0, 4001)
    normal = [np.exp(-0.5 * ((grid - m) / 0.4) ** 2) / (0.4 * np.sqrt(2 * np.pi)) for m in (-1, 1)]
    q, prior = np.mean(normal, axis=0), np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi)
    mixture = float((q * np.log(q / prior)).sum() * 0.002)  # of both together: 0.33
    marginal = DAVE(latent_dim=1)
    conditional = replace(marginal, regularizer="conditional")
    assert estimate(conditional, (-1.0, 1.0), 0.4) == pytest.approx(single, abs=0.08)
    assert estimate(marginal, (-1.0, 1.0), 0.4) == pytest.approx(mixture, abs=0.08)


def test_the_discriminators_loss_is_eq_10_negated() -> None:
    torch.manual_seed(0)
    d, side, x = Discriminator(2, TINY), two_users(6), torch.randn(6, 4)
    torch.manual_seed(1)
    ours = d.loss(x, side)
    torch.manual_seed(1)
    prior = torch.randn(6, 4)
    real, fake = d(prior, side).sigmoid(), d(x, side).sigmoid()
    assert_close(ours, -(real.log() + (1.0 - fake).log()).mean())


class Watching(Progress):
    """Notes which networks' parameters change before each log."""

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.parts: dict[str, nn.Module] = {"net": state["net"], "D": state["D"]}
        self.before = self._copy()
        self.updates: list[tuple[str, list[str]]] = []
        yield from super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        after = self._copy()
        changed = [
            part
            for part, old in self.before.items()
            if any(not torch.equal(a, b) for a, b in zip(old, after[part], strict=True))
        ]
        if changed:
            self.updates.append((next(iter(losses)), changed))
        self.before = after
        super().log(**losses)

    def _copy(self) -> dict[str, list[Tensor]]:
        return {
            name: [p.detach().clone() for p in part.parameters()]
            for name, part in self.parts.items()
        }


def test_d_is_updated_first_and_stays_fixed_while_the_rest_is_updated(build: Build) -> None:
    watching = Watching(0, CPU)
    last(TINY, build(LISTS), watching)  # 13 pairs, 26 negatives: 5 batches
    assert watching.updates == [("d_loss", ["D"]), ("loss", ["net"])] * 10
    without = Watching(0, CPU)
    last(VARIANTS["DAVE-adv"], build(LISTS), without)
    assert without.updates == [("loss", ["net"])] * 10


class Dense:
    """DAVE of dense interaction vectors, with the weights of a network: the paper's equations."""

    def __init__(self, net: nn.Module, D: nn.Module, model: DAVE, train: Interactions) -> None:  # noqa: N803
        self.w, self.d = dict(net.named_parameters()), dict(D.named_parameters())
        self.model, self.users = model, torch.from_numpy(train.matrix().toarray())

    def linear(self, w: Mapping[str, Tensor], name: str, h: Tensor) -> Tensor:
        return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def stack(self, w: Mapping[str, Tensor], name: str, h: Tensor, act: Any) -> Tensor:
        """Apply the linear layers that are in a sequence, with an activation behind each."""
        numbers = {int(k[len(name) + 1 :].split(".")[0]) for k in w if k.startswith(f"{name}.")}
        for number in sorted(numbers):
            h = act(self.linear(w, f"{name}.{number}", h))
        return h

    def first(self, w: Mapping[str, Tensor], name: str, rows: Tensor) -> Tensor:
        rows = normalize(rows) if self.model.normalize else rows
        return rows @ w[f"{name}.weight"] + w[f"{name}.bias"]

    def side(self, who: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of a user's or an item's posterior."""
        act = torch.tanh if self.model.activation == "tanh" else torch.relu
        h = act(self.first(self.w, f"{who}.input", rows))
        *hidden, heads = sorted(
            {int(k.split(".")[2]) for k in self.w if k.startswith(f"{who}.encoder.")}
        )
        for number in hidden:
            h = act(self.linear(self.w, f"{who}.encoder.{number}", h))
        out = self.linear(self.w, f"{who}.encoder.{heads}", h)
        if not self.model.stochastic:
            return out, torch.full_like(out, -torch.inf)
        mean, logvar = out.chunk(2, dim=1)
        return mean, logvar

    def nll(self, who: str, x: Tensor, rows: Tensor) -> Tensor:
        act = torch.tanh if self.model.activation == "tanh" else torch.relu
        h = self.stack(self.w, f"{who}.decoder", x, act)
        logits = self.linear(self.w, f"{who}.output", h)
        total = binary_cross_entropy_with_logits(logits, rows, reduction="none")
        return (total.mean(1) if self.model.reconstruction == "mean" else total.sum(1)).mean()

    def D(self, which: str, x: Tensor, rows: Tensor) -> Tensor:  # noqa: N802 - the paper's letter
        h = self.linear(self.d, f"{which}.embedding", x)
        if self.model.regularizer == "conditional":
            h = h + self.first(self.d, f"{which}.condition", rows)
        name = f"{which}.rest"
        *hidden, last = sorted({int(k.split(".")[2]) for k in self.d if k.startswith(name)})
        for number in hidden:
            h = self.linear(self.d, f"{name}.{number}", h.relu())
        return self.linear(self.d, f"{name}.{last}", h.relu())[:, 0]


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - {"sampled"}))
def test_an_update_follows_the_gradients_of_the_papers_losses(
    build: Build, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    train = build(LISTS)
    weights: dict[str, Any] = {"regularizer_weight": 0.7, "prediction_weight": 0.4}
    rates: dict[str, Any] = {"learning_rate": 0.001, "discriminator_learning_rate": 0.002}
    model = replace(VARIANTS[name], n_epochs=1, batch_size=100, n_negatives=3, **weights, **rates)
    batches: list[tuple[Tensor, ...]] = []
    copies: list[dict[str, nn.Module]] = []

    class Noting(Positives):
        def labelled(self, n_negatives: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
            for batch in super().labelled(n_negatives):
                batches.append((*batch, torch.get_rng_state()))
                yield batch

    class Copying(Progress):
        def epochs(self, n: int, **state: Any) -> Iterator[int]:
            self.parts = {part: state[part] for part in ("net", "D")}
            copies.append(deepcopy(self.parts))
            yield from super().epochs(n, **state)

    monkeypatch.setattr(dave, "Positives", Noting)
    progress = Copying(0, CPU)
    next(model.epochs(train, progress))
    ((u, v, label, state),) = batches  # 13 positives, three negatives each
    assert (len(label), int(label.sum())) == (52, 13)
    before = copies[0]
    dense = Dense(before["net"], before["D"], model, train)
    own = torch.zeros(len(u), train.n_items).index_put((torch.arange(52), v), label)
    masked = {"user": dense.users[u] - own, "item": dense.users.T[v].clone()}
    whole = {"user": dense.users[u], "item": dense.users.T[v]}
    masked["item"][torch.arange(52), u] -= label
    seen = masked if model.mask_target else whole
    torch.set_rng_state(state)
    q = {who: dense.side(who, seen[who]) for who in ("user", "item")}
    x = {who: m + (0.5 * lv).exp() * torch.randn_like(m) for who, (m, lv) in q.items()}
    which = {"user": "u", "item": "v"}
    if model.regularizer == "kl":
        n = {"user": train.n_items, "item": train.n_users}
        kl = {
            who: kl_divergence(Normal(m, (0.5 * lv).exp()), Normal(0.0, 1.0)).sum(dim=1).mean()
            / (n[who] if model.reconstruction == "mean" else 1)
            for who, (m, lv) in q.items()
        }
        regularizer = kl["user"] + kl["item"]
    else:
        d_loss = torch.zeros(())
        for who in q:
            prior, fake = torch.randn_like(x[who]), x[who].detach()
            real = dense.D(which[who], prior, seen[who])
            d_loss = d_loss - logsigmoid(real).mean()
            d_loss = d_loss - logsigmoid(-dense.D(which[who], fake, seen[who])).mean()
        d_loss.backward()
        for old, new in zip(
            before["D"].parameters(), progress.parts["D"].parameters(), strict=True
        ):
            assert old.grad is not None
            assert_close(new.grad, old.grad, rtol=1e-3, atol=1e-6)
            step = old.grad.sign() * 0.002 / 0.1  # RMSprop's first, of an average of 0.01 squares
            large = old.grad.abs() > 1e-4
            assert_close((old - new)[large], step[large], rtol=1e-2, atol=0)
        dense.d = dict(progress.parts["D"].named_parameters())
        logit = {who: dense.D(which[who], x[who], seen[who]) for who in q}
        fools = [-a if model.encoder_loss == "logit" else -logsigmoid(a) for a in logit.values()]
        regularizer = fools[0].mean() + fools[1].mean()
    nll = dense.nll("user", x["user"], whole["user"]) + dense.nll("item", x["item"], whole["item"])
    f = x["user"] * x["item"]
    *hidden, last = sorted({int(k.split(".")[1]) for k in dense.w if k.startswith("F.")})
    for number in hidden:
        f = dense.linear(dense.w, f"F.{number}", f).relu()
    prediction = binary_cross_entropy_with_logits(
        dense.linear(dense.w, f"F.{last}", f)[:, 0], label
    )
    (nll + 0.7 * regularizer + 0.4 * prediction).backward()
    for key, old in before["net"].named_parameters():
        new = progress.parts["net"].get_parameter(key)
        assert old.grad is not None
        assert_close(new.grad, old.grad, rtol=1e-3, atol=1e-6, msg=key)
        large = old.grad.abs() > 1e-4
        assert_close((old - new)[large], 0.001 * old.grad.sign()[large], rtol=1e-2, atol=0)


def test_how_many_draws_score_is_the_models(build: Build) -> None:
    assert last(replace(TINY, n_epochs=1, test_samples=3), build(LISTS)).samples == 3


def test_log_variances_stay_within_10(build: Build) -> None:
    train = build(LISTS)
    ave, (side, _, _) = net(train).user, sides(train)
    heads: Any = ave.encoder[-1]
    with torch.no_grad():
        heads.bias[4:] = torch.tensor([-50.0, 50.0, -9.0, 9.0])
        heads.weight.zero_()
        assert ave.encode(side).logvar[0].tolist() == [-10.0, 10.0, -9.0, 9.0]


def test_a_sampled_decoder_draws_as_many_entries_as_it_is_told(build: Build) -> None:
    train = build(LISTS)
    side, _, _ = sides(train)
    x = torch.randn(len(side.pair), 4)
    few = net(train, replace(TINY, decoder="sampled", sampled_entries=2)).user
    assert float(few.nll(x, side).detach()) != float(few.nll(x, side).detach())
    every = net(train, replace(TINY, decoder="sampled", sampled_entries=12)).user
    assert_close(every.nll(x, side), net(train).user.nll(x, side))


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_the_encoders_gradient_comes_through_d(
    build: Build, monkeypatch: pytest.MonkeyPatch, weight: float
) -> None:
    slope = torch.tensor([1.0, -2.0, 3.0, 0.5])
    monkeypatch.setattr(Discriminator, "forward", lambda self, x, side: x @ slope)
    monkeypatch.setattr(Discriminator, "loss", lambda self, x, side: self.rest[-1].bias.sum())
    monkeypatch.setattr(AVE, "nll", lambda self, x, side: torch.zeros(()))
    model = replace(TINY, prediction_weight=0.0, regularizer_weight=weight, n_epochs=1)
    scorer = last(model, build(LISTS))
    for side in (scorer.net.user, scorer.net.item):
        *_, bias = side.encoder.parameters()
        assert bias.grad is not None
        assert_close(bias.grad[:4], -weight * slope)  # of -D(x) at the means


def test_fooling_d_is_minus_its_logit_or_non_saturating() -> None:
    logit = torch.tensor([0.5, -2.0, 7.0])
    assert_close(TINY.fooled(logit), -logit.mean())
    other = replace(TINY, encoder_loss="non_saturating")
    assert_close(other.fooled(logit), -logsigmoid(logit).mean())


def test_the_kl_divergence_is_on_the_scale_of_the_reconstruction(build: Build) -> None:
    train = build(LISTS)
    user, item, _ = sides(train)
    mean, logvar = torch.randn(60, 4), torch.randn(60, 4)
    q = Posterior(mean, logvar)
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(normal(mean, q.sigma), normal(0.0, 1.0))
    kl = kl.sum(dim=1).mean()
    adv = VARIANTS["DAVE-adv"]
    assert_close(adv.divergence(q, user), kl / 12)
    assert_close(adv.divergence(q, item), kl / 5)
    assert_close(replace(adv, reconstruction="sum").divergence(q, user), kl)


@pytest.mark.parametrize("name", ["DAVE", "sum", "deep"])
def test_the_reconstruction_is_bernoulli_and_of_whole_vectors(build: Build, name: str) -> None:
    train, model = build(LISTS), VARIANTS[name]
    made = net(train, model)
    x = torch.randn(60, 4)
    how = model.reconstruction
    for side, ave, n in (
        (sides(train, masked=True)[0], made.user, 12),
        (sides(train, masked=True)[1], made.item, 5),
    ):
        vectors = train.matrix().toarray() if n == 12 else train.matrix().T.toarray()
        target = torch.from_numpy(vectors)[side.rows.user[side.pair]]
        logits = ave.output(ave.decoder(x))
        expected = binary_cross_entropy_with_logits(logits, target, reduction="sum") / 60
        assert_close(ave.nll(x, side), expected / n if how == "mean" else expected)


def test_a_vector_of_several_pairs_is_encoded_once_and_drawn_for_each(build: Build) -> None:
    train = build(LISTS)
    made, (user, item, _) = net(train), sides(train)
    seen: list[int] = []
    for ave in (made.user, made.item):
        ave.encoder.register_forward_hook(lambda m, args, out: seen.append(len(args[0])))
    q, _ = made.user.encode(user), made.item.encode(item)
    assert seen == [5, 12]
    assert q.mean.shape == q.sigma.shape == (60, 4)
    assert_close(q.mean[12], q.mean[23])  # user 1
    assert not torch.isclose(q.draw()[12:24], q.draw()[12:24]).any()
    drawn = torch.stack([q.draw()[12:24] for _ in range(2000)])
    assert not torch.isclose(drawn[0, 0], drawn[0, 1]).any()
    assert_close(drawn.mean(dim=0), q.mean[12:24], rtol=0, atol=0.15)
    assert_close(drawn.std(dim=0), q.sigma[12:24], rtol=0, atol=0.15)


def test_masking_hides_each_positive_from_both_encoders_and_nothing_else(build: Build) -> None:
    train = build(LISTS)
    model = VARIANTS["masked"]
    made = net(train, model)
    masked_u, masked_v, label = sides(train, masked=True)
    q_u, q_v = made.user.encode(masked_u), made.item.encode(masked_v)
    for pair in range(60):
        u, v = divmod(pair, 12)
        other = build([[i for i in items if (a, i) != (u, v)] for a, items in enumerate(LISTS)])
        plain_u, plain_v, _ = sides(other)
        assert len(other) == len(train) - label[pair]
        assert_close(q_u.mean[pair], made.user.encode(plain_u).mean[pair])
        assert_close(q_v.mean[pair], made.item.encode(plain_v).mean[pair])


def test_points_have_no_spread_and_no_divergence(build: Build) -> None:
    train = build(LISTS)
    q = net(train, VARIANTS["DAVE+aae"]).user.encode(sides(train)[0])
    assert not q.sigma.any()
    assert_close(q.draw(), q.mean, rtol=0, atol=0)
    with pytest.raises(ReproError, match="a point has no KL divergence"):
        DAVE(regularizer="kl", stochastic=False)


def test_item_vectors_are_the_training_pairs_transposed(build: Build) -> None:
    train = build(LISTS)
    items = item_vectors(train)
    assert (items.n_users, items.n_items) == (12, 5)
    assert np.array_equal(items.matrix().toarray(), train.matrix().toarray().T)


def test_the_vectors_of_items_come_from_training_only(build: Build) -> None:
    train = build(LISTS)
    pairs = sorted(zip(train.user.tolist(), train.item.tolist(), strict=True))
    items = last(TINY, train).items
    assert sorted(zip(items.item.tolist(), items.row.tolist(), strict=True)) == pairs


@pytest.mark.parametrize("name", VARIANTS)
def test_users_and_items_without_interactions_do_not_divide_by_zero(
    build: Build, name: str
) -> None:
    train = build(LISTS)
    scorer = last(VARIANTS[name], train)
    scores = scorer.score(everyone(train))
    assert scores.isfinite().all()
    assert all(p.isfinite().all() for p in scorer.net.parameters())
    for item in (7, 8, 9, 10):  # cold items are one and the same
        assert_close(scores[:, item], scores[:, 6])


def test_scores_are_f_of_the_means(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    train = build(LISTS)
    scorer = last(TINY, train)
    placed, user = scorer.embeddings(), scorer.net.user.encode(sides(train)[0])
    (q_u, sigma), (q_v, _) = (placed[name].chunk(2, dim=1) for name in ("users", "items"))
    assert_close(q_u.repeat_interleave(12, 0), user.mean.detach())
    assert_close(sigma.repeat_interleave(12, 0), user.sigma.detach())
    assert placed["items"].shape == (12, 8)
    expected = torch.stack([scorer.net.F(x * q_v)[:, 0] for x in q_u]).detach()
    assert_close(scorer.score(everyone(train)), expected)
    monkeypatch.setattr(dave, "SCORED_PAIRS", 13)
    assert_close(scorer.score(everyone(train)), expected)
    candidates = [[3, 1], [4, 4], [0, 11], [2, 5], [7, 8]]
    chosen = expected.gather(1, torch.tensor(candidates))
    assert_close(scorer.score(everyone(train, candidates)), chosen)


def test_sampling_at_test_draws_one_embedding_of_a_user_and_of_an_item(build: Build) -> None:
    train = build(LISTS)
    scorer = replace(last(TINY, train), samples=1)
    one_item = scorer.score(everyone(train, [[3] * 6] * 5))
    assert_close(one_item, one_item[:, :1].expand(5, 6))
    assert not torch.isclose(scorer.score(everyone(train)), scorer.score(everyone(train))).all()
    points = replace(last(VARIANTS["DAVE+aae"], train), samples=3)
    means = replace(points, samples=0)
    assert_close(points.score(everyone(train)), means.score(everyone(train)))


def test_sampling_averages_the_logits(build: Build) -> None:
    train = build(LISTS)
    scorer = replace(last(TINY, train), samples=3)
    torch.manual_seed(5)
    ours = scorer.score(everyone(train))
    torch.manual_seed(5)
    single = replace(scorer, samples=1)
    assert_close(ours, torch.stack([single.score(everyone(train)) for _ in range(3)]).mean(dim=0))


def test_other_vectors_change_the_scores_of_their_user_or_item_alone(build: Build) -> None:
    train = build(LISTS)
    scorer, items = last(TINY, train), item_vectors(train)

    def scored(history: Interactions, item_users: Interactions | None = None) -> Tensor:
        return scorer.score(replace(everyone(train), history=history, item_users=item_users))

    before = scored(train)
    assert_close(scored(train, items), before, rtol=0, atol=0)
    changed = scored(build([[7, 8, 9], *LISTS[1:]])) != before
    assert changed.any(dim=1).tolist() == [True, False, False, False, False]
    lists = [list(items[v]) for v in range(12)]
    changed = scored(train, build([lists[0], [4, 2], *lists[2:]], n_items=5)) != before
    assert changed.any(dim=0).nonzero()[:, 0].tolist() == [1]
    assert_close(scored(train), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["DAVE", "DAVE-adv", "DAVE+aae", "conditional, masked", "sampled"])
def test_it_learns_two_tastes(build: Build, name: str) -> None:
    train = build(TWO_TASTES)
    model = replace(
        VARIANTS[name],
        latent_dim=8,
        hidden_dims=(16,),
        learning_rate=0.01,
        batch_size=60,
        n_epochs=15,
    )
    scores = last(model, train).score(everyone(train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9


def size(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(
    ("n_users", "n_items", "latent_dim", "hidden", "millions"),
    [
        (943, 1_682, 64, (), 0.75),
        (6_040, 3_706, 64, (), 2.63),
        (25_677, 25_815, 32, (), 12.02),
        (55_187, 9_916, 64, (), 17.30),
        (943, 1_682, 64, (200,), 1.13),
    ],
)
def test_networks_have_the_papers_sizes(
    n_users: int, n_items: int, latent_dim: int, hidden: tuple[int, ...], millions: float
) -> None:
    model = DAVE(latent_dim=latent_dim, decoder_hidden_dims=hidden)
    with torch.device("meta"):
        made, d = DAVENet(n_users, n_items, model), Discriminators(n_users, n_items, model)
    assert size(made.user, made.item) / 1e6 == pytest.approx(millions, abs=0.006)
    if latent_dim == 64:
        assert size(made.F) == 64 * 32 + 32 + 2 * (32 * 32 + 32) + 33 == 4_225
        assert size(d.u) == size(d.v) == 64 * 50 + 50 + 50 * 100 + 100 + 101 == 8_451
