from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn.functional import linear, log_softmax, normalize
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.models._se_vae.gated import GaussianHeads, ItemLinear, Layer, he_normal, normalized
from repro.models._se_vae.optimizers import NormalizedAdam
from repro.nn.batches import Positives, Rows, UserRows, rows_of, with_negatives
from repro.nn.gaussians import gaussian_kl
from repro.nn.layers import SparseInput
from repro.nn.losses import bernoulli_nll, linear_multinomial_nll, multinomial_nll
from repro.nn.scoring import known_users, picked, scoring
from repro.split import Queries

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
N_ITEMS = 12
LISTS = [[3, 1, 3, 0], [], [2], [1, 4, 11], [5, 6, 7, 8, 9]]
"""User 0 touched item 3 twice, user 1 nothing."""


@pytest.fixture
def x(build: Build) -> Rows:
    return rows_of(build(LISTS), CPU)


def test_rows_are_the_zeros_and_ones_of_the_matrix(build: Build, x: Rows) -> None:
    np.testing.assert_array_equal(x.dense().numpy(), build(LISTS).matrix().toarray())
    assert x.count.tolist() == [3, 0, 1, 3, 5]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_an_epoch_visits_every_user_with_items_once(build: Build, batch_size: int) -> None:
    rows = build(LISTS)
    batches = UserRows(rows, batch_size, CPU)
    seen = list(batches)
    assert len(seen) == len(batches) == -(-4 // batch_size)
    assert torch.cat([batch.user for batch in seen]).sort().values.tolist() == [0, 2, 3, 4]
    for batch in seen:
        np.testing.assert_array_equal(batch.dense(), rows.matrix()[batch.user.numpy()].toarray())


def test_the_order_of_the_users_is_new_every_epoch_and_the_seed_repeats_it(build: Build) -> None:
    batches = UserRows(build([[item % N_ITEMS] for item in range(50)]), 50, CPU)

    def epochs() -> list[list[int]]:
        torch.manual_seed(7)
        return [batch.user.tolist() for _ in range(2) for batch in batches]

    first, second = epochs()
    assert first != second
    assert epochs() == [first, second]


def test_sparse_input_equals_a_linear_layer_on_normalised_dense_rows(x: Rows) -> None:
    sparse, dense = SparseInput(N_ITEMS, 7, dropout=0.0), nn.Linear(N_ITEMS, 7)
    with torch.no_grad():
        sparse.weight.copy_(dense.weight.T)
        sparse.bias.copy_(dense.bias)
    ours, theirs = sparse(x), dense(normalize(x.dense()))
    assert_close(ours, theirs)
    assert_close(ours[1], dense.bias)  # the user without items
    weight, bias = torch.autograd.grad(ours.square().sum(), [*sparse.parameters()])
    expected = torch.autograd.grad(theirs.square().sum(), [*dense.parameters()])
    assert_close((weight.T, bias), expected)


def test_dropout_drops_its_share_of_the_entries_and_scales_up_the_rest(build: Build) -> None:
    x = rows_of(build([range(1000)], n_items=1000), CPU)
    layer = SparseInput(1000, 1000, dropout=0.3)
    torch.manual_seed(0)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(1000))  # unit i shows entry i
    entries = layer(x)[0] * 1000**0.5
    kept = entries != 0
    assert kept.float().mean() == pytest.approx(0.7, abs=0.05)
    assert_close(entries[kept], torch.full_like(entries[kept], 1 / 0.7))
    assert_close(layer.eval()(x)[0], torch.full((1000,), 1000**-0.5))


def test_multinomial_nll_equals_the_dense_log_softmax(x: Rows) -> None:
    logits = 5 * torch.randn(len(LISTS), N_ITEMS, generator=torch.manual_seed(0))
    assert_close(multinomial_nll(logits, x), -(x.dense() * log_softmax(logits, dim=1)).sum(dim=1))


def test_multinomial_nll_of_equal_logits_is_log_n_items_per_interaction(x: Rows) -> None:
    nll = multinomial_nll(torch.zeros(len(LISTS), N_ITEMS), x)
    assert_close(nll, x.count * np.log(N_ITEMS).astype(np.float32).item())


