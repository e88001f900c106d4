from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.models.caser import Caser, CaserNet, Windows, window
from repro.nn.batches import Positives
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
P = 12
"""The padding: the number behind the last item's."""
TINY = Caser(embedding_dim=4, history_len=3, n_targets=2, n_vertical=2, n_horizontal=5, dropout=0.0)


def windows_of(batches: Windows) -> list[tuple[int, list[int], list[int]]]:
    return [
        (int(u), before.tolist(), after.tolist())
        for users, befores, afters, _ in batches
        for u, before, after in zip(users, befores, afters, strict=True)
    ]


@pytest.fixture
def net(build: Build) -> CaserNet:
    torch.manual_seed(0)
    net = CaserNet(build([[0, 1, 2], [3, 4]]), TINY)
    nn.init.normal_(net.bias.weight[:P])
    return net


def test_windows_slide_by_one_and_short_sequences_are_padded_in_front(build: Build) -> None:
    lists = [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11], [], [5, 6, 7], [4, 3, 2, 1], [9]]
    assert sorted(windows_of(Windows(build(lists), TINY, CPU))) == [
        (0, [0, 1, 2], [3, 4]),
        (0, [1, 2, 3], [4, 5]),
        (0, [2, 3, 4], [5, 6]),
        (1, [7, 8, 9], [10, 11]),
        (3, [P, P, 5], [6, 7]),
        (4, [P, 4, 3], [2, 1]),
        (5, [P, P, P], [P, 9]),
    ]


def test_the_default_window_is_five_items_and_the_three_after_them(build: Build) -> None:
    train = build([range(9)])
    assert sorted(windows_of(Windows(train, Caser(), CPU))) == [
        (0, [0, 1, 2, 3, 4], [5, 6, 7]),
        (0, [1, 2, 3, 4, 5], [6, 7, 8]),
    ]


def test_a_window_ends_where_it_is_told() -> None:
    sequence = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    row, end = torch.tensor([0, 0, 1, 1]), torch.tensor([4, 2, 2, 0])
    assert window(sequence, row, end, 3, 9).tolist() == [[2, 3, 4], [9, 1, 2], [9, 5, 6], [9, 9, 9]]


def test_a_negative_is_never_an_item_of_the_users_training(build: Build) -> None:
    lists = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 4]]
    drawn: dict[int, list[int]] = {0: [], 1: []}
    for users, _, _, negatives in Windows(build(lists), replace(TINY, n_negatives=400), CPU):
        for u, js in zip(users.tolist(), negatives.tolist(), strict=True):
            drawn[u] += js
    assert [len(js) for js in drawn.values()] == [400 * 6, 400]
    assert set(drawn[0]) == {10, 11}
    assert set(drawn[1]) == set(range(12)) - {3, 4}


def test_the_filters_have_the_papers_shapes(net: CaserNet) -> None:
    assert net.vertical.weight.shape == (2, 3)  # one weight per item of the window
    weights = [filters.get_parameter("weight") for filters in net.horizontal]
    assert [tuple(weight.shape) for weight in weights] == [(5, 4, 1), (5, 4, 2), (5, 4, 3)]
    assert net.full.in_features == 2 * 4 + 5 * 3
    E = torch.randn(7, 4, 3)
    assert net.vertical(E).shape == (7, 4, 2)
    assert [tuple(f(E).shape) for f in net.horizontal] == [(7, 5, 3), (7, 5, 2), (7, 5, 1)]
    assert net.taste(torch.tensor([0, 1]), torch.tensor([[0, 1, 2], [P, P, 3]])).shape == (2, 8)


def test_the_network_of_acvaes_table_has_the_size_of_the_reference() -> None:
    nothing = np.zeros(0, dtype=np.int32)
    train = Interactions(nothing, nothing, 604, 7363, ordered=True)
    with torch.device("meta"):
        net = CaserNet(train, Caser(embedding_dim=128))
    tables = 604 * 128 + 7364 * (128 + 256 + 1)
    filters = 4 * (5 + 1) + 16 * (128 * (1 + 2 + 3 + 4 + 5) + 5)
    assert sum(p.numel() for p in net.parameters()) == tables + filters + (512 + 80 + 1) * 128


def test_a_taste_is_what_the_sums_of_the_paper_give(net: CaserNet) -> None:
    before = [3, 7, 1]
    with torch.no_grad():
        E = net.item.weight[before]  # (L, D)
        o: list[Tensor] = []
        for d in range(4):
            for k in range(2):  # a weighted sum of the items' rows
                weighted = [net.vertical.weight[k, step] * E[step, d] for step in range(3)]
                o.append(net.vertical.bias[k] + torch.stack(weighted).sum())
        for height, filters in enumerate(net.horizontal, start=1):
            weight, bias = (filters.get_parameter(name) for name in ("weight", "bias"))
            for k in range(5):  # a filter slides down the items; its largest value stays
                values = [
                    bias[k] + (weight[k].T * E[top : top + height]).sum()
                    for top in range(3 - height + 1)
                ]
                o.append(torch.relu(torch.stack(values)).max())
        z = torch.relu(net.full.weight @ torch.stack(o) + net.full.bias)
        expected = torch.cat([z, net.user.weight[1]])
        assert_close(net.taste(torch.tensor([1]), torch.tensor([before]))[0], expected)
        items = torch.tensor([[0, 5]])
        logits = net.output.weight[items[0]] @ expected + net.bias.weight[items[0], 0]
        assert_close(net(torch.tensor([1]), torch.tensor([before]), items)[0], logits)


