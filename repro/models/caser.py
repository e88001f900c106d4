"""Caser: Tang & Wang, "Personalized Top-N Sequential Recommendation", WSDM 2018.

**Implements** Section 3: horizontal and vertical convolutions over the last L items, seen as an
image, joined with the user's general taste; the next T items are the targets.
**Reference**: graytowne/caser_pytorch (authors), commit c4e10e4, and wubinzzu/NeuRec (the framework
of ACVAE's table), versions 2 (commit 9e9391b) and 3 (commit 28f192c), read for facts.
**Deviations** from the paper, as in all three: the two terms of the loss are averaged, not added
up; three negatives are drawn per window, not per target; vertical filters have a bias; both
activations are ReLU, where the paper searches for them. From the authors' code: it trains the
padding of a short sequence like an item, also as a target, and NeuRec 3 like an item; here, as in
NeuRec 2, padding is a zero without gradient. NeuRec 2, and NeuRec 3 on TensorFlow, also differ in
`l2_on` and `bias_at_test`. NeuRec 2 starts from Glorot's uniform weights; here, as in the authors'
code, the embedding tables start normal with standard deviation 1 / width (NeuRec 3: 0.01), the rest
as in PyTorch. NeuRec 3 leaves out users with at most T items; here they are trained on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from repro.errors import UnsupportedError
from repro.hyperparameters import Count, Dropout, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Memory, Run
from repro.nn.batches import Positives, to_device, with_negatives
from repro.nn.scoring import known_users, picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class Caser:
    """Convolutions over the embeddings of the last items, joined with a user embedding."""

    embedding_dim: Count = 50
    """The paper's d. [code]"""
    history_len: Count = 5
    """The paper's L: how many of the last items are read. [code]"""
    n_targets: Count = 3
    """The paper's T: how many of the next items are predicted. [code]"""
    n_vertical: Natural = 4
    """Vertical filters. [code]"""
    n_horizontal: Natural = 16
    """Horizontal filters of each height from 1 to L. [code]"""
    dropout: Dropout = 0.5
    """Of the convolutions' output. [code]"""
    n_negatives: Count = 3
    """Per window, drawn again in every epoch. [code]"""
    learning_rate: NonNegative = 0.001
    """Adam's. [code]"""
    batch_size: Count = 512
    """Windows; 256 in NeuRec 2. [code]"""
    l2: NonNegative = 1e-6
    """Times half the squared norm, added to the loss of every batch; 0.001 in NeuRec 2. [code]"""
    l2_on: Literal["all", "tables"] = "all"
    """"all": every weight. "tables": the embeddings of users and items and the item biases, but not
    the layers between (NeuRec 2, and NeuRec 3 on TensorFlow). [code]"""
    bias_at_test: bool = True
    """Whether scores contain the item bias. NeuRec 2, and NeuRec 3 on TensorFlow, train it and
    leave it out of the scores. [code]"""
    n_epochs: Natural = 50
    """1000 in NeuRec 2, 500 in NeuRec 3. [code]"""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def memory(self, train: Interactions) -> Memory:
        """Return the need: all lists, padded to the longest, and a copy while they are read.

        Measured with a list of 3,006 items: 17.4 U T bytes for 20,000 users, 16.5 for 60,000.
        """
        padded = train.sequence_bytes()
        return Memory(process=2 * padded, device=padded)

    def epochs(self, train: Interactions, run: Run) -> Iterator["CaserNet"]:
        """Train on every window of L + T items once per epoch."""
        if not train.ordered:
            raise UnsupportedError(
                "Caser needs interactions ordered in time, and this dataset's are not"
            )
        net = CaserNet(train, self).to(run.device)
        optimizer = self._adam(net)
        windows = Windows(train, self, run.device)
        for _ in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            for u, before, after, negative in windows:
                logits = net(u, before, torch.cat([after, negative], dim=1))  # (B, T + C)
                positive = -logsigmoid(logits[:, : self.n_targets]).mean()
                loss = positive - logsigmoid(-logits[:, self.n_targets :]).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(loss=loss)
            yield net

    def _adam(self, net: "CaserNet") -> torch.optim.Optimizer:
        """Return Adam, whose weight decay is the gradient of l2 / 2 times the squared norm."""
        tables = nn.ModuleList([net.user, net.item, net.output, net.bias])
        layers = nn.ModuleList([net.vertical, net.horizontal, net.full])
        on_layers = self.l2 if self.l2_on == "all" else 0.0
        groups = [
            {"params": tables.parameters(), "weight_decay": self.l2},
            {"params": layers.parameters(), "weight_decay": on_layers},
        ]
        return torch.optim.Adam(groups, self.learning_rate, fused=True)


