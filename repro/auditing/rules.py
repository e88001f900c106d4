"""The table of rules; a rule's docstring says what it demands, why, and when it holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from repro.auditing.rows import Bound, PrintedRow

Row = Callable[[PrintedRow], Iterator[Bound]]


@dataclass(frozen=True)
class Rule:
    """A rule and when it may be applied."""

    key: str
    bounds: Row
    one_target: bool
    """Only where each user has exactly one target."""
    one_epoch: bool
    """Only where all numbers of a row come from one epoch of one model."""


RULES: dict[str, Rule] = {}
"""The inequalities between the cells of a row."""

DOCS: dict[str, str] = {}
"""The docstring of every rule, these and the others."""


def documented(key: str, of: Callable[..., object]) -> None:
    """Enter a rule's docstring under its key."""
    DOCS[key] = inspect.getdoc(of) or ""


def rule(key: str, *, one_target: bool, one_epoch: bool = False) -> Callable[[Row], Row]:
    """Enter a function as a rule."""

    def entered(bounds: Row) -> Row:
        RULES[key] = Rule(key, bounds, one_target, one_epoch)
        documented(key, bounds)
        return bounds

    return entered
