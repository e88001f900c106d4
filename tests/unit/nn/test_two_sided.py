from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models._mvae.completion import als, truncated_svd
from repro.models._mvae.masks import Keys, hashed
from repro.nn import losses
from repro.nn.batches import rows_of
from repro.nn.blocks import Block, Blocks
from repro.nn.layers import Input
from repro.nn.losses import linear_bernoulli_nll, linear_reconstruction
from repro.nn.two_sided import BothSides, pair_hinge, staircase
from repro.split import Queries

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[3, 1, 3, 0], [], [2, 11], [1, 4, 11], [5, 6, 7, 8, 9], list(range(12)), [0]]
"""User 0 touched item 3 twice, user 1 nothing, user 5 everything."""


def pairs(block: Block) -> list[tuple[int, int]]:
    users, items = block.users[block.row], block.items[block.column]
    return list(zip(users.tolist(), items.tolist(), strict=True))


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
def test_an_epoch_has_every_pair_once_and_every_user_with_every_item_once(
    build: Build, size: int
) -> None:
    train = build(LISTS)
    blocks = Blocks(train, size, CPU)
    seen = list(blocks)
    assert len(seen) == len(blocks)
    found = [pair for block in seen for pair in pairs(block)]
    known = {(u, i) for u, items in enumerate(LISTS) for i in items}
    assert sorted(found) == sorted(known)
    cells = [(u, i) for b in seen for u in b.users.tolist() for i in b.items.tolist()]
    assert sorted(cells) == [(u, i) for u in range(7) for i in range(12)]
    assert max(len(b.users) for b in seen) == min(size, 7)
    assert max(len(b.items) for b in seen) == min(size, 12)


def test_a_blocks_rows_and_columns_are_the_part_of_the_matrix(build: Build) -> None:
    train = build(LISTS)
    matrix = torch.from_numpy(train.matrix().toarray())
    for block in Blocks(train, 4, CPU):
        part = matrix[block.users][:, block.items]
        assert_close(block.user_rows().dense(), part)
        assert_close(block.item_rows().dense(), part.T)


def test_users_and_items_come_in_a_new_order_every_epoch_and_the_seed_repeats_it(
    build: Build,
) -> None:
    blocks = Blocks(build(LISTS), 3, CPU)

    def epochs() -> list[list[list[int]]]:
        torch.manual_seed(1)
        return [[b.users.tolist() + b.items.tolist() for b in blocks] for _ in range(2)]

    first, second = epochs()
    assert first != second
    assert epochs() == [first, second]


def test_the_skipped_block_is_the_last_of_the_items_and_never_the_only_one(build: Build) -> None:
    train = build(LISTS)
    blocks = Blocks(train, 5, CPU, skip_last=True)  # items 5 + 5 + 2
    seen = list(blocks)
    assert len(seen) == len(blocks) == 2 * 2
    items = [set(b.items.tolist()) for b in seen]
    assert items[:2] == items[2:]
    assert [len(part) for part in items] == [5] * 4
    kept = items[0] | items[1]
    known = {(u, i) for u, own in enumerate(LISTS) for i in own if i in kept}
    assert sorted(pair for b in seen for pair in pairs(b)) == sorted(known)
    assert len(list(Blocks(train, 12, CPU, skip_last=True))) == 1


def test_negatives_are_every_item_of_the_block_that_the_user_has_not(build: Build) -> None:
    torch.manual_seed(0)
    block = Block(
        users=torch.tensor([8, 3, 5]),
        items=torch.arange(6),
        row=torch.tensor([0, 0, 1, 1, 1, 1, 1, 1, 2]),
        column=torch.tensor([1, 4, 0, 1, 2, 3, 4, 5, 0]),
    )
    drawn, there = zip(*(block.negatives() for _ in range(4000)), strict=True)
    assert there[0].tolist() == [True] * 2 + [False] * 6 + [True]
    columns = torch.stack(drawn)
    for pair, free in [(0, [0, 2, 3, 5]), (1, [0, 2, 3, 5]), (8, [1, 2, 3, 4, 5])]:
        count = torch.bincount(columns[:, pair], minlength=6).double() / 4000
        expected = torch.tensor([1 / len(free) if c in free else 0.0 for c in range(6)])
        assert_close(count, expected.double(), rtol=0, atol=0.03)
    assert not torch.equal(columns[:, 0], columns[:, 1])


def output(n: int, hidden: int, seed: int) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(hidden, n)