def made(*shape: int, scale: float = 1.0) -> Tensor:
    """Return random numbers in double precision that ask for a gradient."""
    return (scale * torch.randn(*shape, dtype=torch.double)).requires_grad_()


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_linear_multinomial_nll_and_its_gradients_are_those_of_the_parts(
    x: Rows, scale: float
) -> None:
    torch.manual_seed(0)
    given = made(len(LISTS), 4, scale=scale), made(N_ITEMS, 4), made(N_ITEMS)
    ours = linear_multinomial_nll(*given, x)
    parts = multinomial_nll(linear(*given), x).mean()
    assert_close(ours, parts)
    assert_close(torch.autograd.grad(3 * ours, given), torch.autograd.grad(3 * parts, given))


def test_the_gradients_of_the_linear_multinomial_nll_pass_gradcheck(x: Rows) -> None:
    torch.manual_seed(0)
    given = made(len(LISTS), 4), made(N_ITEMS, 4), made(N_ITEMS), made(len(x.item))
    assert torch.autograd.gradcheck(lambda h, w, b: linear_multinomial_nll(h, w, b, x), given[:3])
    assert torch.autograd.gradcheck(
        lambda h, w, b, share: linear_multinomial_nll(h, w, b, x, share), given
    )


def test_the_linear_multinomial_nll_leaves_out_the_gradients_that_nobody_asks_for(x: Rows) -> None:
    torch.manual_seed(0)
    hidden, weight, bias = made(len(LISTS), 4), made(N_ITEMS, 4), made(N_ITEMS)
    (expected,) = torch.autograd.grad(linear_multinomial_nll(hidden, weight, bias, x), hidden)
    linear_multinomial_nll(hidden, weight.detach(), bias.detach(), x).backward()
    assert_close(hidden.grad, expected)
    assert weight.grad is None
    hidden = hidden.detach()
    linear_multinomial_nll(hidden, weight, bias, x).backward()
    assert weight.grad is not None


def test_shares_of_the_linear_multinomial_nll_weigh_the_interactions(x: Rows) -> None:
    torch.manual_seed(0)
    given = made(len(LISTS), 4), made(N_ITEMS, 4), made(N_ITEMS)
    share = torch.rand(len(x.item), dtype=torch.double)
    log_pi = log_softmax(linear(*given), dim=1)[x.row, x.item]
    assert_close(linear_multinomial_nll(*given, x, share), -(share * log_pi).sum() / len(LISTS))


def test_the_linear_multinomial_nll_keeps_no_matrix_of_logits(x: Rows) -> None:
    kept: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    h, weight, bias = (made(*shape) for shape in ((len(LISTS), 2), (N_ITEMS, 2), (N_ITEMS,)))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = linear_multinomial_nll(h, weight, bias, x)
    node: object = loss.grad_fn
    waiting = [gradient.numel() for gradient in getattr(node, "gradients", ())]
    assert len(waiting) == 4
    assert max(kept + waiting) < len(LISTS) * N_ITEMS


def test_the_bernoulli_nll_is_that_of_torch_distributions(x: Rows) -> None:
    logits = 3 * torch.randn(len(LISTS), N_ITEMS, generator=torch.manual_seed(0))
    expected = -Bernoulli(logits=logits).log_prob(x.dense()).sum(dim=1)
    assert_close(bernoulli_nll(logits, x), expected)


def test_the_bernoulli_nll_cuts_probabilities_and_their_gradients(build: Build) -> None:
    x = rows_of(build([[0, 1]], n_items=4), CPU)
    logits = torch.tensor([[-20.0, 1.0, -20.0, 20.0]], requires_grad=True)
    p = torch.tensor([[1e-5, torch.tensor(1.0).sigmoid(), 1e-5, 1 - 1e-5]])
    nll = bernoulli_nll(logits, x, least=1e-5)
    assert_close(nll, -Bernoulli(p).log_prob(x.dense()).sum(dim=1), rtol=1e-3, atol=0)
    nll.sum().backward()
    assert logits.grad is not None
    assert_close(logits.grad, torch.tensor([[0.0, p[0, 1] - 1, 0.0, 0.0]]))


