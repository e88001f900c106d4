"""`Tell`: who hears how a fetch goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Tell(Protocol):
    """A listener to the progress of a fetch."""

    def bytes(self, name: str, done: int, total: int | None) -> None:
        """Hear how many bytes of a file have arrived."""

    def say(self, text: str) -> None:
        """Hear a message for the user."""


class Silent:
    """A listener that shows nothing."""

    def bytes(self, name: str, done: int, total: int | None) -> None:
        """Hear how many bytes of a file have arrived."""

    def say(self, text: str) -> None:
        """Hear a message for the user."""


@dataclass(frozen=True)
class Asking:
    """A listener that asks, whenever it hears of bytes, whether they may still be written."""

    tell: Tell
    ask: Callable[[], None]

    def bytes(self, name: str, done: int, total: int | None) -> None:
        """Hear how many bytes of a file have arrived."""
        self.ask()
        self.tell.bytes(name, done, total)

    def say(self, text: str) -> None:
        """Hear a message for the user."""
        self.tell.say(text)
