"""Schedules of the KL weight, also called beta. A step is an update or an epoch; the model says."""

from __future__ import annotations

import math
from typing import Literal

Cap = Literal["clip", "scale", "replace"]
"""How `cyclical` applies its cap."""


def linear_clipped(step: int, n_steps: int, cap: float) -> float:
    """Return min(cap, step / n_steps): the weight rises towards 1 and stops at the cap.

    Parameters
    ----------
    step : int
        Which step.
    n_steps : int
        Steps until the weight would reach 1; 0: the weight is the cap from the start.
    cap : float
        The largest weight.

    Notes
    -----
    Code of Liang et al. 2018 (Mult-VAE), and of RaCT and SVAE after it. The weight reaches the cap
    after cap * n_steps steps.
    """
    return min(cap, step / n_steps) if n_steps else cap


def linear_scaled(step: int, n_steps: int, cap: float) -> float:
    """Return cap * min(1, step / n_steps): the weight rises to the cap in n_steps.

    Parameters
    ----------
    step : int
        Which step.
    n_steps : int
        Steps until the weight reaches the cap; 0: it is the cap from the start.
    cap : float
        The largest weight.

    Notes
    -----
    The warm-up of Sønderby et al., "Ladder Variational Autoencoders", NIPS 2016, times a cap; code
    of Kim & Suh 2019 (EVCF), by epochs, and of ACVAE, by updates.
    """
    return cap * min(1.0, step / n_steps) if n_steps else cap


def cyclical(step: int, n_steps: int, n_cycles: int, ratio: float, cap: float, how: Cap) -> float:
    """Return the weight under a schedule that starts again from 0 in every cycle.

    Parameters
    ----------
    step : int
        Which step, from 0.
    n_steps, n_cycles : int
        Steps and cycles of the whole training.
    ratio : float
        Share of a cycle in which the weight rises from 0 to 1; then it stays at 1.
    cap : float
        The largest weight allowed.
    how : str
        "clip": min(weight, cap). "scale": the ramp ends at the cap. "replace": only the value 1
        becomes the cap, and the ramp below it stays.

    Notes
    -----
    Fu et al., "Cyclical Annealing Schedule", NAACL 2019, Eq. 6 and 7. Their code adds up the ramp
    in floating point: its last step stays a hair below 1, and "replace" would miss it once a cycle.
    Here that step is 1.
    """
    length = n_steps / n_cycles
    rise = length * ratio
    weight = min(1.0, math.fmod(step, length) / rise) if rise else 1.0
    if how == "clip":
        return min(weight, cap)
    if how == "scale":
        return weight * cap
    return cap if weight == 1.0 else weight
