"""ACAE: Yuan et al., "Adversarial Collaborative Neural Network for Robust Recommendation", 2019.

At SIGIR; before, as arXiv 1808.05361, "Adversarial Collaborative Auto-encoder for Top-N
Recommendation".

**Implements** the collaborative auto-encoder with a vector per user, trained alone first and then
with perturbed weights beside its own: of the decoder (ACAE), of the encoder, or of both (FG-ACAE).
**Reference**: bennetyf/RecSys (first author), commit 2637de5, whose settings are for Ciao, and
7e6422f, which has some for MovieLens 1M; read for facts. The paper was not at hand.
**Deviations**: the code takes the gradient at the weights as the batch before perturbed them, here
it is taken at the weights themselves. Its L2 term holds the perturbed weights, here the weights.
It leaves out a full batch of users, and the rest, in every epoch, and keeps the epoch that is best
on *test*; here all users are trained on, and the table's `select` decides. It begins the
adversarial phase with the best auto-encoder; here, where a model sees no validation, it goes on
from the last, which under a `patience` is that many epochs behind the best.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from repro.hyperparameters import Count, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import Rows, UserRows, rows_of
from repro.nn.layers import sparse_product
from repro.nn.scoring import known_users, picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class ACAE:
    """An auto-encoder of user rows that must also reconstruct them with perturbed weights.

    The defaults are the authors' for Ciao (code, commit 2637de5).
    """

    hidden_dim: Count = 200
    """Of the one hidden layer."""
    epsilon: float = 1.0
    """Length of a perturbation, over the whole matrix of weights."""
    encoder_adversarial_weight: NonNegative = 0.0
    """Lambda 1: weight of the loss with the encoder's weights perturbed."""
    decoder_adversarial_weight: NonNegative = 100.0
    """Lambda 2: weight of the loss with the decoder's weights perturbed."""
    l2: NonNegative = 0.015
    """Strength of half the squared norm of all weights, biases and user vectors."""
    optimizer: Literal["sgd", "adagrad", "adam"] = "sgd"
    """AdaGrad is the earlier commit's, with a rate of 0.02."""
    learning_rate: NonNegative = 0.001
    """Of the auto-encoder alone."""
    finetune_learning_rate: NonNegative = 0.001
    """Of adversarial training."""
    batch_size: Count = 128
    """Users."""
    n_pretrain_epochs: Natural = 500
    """Of the auto-encoder alone; the earlier commit has 2000."""
    n_epochs: Natural = 500
    """Of adversarial training, from the weights of the auto-encoder."""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator["AutoEncoder"]:
        """Train on every user once an epoch: without perturbations, then with them."""
        net = AutoEncoder(train, self).to(run.device)
        batches = UserRows(train, self.batch_size, run.device)
        run.phase("pretrain")
        optimizer = self._optimizer(net, self.learning_rate)
        for _ in run.epochs(self.n_pretrain_epochs, net=net, optimizer=optimizer):
            for x in batches:
                self._step(net.loss(x), optimizer, run)
            yield net
        run.phase("train")
        optimizer = self._optimizer(net, self.finetune_learning_rate)
        for _ in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            for x in batches:
                self._step(net.adversarial_loss(x), optimizer, run)
            yield net

    def _optimizer(self, net: nn.Module, rate: float) -> torch.optim.Optimizer:
        """Return the optimiser, which adds the gradient of the L2 term."""
        if self.optimizer == "adam":
            return torch.optim.Adam(net.parameters(), rate, weight_decay=self.l2, fused=True)
        if self.optimizer == "adagrad":  # TensorFlow's sums of squares begin with 0.1
            return torch.optim.Adagrad(
                net.parameters(), rate, weight_decay=self.l2, initial_accumulator_value=0.1
            )
        return torch.optim.SGD(net.parameters(), rate, weight_decay=self.l2)

    def _step(self, loss: Tensor, optimizer: torch.optim.Optimizer, run: Run) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log(loss=loss)


class AutoEncoder(nn.Module):
    """I -> hidden, sigmoid, with a vector of the user's own -> I."""

    def __init__(self, train: Interactions, model: ACAE) -> None:
        super().__init__()
        self.model = model
        self.w1 = nn.Parameter(torch.empty(train.n_items, model.hidden_dim))
        self.w2 = nn.Parameter(torch.empty(train.n_items, model.hidden_dim))
        self.user = nn.Parameter(torch.empty(train.n_users, model.hidden_dim))
        for weight in (self.w1, self.w2, self.user):
            nn.init.trunc_normal_(weight, std=0.01, a=-0.02, b=0.02)
        self.b1 = nn.Parameter(torch.zeros(model.hidden_dim))
        self.b2 = nn.Parameter(torch.zeros(train.n_items))

    def encode(self, x: Rows, user: Tensor, w1: Tensor) -> Tensor:
        """Return the hidden layer, shape (B, H), of rows of the users with these numbers, (B,)."""
        return (sparse_product(x, w1) + self.b1 + self.user[user]).sigmoid()

    def decode(self, h: Tensor, w2: Tensor) -> Tensor:
        """Return the logits of a hidden layer, shape (B, I)."""
        return linear(h, w2, self.b2)

    def loss(self, x: Rows, w1: Tensor | None = None, w2: Tensor | None = None) -> Tensor:
        """Return the binary cross-entropy, summed over the items, of a mean user.

        Parameters
        ----------
        x : Rows
            B users.
        w1, w2 : float tensor, shape (I, H), optional
            Weights to put in place of the encoder's and the decoder's own.
        """
        h = self.encode(x, x.user, self.w1 if w1 is None else w1)
        return cross_entropy(self.decode(h, self.w2 if w2 is None else w2), x)

    def adversarial_loss(self, x: Rows) -> Tensor:
        """Return the loss, and lambda times each loss with weights perturbed against it."""
        loss = self.loss(x)
        lambda_1 = self.model.encoder_adversarial_weight
        lambda_2 = self.model.decoder_adversarial_weight
        total = loss
        if lambda_1:
            total = total + lambda_1 * self.loss(x, w1=self.perturbed(self.w1, loss))
        if lambda_2:
            total = total + lambda_2 * self.loss(x, w2=self.perturbed(self.w2, loss))
        return total

    def perturbed(self, weight: Tensor, loss: Tensor) -> Tensor:
        """Return weights plus epsilon times the loss's gradient over its norm, a constant."""
        (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
        return weight + gradient * (self.model.epsilon / gradient.norm().clamp(min=1e-12))

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return logits of shape (B, I) or (B, C)."""
        user = known_users(queries, self.w1.device, "ACAE")
        h = self.encode(rows_of(queries.history, self.w1.device), user, self.w1)
        return picked(self.decode(h, self.w2), queries)


def cross_entropy(logits: Tensor, x: Rows) -> Tensor:
    """Return the binary cross-entropy of rows, summed over the items, its mean over the users.

    Parameters
    ----------
    logits : float tensor, shape (B, I)
        Of each item's being in the row.
    x : Rows
        B rows.

    Notes
    -----
    -log sigmoid(y) for the items that are there, -log(1 - sigmoid(y)) for the others, is
    softplus(y) less y where the item is there: so x is never dense.
    """
    return (softplus(logits).sum() - logits[x.row, x.item].sum()) / len(logits)


MODEL = ACAE
