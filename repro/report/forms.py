"""Every form of a comparison, by name."""

from __future__ import annotations

from collections.abc import Callable

from repro.report.html import html
from repro.report.latex import latex
from repro.report.tables import FORMATS
from repro.results.comparison import ComparedTable

FORMS: dict[str, Callable[[list[ComparedTable]], str]] = {**FORMATS, "latex": latex, "html": html}
"""As `repro compare --format` takes them."""
