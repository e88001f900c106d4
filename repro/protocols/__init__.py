"""Evaluation protocols: one module each, ending in ``PROTOCOL = <class>``.

The classes are attributes here, the user's own among them: ``repro.protocols.LeaveOneOut``. A class
is imported when it is asked for.
"""

from __future__ import annotations

from typing import Any

from repro.plugins import PROTOCOLS


def __getattr__(name: str) -> Any:
    return PROTOCOLS.attribute_of(name, __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *PROTOCOLS.classes()})
