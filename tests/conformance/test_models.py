"""Every model passes the checks that `repro.testing` offers."""

from __future__ import annotations

from typing import Any

import pytest

from repro.model import Model
from repro.plugins import MODELS
from repro.testing import Check, model_checks, quick_model

OWN: dict[str, dict[str, Any]] = {
    "acae": {
        "n_pretrain_epochs": 40,
        "optimizer": "adam",
        "learning_rate": 0.02,
        "l2": 0.0,
        "decoder_adversarial_weight": 1.0,
    },
    "acvae": {"n_epochs": 20},
    "apr": {"n_pretrain_epochs": 10, "learning_rate": 0.05},
    "avb": {"n_epochs": 40, "decoder_dims": (), "discriminator_dims": (16,), "n_noises": 4},
    "bert4rec": {"embedding_dim": 32, "learning_rate": 0.003, "n_epochs": 15},
    "caser": {"n_epochs": 20},
    "cdae": {"learning_rate": 0.1, "batch_size": 4},
    "cvae_gan": {"n_epochs": 40, "kl_weight": 0.1, "likelihood": "bernoulli"},
    "dave": {"batch_size": 128},
    "fawmf": {"learning_rate": 0.1, "n_epochs": 60},
    "jca": {"block_size": 60, "n_epochs": 20},
    "jova": {"block_size": 60, "n_epochs": 20, "learning_rate": 0.02},
    "mvae": {"block_size": 40, "n_epochs": 20, "rank": 8, "anneal_steps": 0},
    "ract": {"n_actor_epochs": 10, "n_critic_epochs": 2, "n_joint_epochs": 2},
    "slim": {"l1": 0.1, "block_size": 50},
    "vaegan": {"n_epochs": 40, "discriminator_dims": (16,), "n_noises": 4},
    "wmf": {"latent_dim": 8, "l2": 1.0},
}
"""What one model needs besides `quick_model`'s values, to learn a taste in so few updates."""

NOT_ASKED = {
    "random": ("learns_more_than_chance", "tells_one_taste_from_the_other"),
    "popularity": ("tells_one_taste_from_the_other",),
}
"""Checks that a model cannot pass, by what it is."""


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, id=f"{name}-{check}")
        for name in MODELS.names()
        for check in model_checks()
        if check.name not in NOT_ASKED.get(name, ())
    ],
)
def test_a_model_keeps_its_contract(name: str, check: Check[Model]) -> None:
    check(quick_model(name, **OWN.get(name, {})))
