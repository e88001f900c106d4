"""Discriminators and their logistic losses. Shape letters: B users, I items, H units, m entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, softplus

from repro.nn.batches import Rows
from repro.nn.layers import sparse_product


def logistic_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Return a discriminator's loss: the mean of -log sigma(p) - log(1 - sigma(n)).

    Parameters
    ----------
    positive, negative : float tensor, shape (B,)
        Logits of what it should label 1, and of what it should label 0.

    Notes
    -----
    Goodfellow et al. 2014, Eq. 1. At the optimum a logit is the log ratio of the two densities, of
    what is labelled 1 and of what is labelled 0.
    """
    return softplus(-positive).mean() + softplus(negative).mean()


def non_saturating_loss(logits: Tensor) -> Tensor:
    """Return a generator's loss: the mean of -log sigma(logit) of what it generated.

    Notes
    -----
    Goodfellow et al. 2014, Section 3: the gradient does not vanish where the discriminator wins.
    """
    return softplus(-logits).mean()


def perceptron(widths: Sequence[int], activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Return linear layers with an activation between them; Glorot's weights, zero biases.

    Parameters
    ----------
    widths : sequence of int
        Of the input, the hidden layers and the output, which stays linear.
    activation : callable
        Returns an activation module.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        linear = nn.Linear(before, after)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])


class VectorDiscriminator(nn.Module):
    """Tells real interaction vectors from generated ones: I -> hidden layers, leaky ReLU -> 1.

    Parameters
    ----------
    n_items : int
        I.
    hidden_dims : sequence of int
        Widths; at least one.
    """

    def __init__(self, n_items: int, hidden_dims: Sequence[int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items, hidden_dims[0]))
        self.bias = nn.Parameter(torch.zeros(hidden_dims[0]))
        nn.init.xavier_uniform_(self.weight)
        layers = perceptron([*hidden_dims, 1], leaky)
        self.hidden, self.output = layers[:-1], layers[-1]

    def features(self, x: Rows | Tensor, value: Tensor | None = None) -> Tensor:
        """Return the last hidden layer, the input of the output layer; shape (B, H).

        Parameters
        ----------
        x : Rows or float tensor of shape (B, I)
            Vectors, sparse or dense.
        value : float tensor, shape (m,), optional
            Values of a sparse vector's entries; None: ones.
        """
        h = sparse_product(x, self.weight, value) if isinstance(x, Rows) else x @ self.weight
        return self.hidden(leaky_relu(h + self.bias, LEAK))

    def forward(self, x: Rows | Tensor, value: Tensor | None = None) -> Tensor:
        """Return logits of being real, shape (B,)."""
        return self.output(self.features(x, value))[:, 0]


LEAK = 0.2
"""Slope of a leaky ReLU below zero, as in DCGAN and in AVB's code."""


def leaky() -> nn.Module:
    """Return the activation of a discriminator."""
    return nn.LeakyReLU(LEAK)
