"""What tests are made of: papers, manifests, records, servers and processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Write = Callable[[str, str], Path]
"""Writes a file into a folder of one's own: the fixture `write`."""
