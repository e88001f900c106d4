"""GRU4Rec+: Hidasi & Karatzoglou, "Recurrent Neural Networks with Top-k Gains", CIKM 2018.

**Implements** the additional negatives by popularity and the ranking-max losses, BPR-max with score
regularisation and TOP1-max, in the session-parallel mini-batches of Hidasi et al., "Session-based
Recommendations with Recurrent Neural Networks", ICLR 2016, Section 3.1.1. A user is one session.
**Reference**: wubinzzu/NeuRec, version 2, commit 9e9391b (`GRU4RecPlus`), on which ACVAE's table
was run, and hidasib/GRU4Rec, commit 07f75a7 (authors), read for facts. As in both, an update covers
one step of the parallel users, and gradients do not flow to earlier steps. Where the two differ
there is a field, with NeuRec's reading as default.
**Deviations**: the reset gate acts on U h (PyTorch), in both codes on h. The optimiser updates all
rows of the tables, as in NeuRec; the authors' only those in the mini-batch. Items have an embedding
as wide as the state, as in NeuRec; the authors' go straight into the gates. Users come in random
order (NeuRec), not in order of time. NeuRec sorts equal timestamps by item number; here they keep
the dataset's order. By a slip NeuRec draws other negatives than it means to; this is not the
default (`negative_numbers`). The authors' momentum, L2 term and shared table, all off by default,
are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import elu, logsigmoid

from repro.errors import UnsupportedError
from repro.hyperparameters import Count, Dropout, Natural, NonNegative
from repro.interactions import IntArray, Interactions
from repro.model import Memory, Run
from repro.nn.batches import to_device
from repro.nn.scoring import picked, scoring
from repro.split import Queries

SCORED_USERS = 512  # at a time: their states at all steps fit into memory


@dataclass(frozen=True, kw_only=True)
class GRU4RecPlus:
    """A GRU over a user's items, trained with ranking-max losses on many sampled negatives."""

    hidden_dim: Count = 100
    """Of the GRU and of both item tables (both codes). [code]"""
    loss: Literal["bpr_max", "top1_max"] = "bpr_max"
    """The paper's better one; default of both codes. [paper; code]"""
    bpr_max_l2: NonNegative = 1.0
    """Weight of the squared scores of the negatives in BPR-max (both codes). [code]"""
    final_elu: NonNegative = 0.0
    """Alpha of an ELU on the scores before the loss; 0: none (NeuRec). The authors have 0.5 on
    RSC15, and document 1 as default. [other NeuRec; not code]"""
    dropout: Dropout = 0.0
    """Share of the hidden units that is dropped, also from the state passed to the next step.
    [other NeuRec]"""
    n_negatives: Natural = 2048
    """Drawn per update, in addition to the other users' next items; an item may be drawn twice, and
    may be the target itself, as in both codes. [code]"""
    negative_power: float = 0.75
    """A negative is drawn in proportion to its training interactions to this power. [code]"""
    negative_numbers: Literal["items", "ranks"] = "items"
    """"ranks": the rank of a drawn item among the training items is used as its number (NeuRec);
    where some items are not in training, most draws give another item than was meant. [code; not
    other NeuRec]"""
    optimizer: Literal["adam", "adagrad"] = "adam"
    """Adam is NeuRec's, Adagrad the authors'. [other NeuRec; not code]"""
    learning_rate: NonNegative = 0.01
    """NeuRec's, for Adam; the authors have 0.05 to 0.2, for Adagrad. [other NeuRec; not code]"""
    batch_size: Count = 256
    """Users in parallel; 32 in the authors' code. [other NeuRec; not code]"""
    unfinished: Literal["drop", "train"] = "drop"
    """What happens when no user is left to take a free place: the epoch ends, and the other users'
    last steps are dropped (NeuRec), or it continues with fewer and fewer users (authors). [other
    NeuRec; not code]"""
    gate_bias: float = 1.0
    """Initial bias of both gates: 1 in TensorFlow's cell (NeuRec), which favours the old state; the
    authors have 0. [other NeuRec; not code]"""
    n_epochs: Natural = 10
    """The authors' default; NeuRec's is 1000. [code; not other NeuRec]"""

    def memory(self, train: Interactions) -> Memory:
        """Return the need: all lists, padded to the longest, and a copy while they are read.

        Measured with a list of 3,006 items: 17.4 U T bytes for 20,000 users, 16.5 for 60,000.
        """
        padded = train.sequence_bytes()
        return Memory(process=2 * padded, device=padded)

    def epochs(self, train: Interactions, run: Run) -> Iterator["GRU4RecNet"]:
        """Train on every step of the users once per epoch, in mini-batches of parallel users."""
        if not train.ordered:
            raise UnsupportedError(
                "GRU4Rec+ needs interactions ordered in time, and this dataset's are not"
            )
        net = GRU4RecNet(train.n_items, self).to(run.device)
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.Adagrad
        optimizer = kind(net.parameters(), self.learning_rate, fused=True)
        sequence = to_device(train.sequences(), run.device)  # (U, T)
        popularity = np.bincount(train.item, minlength=train.n_items)
        if self.negative_numbers == "ranks":
            seen = popularity[popularity > 0]
            popularity = np.pad(seen, (0, train.n_items - len(seen)))
        negatives = Negatives(popularity, self.negative_power, run.device)
        loss_of = bpr_max if self.loss == "bpr_max" else top1_max
        users = np.flatnonzero(train.counts > 1)
        state = torch.zeros(train.n_users, self.hidden_dim, device=run.device)
        for _ in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            order = run.rng.permutation(users)
            for user, step in parallel(order, train.counts, self.batch_size, self.unfinished):
                if len(user) + self.n_negatives < 2:
                    break  # the last remaining user has no other users' items as negatives
                u, t = to_device(user, run.device), to_device(step, run.device)
                before = state[u] * (t > 0)[:, None]  # (B, H); each user begins at zero
                h = net(sequence[u, t][:, None], before)[:, 0]
                state[u] = h.detach()
                item = torch.cat([sequence[u, t + 1], negatives.draw(self.n_negatives)])
                scores = net.scores(h, item)  # (B, B + n_negatives), the targets on the diagonal
                loss = loss_of(scores, self.bpr_max_l2).sum() / min(self.batch_size, len(users))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(loss=loss)
            yield net