def window(sequence: Tensor, row: Tensor, end: Tensor, size: int, pad: int) -> Tensor:
    """Return the items before a place in a sequence, shape (B, size).

    Parameters
    ----------
    sequence : int64 tensor, shape (U, T)
        Items, oldest first.
    row : int64 tensor, shape (B,)
        Whose sequences.
    end : int64 tensor, shape (B,)
        The place after the last item to return.
    size : int
        How many items.
    pad : int
        Number that fills the front where a sequence has fewer items.
    """
    place = end[:, None] + torch.arange(-size, 0, device=end.device)
    item = sequence[row[:, None], place.clamp(min=0)]
    return item.masked_fill(place < 0, pad)


class Windows:
    """Sliding windows of L + T items; a shorter sequence has one window, padded in front.

    Parameters
    ----------
    train : Interactions
        Each user's rows oldest first.
    model : Caser
        Sizes.
    device : torch.device
        Where.
    """

    def __init__(self, train: Interactions, model: Caser, device: torch.device) -> None:
        train = with_negatives(train)
        self.model = model
        self.size = model.history_len + model.n_targets
        self.pad = train.n_items
        self.sequence = to_device(train.sequences(), device)
        end = train.position + 1
        keep = np.flatnonzero((end >= self.size) | (end == train.counts[train.user]))
        self.user = to_device(train.user[keep], device)
        self.end = to_device(end[keep], device)
        self.positives = Positives(train, model.batch_size, device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield users (B,), their items (B, L), the next items (B, T), and negatives (B, C)."""
        n, c = len(self.user), self.model.n_negatives
        negative = self.positives.negatives(self.user.repeat_interleave(c)).view(n, c)
        order = torch.randperm(n, device=self.user.device)
        for index in order.split(self.model.batch_size):
            u = self.user[index]
            items = window(self.sequence, u, self.end[index], self.size, self.pad)
            length = self.model.history_len
            yield u, items[:, :length], items[:, length:], negative[index]


class CaserNet(nn.Module):
    """L items -> vertical and horizontal filters -> z; (z, user) times an item embedding."""

    def __init__(self, train: Interactions, model: Caser) -> None:
        super().__init__()
        self.model = model
        n, dim, length = train.n_items, model.embedding_dim, model.history_len
        self.pad = n
        self.user = nn.Embedding(train.n_users, dim)
        self.item = nn.Embedding(n + 1, dim, padding_idx=n)
        self.vertical = nn.Linear(length, model.n_vertical)  # over the items of one dimension
        self.horizontal = nn.ModuleList(
            nn.Conv1d(dim, model.n_horizontal, height) for height in range(1, length + 1)
        )
        self.full = nn.Linear(model.n_vertical * dim + model.n_horizontal * length, dim)
        self.dropout = nn.Dropout(model.dropout)
        self.output = nn.Embedding(n + 1, 2 * dim, padding_idx=n)
        self.bias = nn.Embedding(n + 1, 1, padding_idx=n)
        for table in (self.user, self.item, self.output):
            nn.init.normal_(table.weight, std=1 / table.embedding_dim)
        nn.init.zeros_(self.bias.weight)
        with torch.no_grad():
            self.item.weight[n] = 0.0
            self.output.weight[n] = 0.0  # so a target that is padding has no gradient

    def taste(self, u: Tensor, before: Tensor) -> Tensor:
        """Return the vectors that score items as products with their weights, shape (B, 2 D).

        Parameters
        ----------
        u : int64 tensor, shape (B,)
            Users.
        before : int64 tensor, shape (B, L)
            Their last items, padded in front.
        """
        E = self.item(before).transpose(1, 2).contiguous()  # (B, D, L), as convolutions need it
        vertical = self.vertical(E).flatten(1)  # (B, D * filters): a weighted sum over the items
        horizontal = [torch.relu(filters(E)).amax(dim=2) for filters in self.horizontal]
        o = torch.cat([vertical, *horizontal], dim=1)
        z = torch.relu(self.full(self.dropout(o)))  # (B, D)
        return torch.cat([z, self.user(u)], dim=1)

    def forward(self, u: Tensor, before: Tensor, items: Tensor) -> Tensor:
        """Return the logits of some items, shape (B, C), for users and their last items."""
        x = self.taste(u, before)
        return (self.output(items) * x[:, None]).sum(dim=2) + self.bias(items)[:, :, 0]

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C)."""
        device = self.user.weight.device
        u = known_users(queries, device, "Caser")
        sequence = to_device(queries.history.sequences(), device)
        end = to_device(queries.history.counts, device)
        row = torch.arange(len(u), device=device)
        before = window(sequence, row, end, self.model.history_len, self.pad)
        scores = self.taste(u, before) @ self.output.weight[:-1].T
        if self.model.bias_at_test:
            scores += self.bias.weight[:-1, 0]
        return picked(scores, queries)


MODEL = Caser
