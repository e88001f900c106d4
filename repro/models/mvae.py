"""MVAE: Kou et al., "Variational Autoencoder with Stochastic Masks to Solve Exposure Bias ...".

The title ends in "in Recommendation"; our copy states no venue.

**Implements** Section IV: the matrix is completed, masked at random, and reconstructed by a
variational autoencoder of user rows (uVAE) and one of item columns (iVAE). **Reference**: none; no
code is known. Data, blocks and all that the paper takes from JoVA follow JoVA's code.
**Deviations**: Eq. 2 fits observed cells only, which are all 1, so that "all ones" is its optimum;
here the default completion is a truncated SVD of the whole 0/1 matrix (`completion`). The mask is
drawn cell by cell with the given probability, where Section IV-B samples without replacement. It is
a hash of numbers drawn per user and per item, so that it is never stored and both sides see the
same mask.

What the paper leaves open is a field, with its default and the other readings; which epoch counts
and the number of seeds belong to the table. R' is P Q^T and never held whole. No term of Eq. 8
couples the two sides, and they share no parameter. So uVAE, iVAE and MVAE are one training run with
three values of alpha: in every run the parts are scored as well as the whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product, zip_longest
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from repro.hyperparameters import Count, Natural, NonNegative, Share
from repro.interactions import Interactions
from repro.model import Run, Scorer
from repro.models._mvae.completion import als, truncated_svd
from repro.models._mvae.masks import HASHED_ROWS, Keys, hashed
from repro.nn.batches import Rows, UserRows
from repro.nn.blocks import Block, Blocks, sparse_rows
from repro.nn.layers import Input, sparse_product
from repro.nn.losses import linear_bernoulli_nll, linear_reconstruction
from repro.nn.schedules import linear_scaled
from repro.nn.two_sided import BothSides, SideVAE, staircase

Step = tuple[Tensor | None, Tensor | None, Block | None]  # users, items, and the block if literal


@dataclass(frozen=True, kw_only=True)
class MVAE:
    """A user VAE and an item VAE of the completed, randomly masked matrix."""

    completion: Literal["svd", "als_observed", "wals", "none"] = "svd"
    """How R' is made. "svd": from the 0/1 matrix. "als_observed": Eq. 2 to the letter. "wals": Hu
    et al. 2008. "none": R' is R itself. [ours; not paper Eq. 2]"""
    rank: Count = 80
    """Of the completion; the paper uses the letter K for it and for the latent size. [ours; if
    completion=svd|als_observed|wals]"""
    completion_l2: NonNegative = 1.0
    """k_i and k_j of Eq. 2, if not "svd"; the paper states no value. [ours; if
    completion=als_observed|wals]"""
    confidence: NonNegative = 40.0
    """Alpha of "wals": an observed cell has weight 1 + alpha (Hu et al.). [other Hu et al. 2008; if
    completion=wals]"""
    n_sweeps: Natural = 8
    """Of alternating least squares, if not "svd". [ours; if completion=als_observed|wals]"""
    keep_observed: bool = True
    """Whether observed cells of R' stay 1 ("complete the missing values") or are P Q^T as well.
    [ours; if completion=svd|als_observed|wals]"""
    clip: bool = True
    """Whether R' is clipped to [0, 1] as input; as a target it always is. [ours; if
    completion=svd|als_observed|wals]"""
    mask_share: Share = 0.04
    """Share of cells. [paper V-C]"""
    mask_mode: Literal["zero", "keep"] = "zero"
    """The share is set to 0 ("the mask ratio is 4 %"), or is all that is kept ("we sample one of
    the submatrices and mask the remaining", Section IV-B). [ours; not paper IV-B]"""
    mask_cells: Literal["all", "observed", "filled"] = "all"
    """Which cells can be masked. [ours]"""
    mask_refresh: Literal["epoch", "step"] = "epoch"
    """When a new mask is drawn; "for each epoch". [paper V-C]"""
    mask_shared: bool = True
    """Whether both sides see the same mask. [ours]"""
    target: Literal["observed", "pseudo", "masked"] = "observed"
    """What is reconstructed: R (Eq. 8), R', or R' at masked cells only. [ours; paper Eq. 8]"""
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    """Of the sigmoid outputs; the paper names none. [ours]"""
    positive_weight: NonNegative = 1.0
    """Weight of the ones in the Bernoulli likelihood. [ours]"""
    reduction: Literal["mean", "sum"] = "mean"
    """Over a side's batch; outputs are summed. "sum" is Eq. 8 to the letter. [ours; not paper Eq.
    8]"""
    hidden_dim: Count = 320
    """Of two hidden layers in each encoder and decoder. [paper V-C]"""
    latent_dim: Count = 80
    """Of z on both sides. [paper V-C]"""
    second_activation: Literal["tanh", "sigmoid"] = "tanh"
    """Of the encoder's second hidden layer; "sigmoid" as in JoVA's code. [paper V-C]"""
    beta: NonNegative = 0.15
    """KL weight (Section V-C); 0.3 under the convention of JoVA's code, which omits the 1/2. [paper
    V-C]"""
    anneal_steps: Natural = 0
    """Updates over which the KL weight rises to beta; 0: constant. [paper V-C]"""
    block: Literal["full", "literal", "once"] = "full"
    """What "1500 x 1500 submatrices" are. "full": as in JCA and JoVA, each pairs 1500 whole rows
    with 1500 whole columns. "literal": in training a side sees the submatrix only. "once": a block
    of rows, or of columns, is in one update of an epoch, not in one per block of the other side.
    [ours]"""
    block_size: Count = 1500
    """Users, and items, in a block. [paper V-C]"""
    skip_last_block: bool = False
    """Leave an epoch's last block of items out, as JoVA's code does. [ours]"""
    learning_rate: NonNegative = 0.003
    """Adam's. [paper V-C]"""
    decay: NonNegative = 1.0
    """Factor on the learning rate every 50 * ceil(U / 1500) updates; 0.96 in JoVA's code. [ours]"""
    alpha: Share = 0.5
    """Weight of uVAE's output in a score (Eq. 7); 1 is uVAE alone, 0 iVAE alone. [paper Eq. 7]"""
    test_input: Literal["pseudo", "observed", "masked"] = "pseudo"
    """What is encoded at test time: R', R, or R' under a mask. [ours]"""
    test_latent: Literal["mean", "sample"] = "mean"
    """"sample": z is drawn as in JoVA's code, the items' once per epoch. [ours]"""
    n_epochs: Natural = 200
    """Passes over the blocks of users and items. [paper V-C]"""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator[Scorer]:
        """Train both sides on every block once per epoch."""
        blocks = Blocks(train, self.block_size, run.device, self.skip_last_block)
        p, q = self._factors(train, blocks)
        uvae = Half(self, train.n_items, p, q).to(run.device)
        ivae = Half(self, train.n_users, q, p).to(run.device)
        net = nn.ModuleDict({"user": uvae, "item": ivae})
        optimizer = torch.optim.Adam(net.parameters(), self.learning_rate, fused=True)
        n_steps = max(blocks.shape) if self.block == "once" else len(blocks)
        for epoch in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            before = epoch * n_steps
            keys = Keys.drawn(train, run.device, self.mask_shared)
            x: Batch | None = None
            for step, (users, items, block) in enumerate(self._steps(blocks), start=before):
                beta = linear_scaled(step, self.anneal_steps, self.beta)
                if self.mask_refresh == "step" and step > before:
                    keys, x = Keys.drawn(train, run.device, self.mask_shared), None
                losses = []
                if users is not None:
                    # All blocks of the same users share one input, unless blocks cut the rows.
                    if block or x is None or x.rows.user is not users:
                        rows = block.user_rows() if block else blocks.users.of(users)
                        x = uvae.batch(rows, keys.user, items if block else None)
                    losses.append(uvae.loss(x, beta))
                if items is not None:
                    rows = block.item_rows() if block else blocks.items.of(items)
                    y = ivae.batch(rows, keys.item, users if block else None)
                    losses.append(ivae.loss(y, beta))
                loss = torch.stack(losses).sum()  # Eq. 8
                optimizer.param_groups[0]["lr"] = staircase(
                    self.learning_rate, self.decay, step, train.n_users, self.block_size
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(loss=loss)
            yield Joint(
                name="MVAE",
                user_hidden=partial(uvae.hidden, keys=keys.user),
                item_hidden=partial(ivae.all_hidden, blocks.items, keys=keys.item),
                user_output=uvae.side.output,
                item_output=ivae.side.output,
                alpha=self.alpha,
            )

    def _factors(self, train: Interactions, blocks: Blocks) -> tuple[Tensor | None, Tensor | None]:
        """Return P and Q of R' = P Q^T (Eq. 1), shapes (U, K) and (I, K); None if R' is R."""
        if self.completion == "none":
            return None, None
        if self.completion == "svd":
            return truncated_svd(train, self.rank, blocks.items.all.item.device)
        everywhere, observed = (1.0, self.confidence) if self.completion == "wals" else (0.0, 1.0)
        sides = blocks.users, blocks.items
        return als(*sides, self.rank, self.completion_l2, everywhere, observed, self.n_sweeps)

    def _steps(self, blocks: Blocks) -> Iterator[Step]:
        """Yield the users and the items of an epoch's updates, and the block where it is read."""
        if self.block == "literal":
            yield from ((block.users, block.items, block) for block in blocks)
            return
        pairs = zip_longest if self.block == "once" else product
        yield from ((users, items, None) for users, items in pairs(*blocks.shuffled()))


@dataclass(frozen=True, eq=False)
class Joint(BothSides):
    """Eq. 7, and each side alone, as Figure 2 compares them: all from one training run."""

    def parts(self) -> dict[str, Scorer]:
        """Return the scorer of each side."""
        return {"uVAE": replace(self, alpha=1.0), "iVAE": replace(self, alpha=0.0)}


@dataclass(frozen=True, eq=False)
class Batch:
    """Input and target of some rows, over all columns or those of a block."""

    rows: Rows
    """R, B rows of n."""
    columns: Tensor | None
    """The block's columns, shape (n,); None: all."""
    input: Input
    """R' under the mask, or R if nothing is completed."""
    masked: Tensor | None = None
    """Which cells are masked, bool, shape (B, n); None where that is not needed."""
    full: Tensor | None = None
    """R', shape (B, n), if it is the target; None: the target is R."""


class Half(nn.Module):
    """uVAE or iVAE: masked rows of R' -> z -> rows of R.

    Parameters
    ----------
    model : MVAE
        The hyper-parameters.
    n_columns : int
        Length of a row.
    own, other : float tensor, optional
        Factors of all rows and of all columns; None: R' is R.
    """

    def __init__(
        self, model: MVAE, n_columns: int, own: Tensor | None, other: Tensor | None
    ) -> None:
        super().__init__()
        self.model, self.own, self.other = model, own, other
        sizes = n_columns, model.hidden_dim, model.latent_dim
        self.side = SideVAE(*sizes, model.second_activation, n_decoder_layers=2)

    def batch(
        self, rows: Rows, keys: tuple[Tensor, Tensor] | None, columns: Tensor | None = None
    ) -> Batch:
        """Return the input and the target of some rows.

        Parameters
        ----------
        rows : Rows
            B rows of R, over the given columns.
        keys : tuple of int32 tensor, optional
            Keys of all rows and of all columns; None: there is no mask.
        columns : int64 tensor, shape (n,), optional
            The columns of a block; None: all.
        """
        m, masked = self.model, None
        at = None if keys is None else (keys[0][rows.user], some(keys[1], columns))
        if self.own is None or self.other is None:
            hit = torch.zeros_like(rows.item, dtype=torch.bool)
            if at is not None and m.mask_cells != "filled":
                hit = self._hit(at[0][rows.row], at[1][rows.item])
            masked = self._masked(rows, *at) if at and m.target == "masked" else None
            full = None if masked is None else rows.dense()
            return Batch(rows, columns, Input(cells=(rows, (~hit).float())), masked, full)
        own, other = self.own[rows.user], some(self.other, columns)
        masked = None if at is None else self._masked(rows, *at)
        full = None if m.target == "observed" else self._completed(rows, own, other, clip=True)
        if not m.clip and m.mask_mode == "zero":
            cells = self._corrections(rows, own, other, masked)
            return Batch(rows, columns, Input(cells=cells, factors=(own, other)), masked, full)
        dense = self._completed(rows, own, other, m.clip)
        if masked is not None:
            dense.masked_fill_(masked, 0.0)
        return Batch(rows, columns, Input(dense=dense), masked, full)

    def loss(self, x: Batch, beta: float) -> Tensor:
        """Return the negative of Eq. 6: outputs summed, mean or sum over the batch."""
        m, output = self.model, self.side.output
        h, kl = self.side(x.input.times(some(self.side.weight, x.columns)))
        layer = some(output.weight, x.columns), some(output.bias, x.columns)
        gaussian = m.likelihood == "gaussian"
        if x.full is None and m.positive_weight == 1.0 and not gaussian:
            nll = linear_bernoulli_nll(h, *layer, x.rows)
        else:
            target = x.rows.dense() if x.full is None else x.full
            cells = x.masked if m.target == "masked" else None
            nll = linear_reconstruction(h, *layer, target, cells, m.positive_weight, gaussian)
        total = nll + beta * kl.sum()
        return total / len(h) if m.reduction == "mean" else total

    def hidden(self, rows: Rows, numbers: Tensor, keys: tuple[Tensor, Tensor]) -> Tensor:
        """Return the decoder's last hidden layer of some rows at test time, shape (B, H)."""
        m, rows = self.model, replace(rows, user=numbers)
        if m.test_input == "observed":
            product = sparse_product(rows, self.side.weight)
        else:
            mask = keys if m.test_input == "masked" else None
            product = self.batch(rows, mask).input.times(self.side.weight)
        return self.side(product, m.test_latent == "sample")[0]

    def all_hidden(self, rows: UserRows, keys: tuple[Tensor, Tensor]) -> Tensor:
        """Return the same for all rows, computed block by block."""
        numbers = torch.arange(len(rows.all.count), device=rows.all.item.device)
        parts = numbers.split(self.model.block_size)
        return torch.cat([self.hidden(rows.of(part), part, keys) for part in parts])

    def _hit(self, a: Tensor, b: Tensor) -> Tensor:
        drawn = hashed(a, b, self.model.mask_share)
        return drawn if self.model.mask_mode == "zero" else ~drawn

    def _masked(self, rows: Rows, a: Tensor, b: Tensor) -> Tensor:
        """Return which cells of the rows are masked, bool, shape (B, n)."""
        masked = torch.cat([self._hit(part[:, None], b) for part in a.split(HASHED_ROWS)])
        if self.model.mask_cells == "filled":
            masked[rows.row, rows.item] = False
        if self.model.mask_cells == "observed":
            observed = masked[rows.row, rows.item]
            masked.zero_()
            masked[rows.row, rows.item] = observed
        return masked

    def _completed(self, rows: Rows, own: Tensor, other: Tensor, clip: bool) -> Tensor:
        """Return the rows of R' without mask, shape (B, n)."""
        full = own @ other.T
        if clip:
            full.clamp_(0.0, 1.0)
        if self.model.keep_observed:
            full[rows.row, rows.item] = 1.0
        return full

    def _corrections(
        self, rows: Rows, own: Tensor, other: Tensor, masked: Tensor | None
    ) -> tuple[Rows, Tensor]:
        """Return the cells where masked R' is not ``own @ other.T``, and the differences."""
        keep = self.model.keep_observed
        if masked is None:
            there = (own[rows.row] * other[rows.item]).sum(dim=1)
            return rows, 1.0 - there if keep else torch.zeros_like(there)
        changed, ones = masked.clone(), torch.zeros_like(masked)
        if keep:
            changed[rows.row, rows.item] = True
            ones[rows.row, rows.item] = ~masked[rows.row, rows.item]
        row, column = changed.nonzero(as_tuple=True)
        value = ones[row, column].float() - (own @ other.T)[row, column]
        return sparse_rows(rows.user, row, column, rows.n_items), value


def some(whole: Tensor, columns: Tensor | None) -> Tensor:
    """Return the entries of those columns, or all."""
    return whole if columns is None else whole[columns]


MODEL = MVAE