def parallel(
    order: IntArray, length: IntArray, n_places: int, unfinished: str
) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield mini-batches of parallel users, one step each; a new user takes an ended one's place.

    Parameters
    ----------
    order : int array, shape (n,)
        Users in the order in which they take places; each has at least two items.
    length : int array, shape (U,)
        Items per user.
    n_places : int
        Users in parallel.
    unfinished : str
        When no user is left for a free place: "drop" ends, "train" continues without the place.

    Yields
    ------
    tuple of int arrays, shape (B,) each
        Users, and the place of the item that each reads; the next item is the target.
    """
    user, waiting = order[:n_places], order[n_places:]
    step = np.zeros_like(user)
    while len(user):
        yield user, step
        step = step + 1
        ended = np.flatnonzero(step + 1 >= length[user])
        arriving, waiting = waiting[: len(ended)], waiting[len(ended) :]
        if len(arriving) < len(ended) and unfinished == "drop":
            return
        user = user.copy()
        user[ended[: len(arriving)]], step[ended] = arriving, 0
        left = ended[len(arriving) :]
        user, step = np.delete(user, left), np.delete(step, left)


class Negatives:
    """Items drawn with replacement in proportion to a power of their popularity."""

    def __init__(self, popularity: IntArray, power: float, device: torch.device) -> None:
        # an item that is not in training is never drawn, even with power 0
        weight = np.where(popularity > 0, popularity.astype(np.float64) ** power, 0.0)
        self.cumulative = torch.from_numpy(weight.cumsum() / weight.sum()).to(device)

    def draw(self, n: int) -> Tensor:
        """Return items, shape (n,)."""
        at = torch.rand(n, dtype=torch.float64, device=self.cumulative.device)
        at = at * self.cumulative[-1]  # rounding may leave the sum a hair below 1
        return torch.searchsorted(self.cumulative, at, right=True)


def _negatives_weight(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log softmax over the negatives, and the targets' scores, shape (B, 1)."""
    own = torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)
    log_s = scores.masked_fill(own, -torch.inf).log_softmax(dim=1)
    return log_s, scores.diagonal()[:, None]


