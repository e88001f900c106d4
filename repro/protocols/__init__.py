"""Evaluation protocols: one module each, ending in ``PROTOCOL = <class>``.

The classes are attributes here, also the user's own: ``repro.protocols.LeaveOneOut``. A class is
imported at its first use.
"""

from __future__ import annotations

from typing import Any

from repro.plugins import PROTOCOLS


def __getattr__(name: str) -> Any:
    return PROTOCOLS.attribute_of(name, __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *PROTOCOLS.classes()})
