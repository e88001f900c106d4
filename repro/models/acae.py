"""ACAE: Yuan et al., "Adversarial Collaborative Neural Network for Robust ...", SIGIR 2019.

The title ends in "Recommendation". An earlier version is arXiv 1808.05361, "Adversarial
Collaborative Auto-encoder for Top-N Recommendation".

**Implements** the collaborative auto-encoder with a vector per user. It is trained alone first, and
then also with perturbed weights: of the decoder (ACAE), of the encoder, or of both (FG-ACAE).
**Reference**: bennetyf/RecSys (first author), commit 2637de5, whose settings are for Ciao, and
7e6422f, which has some for MovieLens 1M; read for facts. We did not have the paper.
**Deviations**: the code takes the gradient at the weights as the previous batch perturbed them;
here it is taken at the weights themselves. The code's L2 term is of the perturbed weights, here of
the weights. In every epoch the code skips one full batch of users and the incomplete one, and it
keeps the epoch that is best on *test*; here all users are trained on, and the table's `select`
decides. The code starts the adversarial phase from the best auto-encoder. Here a model sees no
validation data, so the phase starts from the last one, which with a `patience` is that many epochs
after the best.
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
    """A user autoencoder trained to withstand adversarial perturbations of its own weights.

    The defaults are the authors' for Ciao (code, commit 2637de5).
    """

    hidden_dim: Count = 200
    """Units of the one hidden layer. [code]"""
    epsilon: NonNegative = 1.0
    """Norm of a perturbation, over the whole weight matrix. [code]"""
    encoder_adversarial_weight: NonNegative = 0.0
    """Lambda 1: weight of the loss with the encoder's weights perturbed. [code]"""
    decoder_adversarial_weight: NonNegative = 100.0
    """Lambda 2: weight of the loss with the decoder's weights perturbed. [code]"""
    l2: NonNegative = 0.015
    """Strength of half the squared norm of all weights, biases and user vectors. [code]"""
    optimizer: Literal["sgd", "adagrad", "adam"] = "sgd"
    """AdaGrad is the earlier commit's, with a learning rate of 0.02. [code]"""
    learning_rate: NonNegative = 0.001
    """Of the auto-encoder alone, in the first phase. [code]"""
    finetune_learning_rate: NonNegative = 0.001
    """Of adversarial training. [code]"""
    batch_size: Count = 128
    """Users. [code]"""
    n_pretrain_epochs: Natural = 500
    """Of the auto-encoder alone; the earlier commit has 2000. [code]"""
    n_epochs: Natural = 500
    """Of adversarial training, which starts from the auto-encoder's weights. [code]"""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator["AutoEncoder"]:
        """Train on every user once per epoch: first without perturbations, then with them."""
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
        if self.optimizer == "adagrad":  # TensorFlow's sums of squares start at 0.1
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
    """I -> hidden layer, sigmoid, to which a vector per user is added -> I."""

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
        """Return the hidden layer, shape (B, H), of rows and their users' numbers, shape (B,)."""
        return (sparse_product(x, w1) + self.b1 + self.user[user]).sigmoid()

    def decode(self, h: Tensor, w2: Tensor) -> Tensor:
        """Return the logits of a hidden layer, shape (B, I)."""
        return linear(h, w2, self.b2)

    def loss(self, x: Rows, w1: Tensor | None = None, w2: Tensor | None = None) -> Tensor:
        """Return the binary cross-entropy, summed over the items, averaged over the users.

        Parameters
        ----------
        x : Rows
            B users.
        w1, w2 : float tensor, shape (I, H), optional
            Weights to use instead of the encoder's and the decoder's own.
        """
        h = self.encode(x, x.user, self.w1 if w1 is None else w1)
        return cross_entropy(self.decode(h, self.w2 if w2 is None else w2), x)

    def adversarial_loss(self, x: Rows) -> Tensor:
        """Return the loss plus lambda times each loss under adversarially perturbed weights."""
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
        """Return weights plus epsilon times the normalised gradient, which is a constant."""
        (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
        return weight + gradient * (self.model.epsilon / gradient.norm().clamp(min=1e-12))

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return logits of shape (B, I) or (B, C)."""
        user = known_users(queries, self.w1.device, "ACAE")
        h = self.encode(rows_of(queries.history, self.w1.device), user, self.w1)
        return picked(self.decode(h, self.w2), queries)


def cross_entropy(logits: Tensor, x: Rows) -> Tensor:
    """Return the binary cross-entropy of rows, summed over the items, averaged over the users.

    Parameters
    ----------
    logits : float tensor, shape (B, I)
        Of the probability that the item is in the row.
    x : Rows
        B rows.

    Notes
    -----
    The loss is -log sigmoid(y) for an item in the row and -log(1 - sigmoid(y)) for any other, that
    is softplus(y), minus y where the item is in the row. So x is never dense.
    """
    return (softplus(logits).sum() - logits[x.row, x.item].sum()) / len(logits)


MODEL = ACAE
