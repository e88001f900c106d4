from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, linear, softplus
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models._dave.pairs import (
    Side,
    VectorInput,
    Vectors,
    pairs_nll,
    row_sums,
    sampled_pairs_nll,
)
from repro.nn import losses
from repro.nn.losses import softplus_sum

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [], [3, 11], [5], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]]
USER = torch.tensor([4, 0, 2, 0, 1, 3])  # user 0 is in two pairs, user 1 has no one
ITEM = torch.tensor([7, 1, 6, 8, 9, 5])
LABEL = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 1.0])


def side(build: Build, masked: bool = False) -> Side:
    return Vectors(build(LISTS), CPU).of(USER, ITEM, LABEL, masked)


def dense(build: Build) -> Tensor:
    """Return the vectors of all pairs, (B, n)."""
    return torch.from_numpy(build(LISTS).matrix().toarray())[USER]


def parameters(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, requires_grad=True) for shape in shapes]


def same_gradients(ours: Tensor, theirs: Tensor, inputs: list[Tensor]) -> None:
    for one, other in zip(
        torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs), strict=True
    ):
        assert_close(one, other)


def test_a_side_has_every_vector_once_and_knows_which_pair_has_which(build: Build) -> None:
    made = side(build)
    assert made.rows.user.tolist() == [0, 1, 2, 3, 4]
    assert made.rows.user[made.pair].tolist() == USER.tolist()
    assert made.spread(made.rows.count).tolist() == [12, 3, 2, 3, 0, 1]
    assert made.n == 12


def test_columns_are_the_rows_transposed(build: Build) -> None:
    made = side(build)
    rows, columns = made.rows, made.columns
    both = zip(columns.item.tolist(), columns.row.tolist(), strict=True)
    assert sorted(both) == sorted(zip(rows.row.tolist(), rows.item.tolist(), strict=True))
    assert columns.row.tolist() == sorted(columns.row.tolist())
    assert columns.count.tolist() == [2, 2, 2, 2, 1, 2, 1, 1, 1, 1, 1, 2]
    assert columns.start.tolist() == [0, 2, 4, 6, 8, 9, 11, 12, 13, 14, 15, 16]


def test_ones_are_those_of_all_pairs(build: Build) -> None:
    pair, entry = side(build).ones()
    expected = dense(build).nonzero()
    assert torch.equal(torch.stack([pair, entry.long()], dim=1), expected)


def test_repeated_pairs_count_once(build: Build) -> None:
    vectors = Vectors(build([[3, 3, 3, 1]]), CPU)
    made = vectors.of(USER[4:5] * 0, ITEM[:1], LABEL[:1], masked=False)
    assert made.rows.item.tolist() == [1, 3] or made.rows.item.tolist() == [3, 1]


def test_row_sums_are_a_product_with_the_dense_vectors(build: Build) -> None:
    (weight, g) = parameters((12, 5), (6, 5))
    made = side(build)
    ours, theirs = made.spread(row_sums(weight, made)), dense(build) @ weight
    assert_close(ours, theirs)
    same_gradients((ours * g).sum(), (theirs * g).sum(), [weight])


def test_row_sums_of_vectors_without_any_one_are_zero(build: Build) -> None:
    made = Vectors(build([[], []]), CPU).of(USER[1:2], ITEM[:1], LABEL[:1], masked=False)
    (weight,) = parameters((12, 5))
    summed = row_sums(weight, made)
    assert summed.tolist() == [[0.0] * 5]
    (gradient,) = torch.autograd.grad(summed.sum(), weight)
    assert not gradient.any()


@pytest.mark.parametrize("piece", [1, 18, 31, 2**18])
def test_softplus_sum_is_what_it_says_in_any_number_of_pieces(
    monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(losses, "PIECE", {"cpu": piece})
    inputs = h, weight, bias = parameters((6, 5), (12, 5), (12,))
    ours, theirs = softplus_sum(h, weight, bias), softplus(linear(h, weight, bias)).sum()
    assert_close(ours, theirs)
    same_gradients(0.3 * ours, 0.3 * theirs, inputs)


def test_likelihoods_stay_finite_and_exact_at_extreme_logits(build: Build) -> None:
    h, weight, bias = parameters((6, 5), (12, 5), (12,))
    ours = pairs_nll(1e4 * h, weight, bias, side(build))
    target, logits = dense(build), linear(1e4 * h, weight, bias)
    assert_close(ours, binary_cross_entropy_with_logits(logits, target, reduction="sum"))
    same_gradients(ours, (softplus(logits) - target * logits).sum(), [weight, bias])


def test_bernoulli_nll_is_the_cross_entropy_of_all_entries(build: Build) -> None:
    inputs = h, weight, bias = parameters((6, 5), (12, 5), (12,))
    ours = pairs_nll(h, weight, bias, side(build))
    theirs = binary_cross_entropy_with_logits(
        linear(h, weight, bias), dense(build), reduction="sum"
    )
    assert_close(ours, theirs)
    same_gradients(ours, theirs, inputs)


def test_sampling_every_entry_is_the_whole_likelihood(build: Build) -> None:
    inputs = h, weight, bias = parameters((6, 5), (12, 5), (12,))
    ours = sampled_pairs_nll(h, weight, bias, side(build), 100)
    theirs = pairs_nll(h, weight, bias, side(build))
    assert_close(ours, theirs)
    same_gradients(ours, theirs, inputs)


def test_sampled_entries_are_unbiased_in_value_and_gradient(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Vectors(build([[0, 2], [], [1], [0, 1, 2, 3]], n_items=4), CPU).of(
        torch.tensor([0, 1, 3, 2, 0]), ITEM[:5], LABEL[:5], masked=False
    )
    inputs = h, weight, bias = parameters((5, 3), (4, 3), (4,))
    every = [torch.tensor(order) for order in permutations(range(4))]
    estimates = []
    for order in every:
        monkeypatch.setattr(torch, "randperm", lambda n, device, order=order: order)
        estimates.append(sampled_pairs_nll(h, weight, bias, made, 2))
    assert len({round(one.item(), 4) for one in estimates}) == 6  # as many as pairs of entries
    ours, theirs = torch.stack(estimates).mean(), pairs_nll(h, weight, bias, made)
    assert_close(ours, theirs)
    same_gradients(ours, theirs, inputs)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_the_input_layer_reads_the_vectors_and_masks_exactly_the_pairs_own_one(
    build: Build, normalize: bool, masked: bool
) -> None:
    layer, made, x = VectorInput(12, 5, normalize), side(build, masked), dense(build)
    with torch.no_grad():
        layer.bias.fill_(0.5)
    if masked:
        for b, item in enumerate(ITEM.tolist()):
            assert x[b, item] == LABEL[b]
            x[b, item] = 0.0
    if normalize:
        x = torch.stack([row / max(1.0, float(row.sum()) ** 0.5) for row in x])
    ours, theirs = layer(made), x @ layer.weight + layer.bias
    ours = made.of_pairs(ours)
    assert_close(ours, theirs)
    same_gradients(ours.square().sum(), theirs.square().sum(), [layer.weight, layer.bias])


def test_a_vector_without_ones_or_whose_only_one_is_masked_gives_the_bias(build: Build) -> None:
    layer = VectorInput(12, 5, normalize=True)
    with torch.no_grad():
        layer.bias.copy_(torch.arange(5.0))
    out = layer(side(build, masked=True))
    assert_close(out[4], layer.bias)
    assert_close(out[5], layer.bias)
