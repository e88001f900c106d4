"""Evaluation protocols: one module each, ending in ``PROTOCOL = <class>``.

The classes are attributes here, also the user's own: ``repro.protocols.LeaveOneOut``. A class is
imported at its first use.
"""

from __future__ import annotations

from typing import Any, Protocol

from repro.interactions import Dataset
from repro.plugins import PROTOCOLS
from repro.split import Split


class Splitter(Protocol):
    """An evaluation protocol: a frozen dataclass with one method."""

    def split(self, dataset: Dataset) -> Split:
        """Return the split; the same dataset gives the same split."""
        ...


def __getattr__(name: str) -> Any:
    return PROTOCOLS.attribute_of(name, __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *PROTOCOLS.classes()})
