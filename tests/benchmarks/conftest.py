"""Every form that is timed keeps the memory it frees, as a run does."""

from __future__ import annotations

import pytest

from repro.runs.machine import keep_freed_memory


@pytest.fixture(autouse=True, scope="session")
def _as_in_a_run() -> None:
    keep_freed_memory()
