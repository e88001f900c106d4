"""Implicit posteriors of user rows, and the adversary T that measures them against the prior.

Mescheder et al., "Adversarial Variational Bayes", ICML 2017. A network draws z from noise, so the
density q(z | x) is not known. T learns the log ratio of q and a known contrast r; then KL(q, p) =
E_q[T + log r - log p] (Section 3, and Section 4 where r adapts).

Shape letters: S draws per user, B users, I items, H units, N noises, E noise size, D latent size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, softplus

from repro.nn.adversarial import leaky, logistic_loss, perceptron
from repro.nn.batches import Rows
from repro.nn.layers import SparseInput

NOISE_DIMS = (128, 128, 128)
"""Hidden layers of each noise's network (authors' code)."""
MOMENT_DRAWS = 100
"""Fewest noises for the moments of the contrast: a last batch may have fewer users."""
VARIANCE = 1e-4
"""Added to a variance before it divides (authors' code)."""


@dataclass(frozen=True, eq=False)
class Draw:
    """A draw from the posterior of each user of a batch, and the contrast r(z | x).

    Parameters
    ----------
    z : float tensor, shape (B, D)
        One draw per user.
    first : float tensor, shape (B, H)
        The encoder's first layer before its activation, without noise: what T sees of x.
    mean, std : float tensor, shape (B, D), or float
        Of the Gaussian contrast; no gradient flows through them.
    """

    z: Tensor
    first: Tensor
    mean: Tensor | float = 0.0
    std: Tensor | float = 1.0

    @property
    def standard(self) -> Tensor:
        """The draw standardised by the contrast's mean and deviation, shape (B, D)."""
        return (self.z - self.mean) / self.std

    @property
    def log_ratio(self) -> Tensor:
        """Log ratio of contrast and prior at z, log r(z | x) - log p(z), shape (B,)."""
        log_std = torch.as_tensor(self.std).log()
        return (0.5 * (self.z.square() - self.standard.square()) - log_std).sum(dim=1)


class Adversary(nn.Module):
    """T(x, z): log q(z | x) - log r(z | x) at the optimum; the posterior is 1, the contrast 0.

    It reads x through the encoder's first layer, without gradient.

    Parameters
    ----------
    n_features, latent_dim : int
        H and D.
    hidden_dims : sequence of int
        Widths.
    """

    def __init__(self, n_features: int, latent_dim: int, hidden_dims: Sequence[int]) -> None:
        super().__init__()
        self.layers = perceptron([n_features + latent_dim, *hidden_dims, 1], leaky)

    def forward(self, first: Tensor, z: Tensor) -> Tensor:
        """Return T, shape (B,), for the first layer (B, H) and standardised z (B, D)."""
        return self.layers(torch.cat([softplus(first.detach()), z], dim=1))[:, 0]

    def loss(self, draw: Draw) -> Tensor:
        """Return T's own loss, which does not reach the encoder (Eq. 3.3)."""
        z = draw.standard.detach()
        return logistic_loss(self(draw.first, z), self(draw.first, torch.randn_like(z)))

    def kl(self, draw: Draw) -> Tensor:
        """Return each user's estimate of KL(q(z | x), N(0, I)), shape (B,) (Eq. 3.7 and 4.1).

        Its gradient reaches the encoder through z only: the gradient through T itself is 0 in
        expectation at T's optimum (Proposition 2).
        """
        return self(draw.first, draw.standard) + draw.log_ratio


class NoisyEncoder(nn.Module):
    """z = f(x, noise): a linear map of the noise is added before each layer; no adaptive contrast.

    Before the first layer, a linear map of the noise to all items would make the rows dense. It is
    added after that layer's linear part, which gives the same set of functions.

    Parameters
    ----------
    n_items : int
        I.
    hidden_dims : sequence of int
        Widths; at least one.
    latent_dim, noise_dim : int
        D and E.
    dropout : float
        Of the input.
    n_test_draws : int
        S at test time.
    """

    def __init__(
        self,
        n_items: int,
        hidden_dims: Sequence[int],
        latent_dim: int,
        noise_dim: int,
        dropout: float,
        n_test_draws: int,
    ) -> None:
        super().__init__()
        self.input = SparseInput(n_items, hidden_dims[0], dropout)
        self.layers = nn.ModuleList(
            glorot(nn.Linear(*widths)) for widths in pairwise([*hidden_dims, latent_dim])
        )
        nearly_zero(self.layers[-1])
        widths = [hidden_dims[0], *hidden_dims]
        self.noises = nn.ModuleList(glorot(nn.Linear(noise_dim, width)) for width in widths)
        self.test_noise: Tensor
        self.register_buffer("test_noise", torch.randn(n_test_draws, 1, noise_dim))

    def forward(self, x: Rows) -> Draw:
        """Return a draw for each user."""
        first = self.input(x)
        noise = torch.randn(len(first), self.test_noise.shape[2], device=first.device)
        return Draw(self._z(first, noise), first)

    def test_draws(self, x: Rows) -> Tensor:
        """Return S draws for each user, shape (S, B, D), from the same noises every time."""
        return self._z(self.input(x), self.test_noise)

    def _z(self, first: Tensor, noise: Tensor) -> Tensor:
        h = softplus(first + self.noises[0](noise))
        for layer, added in zip(self.layers[:-1], self.noises[1:], strict=False):
            h = softplus(layer(h + added(noise)))
        return self.layers[-1](h + self.noises[-1](noise))


class NoiseBasisEncoder(nn.Module):
    """z = z_0(x) + sum_i a_i(x) v_i(noise_i), whose known moments give an adaptive contrast.

    Supplement of the paper, and the authors' code: mean and variance of each v_i are computed over
    the noises of the batch.

    Parameters
    ----------
    n_items : int
        I.
    hidden_dims : sequence of int
        Widths; at least one.
    latent_dim, noise_dim, n_noises : int
        D, E and N.
    dropout : float
        Of the input.
    n_test_draws : int
        S at test time.
    """

    def __init__(
        self,
        n_items: int,
        hidden_dims: Sequence[int],
        latent_dim: int,
        noise_dim: int,
        n_noises: int,
        dropout: float,
        n_test_draws: int,
    ) -> None:
        super().__init__()
        self.input = SparseInput(n_items, hidden_dims[0], dropout)
        self.layers = nn.ModuleList(glorot(nn.Linear(*widths)) for widths in pairwise(hidden_dims))
        self.z_0 = nearly_zero(nn.Linear(hidden_dims[-1], latent_dim))
        self.a = glorot(nn.Linear(hidden_dims[-1], n_noises * latent_dim))
        widths = list(pairwise([noise_dim, *NOISE_DIMS, latent_dim]))
        self.weights = nn.ParameterList(torch.empty(n_noises, *width) for width in widths)
        self.biases = nn.ParameterList(torch.zeros(n_noises, 1, after) for _, after in widths)
        for weight, (before, after) in zip(self.weights, widths, strict=True):
            bound = (6.0 / (before + after)) ** 0.5  # Glorot's, of each of the N networks
            nn.init.uniform_(weight, -bound, bound)
        self.test_noise: Tensor
        self.register_buffer("test_noise", torch.randn(n_noises, n_test_draws, noise_dim))

    def forward(self, x: Rows) -> Draw:
        """Return a draw for each user, and the Gaussian with q's mean and variance."""
        first = self.input(x)
        z_0, a = self._of(first)
        n_noises, _, noise_dim = self.test_noise.shape
        n = max(len(first), MOMENT_DRAWS)
        v = self._v(torch.randn(n_noises, n, noise_dim, device=first.device))  # (N, n, D)
        z = z_0 + (a * v[:, : len(first)].transpose(0, 1)).sum(dim=1)
        with torch.no_grad():
            var, mean = torch.var_mean(v, dim=1, correction=0)  # (N, D) each
            mean = z_0 + (a * mean).sum(dim=1)
            std = ((a.square() * var).sum(dim=1) + VARIANCE).sqrt()
        return Draw(z, first, mean, std)

    def test_draws(self, x: Rows) -> Tensor:
        """Return S draws for each user, shape (S, B, D), from the same noises every time."""
        z_0, a = self._of(self.input(x))
        return z_0 + torch.einsum("bnd,nsd->sbd", a, self._v(self.test_noise))

    def _of(self, first: Tensor) -> tuple[Tensor, Tensor]:
        """Return z_0 (B, D) and a (B, N, D)."""
        h = softplus(first)
        for layer in self.layers:
            h = softplus(layer(h))
        # With the code's offset the noise starts near zero: elu(-5) + 1 is 0.007.
        return self.z_0(h), elu(self.a(h).unflatten(1, (len(self.test_noise), -1)) - 5.0) + 1.0

    def _v(self, noise: Tensor) -> Tensor:
        """Return v, shape (N, n, D), from noises (N, n, E); each of the N has its own network."""
        h = noise
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = elu(torch.baddbmm(bias, h, weight))
        return torch.baddbmm(self.biases[-1], h, self.weights[-1])


def glorot(layer: nn.Linear) -> nn.Linear:
    """Return the layer with Glorot's weights and zero biases."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def nearly_zero(layer: nn.Module) -> nn.Linear:
    """Return the layer with weights of standard deviation 1e-5 and zero biases (code)."""
    assert isinstance(layer, nn.Linear)
    nn.init.trunc_normal_(layer.weight, std=1e-5, a=-2e-5, b=2e-5)
    nn.init.zeros_(layer.bias)
    return layer
