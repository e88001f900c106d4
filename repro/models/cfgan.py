"""CFGAN: Chae et al., "CFGAN: A Generic Collaborative Filtering Framework", CIKM 2018.

**Implements** the model that the paper evaluates: no noise, and the purchase vector itself as the
condition; user and item mode; zero-reconstruction (ZR), partial masking (PM) and both (ZP).
**Reference**: Bigdasgit/CFGAN (authors), commit cf04729, and wubinzzu/NeuRec, version 2, commit
9e9391b (ACVAE's table), read for facts: widths, initialisation, order of the steps. We did not have
the paper.
**Deviations** are fields where sources disagree: in the paper, as rectorch quotes it, the generator
minimises ln(1 - D), in both codes -ln D (`objective`). NeuRec also pulls the positives to zero
(`zr_positives`). Both codes make n_epochs / generator_steps rounds; here n_epochs counts rounds:
their 1000 on ML-100K is 250. Both draw the zeros once per round. The authors first seed with the
clock's second each time, so that N_ZR and N_PM are mostly the same set where their shares are
equal; here each is drawn independently for every update. A vector without ones is scored but not
trained on.

Shape letters: below, "users" are the rows that are generated. In item mode these are the items, and
the items below are the users.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from repro.hyperparameters import Count, Layers, Natural, NonNegative, Share
from repro.interactions import Interactions, from_rows
from repro.model import Run, Scorer
from repro.nn.batches import Rows, UserRows, rows_of
from repro.nn.layers import sparse_product
from repro.nn.scoring import known_users, picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class CFGAN:
    """A GAN that generates whole purchase vectors, either of users or of items.

    The defaults are the authors' for MovieLens 1M (code).
    """

    mode: Literal["item", "user"] = "item"
    """Whose vectors are generated: every item's over the users, or every user's over the items.
    [code]"""
    scheme: Literal["zp", "zr", "pm"] = "zp"
    """Zero-reconstruction, partial masking, or both ("zp"). [code]"""
    zr_share: Share = 0.9
    """Share of a vector's zeros that the generator must reconstruct (N_ZR). [code]"""
    zr_weight: NonNegative = 0.03
    """Alpha: weight of these zeros' squared errors, summed over the vector. [code]"""
    zr_positives: bool = False
    """Whether the positives are pulled to zero as well, as in NeuRec. [code]"""
    pm_share: Share = 0.9
    """Share of the zeros that the discriminator sees besides the positives (N_PM). [code]"""
    objective: Literal["non_saturating", "minimax"] = "non_saturating"
    """What the generator minimises: -ln D (code) or ln(1 - D) (paper). [code; not paper]"""
    generator_hidden_dims: Layers = (300,)
    """Of the generator; sigmoid units. [code]"""
    generator_learning_rate: NonNegative = 0.0001
    """Of the generator's Adam. [code]"""
    generator_l2: NonNegative = 0.001
    """Strength of half the squared norm of all weights and biases. [code]"""
    generator_batch_size: Count = 256
    """Vectors in an update of the generator. [code]"""
    generator_steps: Natural = 1
    """Passes over all vectors in a round. [code]"""
    discriminator_hidden_dims: Layers = (250,)
    """Of the discriminator; sigmoid units. [code]"""
    discriminator_learning_rate: NonNegative = 0.00005
    """Of the discriminator's Adam. [code]"""
    discriminator_l2: NonNegative = 0.00005
    """Strength of half the squared norm of all the discriminator's weights and biases. [code]"""
    discriminator_batch_size: Count = 512
    """Vectors in an update of the discriminator. [code]"""
    discriminator_steps: Natural = 1
    """Passes over all vectors in a round, before the generator's. [code]"""
    n_epochs: Natural = 1500
    """Rounds; the authors draw from 1475 to 1550. [code]"""

    @property
    def KNOWN_USERS_ONLY(self) -> bool:  # noqa: N802 - the contract's name; it depends on the mode
        """Whether unknown users cannot be scored: in item mode a vector has no entry for them."""
        return self.mode == "item"

    def epochs(self, train: Interactions, run: Run) -> Iterator[Scorer]:
        """Train first the discriminator, then the generator, on every vector in each round."""
        vectors, users = train, self.mode == "user"
        if not users:
            vectors = from_rows(train.item, train.user, train.n_items, train.n_users, ordered=False)
        net = CFGANNet(vectors.n_items, self).to(run.device)
        own = list(net.generator.parameters())
        g_adam = adam(net.generator, self.generator_learning_rate, self.generator_l2)
        d_adam = adam(net.discriminator, self.discriminator_learning_rate, self.discriminator_l2)
        d_batches = UserRows(vectors, self.discriminator_batch_size, run.device)
        g_batches = UserRows(vectors, self.generator_batch_size, run.device)
        for _ in run.epochs(self.n_epochs, net=net, g_adam=g_adam, d_adam=d_adam):
            for _ in range(self.discriminator_steps):
                for x in d_batches:
                    loss = net.discriminator_loss(x)
                    d_adam.zero_grad()
                    loss.backward()
                    d_adam.step()
                    run.log(discriminator=loss)
            for _ in range(self.generator_steps):
                for x in g_batches:
                    loss = net.generator_loss(x)
                    g_adam.zero_grad()
                    loss.backward(inputs=own)  # through the discriminator, not into it
                    g_adam.step()
                    run.log(generator=loss)
            yield net.generator if users else ItemMode.of(net.generator, g_batches.all)


def adam(net: nn.Module, rate: float, l2: float) -> torch.optim.Optimizer:
    """Return Adam with the gradient of the L2 term, which both codes have in the loss."""
    return torch.optim.Adam(net.parameters(), rate, weight_decay=l2, fused=True)


