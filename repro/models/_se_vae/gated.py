"""Layers of EVCF's networks: gated or tanh, for sparse or dense rows; Gaussian heads.

Shape letters: B users, I items, H units, D latent size, M heads (one per expert), m entries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import hardtanh

from repro.nn.batches import Rows
from repro.nn.gaussians import Gaussian
from repro.nn.layers import sparse_product


@dataclass(frozen=True, eq=False)
class Entries:
    """Sparse rows with a value at every entry; ``entries @ weight`` is their matrix product.

    Parameters
    ----------
    x : Rows
        Which entries there are.
    value : float tensor, shape (m,)
        Their values.
    """

    x: Rows
    value: Tensor

    def __matmul__(self, weight: Tensor) -> Tensor:
        """Return the product with weights of shape (I, H), shape (B, H)."""
        return sparse_product(self.x, weight, self.value)


def normalized(x: Rows, dropout: nn.Module) -> Entries:
    """Return the L2-normalised rows, with dropout on their entries in training."""
    return Entries(x, dropout(x.count[x.row].float().rsqrt()))  # a binary row's norm: sqrt(count)


class ItemLinear(nn.Module):
    """A linear layer over the items, for sparse or dense rows.

    Parameters
    ----------
    n_items, n_units : int
        I and H.

    Notes
    -----
    The weight has the shape (I, H), so that a sparse input sums rows that are contiguous in memory.
    Initial values are those of every linear layer of EVCF, see `he_normal`.
    """

    def __init__(self, n_items: int, n_units: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items, n_units))
        self.bias = nn.Parameter(torch.empty(n_units))
        nn.init.normal_(self.weight, std=(2 / n_items) ** 0.5)
        nn.init.uniform_(self.bias, -(n_items**-0.5), n_items**-0.5)

    def forward(self, x: Entries | Tensor) -> Tensor:
        """Return the output, shape (B, H), for sparse rows or a float tensor of shape (B, I)."""
        return x @ self.weight + self.bias


class Layer(nn.Module):
    """A hidden layer: (W x + b) * sigmoid(V x + c) if gated, otherwise tanh(W x + b).

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    gated : bool
        Whether a gate replaces the tanh.
    linear : type
        `ItemLinear` for the layer that reads the items.

    Notes
    -----
    Kim & Suh 2019, Section 3.3, and their code: a gated layer has no other activation.
    """

    def __init__(
        self, n_in: int, n_out: int, gated: bool, linear: type[nn.Module] = nn.Linear
    ) -> None:
        super().__init__()
        self.linear = linear(n_in, n_out)
        self.gate = linear(n_in, n_out) if gated else None

    def forward(self, x: Entries | Tensor) -> Tensor:
        """Return the hidden units, shape (B, n_out)."""
        h = self.linear(x)
        return h.tanh() if self.gate is None else h * self.gate(x).sigmoid()


def layers(widths: list[int], gated: bool) -> nn.Sequential:
    """Return hidden layers from each width to the next."""
    return nn.Sequential(*(Layer(before, after, gated) for before, after in pairwise(widths)))


class Joint(nn.Module):
    """Two inputs, each with its own first layer, then hidden layers for both together.

    Parameters
    ----------
    first, second : Module
        The inputs' own layers, each to H units.
    n_units, n_layers : int
        H, and the number of all hidden layers, at least 2.
    gated : bool
        As in `Layer`.
    """

    def __init__(
        self, first: nn.Module, second: nn.Module, n_units: int, n_layers: int, gated: bool
    ) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.joint = layers([2 * n_units] + [n_units] * (n_layers - 1), gated)

    def forward(self, a: Entries | Tensor, b: Tensor) -> Tensor:
        """Return hidden units (B, H) for b (B, D), or (B, M, H) for b (B, M, D) with a shared a."""
        second = self.second(b)
        first = self.first(a)
        first = first[:, None].expand_as(second) if b.dim() == 3 else first
        return self.joint(torch.cat([first, second], dim=-1))


class GaussianHeads(nn.Module):
    """Mean and log variance of M Gaussians of D dimensions; the log variance is in [-12, 4].

    Parameters
    ----------
    n_in : int
        H.
    n_heads, latent_dim : int
        M and D.
    """

    def __init__(self, n_in: int, n_heads: int, latent_dim: int) -> None:
        super().__init__()
        self.shape = (n_heads, latent_dim)
        self.mean = nn.Linear(n_in, n_heads * latent_dim)
        self.logvar = nn.Linear(n_in, n_heads * latent_dim)

    def forward(self, h: Tensor) -> Gaussian:
        """Return both, shape (B, M, D) each, for hidden units (B, H)."""
        mean, logvar = self.mean(h), hardtanh(self.logvar(h), -12.0, 4.0)
        return mean.unflatten(-1, self.shape), logvar.unflatten(-1, self.shape)


def beside(parts: Iterable[Gaussian]) -> Gaussian:
    """Return several heads' Gaussians joined, shape (B, M, D) each, from parts (B, n, D)."""
    mean, logvar = zip(*parts, strict=True)
    return torch.cat(mean, dim=1), torch.cat(logvar, dim=1)


def he_normal(net: nn.Module) -> None:
    """Draw the weights of all linear layers from N(0, 2 / inputs); the biases stay torch's.

    Notes
    -----
    He et al. 2015, Eq. 10; in EVCF's code also for output layer, heads and gates.
    """
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=(2 / module.in_features) ** 0.5)
