"""BERT4Rec: Sun et al., "Sequential Recommendation with Bidirectional Encoder ...", CIKM 2019.

**Implements** Section 3: a bidirectional Transformer that fills in masked items (the Cloze task),
and at test time a mask after the newest item.
**Reference**: FeiSun/BERT4Rec, commit b5a1c2e (authors), read for facts.
**Deviations**: masks are drawn again in every epoch; the code draws ten per sequence once and
repeats them. Its cap on masks per sequence, 40 at length 200, is what a rate of 0.2 gives and is
left out. The softmax is over the items; the code's has four more entries. The code's segment
embedding, the same everywhere, is part of the position embeddings. Adam corrects the bias of its
moments, the code's does not. The output layer normalises after its GELU, as in the code but not in
Eq. 7. An epoch is one pass over all copies. Where no training sequence fills max_len, the code
never trains the positions beyond the longest one, and at test time puts the mask there. Here there
are only as many positions as the longest window has, so the mask is on a trained one, if necessary
in place of the oldest item.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

from repro.errors import UnsupportedError
from repro.hyperparameters import Count, Dropout, Natural, NonNegative, Positive, Share
from repro.interactions import Interactions
from repro.model import Memory, Run
from repro.nn.batches import to_device
from repro.nn.scoring import picked, scoring
from repro.split import Queries

CPU_PIECE = 32  # sequences of similar length that a CPU handles at a time: a quarter of the padding
SCORED_USERS = 256  # at a time: their activations fit into memory


@dataclass(frozen=True, kw_only=True)
class BERT4Rec:
    """A bidirectional Transformer that predicts masked items from both sides."""

    embedding_dim: Count = 64
    """Of items, positions and hidden layers. [paper]"""
    n_layers: Natural = 2
    """Transformer layers. [paper 4.3]"""
    n_heads: Count = 2
    """Attention heads (Section 4.3); the code has 4 at width 128, so that a head is 32 wide. [paper
    4.3]"""
    inner_dim: Count = 256
    """Of the feed-forward layers: four times the width. [paper]"""
    dropout: Dropout = 0.2
    """Of embeddings and of both parts of a layer; the code's for ML-1M, where it has 0.5 at width
    128. [code]"""
    attention_dropout: Dropout = 0.2
    """Of the attention weights. [code]"""
    mask_rate: Share = 0.2
    """Share of a sequence that is masked, at least one item; 0.2 for MovieLens. [paper 4.3]"""
    max_len: Count = 200
    """Items in a window; a longer sequence has several. At test time the mask takes one place.
    [paper 4.3]"""
    window_step: Share = 0.5
    """From one window to the next, as a share of max_len. [code]"""
    n_copies: Natural = 10
    """How often each window is masked in an epoch. [code]"""
    mask_last: bool = True
    """Add a copy of which only the last item is masked, as at test time. [paper 3.6]"""
    average: Literal["batch", "sequence"] = "batch"
    """Average the loss over a mini-batch's masks (code), or first over each sequence's (Eq. 8).
    [code; not paper Eq. 8]"""
    learning_rate: NonNegative = 0.0001
    """Falls linearly to 0 over the run. [paper 4.3]"""
    warmup_steps: Natural = 100
    """Updates in which the learning rate rises from 0. [code]"""
    weight_decay: NonNegative = 0.01
    """Decoupled; biases and normalisation layers have none. [code]"""
    max_norm: Positive = 5.0
    """The gradient of all weights together is clipped to this norm. [paper 4.3]"""
    batch_size: Count = 256
    """Copies of windows. [code]"""
    n_epochs: Natural = 905
    """These are the code's 400,000 updates on ML-1M. [code]"""

    def memory(self, train: Interactions) -> Memory:
        """Return the need: all lists, padded to the longest, and windows cut from them.

        Measured with a list of 3,006 items: 9.7 U T bytes for 20,000 users, 9.6 for 60,000.
        """
        beyond = int(np.maximum(train.counts - self.max_len, 0).sum())
        n_windows = train.n_users + beyond // max(1, int(self.window_step * self.max_len))
        windows = 24 * n_windows * min(self.max_len, train.longest)
        padded = train.sequence_bytes()
        return Memory(process=padded + windows, device=windows)

    def epochs(self, train: Interactions, run: Run) -> Iterator["BERT4RecNet"]:
        """Train on all copies of the users' windows once per epoch."""
        if not train.ordered:
            raise UnsupportedError(
                "BERT4Rec needs interactions ordered in time, and this dataset's are not"
            )
        batches = Cloze(train, self, run.device)
        net = BERT4RecNet(train.n_items, batches.longest, self).to(run.device)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in net.parameters() if p.dim() > 1]},
            {"params": [p for p in net.parameters() if p.dim() == 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, eps=1e-6, weight_decay=self.weight_decay, fused=True)
        n_steps = self.n_epochs * len(batches)
        for epoch in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            for step, pieces in enumerate(batches, start=epoch * len(batches)):
                for group in optimizer.param_groups:
                    group["lr"] = self.learning_rate * schedule(step, n_steps, self.warmup_steps)
                optimizer.zero_grad()
                total = torch.zeros((), device=run.device)
                for x in pieces:
                    loss = net.loss(x)
                    loss.backward()
                    total += loss.detach()
                nn.utils.clip_grad_norm_(net.parameters(), self.max_norm)
                optimizer.step()
                run.log(loss=total)
            yield net


def schedule(step: int, n_steps: int, warmup: int) -> float:
    """Return an update's share of the learning rate: up from 0, then down to 0."""
    return step / warmup if step < warmup else 1.0 - step / n_steps


@dataclass(frozen=True, eq=False)
class Masked:
    """Sequences with some items masked; m masks in all."""

    item: Tensor  # (B, T) items, oldest first, and masks; arbitrary after a sequence's end
    there: Tensor  # (B, T) where a sequence has items
    hidden: Tensor  # (m,) the masks' places in the flattened (B, T)
    target: Tensor  # (m,) the items under the masks
    weight: Tensor  # (m,) their weights in the loss, which sum to 1 over a mini-batch


class Cloze:
    """All copies of the users' windows once per epoch; the losses of a batch's pieces add up."""

    def __init__(self, train: Interactions, model: BERT4Rec, device: torch.device) -> None:
        self.model, self.mask, self.device = model, train.n_items, device
        users = np.flatnonzero(train.counts)
        step = max(1, int(model.window_step * model.max_len))
        beyond = np.maximum(train.counts[users] - model.max_len, 0)
        n_windows = -(-beyond // step) + 1  # the first has the newest items, the last the oldest
        user = np.repeat(users, n_windows)
        nth = np.arange(len(user)) - np.repeat(n_windows.cumsum() - n_windows, n_windows)
        start = np.maximum(np.repeat(beyond, n_windows) - nth * step, 0)
        length = np.minimum(train.counts[user], model.max_len)
        sequence = train.sequences()
        self.longest = int(length.max())
        place = (start[:, None] + np.arange(self.longest)).clip(max=sequence.shape[1] - 1)
        self.window = to_device(sequence[user[:, None], place], device)  # (windows, T)
        self.length = torch.from_numpy(length)  # on the CPU: sizes are known without waiting
        self.n = len(user) * (model.n_copies + model.mask_last)  # the last copy masks last items
        self.piece = CPU_PIECE if device.type == "cpu" else model.batch_size

    def __len__(self) -> int:
        """Return the mini-batches of an epoch."""
        return -(-self.n // self.model.batch_size)

    def __iter__(self) -> Iterator[list[Masked]]:
        for copy in torch.randperm(self.n).split(self.model.batch_size):
            copy = copy[self.length[copy % len(self.length)].argsort()]  # pieces of similar length
            window, last = copy % len(self.length), copy >= self.model.n_copies * len(self.length)
            n_masks = (self.length[window] * self.model.mask_rate + 0.5).long().clamp(min=1)
            n_masks = torch.where(last, 1, n_masks)
            per_batch = self.model.average == "batch"
            weight = 1.0 / (n_masks.sum().expand(len(copy)) if per_batch else n_masks * len(copy))
            parts = (x.split(self.piece) for x in (window, last, n_masks, weight))
            yield [self.masked(*part) for part in zip(*parts, strict=True)]

    def masked(self, window: Tensor, last: Tensor, n_masks: Tensor, weight: Tensor) -> Masked:
        """Return windows masked at random places, or at the last; arguments are (B,), on CPU."""
        longest = int(self.length[window].max())
        row = torch.arange(len(window)).repeat_interleave(n_masks)  # (m,)
        nth = torch.arange(len(row)) - (n_masks.cumsum(0) - n_masks)[row]
        weight, row, nth = weight[row].to(self.device), row.to(self.device), nth.to(self.device)
        item = self.window[window.to(self.device), :longest]  # (B, T)
        end = self.length[window].to(self.device)[:, None]
        place = torch.arange(longest, device=self.device)
        draw = torch.rand(item.shape, device=self.device)
        draw = draw.masked_fill(last.to(self.device)[:, None] & (place == end - 1), -1.0)
        order = draw.masked_fill(place >= end, 2.0).argsort(dim=1)
        hidden = row * longest + order[row, nth]
        target, masks = item.flatten()[hidden], item.flatten().index_fill(0, hidden, self.mask)
        return Masked(masks.view_as(item), place < end, hidden, target, weight)


class Block(nn.Module):
    """Self-attention over the whole sequence and a feed-forward layer (Section 3.3)."""

    def __init__(self, model: BERT4Rec) -> None:
        super().__init__()
        dim, self.n_heads = model.embedding_dim, model.n_heads
        self.attention_dropout = model.attention_dropout
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.mix = nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, model.inner_dim), nn.Linear(model.inner_dim, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=1e-12) for _ in range(2))
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Return the output for x, both of shape (B, T, D); padding is not attended to."""
        qkv = self.query_key_value(x).unflatten(2, (3, self.n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, T, D / heads) each
        p = self.attention_dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None], dropout_p=p)
        x = self.norms[0](x + self.dropout(self.mix(mixed.transpose(1, 2).flatten(2))))
        return self.norms[1](x + self.dropout(self.down(gelu(self.up(x)))))


class BERT4RecNet(nn.Module):
    """Items and positions -> blocks -> GELU layer -> product with the items' embeddings."""

    def __init__(self, n_items: int, n_positions: int, model: BERT4Rec) -> None:
        super().__init__()
        dim = model.embedding_dim
        self.item = nn.Embedding(n_items + 1, dim)  # the last is the mask
        self.position = nn.Embedding(n_positions, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(model.dropout)
        self.blocks = nn.ModuleList([Block(model) for _ in range(model.n_layers)])
        self.output = nn.Linear(dim, dim)
        self.output_norm = nn.LayerNorm(dim, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(n_items))
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.trunc_normal_(parameter, std=0.02, a=-0.04, b=0.04)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, item: Tensor, there: Tensor) -> Tensor:
        """Return the hidden state at every place, shape (B, T, D), of items of shape (B, T)."""
        x = self.dropout(self.norm(self.item(item) + self.position.weight[: item.shape[1]]))
        for block in self.blocks:
            x = block(x, there)
        return x

    def logits(self, h: Tensor) -> Tensor:
        """Return the items' logits, shape (m, I), for hidden states of shape (m, D) (Eq. 7)."""
        h = self.output_norm(gelu(self.output(h)))
        return torch.addmm(self.bias, h, self.item.weight[:-1].T)

    def loss(self, x: Masked) -> Tensor:
        """Return the weighted negative log-likelihood of the masked items (Eq. 8)."""
        logits = self.logits(self(x.item, x.there).flatten(0, 1)[x.hidden])
        return (x.weight * cross_entropy(logits, x.target, reduction="none")).sum()

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the logits of a mask after each history, shape (B, I) or (B, C)."""
        device = self.bias.device
        sequence = to_device(queries.history.sequences(), device)
        counts = to_device(queries.history.counts, device)
        longest = self.position.num_embeddings
        place = torch.arange(min(sequence.shape[1] + 1, longest), device=device)
        logits = []
        for s, n in zip(sequence.split(SCORED_USERS), counts.split(SCORED_USERS), strict=True):
            last = n.clamp(max=longest - 1)[:, None]  # where the mask goes
            read = place + n[:, None] - last  # the newest items, if there are more than fit
            item = s.gather(1, read.clamp(max=s.shape[1] - 1))
            item = item.masked_fill(place == last, self.item.num_embeddings - 1)
            h = self(item, place <= last)
            logits.append(self.logits(h[torch.arange(len(s), device=device), last[:, 0]]))
        return picked(torch.cat(logits), queries)


MODEL = BERT4Rec
