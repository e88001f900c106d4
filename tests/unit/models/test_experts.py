from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models._se_vae.experts import Experts
from repro.nn.batches import Rows, rows_of
from repro.nn.losses import multinomial_nll

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[3, 1, 0], [], [2], [1, 4, 11], [5, 6, 7, 8, 9]]
B, H, M, N_ITEMS = 5, 4, 3, 12


@pytest.fixture
def x(build: Build) -> Rows:
    return rows_of(build(LISTS), CPU)


def experts(n: int = M, **options: Any) -> Experts:
    torch.manual_seed(0)
    return Experts(n, H, N_ITEMS, **options).double()


def given(n: int = M) -> tuple[list[Tensor], Tensor]:
    """Return every expert's hidden units, and logits w."""
    torch.manual_seed(1)
    hidden = [torch.randn(B, H, dtype=torch.double, requires_grad=True) for _ in range(n)]
    return hidden, torch.randn(B, n, dtype=torch.double, requires_grad=True)


def log_pi(piece: Experts, hidden: list[Tensor], x: Rows) -> Tensor:
    """Return every click's log probability under every expert, shape (m, M)."""
    each = [log_softmax(piece.output(m)(h), dim=1)[x.row, x.item] for m, h in enumerate(hidden)]
    return torch.stack(each, dim=1)


def test_one_expert_is_the_plain_likelihood_and_draws_nothing(x: Rows) -> None:
    piece, (hidden, _) = experts(1), given(1)
    state = torch.get_rng_state()
    nll = piece.nll(hidden, x, None)
    assert torch.equal(torch.get_rng_state(), state)
    assert_close(nll, multinomial_nll(piece.output(0)(hidden[0]), x).mean())
    assert torch.equal(piece.scores(hidden, None), piece.output(0)(hidden[0]))


@pytest.mark.parametrize("select", ["click", "user"])
def test_a_drawn_expert_is_one_hot_and_one_per_click_or_per_user(x: Rows, select: Any) -> None:
    e = experts(select=select).choose(x, torch.zeros(B, M, dtype=torch.double))
    assert e.shape == (12, M)
    assert_close(e.sum(dim=1), torch.ones(12, dtype=torch.double))
    assert set(e.flatten().tolist()) == {0.0, 1.0}
    n_of_user = [len({tuple(row) for row in e[x.row == u].tolist()}) for u in (0, 3, 4)]
    assert (max(n_of_user) == 1) == (select == "user")


def test_soft_draws_are_not_one_hot_and_sharper_at_a_lower_temperature(x: Rows) -> None:
    w = torch.zeros(B, M, dtype=torch.double)
    torch.manual_seed(0)
    sharpest = []
    for temperature in (0.1, 1.0, 10.0):
        e = experts(hard=False, temperature=temperature).choose(x, w)
        assert_close(e.sum(dim=1), torch.ones(12, dtype=torch.double))
        sharpest.append(float(e.amax(dim=1).mean()))
    assert sharpest == sorted(sharpest, reverse=True)
    assert sharpest[0] > 0.9
    assert sharpest[2] < 0.5


def test_a_hard_draw_has_the_gradient_of_the_soft_one(x: Rows) -> None:
    found: list[Tensor] = []
    for hard in (True, False):
        _, w = given()
        torch.manual_seed(2)
        e = experts(hard=hard, temperature=0.5).choose(x, w)
        torch.manual_seed(3)
        found += torch.autograd.grad((e * torch.randn(12, M, dtype=torch.double)).sum(), w)
    assert_close(found[0], found[1])


@torch.no_grad()
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_per_click_per_user_and_expected_have_one_expected_objective(
    x: Rows, temperature: float
) -> None:
    hidden, w = given()
    expected = experts(select="expected", temperature=temperature)
    log_pi_of_clicks = log_pi(expected, hidden, x)
    by_hand = float(-(w.softmax(dim=1)[x.row] * log_pi_of_clicks).sum() / B)
    assert float(expected.nll(hidden, x, w)) == pytest.approx(by_hand)
    n = 1000
    for select in ("click", "user"):
        piece = experts(select=select, temperature=temperature)
        torch.manual_seed(4)
        draws = [-(piece.choose(x, w) * log_pi_of_clicks).sum() / B for _ in range(n)]
        losses = torch.stack(draws)
        assert float(losses.std()) > 0.1
        assert abs(float(losses.mean()) - by_hand) < 4 * float(losses.std()) / n**0.5
        torch.manual_seed(4)
        assert_close(piece.nll(hidden, x, w), losses[0])


@pytest.mark.parametrize(
    "options", [{"select": "click"}, {"select": "user"}, {"hard": False}, {"share_output": True}]
)
def test_the_stochastic_likelihood_and_its_gradients_are_those_of_the_definition(
    x: Rows, options: dict[str, Any]
) -> None:
    piece, (hidden, w) = experts(**options), given()
    inputs = [*hidden, w, *piece.parameters()]
    torch.manual_seed(5)
    ours = piece.nll(hidden, x, w)
    torch.manual_seed(5)
    naive = -(piece.choose(x, w) * log_pi(piece, hidden, x)).sum() / B
    assert_close(ours, naive)
    assert_close(torch.autograd.grad(ours, inputs), torch.autograd.grad(naive, inputs))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_mixtures_likelihood_and_its_gradients_are_those_of_the_definition(
    x: Rows, temperature: float
) -> None:
    piece, (hidden, w) = experts(mixture=True, temperature=temperature), given()
    inputs = [*hidden, w, *piece.parameters()]
    ours = piece.nll(hidden, x, w)
    a = (w / temperature).softmax(dim=1)[x.row]
    naive = -(a * log_pi(piece, hidden, x).exp()).sum(dim=1).log().sum() / B
    assert_close(ours, naive)
    assert_close(torch.autograd.grad(ours, inputs), torch.autograd.grad(naive, inputs))


def test_a_mixture_is_at_least_as_likely_as_its_experts_by_themselves(x: Rows) -> None:
    hidden, w = given()
    mixture = experts(mixture=True).nll(hidden, x, w).detach()
    assert float(mixture) < float(experts(select="expected").nll(hidden, x, w).detach())


@torch.no_grad()
def test_scores_mix_the_experts_as_asked() -> None:
    hidden, w = given()
    piece = experts()
    logits = torch.stack([piece.output(m)(h) for m, h in enumerate(hidden)])  # (M, B, I)
    a = (w / 0.5).softmax(dim=1).T[:, :, None]
    expected = {
        "probabilities": (a * logits.softmax(dim=2)).sum(dim=0).log(),
        "log_probabilities": (a * log_softmax(logits, dim=2)).sum(dim=0),
        "logits": (a * logits).sum(dim=0),
    }
    for scored_by, scores in expected.items():
        piece = experts(scored_by=scored_by, temperature=0.5)
        assert_close(piece.scores(hidden, w), scores)


def test_experts_that_share_an_output_layer_have_one() -> None:
    assert len(list(experts(share_output=True).parameters())) == 2
    assert len(list(experts().parameters())) == 6
    piece = experts(share_output=True)
    assert piece.output(0) is piece.output(2)
