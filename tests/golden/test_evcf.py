"""The losses of an epoch of every EVCF and SE-VAE model of the tables, on a toy and one CPU thread.

They are no published numbers: a change of one says that the model, its initial weights or the order
of its random draws has changed. torch may change its random streams between versions, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from repro.interactions import Interactions, from_rows
from repro.models.evcf import EVCF
from repro.training import Progress

SMALL = {"hidden_dim": 16, "latent_dim": 6, "n_pseudo_inputs": 20, "batch_size": 16, "n_epochs": 1}
MULTI = {"family": "multi_vae", "gated": False, "n_layers": 1}
GATED = {"family": "multi_vae", "gated": True, "n_layers": 2}
HVAMP = {"family": "hvamp", "gated": True, "n_layers": 2}
SE, MOE = ({"expert": expert, "n_experts": 3} for expert in ("stochastic", "mixture"))


def toy() -> Interactions:
    """Return 60 users; one touched what is 2 modulo 3 or more modulo 5, of 30 items moved by it."""
    user, item = np.divmod(np.arange(60 * 30), 30)
    moved = item + 7 * user
    touched = (moved % 3 == 2) | (moved % 5 == 3)
    return from_rows(user[touched], item[touched], 60, 30, ordered=False)


@pytest.mark.parametrize(
    ("params", "nll", "kl"),
    [
        pytest.param(MULTI, 53.8165, 1.9588, id="Multi-VAE"),
        pytest.param(MULTI | SE, 54.5283, 5.0571, id="Multi-VAE (SE)"),
        pytest.param(MULTI | MOE, 51.8763, 4.3451, id="Multi-VAE with MoE"),
        pytest.param(GATED, 52.9706, 0.1185, id="Multi-VAE (Gated)"),
        pytest.param(GATED | SE, 52.6219, 1.6008, id="Multi-VAE (Gated, SE)"),
        pytest.param(GATED | MOE, 50.2633, 1.3535, id="Multi-VAE (Gated) with MoE"),
        pytest.param(HVAMP, 56.9807, 24.3944, id="H+Vamp (Gated)"),
        pytest.param(
            HVAMP | {"likelihood": "bernoulli"}, 25.37, 24.4558, id="H+Vamp (Gated), Bernoulli"
        ),
        pytest.param(HVAMP | SE, 55.2817, 72.2301, id="H+Vamp (Gated, SE)"),
        pytest.param(HVAMP | MOE, 52.4623, 37.8439, id="H+Vamp (Gated) with MoE"),
        pytest.param(
            MULTI | {"latent_dim": 18}, 53.9935, 3.6502, id="Multi-VAE, three times the K"
        ),
        pytest.param(GATED | SE | {"select": "user"}, 51.4926, 1.8293, id="an expert per user"),
        pytest.param(
            HVAMP | SE | {"individual_encoders": True},
            56.9431,
            117.0916,
            id="an encoder for every expert",
        ),
    ],
)
def test_an_epochs_losses_are_what_they_were(params: dict[str, Any], nll: float, kl: float) -> None:
    progress = Progress(0, torch.device("cpu"))
    for _ in EVCF(**SMALL | params).epochs(toy(), progress):
        pass
    losses = progress.outcome.curve[0]["losses"]
    assert losses["nll"] == pytest.approx(nll, rel=1e-4)
    assert losses["kl"] == pytest.approx(kl, rel=1e-3)
    assert losses["loss"] == pytest.approx(losses["nll"] + losses["beta"] * losses["kl"])
