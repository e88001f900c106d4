"""CDAE: Wu et al., "Collaborative Denoising Auto-Encoders for Top-N ...", WSDM 2016.

**Implements** the model with its variants (hidden and output mapping, tied or untied, square loss
or cross-entropy, with or without the user's vector) and training on sampled negatives; also the
form of Liang et al. 2018: a weighted loss on all items, Adam, unknown users. The title ends in
"Recommender Systems".
**Reference**: jasonyaw/CDAE (authors), commit 9b53519, read for facts. We did not have the paper.
**Deviations**: the code visits users in the order of their numbers, here in a new random order in
every epoch. A negative drawn twice for a user is one step with both gradients, in the code two
steps. With tied weights, a row that is both input and output is regularised for both, in the code
once. The code's logistic loss, ln(1 + exp(-y a)), is the cross-entropy for y = 1 and -1, but the
code passes 0 for negatives, which then have no gradient; its class named cross-entropy expects
probabilities but gets a linear output, and stops. Here the cross-entropy replaces both; the hinge
loss is left out. A batch's loss is a sum over users: an implementation that averages needs `l2` /
`batch_size` in place of `l2`.

Shape letters: B users of a batch, m items of theirs, N negatives for each, I items, H hidden units.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, softplus
from torch.sparse import check_sparse_tensor_invariants

from repro.hyperparameters import Count, Natural, NonNegative, Share
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import Positives, Rows, UserRows, rows_of, to_device, with_negatives
from repro.nn.scoring import picked, scoring
from repro.split import Queries

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "linear": lambda x: x,
}


@dataclass(frozen=True, kw_only=True)
class CDAE:
    """A denoising autoencoder of user rows, with a vector for each user in the hidden layer.

    Where the authors' source and their script for Yelp differ, the defaults are the script's.
    """

    hidden_dim: Count = 50
    """Hidden units (script); the source has 10. [code]"""
    activation: Literal["sigmoid", "tanh", "linear"] = "sigmoid"
    """Of the hidden layer. [code]"""
    output_activation: Literal["linear", "sigmoid", "tanh"] = "linear"
    """Of the output, before the loss; the cross-entropy adds a sigmoid of its own. [code]"""
    tied: bool = False
    """Decode with the encoder's weights; the paper has two matrices, the script tries both.
    [paper]"""
    user_vector: bool = True
    """Add a vector per user to the hidden layer. [paper; code]"""
    dropout: Share = 0.5
    """Share of a user's items dropped from the input (source); 1: no input, also when scoring.
    [code]"""
    scaled: bool = True
    """Divide the rest of the input by 1 - dropout. [code]"""
    loss: Literal["cross_entropy", "square"] = "cross_entropy"
    """The script tries both; the source's own default is the logistic loss, see Deviations. [code;
    ours]"""
    all_items: bool = False
    """Take the loss over all items instead of the positives and their sampled negatives. [code]"""
    n_negatives: Count = 5
    """For each positive, drawn again in every epoch (script); none are drawn with `all_items`.
    [code; if all_items=false]"""
    positive_weight: NonNegative = 1.0
    """Of a positive's loss, where a zero has weight 1; used by Liang et al. with all items.
    [code]"""
    optimizer: Literal["adagrad", "adam"] = "adagrad"
    """AdaGrad is the authors' (source), Adam that of Liang et al. [code]"""
    learning_rate: NonNegative = 0.1
    """Of either optimiser; AdaGrad's in the source. [code]"""
    beta: NonNegative = 1.0
    """AdaGrad adds it to the root of the summed squares, which start at 0.0001. [code]"""
    l2: NonNegative = 0.01
    """Strength of half the squared norm. [code]"""
    l2_on: Literal["touched", "all"] = "touched"
    """What is regularised in an update: each row as often as it is used, or all weights once.
    [code]"""
    init_scale: NonNegative = 4.0
    """Weights and vectors start uniform within this times sqrt(6 / (I + H)). [code]"""
    stranger_steps: Natural = 0
    """Adam steps that fit the vector of a user unknown to training, on the history's loss over all
    items and with the network fixed; with 0 that vector is zero. [ours]"""
    stranger_learning_rate: NonNegative = 0.1
    """Of those steps. [ours; if stranger_steps]"""
    batch_size: Count = 1
    """Users whose gradients are added up for one update. [code]"""
    n_epochs: Natural = 50
    """As in the authors' program for Yelp. [code]"""

    @property
    def USER_VECTORS(self) -> bool:  # noqa: N802 - the contract's name; it depends on the variant
        """Whether scores rest on vectors that only a user's own training rows change."""
        return self.user_vector and not self.all_items

    def epochs(self, train: Interactions, run: Run) -> Iterator["CDAENet"]:
        """Reconstruct every user's row from a corrupted copy, once per epoch."""
        if not self.all_items:
            train = with_negatives(train)
        net = CDAENet(train, self).to(run.device)
        optimizer = self._optimizer(net)
        batches = UserRows(train, self.batch_size, run.device)
        positives = None if self.all_items else Positives(train, self.batch_size, run.device)
        for _ in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            if positives:
                users = positives.user.repeat_interleave(self.n_negatives)
                negatives = positives.negatives(users).view(-1, self.n_negatives)  # (n, N)
            for x in batches:
                drawn = negatives[places(x, batches.all)] if positives else None  # (m, N)
                loss = net.loss(x, drawn)
                optimizer.zero_grad()
                loss.backward()
                with check_sparse_tensor_invariants(False):  # else torch warns about its default
                    optimizer.step()
                run.log(loss=loss / len(x.user))
            yield net

    def _optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        params, decay = net.parameters(), self.l2 if self.l2_on == "all" else 0.0
        if self.optimizer == "adam":
            return torch.optim.Adam(params, self.learning_rate, weight_decay=decay, fused=True)
        return torch.optim.Adagrad(
            params, self.learning_rate, 0.0, decay, initial_accumulator_value=1e-4, eps=self.beta
        )


