"""A check: a name, a sentence that says what must hold, and a function that raises if it does not.

A failure is raised by `require`, not by ``assert``, which ``python -O`` leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import indent
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from repro.errors import unknown
from repro.interactions import Interactions

Subject = TypeVar("Subject")
Examine = Callable[[Subject], None]


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One check; call it with a plug-in."""

    name: str
    sentence: str
    """What must hold."""
    examine: Examine[Subject] = field(repr=False)
    """Raises if it does not hold."""
    ready: Callable[[Any], Subject] = field(repr=False)
    """Makes an instance of a class or a plug-in's name."""

    def __str__(self) -> str:
        return self.name

    def __call__(self, plugin: Any) -> None:
        """Run the check.

        Parameters
        ----------
        plugin : instance, class or str
            The plug-in, or the name of its file.

        Raises
        ------
        AssertionError
            If the plug-in fails; the message has the check's name and sentence, and the reason.
        ReproError
            If there is no such plug-in, or no instance can be made of its class.
        """
        subject = self.ready(plugin)
        try:
            with _apart():
                self.examine(subject)
        except Exception as error:
            own = isinstance(error, AssertionError)
            reason = str(error) if own else f"{type(error).__name__}: {error}"
            text = f"{self.name}: {self.sentence}\n{indent(reason.strip(), '    ')}"
            raise AssertionError(text) from error


class Checks(list[Check[Subject]]):
    """The checks of one kind of plug-in, in order.

    Parameters
    ----------
    ready : callable
        Makes an instance of a class or a plug-in's name.
    """

    def __init__(self, ready: Callable[[Any], Subject]) -> None:
        super().__init__()
        self.ready = ready

    def says(self, sentence: str) -> Callable[[Examine[Subject]], Examine[Subject]]:
        """Return a decorator that adds a function as a check, under its name."""

        def add(examine: Examine[Subject]) -> Examine[Subject]:
            self.append(Check(examine.__name__.strip("_"), sentence, examine, self.ready))
            return examine

        return add

    def run(self, plugin: Any, skip: Collection[str]) -> None:
        """Run all checks but those to skip.

        Raises
        ------
        AssertionError
            If the plug-in fails some; the message lists each with its sentence.
        ReproError
            If there is no check with a name to skip.
        """
        for name in skip:
            if name not in map(str, self):
                raise unknown("check", name, map(str, self))
        subject = self.ready(plugin)
        asked: Sequence[Check[Subject]] = [check for check in self if check.name not in skip]
        failed = []
        for check in asked:
            try:
                check(subject)
            except AssertionError as error:
                failed.append(error)
        if failed:
            listed = indent("\n".join(map(str, failed)), "  ")
            heading = f"{type(subject).__name__} fails {len(failed)} of {len(asked)} checks"
            raise AssertionError(f"{heading}:\n{listed}") from failed[0]


def require(holds: bool, reason: str) -> None:
    """Raise AssertionError with the reason unless something holds."""
    if not holds:
        raise AssertionError(reason)


def require_equal(found: Interactions, expected: Interactions, what: str) -> None:
    """Raise AssertionError unless two sets of interactions have the same rows in the same order."""
    for name in ("user", "item", "counts"):
        one, other = getattr(found, name), getattr(expected, name)
        np.testing.assert_array_equal(one, other, f"{what} differ in {name}")


@contextmanager
def _apart() -> Iterator[None]:
    """Leave torch's random numbers and threads as they were; one thread is fastest on toy data."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
