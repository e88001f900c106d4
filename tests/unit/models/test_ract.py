from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import linear, normalize
from torch.testing import assert_close

from repro import metrics
from repro.interactions import Interactions
from repro.models import ract
from repro.models.ract import Actor, Critic, RaCT, features, unseen_ndcg
from repro.nn.batches import rows_of
from repro.nn.losses import multinomial_nll
from repro.split import Cases, Queries
from repro.training.progress import Progress
from repro.training.ranking import rank

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [], [5, 6, 7, 8], [9]]
TINY = RaCT(
    hidden_dim=6,
    latent_dim=3,
    critic_dims=(5, 4),
    batch_size=3,
    anneal_steps=10,
    learning_rate=0.01,
    critic_learning_rate=0.01,
    joint_learning_rate=0.01,
    n_actor_epochs=2,
    n_critic_epochs=2,
    n_joint_epochs=2,
)
JOINT_ONLY = replace(TINY, n_actor_epochs=0, n_critic_epochs=0, n_joint_epochs=1, batch_size=10)


def last(model: RaCT, train: Interactions, progress: Progress) -> Actor:
    *_, scorer = model.epochs(train, progress)
    return scorer


@pytest.mark.parametrize(("n_items", "k"), [(12, 100), (150, 100), (150, 10)])
def test_the_critics_target_is_the_true_ndcg(build: Build, n_items: int, k: int) -> None:
    rng = np.random.default_rng(0)
    sizes = [1, 2, 3, 5, n_items // 2, n_items - 1, n_items]
    lists = [rng.choice(n_items, size, replace=False) for size in sizes * 5]
    rows = build(lists, n_items=n_items)
    x, keep = rows_of(rows, CPU), torch.from_numpy(rng.random(len(rows)) < 0.5)
    torch.manual_seed(0)
    logits = torch.randn(len(lists), n_items)
    found = unseen_ndcg(logits, x, keep, k)

    class Given:
        def score(self, queries: Queries) -> Tensor:
            return logits[torch.from_numpy(queries.user)].clone()

    seen, unseen = rows.where(keep.numpy()), rows.where(~keep.numpy())
    have = np.flatnonzero(unseen.counts)  # also users who have every item
    cases = Cases(Queries(have, seen.rows(have)), unseen.rows(have))
    expected = np.zeros(len(lists))  # also of those who have nothing unseen
    ranking = rank(Given(), cases)
    expected[cases.queries.user] = metrics.ndcg(ranking.hits, ranking.n_targets, k)
    assert len(cases) < len(lists)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert 0.1 < expected.mean() < 0.9


def test_a_perfect_order_of_the_unseen_items_has_an_ndcg_of_one(build: Build) -> None:
    x = rows_of(build([[0, 1, 2], [3, 4]]), CPU)
    keep = torch.tensor([True, False, False, False, True])
    logits = torch.zeros(2, 12)
    logits[0, [0, 1, 2]] = torch.tensor([9.0, 2.0, 3.0])  # item 0 is seen
    logits[1, [4, 3, 5]] = torch.tensor([9.0, 2.0, 3.0])  # item 5 comes before item 3
    assert_close(unseen_ndcg(logits, x, keep, 100), torch.tensor([1.0, 1 / np.log2(3)]).float())
    assert logits.max() == 9.0  # the actor's output is not masked for others


def test_the_critic_sees_the_items_seen_and_unseen_and_the_likelihood(build: Build) -> None:
    x = rows_of(build(LISTS), CPU)
    keep = torch.tensor([1, 0, 1, 0, 0, 1, 1, 1, 1, 0]).bool()
    nll = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
    assert features(x, keep, nll).tolist() == [
        [2.0, 1.0, 5.0],
        [0.0, 2.0, 4.0],
        [0.0, 0.0, 3.0],
        [4.0, 0.0, 2.0],
        [0.0, 1.0, 1.0],
    ]


def made(n_items: int = 12, model: RaCT = TINY) -> Actor:
    torch.manual_seed(0)
    return Actor(n_items, model)


def test_the_actors_logits_are_those_of_a_draw_of_its_posterior(build: Build) -> None:
    actor, x = made(), rows_of(build(LISTS), CPU)
    keep = TINY.mask(x)
    torch.manual_seed(1)
    logits, mean, logvar = actor(x, keep)
    torch.manual_seed(1)
    z = mean + torch.randn_like(mean) * (0.5 * logvar).exp()
    assert_close(logits, actor.decoder(z))


def test_the_kl_term_of_phase_1_is_that_to_a_standard_normal(build: Build) -> None:
    terms: list[float] = []

    class Noting(Progress):
        def log(self, **losses: Tensor) -> None:
            terms.append(float((losses["loss"] - losses["nll"]).detach()))

    train = build(LISTS)
    phase_1 = replace(TINY, dropout=0.0, beta=0.7, anneal_steps=1, batch_size=5, learning_rate=0.0)
    actor = next(replace(phase_1, n_actor_epochs=1).epochs(train, Noting(0, CPU)))
    x = rows_of(build([items for items in LISTS if items]), CPU)  # rows without items are left out
    mean, logvar = actor.encode(x)
    q = Normal(mean, (0.5 * logvar).exp())
    kl = kl_divergence(q, Normal(0.0, 1.0)).sum(dim=1).mean()
    assert terms == pytest.approx([0.7 * float(kl.detach())], rel=1e-4)


def test_the_actor_sees_the_kept_entries_of_the_normalised_row(build: Build) -> None:
    actor, x = made(), rows_of(build(LISTS), CPU)
    keep = TINY.mask(x)
    mask = torch.zeros(5, 12)
    mask[x.row, x.item] = keep.float()
    hidden = (normalize(x.dense()) * mask / 0.5 @ actor.input + actor.bias).tanh()
    assert_close(actor.encode(x, keep), (actor.mean(hidden), actor.logvar(hidden)))
    whole = (normalize(x.dense()) @ actor.input + actor.bias).tanh()
    assert_close(actor.encode(x), (actor.mean(whole), actor.logvar(whole)))


def test_the_mask_keeps_its_share_and_is_new_each_time(build: Build) -> None:
    torch.manual_seed(0)
    x = rows_of(build([range(10_000)], n_items=10_000), CPU)
    first, second = (replace(TINY, dropout=0.3).mask(x) for _ in range(2))
    assert first.float().mean() == pytest.approx(0.7, abs=0.02)
    assert not torch.equal(first, second)


class Watching(Progress):
    """Notes at every update its phase and what it has changed."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, CPU)
        self.phases: list[str] = []
        self.updates: list[tuple[str, set[str]]] = []
        self.noted: list[dict[str, float]] = []

    def phase(self, name: str) -> None:
        self.phases.append(name)
        super().phase(name)

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.state = state
        self.first = {name: deepcopy(state[name]) for name in ("actor", "critic")}
        self.before = self._copy()
        yield from super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        after = self._copy()
        changed = {
            "statistics" if k.endswith(("quick", "slow")) else k.split(".")[0]
            for k in after
            if not torch.equal(after[k], self.before[k])
        }
        self.updates.append((self.phases[-1], changed))
        self.noted.append({name: float(value.detach()) for name, value in losses.items()})
        self.before = after
        super().log(**losses)

    def _copy(self) -> dict[str, Tensor]:
        return {
            f"{name}.{k}": v.detach().clone()
            for name in ("actor", "critic")
            for k, v in self.state[name].state_dict().items()
        }


@pytest.mark.parametrize("renormalize", [True, False])
def test_each_phase_trains_its_own_and_statistics_move_in_the_first_alone(
    build: Build, renormalize: bool
) -> None:
    watching = Watching(0)
    model = replace(TINY, renormalize=renormalize)
    for _ in model.epochs(build(LISTS), watching):  # two batches an epoch
        pass
    first = {"actor"} | ({"statistics"} if renormalize else set())
    expected = [("actor", first), ("critic", {"critic"}), ("critic", {"actor", "critic"})]
    assert watching.updates == [update for update in expected for _ in range(2 * 2)]


def test_what_is_looked_at_is_each_actor_once(build: Build) -> None:
    train, watching = build(LISTS), Watching(0)
    model = replace(TINY, n_actor_epochs=2, n_critic_epochs=3, n_joint_epochs=4)
    scores = [actor.score(Queries(np.arange(5), train)) for actor in model.epochs(train, watching)]
    assert watching.phases == ["actor", "critic"]
    assert len(scores) == 2 + 1 + 4
    same = [torch.equal(one, other) for one, other in pairwise(scores)]
    assert same == [False, True, False, False, False, False]


def test_the_weight_of_the_kl_term_rises_with_the_updates_to_its_cap(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ract, "gaussian_kl", lambda mean, logvar: torch.ones(len(mean)))
    watching = Watching(0)
    model = replace(TINY, n_actor_epochs=2, n_critic_epochs=0, n_joint_epochs=0)
    for _ in model.epochs(build(LISTS), watching):
        pass
    weights = [losses["loss"] - losses["nll"] for losses in watching.noted]
    assert weights == pytest.approx([0.1, 0.2, 0.2, 0.2], abs=1e-5)


def test_in_phase_3_the_actor_climbs_the_critic_and_the_critic_follows_the_ndcg(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(5)
    x, target = rows_of(build(LISTS[:2]), CPU), torch.tensor([0.3, 0.7])
    keep = torch.tensor([True, False, True, False, True])
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)  # z is the mean
    monkeypatch.setattr(RaCT, "mask", lambda self, x: keep[: len(x.item)])
    monkeypatch.setattr(torch, "randperm", lambda n, device: torch.arange(n))
    monkeypatch.setattr(ract, "unseen_ndcg", lambda logits, x, keep, k: target)
    watching = Watching(0)
    last(JOINT_ONLY, build(LISTS[:2]), watching)

    actor, critic = watching.first["actor"], watching.first["critic"]
    nll = multinomial_nll(actor(x, keep)[0], x)
    predicted = critic(features(x, keep, nll))
    up = torch.autograd.grad(-predicted.mean(), [*actor.parameters()], retain_graph=True)
    l2 = sum(p.square().sum() for p in critic.parameters())
    loss = (predicted - target).square().mean() + 1e-4 * l2 / 10  # the batch size asked for
    down = torch.autograd.grad(loss, [*critic.parameters()])
    for part, adam, gradients in (("actor", "joint_adam", up), ("critic", "critic_adam", down)):
        moments = watching.state[adam].state
        for p, gradient in zip(watching.state[part].parameters(), gradients, strict=True):
            assert_close(moments[p]["exp_avg"], 0.1 * gradient)  # beta_1 is 0.9; a new Adam


def test_the_rates_are_those_of_the_phases(build: Build) -> None:
    watching = Watching(0)
    model = RaCT(hidden_dim=2, n_actor_epochs=1, n_critic_epochs=1, n_joint_epochs=1)
    last(model, build(LISTS), watching)
    rates = [watching.state[name].param_groups[0]["lr"] for name in ("critic_adam", "joint_adam")]
    assert rates == [1e-4, 2e-6]


def test_statistics_are_a_slow_average_of_a_quick_one_without_bias() -> None:
    rng = np.random.default_rng(0)
    critic, batches = Critic(TINY), rng.gamma(2.0, 30.0, size=(50, 40, 3)).astype(np.float32)
    quick_mean = quick_deviation = weight = np.zeros(3)
    mean, var = np.zeros(3), np.ones(3)
    for batch in batches:
        critic.observe(torch.from_numpy(batch))
        quick_mean = 0.99 * quick_mean + 0.01 * batch.mean(axis=0)
        quick_deviation = 0.99 * quick_deviation + 0.01 * np.sqrt(batch.var(axis=0) + 0.001)
        weight = 0.99 * weight + 0.01
        mean = 0.999 * mean + 0.001 * quick_mean / weight
        var = 0.999 * var + 0.001 * ((quick_deviation / weight) ** 2 - 0.001)
    np.testing.assert_allclose(critic.slow.numpy(), [mean, var], rtol=1e-4)


def test_the_critic_is_an_mlp_of_normalised_features() -> None:
    torch.manual_seed(0)
    critic, h = Critic(TINY), 100 * torch.rand(7, 3)
    found = critic(h)
    critic.slow[0], critic.slow[1] = 50.0, 9.0 - 0.001
    moved = critic(3 * h + 50.0)
    assert_close(critic(50.0 + 3 * h / 1.001**0.5), found)
    for layer in critic.layers:
        h = layer(h).clamp(min=0)
    assert_close(moved, linear(h, critic.output.weight, critic.output.bias)[:, 0].sigmoid())
    assert found.shape == (7,)


def test_the_critic_learns_which_users_are_served_well(build: Build) -> None:
    rng = np.random.default_rng(0)
    n_items = 60
    lists = [rng.choice(n_items if u % 2 else 6, 5, replace=False) for u in range(60)]
    model = replace(
        TINY, batch_size=20, critic_dims=(20, 10), n_actor_epochs=20, n_critic_epochs=50
    )
    progress = Progress(0, CPU)
    last(model, build(lists, n_items=n_items), progress)
    errors = [e["losses"]["critic_error"] for e in progress.outcome.curve if e["phase"] == "critic"]
    assert np.mean(errors[40:50]) < 0.5 * errors[0]


@pytest.mark.parametrize("cut", [("actor", 2), ("critic", 2), ("critic", 4)])
def test_a_run_that_was_cut_off_in_any_phase_ends_with_the_same_scores(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: tuple[str, int]
) -> None:
    monkeypatch.setattr("repro.training.progress.CHECKPOINT_SECONDS", -1.0)
    train = build(LISTS)

    def cut_off(phase: str, epoch: int, n: int) -> None:
        if (phase, epoch) == cut:
            raise KeyboardInterrupt

    def scores(progress: Progress) -> Tensor:
        return last(TINY, train, progress).score(Queries(np.arange(5), train))

    with contextlib.suppress(KeyboardInterrupt):
        scores(Progress(3, CPU, tmp_path, cut_off))
    assert_close(scores(Progress(3, CPU, tmp_path)), scores(Progress(3, CPU)), rtol=0, atol=0)


def test_scores_are_the_logits_at_the_posterior_mean_without_a_mask(build: Build) -> None:
    actor, history = made(), build(LISTS)
    x = rows_of(history, CPU)
    scores = actor.score(Queries(np.full(5, -1), history))
    assert_close(scores, actor.decoder(actor.encode(x)[0]).detach())
    assert bool(scores.isfinite().all())  # also of the row without items
    keep = torch.ones(len(x.item)).bool()
    assert not torch.equal(actor(x, keep)[0], actor(x, keep)[0])  # in training z is drawn


def test_networks_have_the_sizes_of_the_original_on_movielens_20m() -> None:
    with torch.device("meta"):
        parts = Actor(20_108, RaCT()), Critic(RaCT())
    sizes = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert sizes == [24_511_308, 400 + 10_100 + 1_010 + 11]


def test_the_initial_weights_are_those_of_the_reference() -> None:
    actor, critic = made(100, RaCT(hidden_dim=60, latent_dim=50)), Critic(RaCT())
    for name, parameter in actor.named_parameters():
        if name.endswith("bias"):
            assert parameter.abs().max() <= 0.002, name
            assert 0 < parameter.std() < 0.0011, name
        else:
            bound = (6 / sum(parameter.shape)) ** 0.5  # Glorot's; mean and log variance apart
            assert 0.9 * bound < parameter.abs().max() <= bound, name
    assert not any(layer.bias.any() for layer in (*critic.layers, critic.output))


def test_it_learns_two_tastes(build: Build) -> None:
    lists = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]
    train = build(lists)
    model = replace(
        TINY,
        hidden_dim=32,
        latent_dim=8,
        anneal_steps=1000,
        batch_size=12,
        n_actor_epochs=30,
        joint_learning_rate=0.0001,
    )
    scores = last(model, train, Progress(0, CPU)).score(Queries(np.arange(24), train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9