def sampled_zeros(x: Rows, share: float) -> Tensor:
    """Draw zeros of each row without replacement, and return which; bool, shape (B, I).

    Parameters
    ----------
    x : Rows
        B rows.
    share : float
        Share of a row's zeros; their number is rounded down.
    """
    most = int(share * x.n_items)
    device = x.item.device
    if not most:
        return torch.zeros(len(x.count), x.n_items, dtype=torch.bool, device=device)
    wanted = (share * (x.n_items - x.count).double()).long()  # (B,)
    key = torch.rand(len(x.count), x.n_items, device=device)
    # Sorting costs more than the networks. One topk serves rows that need different numbers of
    # zeros: a row that needs k fewer than the most puts k of its ones first.
    within = torch.arange(len(x.row), device=device) - x.start[x.row]
    key[x.row, x.item] = torch.where(within < (most - wanted)[x.row], -1.0, 2.0)
    drawn = key <= key.topk(most, largest=False, sorted=False).values.amax(dim=1, keepdim=True)
    drawn[x.row, x.item] = False
    return drawn


class CFGANNet(nn.Module):
    """Generator and discriminator, and the loss of each."""

    def __init__(self, n_items: int, model: CFGAN) -> None:
        super().__init__()
        self.model = model
        self.generator = Generator(1, n_items, *model.generator_hidden_dims, n_items)
        self.discriminator = Perceptron(2, n_items, *model.discriminator_hidden_dims, 1)

    def seen(self, x: Rows) -> Tensor:
        """Return which generated entries the discriminator sees: e + k, bool, shape (B, I)."""
        mask = sampled_zeros(x, 0.0 if self.model.scheme == "zr" else self.model.pm_share)
        mask[x.row, x.item] = True
        return mask

    def zeroed(self, x: Rows) -> Tensor:
        """Return which entries the generator must reconstruct as zero, bool, shape (B, I)."""
        mask = sampled_zeros(x, self.model.zr_share)
        if self.model.zr_positives:
            mask[x.row, x.item] = True
        return mask

    def discriminator_loss(self, x: Rows) -> Tensor:
        """Return the mean of -ln D(x | x) - ln(1 - D(G(x) masked | x))."""
        with torch.no_grad():
            fake = self.generator(x) * self.seen(x)  # (B, I)
        real, made = self.discriminator(x, x), self.discriminator(x, fake)  # logits, (B, 1) each
        return (softplus(-real) + softplus(made)).mean()

    def generator_loss(self, x: Rows) -> Tensor:
        """Return the mean of the adversarial loss plus alpha times the ZR term."""
        made = self.generator(x)  # (B, I)
        logit = self.discriminator(x, made * self.seen(x))[:, 0]  # (B,)
        loss = -softplus(logit) if self.model.objective == "minimax" else softplus(-logit)
        if self.model.scheme != "pm":
            loss = loss + self.model.zr_weight * (made * self.zeroed(x)).square().sum(dim=1)
        return loss.mean()


class Perceptron(nn.Module):
    """Concatenated inputs -> hidden layers, sigmoid -> linear output; Glorot's weights (code).

    Parameters
    ----------
    n_inputs, n_items : int
        Number of inputs, and I, the entries of each.
    widths : int
        Units of the hidden layers, then of the output; the first is H.
    """

    def __init__(self, n_inputs: int, n_items: int, *widths: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(widths[0]))
        layers = [nn.Linear(before, after) for before, after in pairwise(widths)]
        self.hidden, self.output = nn.ModuleList(layers[:-1]), layers[-1]
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.uniform_(parameter, -0.01, 0.01)
            else:
                nn.init.xavier_uniform_(parameter)
        bound = (6.0 / (n_inputs * n_items + widths[0])) ** 0.5  # all inputs are one layer's
        weights = [torch.empty(n_items, widths[0]).uniform_(-bound, bound) for _ in range(n_inputs)]
        self.weights = nn.ParameterList(weights)

    def encode(self, *inputs: Rows | Tensor) -> Tensor:
        """Return the last hidden layer of inputs, sparse or of shape (B, I)."""
        h: Tensor = self.bias
        for x, weight in zip(inputs, self.weights, strict=True):
            h = h + (sparse_product(x, weight) if isinstance(x, Rows) else x @ weight)  # (B, H)
        for layer in self.hidden:
            h = layer(h.sigmoid())
        return h.sigmoid()

    def forward(self, *inputs: Rows | Tensor) -> Tensor:
        """Return the output, shape (B, I) of the generator, (B, 1) of the discriminator."""
        return self.output(self.encode(*inputs))


class Generator(Perceptron):
    """A condition -> a purchase vector."""

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the vector generated from each history, shape (B, I) or (B, C); user mode."""
        return picked(self(rows_of(queries.history, self.bias.device)), queries)


@dataclass(frozen=True, eq=False)
class ItemMode:
    """Scores known users by their entries in the vectors generated for all items."""

    hidden: Tensor
    """Of all items, shape (I, H); here U and I are users and items again."""
    output: nn.Linear
    """H -> U."""

    @classmethod
    def of(cls, generator: Generator, items: Rows) -> "ItemMode":
        """Return the scorer of a generator and all items' training vectors."""
        with torch.no_grad():
            return cls(generator.encode(items), generator.output)

    @torch.no_grad()
    def score(self, queries: Queries) -> Tensor:
        """Return scores of shape (B, I) or (B, C)."""
        u = known_users(queries, self.hidden.device, "CFGAN")
        scores = self.output.weight[u] @ self.hidden.T + self.output.bias[u, None]
        return picked(scores, queries)


MODEL = CFGAN