def bpr_max(scores: Tensor, l2: float) -> Tensor:
    """Return BPR-max of each row, shape (B,).

    Parameters
    ----------
    scores : float tensor, shape (B, C)
        The targets' on the diagonal, negatives' elsewhere; C > 1.
    l2 : float
        Weight of the squared scores.

    Notes
    -----
    Hidasi & Karatzoglou 2018: -log sum_j s_j sigma(r_i - r_j) + l2 sum_j s_j r_j^2, with s the
    softmax over the negatives and i the target. Here the first term is computed in logarithms; both
    codes add 1e-24 to the sum, so that a target far below its negatives has no gradient.
    """
    log_s, own = _negatives_weight(scores)
    gain = (log_s + logsigmoid(own - scores)).logsumexp(dim=1)
    return l2 * (log_s.exp() * scores.square()).sum(dim=1) - gain


def top1_max(scores: Tensor, _l2: float) -> Tensor:
    """Return TOP1-max of each row, shape (B,): sum_j s_j (sigma(r_j - r_i) + sigma(r_j^2)).

    Parameters are those of `bpr_max`; the second is not used, as the loss has its own regulariser.
    """
    log_s, own = _negatives_weight(scores)
    return (log_s.exp() * ((scores - own).sigmoid() + scores.square().sigmoid())).sum(dim=1)


class GRU4RecNet(nn.Module):
    """Items -> GRU -> scores, from a second embedding of items and a bias."""

    def __init__(self, n_items: int, model: GRU4RecPlus) -> None:
        super().__init__()
        dim = model.hidden_dim
        self.final_elu = model.final_elu
        self.item = nn.Embedding(n_items, dim)
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.dropout = nn.Dropout(model.dropout)
        self.output = nn.Embedding(n_items, dim)
        self.bias = nn.Parameter(torch.zeros(n_items))
        for table in (self.item, self.output):  # as in NeuRec
            nn.init.trunc_normal_(table.weight, std=0.01, a=-0.02, b=0.02)
        for name, parameter in self.gru.named_parameters():
            for gate in parameter.data.chunk(3):  # reset, update, candidate
                if name.startswith("bias"):
                    nn.init.zeros_(gate)
                else:
                    nn.init.xavier_uniform_(gate)
            if name == "bias_ih_l0":
                nn.init.constant_(parameter.data[: 2 * dim], model.gate_bias)

    def forward(self, s: Tensor, before: Tensor | None = None) -> Tensor:
        """Return the hidden state after each item of s, shape (B, T, H).

        Parameters
        ----------
        s : int64 tensor, shape (B, T)
            Items, oldest first.
        before : float tensor, shape (B, H), optional
            The state before the first item; None: zero.
        """
        h, _ = self.gru(self.item(s), None if before is None else before[None])
        return self.dropout(h)

    def scores(self, h: Tensor, item: Tensor) -> Tensor:
        """Return the scores in the loss of some items, shape (B, n), for states h, shape (B, H)."""
        scores = torch.addmm(self.bias[item], h, self.output(item).T)
        return elu(scores, self.final_elu) if self.final_elu else scores

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the scores after the last item of each history, shape (B, I) or (B, C)."""
        device = self.bias.device
        s = to_device(queries.history.sequences(), device)
        length = to_device(queries.history.counts, device)
        last = [
            self(part)[torch.arange(len(part), device=device), (n - 1).clamp(min=0)]
            for part, n in zip(s.split(SCORED_USERS), length.split(SCORED_USERS), strict=True)
        ]
        h = torch.cat(last) * (length > 0)[:, None]  # without a history: the GRU's initial state
        return picked(torch.addmm(self.bias, h, self.output.weight.T), queries)


MODEL = GRU4RecPlus
