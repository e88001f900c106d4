from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import log_softmax
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.models.svae import SVAE, SVAENet
from repro.split import Cases, Queries
from repro.training.progress import Progress
from repro.training.ranking import rank

Build = Callable[..., Interactions]
Meaning = Literal["code", "consistent"]
"""Of the encoder's second output, in the KL."""

CPU = torch.device("cpu")
N_ITEMS = 12
LISTS = [[1, 2, 3], [4, 5], [5, 6, 7, 8, 9, 10], [10], [11, 2, 3, 2, 4], []]
"""Three have fewer items to come than a target holds; one has an item twice in a target."""
LEARNT = [0, 1, 2, 4]
"""The users with a next item."""
TINY = SVAE(
    embedding_dim=5,
    hidden_dim=4,
    dense_dim=6,
    latent_dim=3,
    next_k=3,
    test_latent="mean",
    batch_size=2,
    n_epochs=3,
)
every_meaning = pytest.mark.parametrize("log_sigma", ["code", "consistent"])


def network(model: SVAE = TINY) -> SVAENet:
    torch.manual_seed(0)
    net = SVAENet(N_ITEMS, model)
    for parameter in net.parameters():  # as large as after training
        nn.init.normal_(parameter, std=0.5)
    return net


def encoding(mean: list[float], log_sigma: list[float], model: SVAE = TINY) -> SVAENet:
    """Return a network whose encoder gives the same at every step."""
    net = network(model)
    output = net.encoder[-1]
    assert isinstance(output, nn.Linear)
    nn.init.zeros_(output.weight)
    output.bias.data = torch.tensor([*mean, *log_sigma])
    return net


def padded(lists: list[list[int]], behind: int = 0) -> tuple[Tensor, Tensor]:
    """Return sequences and their lengths, with an item of one's choice behind their ends."""
    length = torch.tensor([len(items) for items in lists])
    s = torch.full((len(lists), int(length.max())), behind)
    for row, items in enumerate(lists):
        s[row, : len(items)] = torch.tensor(items)
    return s, length


@pytest.fixture
def noise_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every draw lie one standard deviation above the mean."""
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)


def by_hand(net: SVAENet, items: list[int]) -> tuple[Tensor, Tensor]:
    """Return one user's likelihood and KL terms, of dense targets and step by step."""
    k, consistent = net.model.next_k, net.model.log_sigma == "consistent"
    state = torch.zeros(1, 1, net.model.hidden_dim)
    nll, kl, n_first = torch.zeros(()), torch.zeros(()), 0.0
    for t in range(len(items) - 1):
        _, state = net.gru(net.item(torch.tensor([[items[t]]])), state)
        mean, log_sigma = net.encoder(state[0, 0]).chunk(2)
        z = mean + log_sigma.exp()  # what `noise_of_one` draws
        target = torch.zeros(N_ITEMS)
        for item in items[t + 1 : t + 1 + k]:
            target[item] = 1.0
        nll = nll - (target * log_softmax(net.decoder(z), dim=0)).sum()
        n_first = n_first or float(target.sum())
        sigma = log_sigma.exp() if consistent else log_sigma.exp().sqrt()
        kl = kl + kl_divergence(Normal(mean, sigma), Normal(0.0, 1.0)).sum()
    return nll / n_first, kl / (len(items) - 1)


class Noting(Progress):
    """A run that keeps the loss of every update."""

    def __init__(self) -> None:
        super().__init__(0, CPU)
        self.losses: list[float] = []

    def log(self, **losses: Tensor) -> None:
        self.losses.append(float(losses["loss"].detach()))


# The network


def test_the_network_has_the_sizes_of_the_authors() -> None:
    with torch.device("meta"):
        net = SVAENet(1000, SVAE())
    gru = 3 * (256 * 200 + 200 * 200 + 2 * 200)
    encoder = (200 + 1) * 150 + (150 + 1) * 2 * 64
    decoder = (64 + 1) * 150 + (150 + 1) * 1000
    assert sum(p.numel() for p in net.parameters()) == 1000 * 256 + gru + encoder + decoder