def places(x: Rows, every: Rows) -> Tensor:
    """Return the places of a batch's entries among those of all users, shape (m,)."""
    within = torch.arange(len(x.row), device=x.row.device) - x.start[x.row]
    return every.start[x.user][x.row] + within


class CDAENet(nn.Module):
    """Items and user -> hidden layer -> items, and the loss."""

    def __init__(self, train: Interactions, model: CDAE) -> None:
        super().__init__()
        self.model = model
        # Only touched rows have gradients: AdaGrad changes no other row.
        sparse = model.optimizer == "adagrad" and model.l2_on == "touched" and not model.all_items
        n_items, width = train.n_items, model.hidden_dim
        self.encoder = nn.Embedding(n_items, width, sparse=sparse)
        self.decoder = self.encoder
        if not model.tied:
            self.decoder = nn.Embedding(n_items, width, sparse=sparse)
        self.vector = (
            nn.Embedding(train.n_users, width, sparse=sparse) if model.user_vector else None
        )
        self.hidden_bias = nn.Parameter(torch.zeros(width))
        self.item_bias = nn.Embedding(n_items, 1, sparse=sparse)
        bound = model.init_scale * (6.0 / (n_items + width)) ** 0.5
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            else:
                nn.init.uniform_(parameter, -bound, bound)

    def corrupted(self, x: Rows) -> Tensor:
        """Return the input's values after dropout, shape (m,); when scoring, all are 1."""
        share = self.model.dropout
        if not self.training and share < 1.0:
            return torch.ones(len(x.item), device=x.item.device)
        left = (torch.rand(len(x.item), device=x.item.device) >= share).float()
        return left / (1.0 - share) if self.model.scaled and share < 1.0 else left

    def encode(self, x: Rows, value: Tensor, vector: Tensor) -> Tensor:
        """Return the hidden layer, shape (B, H), of rows, their values and the users' vectors."""
        weight, sparse = self.encoder.weight, self.encoder.sparse
        summed = embedding_bag(
            x.item, weight, x.start, mode="sum", sparse=sparse, per_sample_weights=value
        )
        return ACTIVATIONS[self.model.activation](summed + self.hidden_bias + vector)

    def decode(self, hidden: Tensor) -> Tensor:
        """Return the outputs of all items before their activation, shape (B, I)."""
        return hidden @ self.decoder.weight.T + self.item_bias.weight[:, 0]

    def cell(self, output: Tensor, truth: float) -> Tensor:
        """Return the loss of every output, of any shape, for a truth of 0 or 1."""
        y = ACTIVATIONS[self.model.output_activation](output)
        if self.model.loss == "square":
            return (truth - y).square()
        return softplus(y) - truth * y

    def loss(self, x: Rows, negatives: Tensor | None) -> Tensor:
        """Return the loss of a batch, summed over its users.

        Parameters
        ----------
        x : Rows
            The rows of B users; the input is corrupted here.
        negatives : int64 tensor, shape (m, N), optional
            Items drawn for each entry; None: every other item, once.
        """
        value, n_users = self.corrupted(x), len(x.user)
        vector = self.vector(x.user) if self.vector else self.hidden_bias.new_zeros(())
        hidden = self.encode(x, value, vector)
        if negatives is None:
            loss = self.loss_of_all(hidden, x).sum()
            v, bias = self.decoder.weight, self.item_bias.weight
            used = n_users * (v.square().sum() + bias.square().sum())
        else:
            loss, used = self.loss_of_drawn(hidden, x, negatives)
        if self.model.l2_on == "touched":
            used = used + (self.encoder(x.item).square().sum(dim=1) * (value > 0)).sum()
            used = used + vector.square().sum() + n_users * self.hidden_bias.square().sum()
            loss = loss + 0.5 * self.model.l2 * used
        return loss

    def loss_of_drawn(self, hidden: Tensor, x: Rows, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss over positives and negatives, and the squared norm of the rows used."""
        row = torch.cat([x.row, x.row.repeat_interleave(drawn.shape[1])])  # (m + m N,)
        item = torch.cat([x.item, drawn.flatten()])
        v, bias = self.decoder(item), self.item_bias(item)[:, 0]
        output = (embedding(row, hidden) * v).sum(dim=1) + bias
        ones, zeros = output.tensor_split([len(x.item)])
        loss = self.model.positive_weight * self.cell(ones, 1.0).sum() + self.cell(zeros, 0.0).sum()
        return loss, v.square().sum() + bias.square().sum()

    def loss_of_all(self, hidden: Tensor, x: Rows, zero_weight: float | Tensor = 1.0) -> Tensor:
        """Return each user's loss over all items, shape (B,); a zero weight may be per user."""
        output = self.decode(hidden)  # (B, I)
        at_ones = output[x.row, x.item]
        zeros = self.cell(output, 0.0).sum(dim=1).index_add(0, x.row, -self.cell(at_ones, 0.0))
        ones = self.model.positive_weight * self.cell(at_ones, 1.0)
        return (zero_weight * zeros).index_add(0, x.row, ones)

    def stranger_vectors(self, x: Rows, value: Tensor) -> Tensor:
        """Return vectors for unknown users, fitted to their histories, shape (B, H)."""
        model = self.model
        shape = len(x.user), model.hidden_dim
        vector = torch.zeros(shape, device=x.item.device, requires_grad=True)
        zero_weight: float | Tensor = 1.0
        if not model.all_items:  # the expected weight of a zero over all draws
            zero_weight = model.n_negatives * x.count / (x.n_items - x.count).clamp(min=1)
        adam = torch.optim.Adam([vector], model.stranger_learning_rate)
        for _ in range(model.stranger_steps):
            with torch.enable_grad():
                loss = self.loss_of_all(self.encode(x, value, vector), x, zero_weight).sum()
                loss = loss + 0.5 * model.l2 * vector.square().sum()
            adam.zero_grad()
            loss.backward(inputs=[vector])
            adam.step()
        return vector.detach()

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the outputs for whole histories, shape (B, I) or (B, C).

        The output's activation is left out: it changes no order.
        """
        x = rows_of(queries.history, self.hidden_bias.device)
        value, vector = self.corrupted(x), self.hidden_bias.new_zeros(())
        if self.vector:
            number = to_device(queries.user, x.item.device)
            vector, known = self.vector(number.clamp(min=0)), (number >= 0)[:, None]
            strange = self.stranger_vectors(x, value) if (queries.user < 0).any() else vector
            vector = torch.where(known, vector, strange)
        return picked(self.decode(self.encode(x, value, vector)), queries)


MODEL = CDAE