def test_scores_are_the_logits_of_all_items_but_the_padding(net: CaserNet, build: Build) -> None:
    history = build([[5, 3, 7, 1], [2]])
    scores = net.score(Queries(np.array([1, 0]), history))
    before = torch.tensor([[3, 7, 1], [P, P, 2]])
    items = torch.arange(12).expand(2, 12)
    assert_close(scores, net(torch.tensor([1, 0]), before, items).detach())


def test_scores_depend_on_the_last_items_in_their_order_and_on_no_other(
    net: CaserNet, build: Build
) -> None:
    def score(history: list[int]) -> Tensor:
        return net.score(Queries(np.array([0]), build([history])))

    assert_close(score([9, 8, 3, 7, 1]), score([5, 3, 7, 1]), rtol=0, atol=0)
    assert_close(score([3, 7, 1]), score([5, 3, 7, 1]), rtol=0, atol=0)
    for other in ([5, 4, 7, 1], [5, 3, 4, 1], [5, 3, 7, 4], [5, 7, 3, 1]):
        assert not torch.equal(score(other), score([5, 3, 7, 1]))


def test_the_bias_can_be_left_out_of_the_scores(net: CaserNet, build: Build) -> None:
    asked = Queries(np.array([0, 1]), build([[1], [2, 3]]))
    with_bias = net.score(asked)
    net.model = replace(TINY, bias_at_test=False)
    expected = net.bias.weight[:P, 0].detach().expand(2, P)
    assert_close(with_bias - net.score(asked), expected)


def test_users_unknown_to_training_are_refused(net: CaserNet, build: Build) -> None:
    with pytest.raises(UnsupportedError, match="Caser knows only users of its training data"):
        net.score(Queries(np.array([0, -1]), build([[1], [2]])))


def test_the_padding_is_zero_and_stays_so(build: Build) -> None:
    model = replace(TINY, dropout=0.5, l2=0.1, batch_size=2, n_epochs=3)
    for net in model.epochs(build([[0, 1, 2, 3, 4, 5], [5, 6], [7]]), Progress(0, CPU)):
        for table in (net.item, net.output, net.bias):
            assert not table.weight[P].any()
            assert table.weight[:P].any()


@pytest.mark.parametrize("l2_on", ["all", "tables"])
def test_an_epoch_follows_the_gradient_of_the_definition(
    build: Build, monkeypatch: pytest.MonkeyPatch, l2_on: Any
) -> None:
    monkeypatch.setattr(Positives, "negatives", lambda self, u: torch.full_like(u, 11))
    model = replace(TINY, l2_on=l2_on, l2=0.01, n_negatives=2, n_epochs=1)
    train = build([[0, 1, 2, 3, 4, 5], [6, 7, 8], [9]])
    torch.manual_seed(5)
    net = CaserNet(train, model)
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    users = torch.tensor([0, 0, 1, 2])
    windows = torch.tensor([[0, 1, 2], [1, 2, 3], [P, P, 6], [P, P, P]])
    after = torch.tensor([[3, 4], [4, 5], [7, 8], [P, 9]])
    probability = net(users, windows, after).sigmoid()
    mistaken = net(users, windows, torch.full((4, 2), 11)).sigmoid()
    loss = -probability.log().mean() - (1 - mistaken).log().mean()
    for name, weight in net.named_parameters():
        if l2_on == "all" or name.split(".")[0] in ("user", "item", "output", "bias"):
            loss = loss + 0.01 / 2 * weight.square().sum()
    gradient = torch.autograd.grad(loss, list(net.parameters()))
    (trained,) = model.epochs(train, Progress(5, CPU))
    for (name, new), g in zip(trained.named_parameters(), gradient, strict=True):
        # Adam's first step is the gradient divided by its own size
        expected = before[name] - model.learning_rate * g / (g.abs() + 1e-8)
        assert_close(new.detach(), expected, rtol=0, atol=2e-5, msg=name)


def test_it_learns_what_comes_next(build: Build) -> None:
    # everybody walks around a circle of items, from a place of their own
    lists = [[(start + step) % 24 for step in range(12)] for start in range(24)]
    model = Caser(embedding_dim=16, dropout=0.1, learning_rate=0.01, batch_size=32, n_epochs=15)
    *_, net = model.epochs(build(lists, n_items=24), Progress(0, CPU))
    history = build(lists, n_items=24)
    scores = net.score(Queries(np.arange(24), history))
    scores[history.user, history.item] = -torch.inf
    ahead = (scores.argmax(dim=1) - torch.arange(24)) % 24
    assert (((ahead >= 12) & (ahead < 15)).float().mean()) > 0.9