@pytest.mark.parametrize("t", [1, 3, 5])
def test_an_item_changes_nothing_before_its_step(t: int) -> None:
    net = network()
    seen: list[Tensor] = []
    net.decoder.register_forward_hook(lambda module, z, logits: seen.append(logits))
    s, length = padded([[5, 6, 7, 8, 9, 10, 11]])
    other = s.clone()
    other[0, t] = 0
    for sequence in (s, other):
        torch.manual_seed(1)  # for the same draws
        net.loss(sequence, length)
    before, after = seen
    assert_close(after[:t], before[:t], rtol=0, atol=0)
    assert not torch.isclose(after[t], before[t]).any()


# The loss


@pytest.mark.usefixtures("noise_of_one")
@every_meaning
@pytest.mark.parametrize("next_k", [1, 3, 4, 9])
def test_the_terms_are_those_of_a_loop_over_users_and_steps(
    log_sigma: Meaning, next_k: int
) -> None:
    net = network(replace(TINY, log_sigma=log_sigma, next_k=next_k))
    lists = [LISTS[user] for user in LEARNT]
    expected = torch.stack([torch.stack(by_hand(net, items)) for items in lists])  # (4, 2)
    assert_close(torch.stack(net.loss(*padded(lists)), dim=1), expected)


def test_the_likelihood_is_divided_by_the_ones_of_the_first_target_alone() -> None:
    net = network()
    for parameter in net.decoder.parameters():
        nn.init.zeros_(parameter)  # every item has probability 1 / 12
    nll, _ = net.loss(*padded([LISTS[user] for user in LEARNT]))
    # targets of 2 + 1, of 1, of 3 + 3 + 3 + 2 + 1 items, and of {2, 3}, {3, 2, 4}, {2, 4}, {4}
    assert nll.tolist() == pytest.approx([math.log(12) * n for n in (3 / 2, 1 / 1, 12 / 3, 8 / 2)])


@pytest.mark.parametrize(
    ("log_sigma", "expected"),
    # of one latent variable of mean 1, with variance 2 or 4: (variance + mean^2 - 1 - log) / 2
    [("code", (2.0 - math.log(2.0)) / 2), ("consistent", (4.0 - math.log(4.0)) / 2)],
)
def test_the_kl_is_a_mean_over_steps_of_a_sum_over_dimensions(
    log_sigma: Meaning, expected: float
) -> None:
    net = encoding([1.0] * 3, [math.log(2.0)] * 3, replace(TINY, log_sigma=log_sigma))
    _, kl = net.loss(*padded([LISTS[user] for user in LEARNT]))
    assert kl.tolist() == pytest.approx([3 * expected] * 4)


@every_meaning
@pytest.mark.parametrize("when", ["training", "test"])
def test_z_is_drawn_with_the_second_output_as_the_log_of_its_deviation(
    build: Build, log_sigma: Meaning, when: str
) -> None:
    model = replace(TINY, log_sigma=log_sigma, test_latent="sample")
    net = encoding([0.5, -1.0, 2.0], [-1.0, 0.4, 1.0], model)
    drawn: list[Tensor] = []
    net.decoder.register_forward_pre_hook(lambda module, z: drawn.append(z[0]))
    with torch.no_grad():
        if when == "training":
            net.loss(*padded([[3, 7]] * 20_000))
        else:
            net.score(Queries(np.arange(20_000), build([[3]] * 20_000)))
    (z,) = drawn
    assert z.mean(dim=0).tolist() == pytest.approx([0.5, -1.0, 2.0], abs=0.1)
    assert z.std(dim=0).log().tolist() == pytest.approx([-1.0, 0.4, 1.0], abs=0.03)


# Batches


@pytest.mark.usefixtures("noise_of_one")
def test_a_batch_of_users_gives_what_the_users_give_alone() -> None:
    net = network()
    lists = [LISTS[user] for user in LEARNT]
    together = torch.stack(net.loss(*padded(lists)))
    alone = torch.cat([torch.stack(net.loss(*padded([items]))) for items in lists], dim=1)
    assert_close(together, alone)
    found, expected = (
        torch.autograd.grad(terms.mean(), list(net.parameters())) for terms in (together, alone)
    )
    assert_close(found, expected)


