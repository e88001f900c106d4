"""The contract between a model and the rest: `Model`, `Scorer`, `Run`.

A model is a frozen dataclass of hyper-parameters with one method, `epochs`: a generator that trains
one epoch, then yields something that can score. It knows no metric, no validation data, no file.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import numpy as np

from repro.interactions import Interactions
from repro.split import Queries

if t.TYPE_CHECKING:
    import torch


class Scorer(t.Protocol):
    """Something that scores items for users."""

    def score(self, queries: Queries) -> torch.Tensor:
        """Return scores of shape (B, I), or (B, C) where the queries have candidates.

        Higher is better. The tensor stays on its device and is the caller's to overwrite.

        Raises
        ------
        UnsupportedError
            If the model cannot answer these queries, such as those of users unknown to training.
        """
        ...


@t.runtime_checkable
class Embedding(t.Protocol):
    """A scorer with embeddings of users and items; the record keeps them."""

    def embeddings(self) -> dict[str, torch.Tensor]:
        """Return, for "users" and "items", a float tensor with a row for each."""
        ...


@t.runtime_checkable
class Composite(t.Protocol):
    """A scorer whose parts can score alone; the curve keeps their metrics beside the whole's."""

    def parts(self) -> dict[str, Scorer]:
        """Return each part, by the name that the paper gives it."""
        ...


class Memory(t.NamedTuple):
    """Bytes that a training takes at its peak, besides torch and the data."""

    process: int
    """In the process, wherever the model trains."""
    device: int = 0
    """On the device; on a CPU that is in the process, too, but not at the same time."""


class Model(t.Protocol):
    """Hyper-parameters, and how to train.

    A model that cannot score users unknown to training declares ``KNOWN_USERS_ONLY: ClassVar[bool]
    = True`` and is refused before it trains; its scorer raises as well. One whose seed changes no
    result declares ``RANDOM: ClassVar[bool] = False``: a single run of it has no spread. One that
    can score unknown users, but has a vector of its own for each known one, declares
    ``USER_VECTORS: ClassVar[bool] = True``: a record then tells of test users without training
    rows.

    One whose memory may exceed a machine's can say so in a method ``memory(self, train:
    Interactions) -> Memory``, which computes it from numbers such as ``train.n_items``: then a run
    that lacks memory is refused before it trains.
    """

    def epochs(self, train: Interactions, run: Run) -> Iterator[Scorer]:
        """Train, and yield a scorer after each epoch.

        The scorer may share its tensors with the training, which continues: use it before asking
        for the next one, or copy it (`copy.deepcopy`).
        """
        ...


class Stateful(t.Protocol):
    """Something whose state can be saved and restored, like torch's modules and optimizers."""

    def state_dict(self) -> dict[str, t.Any]:
        """Return the state."""
        ...

    def load_state_dict(self, state: dict[str, t.Any], /) -> t.Any:
        """Restore the state."""
        ...


class Run(t.Protocol):
    """The run in progress: a model's only contact with the world."""

    seed: int
    rng: np.random.Generator
    device: torch.device

    def epochs(self, n: int, **state: Stateful) -> Iterator[int]:
        """Count n epochs from 0; `state` names all that training changes."""
        ...

    def log(self, **losses: t.Any) -> None:
        """Log losses (numbers or tensors); their means over the epoch go into the curve."""
        ...

    def phase(self, name: str) -> None:
        """Begin a phase, such as "pretrain"; this forgets the best epoch so far."""
        ...