def test_items_in_sparse_rows_and_in_dense_ones_give_the_same_units(x: Rows) -> None:
    torch.manual_seed(0)
    layer = Layer(N_ITEMS, 7, gated=True, linear=ItemLinear)
    sparse = layer(normalized(x, nn.Identity()))
    dense = layer(normalize(x.dense()))
    assert_close(sparse, dense)
    assert_close(
        torch.autograd.grad(sparse.sum(), [*layer.parameters()]),
        torch.autograd.grad(dense.sum(), [*layer.parameters()]),
    )


def test_a_gated_layer_multiplies_linear_units_by_their_gate_and_another_is_a_tanh() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4)
    gated, plain = Layer(4, 2, gated=True), Layer(4, 2, gated=False)
    w, b, v, c = gated.parameters()
    expected = (x @ w.T + b) / (1 + (-(x @ v.T + c)).exp())
    assert_close(gated(x), expected)
    w, b = plain.parameters()
    assert_close(plain(x), (x @ w.T + b).tanh())


def test_heads_are_one_per_expert_and_their_log_variance_is_bounded() -> None:
    heads = GaussianHeads(4, 3, 2)
    mean, logvar = heads(1000 * torch.randn(50, 4, generator=torch.manual_seed(0)))
    assert mean.shape == logvar.shape == (50, 3, 2)
    assert logvar.aminmax() == (-12.0, 4.0)
    assert mean.abs().max() > 100


def test_he_initialisation_leaves_the_biases(x: Rows) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(1000, 100)
    bias = layer.bias.detach().clone()
    he_normal(nn.Sequential(layer))
    assert float(layer.weight.detach().std()) == pytest.approx(0.002**0.5, rel=0.01)
    assert torch.equal(layer.bias, bias)


def parameters() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(*shape)) for shape in ((3, 4), (5,), (2, 2), (4,))]


def test_normalized_adam_is_adam_on_gradients_of_length_one() -> None:
    ours, theirs = parameters(), parameters()
    normalized_adam = NormalizedAdam(ours, lr=0.01, fused=True)
    adam = torch.optim.Adam(theirs, lr=0.01)
    for _ in range(5):
        for p, q in zip(ours[:3], theirs[:3], strict=True):  # the last has no gradient
            gradient = 100 * torch.randn_like(p)
            p.grad = gradient.clone()
            q.grad = gradient / (gradient.norm() + 1e-7)
        ours[2].grad, theirs[2].grad = torch.zeros(2, 2), torch.zeros(2, 2)
        normalized_adam.step()
        adam.step()
    assert_close(ours, theirs)


def test_normalized_adam_goes_on_from_its_state() -> None:
    def stepped(p: list[nn.Parameter], optimizer: NormalizedAdam) -> list[nn.Parameter]:
        def loss() -> Tensor:
            optimizer.zero_grad()
            total = torch.stack([(v - 1).square().sum() for v in p]).sum()
            total.backward()
            return total

        value = optimizer.step(loss)
        assert value > 0
        return p

    p, q = parameters(), parameters()
    whole, first, second = (NormalizedAdam(v, lr=0.1, fused=True) for v in (p, q, q))
    stepped(p, whole)
    stepped(p, whole)
    stepped(q, first)
    second.load_state_dict(first.state_dict())
    stepped(q, second)
    assert_close(p, q, rtol=0, atol=0)


def test_gaussian_kl_equals_that_of_torch_distributions() -> None:
    mean, logvar = torch.randn(2, 6, 4, generator=torch.manual_seed(1))
    q = Independent(Normal(mean, (0.5 * logvar).exp()), 1)
    p = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    assert_close(gaussian_kl(mean, logvar), kl_divergence(q, p))


def test_gaussian_kl_of_the_prior_is_zero() -> None:
    assert_close(gaussian_kl(torch.zeros(3, 4), torch.zeros(3, 4)), torch.zeros(3))


def touched(rows: Interactions, user: Tensor, item: Tensor) -> list[bool]:
    known = {(u, i) for u in range(rows.n_users) for i in rows[u].tolist()}
    return [pair in known for pair in zip(user.tolist(), item.tolist(), strict=True)]


