"""`Tell`: who hears how a fetch goes."""

from __future__ import annotations

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
