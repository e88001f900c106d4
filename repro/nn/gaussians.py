"""Normal distributions given by mean and log variance: draws, densities, divergences.

Shape letters: B users, D latent size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2_PI = math.log(2.0 * math.pi)

Gaussian = tuple[Tensor, Tensor]
"""Mean and log variance of independent normal distributions."""


def standard(like: Tensor) -> Gaussian:
    """Return N(0, I) with a tensor's shape."""
    return torch.zeros_like(like), torch.zeros_like(like)


def drawn(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return a sample of N(mean, exp(logvar)), through which gradients flow."""
    return mean + torch.randn_like(mean) * (0.5 * logvar).exp()


def log_normal(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the log density of N(mean, exp(logvar)) at z, element by element."""
    return -0.5 * (LOG_2_PI + logvar + (z - mean).square() * (-logvar).exp())


def normal_log_density(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """Return log N(z; mean, exp(logvar)), summed over the last dimension."""
    return log_normal(z, mean, logvar).sum(dim=-1)


def normal_kl(mean: Tensor, logvar: Tensor, p_mean: Tensor, p_logvar: Tensor) -> Tensor:
    """Return KL(N(mean, exp(logvar)) || N(p_mean, exp(p_logvar))), summed over the last dimension.

    Notes
    -----
    Kingma & Welling 2014, Appendix B, with any Gaussian as the prior.
    """
    error = logvar.exp() + (mean - p_mean).square()
    return 0.5 * (p_logvar - logvar + error * (-p_logvar).exp() - 1.0).sum(dim=-1)


def divergence(z: Tensor, q: Gaussian, p: Gaussian, exact: bool) -> Tensor:
    """Return KL(q || p) over the last dimension: exact, or estimated from z, a draw from q."""
    return normal_kl(*q, *p) if exact else normal_log_density(z, *q) - normal_log_density(z, *p)


def gaussian_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mean, exp(logvar)) || N(0, I)) of each row, shape (B,).

    Notes
    -----
    Kingma & Welling 2014, Appendix B.
    """
    return 0.5 * (logvar.exp() + mean.square() - 1.0 - logvar).sum(dim=1)
