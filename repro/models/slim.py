"""SLIM: Ning and Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender Systems", ICDM 2011.

**Implements** the regression of every item j on the others: min 1/2 |x_j - X w|^2 + l2/2 |w|^2 +
l1 |w|_1 with w >= 0 and w_j = 0; a user's scores are the row times W.
**Reference**: the paper, as Liang et al. 2018 and the evaluation studies use it; we did not have
it. **Deviations**: coordinate descent on the Gram matrix XᵀX, for a block of columns at a time,
where the paper solves one column after the other from the users' rows. The problem is strictly
convex, so the solution is the same. A column is left out of further sweeps once a whole sweep has
moved none of its weights by more than `tolerance`.

The cost is 2 I^2 operations per column and sweep, nearly all in matrix products; memory is the Gram
matrix, 4 I^2 bytes, and some blocks of columns (`SLIM.memory`). On MovieLens 1M (3,062 items) a fit
takes 47 s on one core. With ML-20M's 20,108 items a sweep over all columns takes 1.6e13 operations,
the Gram matrix 1.6 GB and a fit about an hour on two cores (an estimate). ADMM (Steck et al. 2020)
also spends a product of that size on every iteration, another on an inverse, and stops when it is
near enough; the descent ends at the optimum and drops columns on the way. A block of columns is an
epoch of the run, so that a long fit can be resumed; only the last epoch gives a scorer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from repro.hyperparameters import Count, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Memory, Run
from repro.nn.item_weights import SparseItemWeights, cooccurrence, stacked

ITEMS_AT_A_TIME = 64
"""Rows whose products with W are computed together; the descent updates them for every change."""


@dataclass(frozen=True, kw_only=True)
class SLIM:
    """Sparse, non-negative item-item regression with a zero diagonal."""

    l1: NonNegative = 1.0
    """Lambda; the paper tunes it, and Liang et al. 2018 search 0.1, 0.5, 1, 5. [ours]"""
    l2: NonNegative = 5.0
    """Beta; the paper tunes it, and Liang et al. 2018 search the same values. Ferrari Dacrema et
    al. have far more for ML-20M, 136, from the smallest alpha that they allowed. [ours]"""
    n_sweeps: Natural = 100
    """Passes over the weights of a column, at most. [technical]"""
    tolerance: NonNegative = 1e-4
    """A column is solved when no weight of it moves by more than this in a sweep. [technical]"""
    block_size: Count = 1024
    """Columns that are solved together. It changes the solution only within the tolerance; it sets
    the memory, 16 bytes for every item and column. [technical]"""

    RANDOM: ClassVar[bool] = False

    def memory(self, train: Interactions) -> Memory:
        """Return the need: the Gram matrix, and a dozen blocks of columns with their copies.

        Measured: 0.78 GB at 9,000 items in blocks of 1,024 columns, where this gives 0.77; 0.97 GB
        at 14,000 items in blocks of 256, where it gives 0.96.
        """
        square = 4 * train.n_items**2
        columns = min(self.block_size, train.n_items)
        return Memory(process=square, device=square + 48 * train.n_items * columns)

    def epochs(self, train: Interactions, run: Run) -> Iterator[SparseItemWeights]:
        """Solve a block of columns per epoch; yield a scorer after the last one."""
        gram = torch.from_numpy(cooccurrence(train)).to(run.device)  # (I, I)
        starts = range(0, train.n_items, self.block_size)
        solved = Solved()
        for block in run.epochs(len(starts), solved=solved):
            w, unsolved = self.columns(gram, starts[block], starts[block] + self.block_size)
            solved.rows.append(csr_matrix(w.T.cpu().numpy()))
            run.log(unsolved=unsolved, nonzeros=solved.rows[-1].nnz / w.shape[1])
            if block == len(starts) - 1:
                yield SparseItemWeights(stacked(solved.rows), run.device)

    def columns(self, gram: Tensor, start: int, stop: int) -> tuple[Tensor, int]:
        """Return W's columns from start to stop, shape (I, J), and how many are not solved."""
        place = torch.arange(start, min(stop, len(gram)), device=gram.device)
        solution = torch.zeros(len(gram), len(place), device=gram.device)
        gain = gram[:, place] - self.l1  # (I, J)
        gain[place, place - start] = -torch.inf  # keeps the diagonal at zero
        w = torch.zeros_like(gain)
        for _ in range(self.n_sweeps):
            before = w.clone()
            self.sweep(gram, gain, w)
            solution[:, place - start] = w
            moving = (w - before).abs().amax(dim=0) > self.tolerance
            gain, w, place = gain[:, moving], w[:, moving], place[moving]
            if not len(place):
                break
        return solution, len(place)

    def sweep(self, gram: Tensor, gain: Tensor, w: Tensor) -> None:
        """Minimise over every weight in turn, in place, for all columns at once.

        The minimum over w_i alone is (g_ij - l1 - sum of g_ik w_k over the other k) / (g_ii + l2),
        or 0 if that is negative.

        Parameters
        ----------
        gram : float tensor, shape (I, I)
            XᵀX.
        gain : float tensor, shape (I, J)
            Columns of `gram` minus l1; minus infinity where a weight must stay 0.
        w : float tensor, shape (I, J)
            The weights, which are changed.
        """
        own = gram.diagonal()
        scale = (own + self.l2).clamp(min=torch.finfo(gram.dtype).tiny).reciprocal()
        for first in range(0, len(gram), ITEMS_AT_A_TIME):
            block = slice(first, first + ITEMS_AT_A_TIME)
            fitted = gram[block] @ w  # (b, J), from the weights before this block's changes
            change = torch.zeros_like(fitted)
            for i in range(len(fitted)):
                row, here = first + i, gram[first + i, block]
                # the fit of the other weights: all, with the changes so far, minus its own part
                others = torch.addmv(fitted[i], change[:i].T, here[:i]) - own[row] * w[row]
                new = ((gain[row] - others) * scale[row]).clamp_(min=0.0)
                torch.sub(new, w[row], out=change[i])
                w[row] = new


class Solved:
    """The rows of Wᵀ so far, as `Run.epochs` can save and restore them."""

    def __init__(self) -> None:
        self.rows: list[csr_matrix] = []

    def state_dict(self) -> dict[str, Any]:
        """Return every block's shape and arrays."""
        arrays = [(m.data, m.indices, m.indptr) for m in self.rows]
        return {
            "shapes": [list(matrix.shape) for matrix in self.rows],
            "arrays": [[torch.from_numpy(array) for array in three] for three in arrays],
        }

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Take the blocks back."""
        self.rows = [
            csr_matrix(tuple(array.numpy() for array in three), shape=tuple(shape))
            for three, shape in zip(state["arrays"], state["shapes"], strict=True)
        ]


MODEL = SLIM
