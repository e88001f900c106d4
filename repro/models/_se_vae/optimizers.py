"""Optimizers that torch does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Adam


class NormalizedAdam(Adam):
    """Adam on gradients of length 1: each tensor's is divided by its own L2 norm first.

    Notes
    -----
    EVCF's code (Kim & Suh 2019): g / (norm(g) + 1e-7) for every single parameter tensor. The
    gradients are scaled in place, without waiting for the device. Adam's epsilon is added as in
    today's torch; in EVCF's version it is 1 / sqrt(1 - 0.999^t) times as large: 32 times in the
    first update, 3.2 in the hundredth, 1.3 in the thousandth.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Scale the gradients, then update; a closure is called first, and its value returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parameters = [p for group in self.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if gradients:
            norms = torch._foreach_norm(gradients)
            torch._foreach_add_(norms, 1e-7)
            torch._foreach_div_(gradients, norms)
        super().step()
        return loss
