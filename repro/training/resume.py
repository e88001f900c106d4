"""Go on from a checkpoint."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from repro.metrics import Result
from repro.training import checkpoints
from repro.training.outcome import Outcome
from repro.training.ranking import Ranking

KEPT_APART = ("ranking", "results", "embeddings")
"""What of an outcome is not plain JSON."""


def reached(folder: Path) -> tuple[int, int]:
    """Return which loop of epochs a run's checkpoint lies in, from 0, and its epochs behind it.

    Without a checkpoint that can be read it is the beginning of the first; no file is touched.
    """
    for file in checkpoints.present(folder):
        with contextlib.suppress(Exception):  # the run will say
            saved = _read(file)
            return saved["loop"], saved["epoch"] + 1
    return 0, 0


def _read(file: Path) -> dict[str, Any]:
    content = BytesIO(checkpoints.read(file))
    return torch.load(content, weights_only=True, map_location="cpu")


def newest(folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the newest checkpoint that can be read; put aside, and name, those that cannot."""
    for file in checkpoints.present(folder):
        try:
            return _read(file)
        except (OSError, MemoryError):
            raise  # of the machine, not of the file
        except Exception as error:  # torch documents no narrower set for a damaged file
            kept = checkpoints.put_aside(file)
            say(f"the checkpoint {file} cannot be read ({error}); it is now {kept.name}")
    return None


def outcome_of(saved: dict[str, Any]) -> Outcome:
    """Return the outcome that a checkpoint holds."""
    kept = saved["ranking"]
    return Outcome(
        ranking=kept
        and Ranking(
            kept["hits"].numpy(), kept["n_targets"].numpy(), kept["tie_size"], kept["constant"]
        ),
        results={k: Result(**v) for k, v in json.loads(saved["results"]).items()},
        embeddings=saved.get("embeddings", {}),
        **json.loads(saved["outcome"]),
    )
