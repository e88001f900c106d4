"""Updates that never ask the device for a value, shown without a GPU.

`test_gpu.py` has CUDA itself count its waits. Here one kind of model trains on torch's "meta"
device, whose tensors have no values that anybody could wait for; another loads what it needs of the
device once, and more updates must not add to the operations that wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from repro.interactions import Interactions, from_rows
from repro.plugins import MODELS
from repro.training.progress import Progress

WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "unique", "unique_dim", "_unique2"}
"""Operations whose result, or its size, the host must know before it goes on."""


def interactions(n_users: int) -> Interactions:
    rng = np.random.default_rng(0)
    item = rng.permuted(np.tile(np.arange(60), (n_users, 1)), axis=1)[:, :12].ravel()
    return from_rows(np.repeat(np.arange(n_users), 12), item, n_users, 60, ordered=True)


class Without:
    """A run on the device without values; it reads no loss at an epoch's end."""

    device = torch.device("meta")

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.logged = 0

    def phase(self, name: str) -> None:
        """Begin a phase."""

    def epochs(self, n: int, **_state: Any) -> Iterator[int]:
        """Yield the epochs."""
        yield from range(n)

    def log(self, **_losses: Any) -> None:
        """Count the updates."""
        self.logged += 1


class Idle:
    """An optimizer that does nothing, as the fused ones refuse the device without values."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        self.param_groups = [{"lr": 0.1}]

    def zero_grad(self) -> None:
        """Do nothing."""

    def step(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("name", ["acvae", "svae"])
def test_an_epoch_needs_no_value_of_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for optimizer in ("Adam", "AdamW", "SGD"):
        monkeypatch.setattr(torch.optim, optimizer, Idle)
    run = Without()
    next(MODELS.load(name)(n_epochs=1, batch_size=4).epochs(interactions(80), run))
    assert run.logged >= 20  # of 80 users


class Waits(TorchDispatchMode):
    """Counts the operations that a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Note an operation, and do it."""
        name = func.overloadpacket.__name__
        sized = (kwargs or {}).get("output_size") is not None
        by_mask = name in ("index", "index_put", "index_put_") and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        )
        if name in WAITS or by_mask or (name == "repeat_interleave" and not sized):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def waits(name: str, n_users: int) -> list[str]:
    """Return what makes the host wait in an epoch, not the first, of batches of 4 users."""
    run = Progress(0, torch.device("cpu"))
    epochs = MODELS.load(name)(n_epochs=2, batch_size=4).epochs(interactions(n_users), run)
    next(epochs)  # loads what is loaded once
    with Waits() as seen:
        next(epochs)
    return seen.found


@pytest.mark.parametrize("name", ["avb", "cvae_gan", "se_vae", "mult_vae", "vaegan"])
def test_more_updates_make_the_host_wait_no_more_often(name: str) -> None:
    few, many = waits(name, 8), waits(name, 80)
    assert few  # its losses are read at the end
    assert many == few
