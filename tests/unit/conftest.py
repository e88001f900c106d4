"""Toy interactions, written as one list of items per user."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from repro.interactions import Dataset, Interactions, from_rows
from repro.training.progress import Progress

Lists = Sequence[Sequence[int]]


def interactions(lists: Lists, n_items: int = 12, ordered: bool = True) -> Interactions:
    user = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    item = np.array([item for items in lists for item in items], dtype=np.int64)
    return from_rows(user, item, len(lists), n_items, ordered)


@pytest.fixture(scope="session")
def build() -> Callable[..., Interactions]:
    return interactions


@pytest.fixture(scope="session")
def dataset() -> Callable[..., Dataset]:
    def made(lists: Lists, n_items: int = 12, ordered: bool = True, **parts: Lists) -> Dataset:
        whole = interactions(lists, n_items, ordered)
        return Dataset(
            id="toy/lists",
            interactions=whole,
            user_ids=np.arange(len(lists)).astype(str),
            item_ids=np.arange(n_items).astype(str),
            digest="",
            parts={name: interactions(part, n_items, ordered) for name, part in parts.items()},
        )

    return made


class Watching(Progress):
    """A run that keeps a network's weights before all updates and after each, and gradients."""

    def __init__(self) -> None:
        super().__init__(0, torch.device("cpu"))
        self.weights: list[list[Tensor]] = []
        self.gradients: list[list[Tensor]] = []

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.net = state["net"]
        self._look(self.weights, [p.detach() for p in self.net.parameters()])
        return super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        self._look(self.weights, [p.detach() for p in self.net.parameters()])
        self._look(self.gradients, [p.grad for p in self.net.parameters()])

    def _look(self, kept: list[list[Tensor]], tensors: list[Tensor]) -> None:
        kept.append([tensor.clone() for tensor in tensors])


@pytest.fixture
def watching() -> Watching:
    return Watching()


@pytest.fixture
def phases(build: Callable[..., Interactions]) -> Callable[[Any, Lists], dict[str, int]]:
    """Return what trains a model and counts the epochs of every phase."""

    def counted(model: Any, lists: Lists) -> dict[str, int]:
        seen: list[tuple[str, int, int]] = []
        progress = Progress(0, torch.device("cpu"), report=lambda *at: seen.append(at))
        for _ in model.epochs(build(lists), progress):
            pass
        return {phase: n for phase, _, n in seen}

    return counted
