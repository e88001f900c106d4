"""Models: one module each, ending in ``MODEL = <class>``; the file reads as the paper does.

The classes are attributes here, the user's own among them: ``repro.models.MultVAE``. A class is
imported when it is asked for.
"""

from __future__ import annotations

from typing import Any

from repro.plugins import MODELS


def __getattr__(name: str) -> Any:
    return MODELS.attribute_of(name, __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *MODELS.classes()})
