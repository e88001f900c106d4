"""Models: one module each, ending in ``MODEL = <class>`` and written to read as its paper.

The classes are attributes here, also the user's own: ``repro.models.MultVAE``. A class is imported
at its first use.
"""

from __future__ import annotations

from typing import Any

from repro.plugins import MODELS


def __getattr__(name: str) -> Any:
    return MODELS.attribute_of(name, __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *MODELS.classes()})
