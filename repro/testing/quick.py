"""Instances that train on the toy data in seconds."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from repro.errors import ReproError
from repro.plugins import MODELS, PROTOCOLS

QUICK: dict[str, Any] = {
    "n_epochs": 10,
    "learning_rate": 0.01,
    "batch_size": 32,
    "anneal_steps": 1000,
    "embedding_dim": 16,
    "hidden_dim": 32,
    "hidden_dims": (32,),
    "dense_dim": 16,
    "latent_dim": 16,
    "gmf_dim": 8,
    "mlp_dims": (16, 8),
    "test_latent": "mean",
    "generator_hidden_dims": (32,),
    "generator_learning_rate": 0.005,
    "generator_batch_size": 16,
    "generator_steps": 10,
    "discriminator_hidden_dims": (32,),
    "discriminator_learning_rate": 0.002,
    "discriminator_batch_size": 16,
    "zr_weight": 0.1,
    "negative_power": 0.0,
}
"""Hyper-parameters by name, for the models that have them."""


def quick_model(model: type[Any] | str, **given: Any) -> Any:
    """Return a small instance of a model, which trains on the toy data in seconds.

    Parameters
    ----------
    model : class or str
        The model, or the name of its file.
    **given
        Hyper-parameters. The others are small where their names are common ones: 10 epochs, a
        `learning_rate` of 0.01, a `batch_size` of 32, a `latent_dim` of 16. What has no default
        comes from the class's ``SMOKE``.

    Raises
    ------
    ReproError
        If there is no such model, or a hyper-parameter has neither a default nor a value here.
    """
    made = MODELS.load(model) if isinstance(model, str) else model
    known = fields(made) if is_dataclass(made) else ()
    smoke = getattr(made, "SMOKE", {})
    quick = {field.name: QUICK[field.name] for field in known if field.name in QUICK}
    for field in known:
        without = field.default is MISSING and field.default_factory is MISSING
        if without and field.name not in quick | given:
            if field.name not in smoke:
                raise ReproError(
                    f"{made.__name__} has no default for {field.name}",
                    "check an instance instead of the class, or give a value in its SMOKE",
                )
            quick[field.name] = smoke[field.name]
    return made(**quick | given)


def quick_protocol(protocol: type[Any] | str, **given: Any) -> Any:
    """Return an instance of a protocol for toy data, as in a smoke run.

    Parameters
    ----------
    protocol : class or str
        The protocol, or the name of its file.
    **given
        Its parameters. The others come from the class's ``SMOKE``, then from its defaults.

    Raises
    ------
    ReproError
        If there is no such protocol.
    """
    made = PROTOCOLS.load(protocol) if isinstance(protocol, str) else protocol
    smoke = {k: v for k, v in getattr(made, "SMOKE", {}).items() if k != "dataset"}
    return made(**smoke | given)


def ready_model(model: Any) -> Any:
    """Return a small instance of a class or a plug-in's name; an instance as it is."""
    return quick_model(model) if isinstance(model, type | str) else model


def ready_protocol(protocol: Any) -> Any:
    """Return an instance of a class or a plug-in's name; an instance as it is."""
    return quick_protocol(protocol) if isinstance(protocol, type | str) else protocol
