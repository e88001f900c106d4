"""The VampPrior: a mixture of the posteriors of learnt inputs.

Shape letters: B users, I items, D latent size, C components (pseudo-inputs).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from repro.nn.gaussians import LOG_2_PI


def vamp_log_density(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """Return log 1/C sum_c N(z; mean_c, exp(logvar_c)), shape (B,).

    Parameters
    ----------
    z : float tensor, shape (B, D)
        Latent variables.
    mean, logvar : float tensor, shape (C, D)
        The posteriors of the pseudo-inputs.

    Notes
    -----
    Tomczak & Welling 2018, Eq. 9. With p_c = exp(-logvar_c) the squared distance
    sum_d p_cd (z_d - mean_cd)^2 is z^2 p_c - 2 z (p_c mean_c) + p_c mean_c^2, three matrix
    products; a tensor of shape (B, C, D) is never made. z and the means are first shifted so that
    the components lie around the origin, where the three terms cancel least. In 200 dimensions,
    with means that spread by 1, float32 is within 0.05 of 300 nats at a log variance of -6, and
    within 20 of 900 at -12, the lower bound in EVCF's heads; the gradients are hardly affected.
    """
    centre = mean.mean(dim=0).detach()
    z, mean, precision = z - centre, mean - centre, (-logvar).exp()
    weighted = mean * precision
    constant = (mean * weighted + logvar + LOG_2_PI).sum(dim=1)  # (C,)
    right = torch.cat([precision, -2.0 * weighted], dim=1)  # (C, 2 D)
    distance = torch.addmm(constant, torch.cat([z.square(), z], dim=1), right.t())  # (B, C)
    return (-0.5 * distance).logsumexp(dim=1) - math.log(len(mean))


class PseudoInputs(nn.Module):
    """C learnt rows over the items, with entries clipped to [0, 1], and dropout in training.

    Parameters
    ----------
    n_items, n_inputs : int
        I and C.
    mean, std : float
        Of the normal distribution from which the entries are drawn.
    dropout : float
        Share of the entries dropped in training, in steps of 1/65,536; the rest is scaled up.

    Notes
    -----
    Stored as (I, C): the gradient of the layer that reads them is then a tall matrix, not a wide
    one, and the product is faster on CPUs.
    """

    def __init__(
        self, n_items: int, n_inputs: int, mean: float, std: float, dropout: float
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items, n_inputs).normal_(mean, std))
        self.dropout = dropout

    def forward(self) -> Tensor:
        """Return the rows, shape (C, I)."""
        if not self.training or not self.dropout:
            return self.weight.clamp(0.0, 1.0).t()
        apply: Callable[..., Tensor] = _CutAndDropped.apply
        return apply(self.weight, self.dropout).t()


class _CutAndDropped(torch.autograd.Function):
    """``dropout(weight.clamp(0, 1))`` in fewer passes over the 20 million entries of ML-20M."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, dropout: float) -> Tensor:
        kept = random_bits(weight) >= round(dropout * 2**16) - 2**15
        rows = weight.clamp(0.0, 1.0)
        ctx.save_for_backward(kept & (rows == weight))  # a clipped entry has no gradient
        ctx.scale = 1.0 / (1.0 - dropout)
        return rows.mul_(kept).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None]:
        (passed,) = ctx.saved_tensors
        return (above[0] * passed).mul_(ctx.scale), None


def random_bits(like: Tensor) -> Tensor:
    """Return 16 random bits for each entry of a tensor, int16; one draw gives four."""
    n = like.numel()
    draws = torch.empty(-(-n // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
    return draws.view(torch.int16)[:n].view(like.shape)