@pytest.mark.usefixtures("noise_of_one")
def test_what_stands_behind_a_sequence_leaks_nowhere() -> None:
    net = network()
    lists = [LISTS[user] for user in LEARNT]
    expected = net.loss(*padded(lists, behind=0))
    found = net.loss(*padded(lists, behind=9))
    assert_close(found, expected, rtol=0, atol=0)
    torch.stack(expected).sum().backward()
    assert net.item.weight.grad is not None
    read = [item for items in lists for item in items[:-1]]
    touched = net.item.weight.grad.abs().sum(dim=1).nonzero()[:, 0]
    assert touched.tolist() == sorted(set(read))  # item 0 stands behind all but one


# The updates


@pytest.mark.parametrize(
    ("anneal", "weights"),
    [("run", [0.0, 0.1, 0.2, 0.25, 0.25, 0.25]), ("epoch", [0.0, 0.1, 0.0, 0.1, 0.0, 0.1])],
)
def test_the_kl_weight_rises_over_the_run_or_anew_in_every_epoch(
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    anneal: Literal["run", "epoch"],
    weights: list[float],
) -> None:
    def only_kl(self: SVAENet, s: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        nothing = 0.0 * self.item.weight.sum()
        return nothing.expand(len(s)), (1.0 + nothing).expand(len(s))

    monkeypatch.setattr(SVAENet, "loss", only_kl)
    run = Noting()
    model = replace(TINY, anneal=anneal, anneal_steps=10, beta=0.25)
    for _ in model.epochs(build(LISTS), run):  # two batches an epoch
        pass
    assert run.losses == pytest.approx(weights)


@pytest.mark.usefixtures("noise_of_one")
@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 1},
        {"batch_size": 1, "anneal": "epoch"},
        {"batch_size": 3},
        {"batch_size": 100, "log_sigma": "consistent"},
    ],
    ids=str,
)
def test_training_is_that_of_the_authors_loop_over_users(
    build: Build, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    seen: list[list[list[int]]] = []
    loss = SVAENet.loss

    def noting(self: SVAENet, s: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        items = zip(s.tolist(), length.tolist(), strict=True)
        seen.append([row[:n] for row, n in items])
        return loss(self, s, length)

    monkeypatch.setattr(SVAENet, "loss", noting)
    model = replace(
        TINY, beta=0.3, anneal_steps=10, learning_rate=0.02, weight_decay=0.01, **change
    )
    run = Noting()
    *_, trained = model.epochs(build(LISTS), run)

    Noting()  # seeds as the run did
    net = SVAENet(N_ITEMS, model)
    optimizer = torch.optim.Adam(net.parameters(), 0.02, weight_decay=0.01)
    an_epoch = math.ceil(4 / model.batch_size)
    assert len(seen) == len(run.losses) == 3 * an_epoch
    for update, batch in enumerate(seen):
        counted = update % an_epoch if model.anneal == "epoch" else update
        nll, kl = (
            torch.stack(term) for term in zip(*(by_hand(net, u) for u in batch), strict=True)
        )
        mean = (nll + min(0.3, counted / 10) * kl).mean()
        assert run.losses[update] == pytest.approx(float(mean.detach()), rel=1e-4)
        optimizer.zero_grad()
        mean.backward()
        optimizer.step()
    for name, value in net.state_dict().items():
        assert_close(trained.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    users = [items for batch in seen for items in batch]
    epochs = [users[:4], users[4:8], users[8:]]
    assert [sorted(epoch) for epoch in epochs] == [sorted(LISTS[user] for user in LEARNT)] * 3
    assert epochs[0] != epochs[1] or epochs[1] != epochs[2]


@pytest.mark.parametrize("log_sigma", ["code", "consistent"])
def test_it_learns_what_follows_what(build: Build, log_sigma: Meaning) -> None:
    lists = [[(start + t) % N_ITEMS for t in range(6)] for start in range(N_ITEMS)] * 4
    model = SVAE(
        embedding_dim=16,
        hidden_dim=16,
        dense_dim=16,
        latent_dim=8,
        next_k=1,
        log_sigma=log_sigma,
        weight_decay=0.0,
        learning_rate=0.02,
        batch_size=8,
        n_epochs=15,
    )
    *_, net = model.epochs(build(lists), Progress(0, CPU))
    asked = build([[(item - 1) % N_ITEMS, item] for item in range(N_ITEMS)])
    best = net.score(Queries(np.arange(N_ITEMS), asked)).argmax(dim=1)
    assert best.tolist() == [(item + 1) % N_ITEMS for item in range(N_ITEMS)]


def test_sequences_without_an_order_are_refused(build: Build) -> None:
    with pytest.raises(UnsupportedError, match="ordered in time"):
        next(TINY.epochs(build(LISTS, ordered=False), Progress(0, CPU)))


# Test time


def scored(net: SVAENet, history: Interactions) -> Tensor:
    return net.score(Queries(np.full(history.n_users, -1), history))


def test_scores_are_the_logits_behind_the_newest_item_and_at_first_those_of_no_item(
    build: Build,
) -> None:
    net = network()
    found = scored(net, build(LISTS))
    for row, items in enumerate(LISTS):
        h = torch.zeros(4)
        for item in items:
            h = net.gru(net.item(torch.tensor([[item]])), h.view(1, 1, 4))[1][0, 0]
        mean, _ = net.encoder(h).chunk(2)
        assert_close(found[row], net.decoder(mean).detach())


def test_the_newest_item_is_left_unread_where_told(build: Build) -> None:
    whole = network()
    without_last = network(replace(TINY, test_history="without_last"))
    expected = scored(whole, build([items[:-1] for items in LISTS]))
    assert_close(scored(without_last, build(LISTS)), expected)
    assert not torch.isclose(scored(whole, build(LISTS)), expected)[:5].all(dim=1).any()


@pytest.mark.parametrize("test_history", ["whole", "without_last"])
def test_an_item_that_is_known_is_not_recommended_whether_it_was_read_or_not(
    build: Build, test_history: Literal["whole", "without_last"]
) -> None:
    net = network(replace(TINY, test_history=test_history))
    history, targets = build([[5, 6, 7]]), build([[6, 7, 8]])
    found = rank(net, Cases(Queries(np.array([0]), history), targets))
    assert found.hits.sum() == 1  # of all that is ranked, down to the last place: item 8


def test_a_longer_history_beside_it_does_not_change_a_users_scores(build: Build) -> None:
    net = network()
    alone = scored(net, build([[6, 7, 8]]))
    beside = scored(net, build([[0, 1, 2, 3, 4, 5, 9], [6, 7, 8]]))
    assert_close(beside[1:], alone)


@pytest.mark.parametrize("test_latent", ["mean", "sample"])
def test_candidates_score_what_they_do_among_all_items(
    build: Build, test_latent: Literal["mean", "sample"]
) -> None:
    net = network(replace(TINY, test_latent=test_latent))
    history = build(LISTS)
    candidates = np.array([[0, 4, 11], [2, 3, 5], [0, 1, 2], [9, 10, 11], [1, 7, 8], [0, 5, 6]])
    torch.manual_seed(1)
    every = net.score(Queries(np.arange(6), history))
    torch.manual_seed(1)
    asked = net.score(Queries(np.arange(6), history, candidates))
    assert_close(asked, every.gather(1, torch.from_numpy(candidates)), rtol=0, atol=0)


def test_the_latent_is_sampled_at_test_time_unless_told(build: Build) -> None:
    history = build(LISTS)
    quiet, loud = network(), network(replace(TINY, test_latent="sample"))
    assert_close(scored(quiet, history), scored(quiet, history), rtol=0, atol=0)
    assert not torch.isclose(scored(loud, history), scored(loud, history)).all(dim=1).any()
