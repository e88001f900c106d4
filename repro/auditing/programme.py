"""Rule S7: whether any ranks of the targets can give a row, as a linear programme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.auditing.gains import gain
from repro.auditing.intervals import Interval
from repro.auditing.rows import OF_ONE_HIT, Bound, Cell, PrintedRow
from repro.auditing.rules import documented

Matrix = NDArray[np.float64]

SLACK = 1e-7
"""What the solver's own tolerance explains."""

_WEIGHT: dict[str, Callable[[int], float]] = {"ndcg": gain, "mrr": lambda rank: 1 / rank}


@dataclass(frozen=True)
class Programme:
    """The cells of a row as sums over the shares of users with their target at each rank."""

    cells: tuple[Cell, ...]
    low: Matrix
    high: Matrix
    weights: Matrix
    """What a user adds to each cell by rank, shape (cells, ranks); nothing if the target is at none
    of the ranks."""


def programme(row: PrintedRow) -> Programme:
    """Return the programme of a row with one target a user.

    Notes
    -----
    Without MRR two ranks between neighbouring cut-offs are enough, the first and the last: hits and
    gains of those between lie on the line through them.
    """
    cells = tuple(c for c in row.cells if c.function in OF_ONE_HIT or c.function in _WEIGHT)
    cuts = sorted({cell.k for cell in cells})
    ranks = set(cuts) | {1} | {k + 1 for k in cuts[:-1]}
    if any(cell.function == "mrr" for cell in cells):
        ranks = set(range(1, cuts[-1] + 1))
    weights = np.zeros((len(cells), len(ranks)))
    for place, cell in enumerate(cells):
        by = _WEIGHT.get(cell.function) or _constant(1 / OF_ONE_HIT[cell.function](cell.k))
        weights[place] = [by(r) if r <= cell.k else 0.0 for r in sorted(ranks)]
    found = [row.of(cell.function)[cell.k].of for cell in cells]
    low, high = np.array([one.low for one in found]), np.array([one.high for one in found])
    return Programme(cells, low, high, weights)


def _constant(value: float) -> Callable[[int], float]:
    return lambda _: value


def feasible(rows: Sequence[PrintedRow]) -> list[bool]:
    """Return for each row whether any ranks of the targets can give it.

    Notes
    -----
    Demands: shares p_r >= 0 of users with their target at rank r, with a sum of at most 1, such
    that every cell lies in its interval: H_k = sum p_r, N_k = sum g(r) p_r, M_k = sum p_r / r, over
    r <= k.
    Source: these are the definitions; all of S0 and S2 to S6 together. If it cannot be, each cell
    is left out in turn, and the range that the others force on it is printed (scipy's HiGHS).
    Assumes: each user has one target; one epoch of one model a row.
    """
    if not rows:
        return []
    from scipy.optimize import linprog
    from scipy.sparse import block_diag

    made = [programme(row) for row in rows]
    blocks, limits, costs = [], [], []
    for one in made:
        n, ranks = one.weights.shape
        own = np.zeros((2 * n + 1, ranks + 1))  # the last variable: by how much cells are missed
        own[:n, :ranks], own[n : 2 * n, :ranks], own[2 * n, :ranks] = one.weights, -one.weights, 1.0
        own[: 2 * n, ranks] = -1.0
        blocks.append(own)
        limits += [*one.high, *(-one.low), 1.0]
        costs += [0.0] * ranks + [1.0]
    missed = linprog(costs, A_ub=block_diag(blocks, format="csr"), b_ub=limits, method="highs").x
    ends = np.cumsum([one.weights.shape[1] + 1 for one in made]) - 1
    return [bool(by <= SLACK) for by in missed[ends]]


documented("S7", feasible)


def forced(row: PrintedRow, label: str) -> Interval | None:
    """Return the range that the other cells of a row force on one; None if they disagree too."""
    found = programme(row)
    keep = np.array([cell.label != label for cell in found.cells])
    (objective,) = found.weights[~keep]
    ends = []
    for sign in (1.0, -1.0):
        solved = _solve(sign * objective, found.weights[keep], found.low[keep], found.high[keep])
        if solved.status != 0:
            return None
        ends.append(sign * float(solved.fun))
    return Interval(*ends)


def _solve(costs: Matrix, weights: Matrix, low: Matrix, high: Matrix) -> Any:
    from scipy.optimize import linprog

    constraints = np.vstack([weights, -weights, np.ones(weights.shape[1])])
    limits = np.concatenate([high, -low, [1.0]])
    return linprog(costs, A_ub=constraints, b_ub=limits, method="highs")


def certificate(row: PrintedRow) -> Bound | None:
    """Return a weighted sum of the cells that no rank allows, or None if the row is feasible.

    Notes
    -----
    Farkas: the programme has no solution exactly if some weights w give a sum over the cells that
    is above what a target at any rank, or at none, adds. The weights are the solver's, rounded; the
    sums are made anew from the rounded weights.
    """
    found = programme(row)
    n, ranks = found.weights.shape
    elastic = np.column_stack([np.vstack([found.weights, -found.weights]), -np.ones(2 * n)])
    elastic = np.vstack([elastic, np.append(np.ones(ranks), 0.0)])
    from scipy.optimize import linprog

    limits = np.concatenate([found.high, -found.low, [1.0]])
    solved = linprog(np.append(np.zeros(ranks), 1.0), A_ub=elastic, b_ub=limits, method="highs")
    of = solved.ineqlin.marginals
    by = np.round(-of[n : 2 * n] + of[:n], 4)  # above the interval counts against, below for
    least = float(np.where(by > 0, by * found.low, by * found.high).sum())
    most = max(0.0, float((by @ found.weights).max()))
    if least <= most + SLACK:
        return None
    used = [(w, cell.label) for w, cell in zip(by, found.cells, strict=True) if w]
    text = " ".join(f"{'+' if w > 0 else '−'} {abs(w):g} × {label}" for w, label in used)
    return Bound(
        f"{text.removeprefix('+ ')} ≤ its most at any rank", least, most, tuple(x for _, x in used)
    )