def test_a_negative_is_any_item_that_the_user_has_not_in_training(build: Build) -> None:
    torch.manual_seed(0)
    rows = build([range(10), [11], []])
    user = torch.arange(3).repeat_interleave(400)
    item = Positives(rows, 8, CPU).negatives(user)
    assert not any(touched(rows, user, item))
    drawn = [sorted(set(item[user == u].tolist())) for u in range(3)]
    assert drawn == [[10, 11], list(range(11)), list(range(12))]


def test_a_user_of_whom_no_negative_is_left_is_refused(build: Build) -> None:
    with pytest.raises(UnsupportedError, match="every user has all 3 items"):
        Positives(build([[], [0, 1, 1, 2]], n_items=3), 8, CPU)


def test_a_user_of_whom_no_negative_is_left_is_left_out(build: Build) -> None:
    rows = build([[0, 1], [0, 1, 1, 2], [2]], n_items=3)
    left = with_negatives(rows)
    assert [left[user].tolist() for user in range(3)] == [[0, 1], [], [2]]
    assert Positives(rows, 8, CPU).user.tolist() == [0, 0, 2]
    assert with_negatives(left) is left


def test_triples_hold_every_pair_once_beside_a_negative(build: Build) -> None:
    rows = build(LISTS)
    batches = list(Positives(rows, 5, CPU).triples())
    assert [len(user) for user, _, _ in batches] == [5, 5, 2]
    user, item, negative = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert (user * N_ITEMS + item).sort().values.tolist() == rows.pairs().tolist()
    assert not any(touched(rows, user, negative))


@pytest.mark.parametrize("n_negatives", [0, 1, 4])
def test_labels_say_which_pairs_are_of_training_and_their_ratio_is_as_asked(
    build: Build, n_negatives: int
) -> None:
    rows = build(LISTS)
    batches = list(Positives(rows, 7, CPU).labelled(n_negatives))
    assert {len(user) for user, _, _ in batches[:-1]} <= {7}
    user, item, label = (torch.cat(parts) for parts in zip(*batches, strict=True))
    pairs = (user * N_ITEMS + item)[label == 1].sort().values
    assert pairs.tolist() == rows.pairs().tolist()
    assert touched(rows, user, item) == (label == 1).tolist()
    negatives = torch.bincount(user[label == 0], minlength=rows.n_users)
    assert negatives.tolist() == (n_negatives * rows.distinct().counts).tolist()


class Echo(nn.Module):
    """Score every item by its number, and remember in which mode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(float(N_ITEMS)))
        self.inner = nn.Dropout(0.5)
        self.modes: list[tuple[bool, bool]] = []

    @scoring
    def score(self, queries: Queries) -> Tensor:
        self.modes.append((self.training, self.inner.training))
        if not len(queries):
            raise UnsupportedError("nobody asks")
        return picked(self.inner(self.weight).repeat(len(queries), 1), queries)


@pytest.fixture
def queries(build: Build) -> Queries:
    return Queries(np.array([0, -1]), build([[1], [2]]), np.array([[3, 8], [0, 5]]))


@pytest.mark.parametrize("training", [True, False])
def test_scoring_is_in_evaluation_mode_without_gradients_and_goes_back(
    queries: Queries, training: bool
) -> None:
    net = Echo().train(training)
    scores = net.score(queries)
    assert scores.tolist() == [[3, 8], [0, 5]]
    assert not scores.requires_grad
    with pytest.raises(UnsupportedError):
        net.score(queries.rows(np.array([], dtype=np.int64)))
    assert net.modes == [(False, False)] * 2
    assert (net.training, net.inner.training) == (training, training)


def test_without_candidates_all_items_are_scored(queries: Queries) -> None:
    asked = Queries(queries.user, queries.history)
    assert Echo().score(asked).tolist() == [list(range(N_ITEMS))] * 2


def test_users_unknown_to_training_are_refused_by_name(queries: Queries) -> None:
    assert known_users(queries.rows(np.array([0])), CPU, "BPR").tolist() == [0]
    with pytest.raises(UnsupportedError, match="BPR knows only users of its training data"):
        known_users(queries, CPU, "BPR")