def test_the_hinge_loss_and_its_gradients_are_those_of_a_loop_over_pairs(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = build(LISTS)
    block = max(Blocks(train, 6, CPU), key=lambda b: len(b.row))
    n_users, n_items, n = len(block.users), len(block.items), len(block.row)
    negative, there = block.negatives()
    monkeypatch.setattr(Block, "negatives", lambda self: (negative, there))
    h, g = torch.randn(n_users, 4, requires_grad=True), torch.randn(n_items, 4, requires_grad=True)
    user_output, item_output = output(12, 4, 1), output(7, 4, 2)
    parts = [h, g, *user_output.parameters(), *item_output.parameters()]
    ours = pair_hinge(block, (h, user_output), (g, item_output), 0.15)

    by_user, by_item = user_output(h).sigmoid(), item_output(g).sigmoid()  # whole, (B, I) (C, U)

    def score(row: int, column: int) -> Tensor:
        user, item = block.users[row], block.items[column]
        return (by_user[row, item] + by_item[column, user]) / 2

    naive = torch.zeros(())
    for k in range(n):
        row = int(block.row[k])
        if there[k]:
            better, worse = score(row, int(block.column[k])), score(row, int(negative[k]))
            naive = naive + torch.clamp(worse - better + 0.15, min=0)
    assert_close(ours, naive)
    assert 0 < there.sum() < n  # user 5 has all items of some block
    assert_close(torch.autograd.grad(ours, parts), torch.autograd.grad(naive, parts))


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let losses hold three rows of logits at a time."""
    monkeypatch.setattr(losses, "HELD_LOGITS", 0)
    monkeypatch.setattr(losses, "FEWEST_ROWS", 3)


def layer() -> list[Tensor]:
    """Return hidden units of 7 rows, weights and biases of 12 outputs."""
    torch.manual_seed(0)
    sizes = [(7, 5), (12, 5), (12,)]
    return [(4 * torch.randn(size)).requires_grad_() for size in sizes]


@pytest.mark.usefixtures("in_parts")
def test_bernoulli_nll_is_the_dense_cross_entropy_with_its_gradients(build: Build) -> None:
    x, parts = rows_of(build(LISTS), CPU), layer()
    h, weight, bias = parts
    ours = linear_bernoulli_nll(h, weight, bias, x)
    dense = binary_cross_entropy_with_logits(h @ weight.T + bias, x.dense(), reduction="sum")
    assert_close(ours, dense)
    grads = [torch.autograd.grad(0.3 * loss, parts) for loss in (ours, dense)]
    assert_close(*grads)


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("only_some", [False, True])
@pytest.mark.parametrize(("gaussian", "weight_of_ones"), [(False, 1.0), (False, 3.0), (True, 1.0)])
def test_reconstruction_is_its_definition_with_its_gradients(
    only_some: bool, gaussian: bool, weight_of_ones: float
) -> None:
    parts = layer()
    h, weight, bias = parts
    x, cells = torch.rand(7, 12), torch.rand(7, 12) < 0.5
    ours = linear_reconstruction(
        h, weight, bias, x, cells if only_some else None, weight_of_ones, gaussian
    )
    logits = h @ weight.T + bias
    terms = binary_cross_entropy_with_logits(
        logits, x, reduction="none", pos_weight=torch.tensor(weight_of_ones)
    )
    if gaussian:
        terms = 0.5 * (logits.sigmoid() - x) ** 2
    dense = (terms * cells if only_some else terms).sum()
    assert_close(ours, dense)
    grads = [torch.autograd.grad(2.0 * loss, parts) for loss in (ours, dense)]
    assert_close(*grads)


def test_the_cross_entropy_stays_finite_where_the_sigmoid_is_one(build: Build) -> None:
    x = rows_of(build([[0]], n_items=2), CPU)
    h = torch.tensor([[200.0]], requires_grad=True)
    loss = linear_bernoulli_nll(h, torch.tensor([[-1.0], [1.0]]), torch.zeros(2), x)
    loss.backward()
    assert_close(loss, torch.tensor(400.0))
    assert_close(h.grad, torch.tensor([[2.0]]))


def test_a_low_rank_input_with_cells_gives_the_product_of_its_dense_rows(build: Build) -> None:
    torch.manual_seed(0)
    x = rows_of(build(LISTS), CPU)
    value, factors = torch.randn(len(x.item)), (torch.randn(7, 3), torch.randn(12, 3))
    dense = factors[0] @ factors[1].T
    dense[x.row, x.item] += value
    weight = torch.randn(12, 4, requires_grad=True)
    ours = Input(cells=(x, value), factors=factors).times(weight)
    theirs = Input(dense=dense).times(weight)
    assert_close(ours, theirs)
    slope = torch.randn(7, 4)
    (ours_grad,) = torch.autograd.grad(ours, weight, slope)
    assert_close(ours_grad, dense.T @ slope)


@pytest.mark.parametrize("share", [0.0, 0.04, 0.5, 0.96, 1.0])
def test_a_mask_hits_its_share_of_every_row_and_column(build: Build, share: float) -> None:
    torch.manual_seed(0)
    a, b = Keys.drawn(build([[]] * 1500, n_items=2000), CPU, shared=True).user
    hit = hashed(a[:, None], b, share).double()
    assert hit.shape == (1500, 2000)
    spread = (share * (1 - share)) ** 0.5
    assert hit.mean() == pytest.approx(share, abs=5 * spread / hit.numel() ** 0.5)
    for along, n in ((0, 1500), (1, 2000)):
        mean = hit.mean(dim=along)
        assert_close(mean, torch.full_like(mean, share), rtol=0, atol=6 * spread / n**0.5 + 1e-12)


def test_cells_of_a_mask_are_hit_independently(build: Build) -> None:
    torch.manual_seed(0)
    a, b = Keys.drawn(build([[]] * 400, n_items=4000), CPU, shared=True).user
    hit = hashed(a[:, None], b, 0.04).double()
    both = (hit @ hit.T) / 4000  # how often two rows are hit in one column
    both.fill_diagonal_(0.04**2)
    assert both.mean() == pytest.approx(0.04**2, rel=0.02)
    assert both.max() < 0.04**2 + 8 * (0.04**2 / 4000) ** 0.5


def test_both_sides_see_one_mask_unless_each_has_its_own(build: Build) -> None:
    torch.manual_seed(0)
    train = build([[]] * 50, n_items=60)
    keys, apart = (Keys.drawn(train, CPU, shared) for shared in (True, False))
    for one, same in ((keys, True), (apart, False)):
        by_user = hashed(one.user[0][:, None], one.user[1], 0.3)
        by_item = hashed(one.item[0][:, None], one.item[1], 0.3)
        assert torch.equal(by_user, by_item.T) == same
    assert not torch.equal(keys.user[0], apart.user[0])


def test_truncated_svd_is_the_best_approximation_of_its_rank_every_time(build: Build) -> None:
    train = build(LISTS)
    u, s, v = np.linalg.svd(train.matrix().toarray().astype(np.float64), full_matrices=False)
    p, q = truncated_svd(train, 3, CPU)
    np.testing.assert_allclose(p @ q.T, (u[:, :3] * s[:3]) @ v[:3], atol=1e-5)
    assert_close(truncated_svd(train, 3, CPU), (p, q), rtol=0, atol=0)
    assert truncated_svd(train, 100, CPU)[1].shape == (12, 6)


@pytest.mark.parametrize(("unobserved", "observed"), [(0.0, 1.0), (1.0, 40.0)])
def test_als_lowers_its_objective_and_leaves_it_where_the_items_have_no_slope(
    build: Build, unobserved: float, observed: float
) -> None:
    train = build(LISTS * 20)  # more rows than are solved at a time
    blocks = Blocks(train, 5, CPU)
    r = torch.from_numpy(train.matrix().toarray()).double()
    found = []
    for n_sweeps in (1, 2, 6):
        torch.manual_seed(0)
        p, q = als(blocks.users, blocks.items, 4, 0.5, unobserved, observed, n_sweeps)
        q64 = q.double().requires_grad_()
        off = (r - p.double() @ q64.T).square()
        size = 0.5 * (p.double().square().sum() + q64.square().sum())
        objective = ((unobserved + observed * r) * off).sum() + size
        (slope,) = torch.autograd.grad(objective, q64)
        assert_close(slope, torch.zeros_like(slope), rtol=0, atol=0.01)
        found.append(objective.item())
    assert found == sorted(found, reverse=True)
    assert p[1].abs().max() == 0  # the user without items


class Sides:
    """Two known outputs, and how often the items' was asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.user_output, self.item_output = output(12, 5, 1), output(7, 5, 2)
        self.h, self.g = torch.randn(7, 5), torch.randn(12, 5)

    def items(self) -> Tensor:
        self.asked += 1
        return self.g

    def scorer(self, alpha: float) -> BothSides:
        return BothSides(
            name="Two",
            user_hidden=lambda x, users: self.h[users],
            item_hidden=self.items,
            user_output=self.user_output,
            item_output=self.item_output,
            alpha=alpha,
        )


@pytest.mark.parametrize(("alpha", "asked"), [(0.5, 1), (0.2, 1), (1.0, 0), (0.0, 1)])
def test_scores_weigh_both_sides_and_evaluate_none_that_has_no_weight(
    build: Build, alpha: float, asked: int
) -> None:
    sides = Sides()
    scorer, queries = sides.scorer(alpha), Queries(np.arange(7), build(LISTS))
    by_user = sides.user_output(sides.h).sigmoid()
    by_item = sides.item_output(sides.g).sigmoid().T
    expected = (alpha * by_user + (1 - alpha) * by_item).detach()
    assert_close(scorer.score(queries), expected)
    order = np.array([4, 2])
    assert_close(scorer.score(queries.rows(order)), expected[order])
    assert sides.asked == asked


def test_jovas_rate_falls_every_25_epochs_on_movielens_and_not_every_50() -> None:
    a_step_each = [staircase(0.003, 0.96, 10 * epoch, 6_027, 1500) for epoch in range(201)]
    assert a_step_each[:25] == [0.003] * 25
    assert a_step_each[25:50] == [pytest.approx(0.003 * 0.96)] * 25
    assert a_step_each[200] == pytest.approx(0.003 * 0.96**8)
    assert staircase(0.003, 0.96, 54 * 200, 12_704, 1500) == pytest.approx(0.003 * 0.96**24)
