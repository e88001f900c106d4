"""Resume from a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from repro.errors import ReproError
from repro.metrics import Result
from repro.model import Run, Stateful
from repro.training import checkpoints
from repro.training.checkpoints import Place
from repro.training.outcome import Outcome
from repro.training.ranking import Ranking

KEPT_APART = ("ranking", "hits_at", "results", "embeddings", "scorer")
"""Fields of an outcome that are not plain JSON."""


def newest(folder: Path, say: Callable[[str], None]) -> tuple[Place | None, dict[str, Any] | None]:
    """Return how far the newest usable checkpoint is, and what it holds; None twice without one.

    Those that are damaged, or of another run, are set aside and reported.
    """
    for file in checkpoints.present(folder):
        try:
            place, content = checkpoints.read(file)
            return place, torch.load(BytesIO(content), weights_only=True, map_location="cpu")
        except (OSError, MemoryError):
            raise  # a fault of the machine, not of the file
        except Exception as error:  # torch documents no narrower set for a damaged file
            kept = checkpoints.put_aside(file)
            say(f"the checkpoint {file} cannot be used ({error}); it was renamed to {kept.name}")
    return None, None


def outcome_of(saved: dict[str, Any]) -> Outcome:
    """Return the outcome that a checkpoint holds."""
    kept = saved["ranking"]
    return Outcome(
        ranking=kept
        and Ranking(
            kept["hits"].numpy(),
            kept["n_targets"].numpy(),
            kept["tie_size"],
            kept["constant"],
            None if kept["items"] is None else kept["items"].numpy(),
        ),
        hits_at={epoch: hits.numpy() for epoch, hits in saved["hits_at"].items()},
        results={k: Result(**v) for k, v in json.loads(saved["results"]).items()},
        embeddings=saved.get("embeddings", {}),
        **json.loads(saved["outcome"]),
    )


def packed(outcome: Outcome, state: Mapping[str, Stateful], run: Run) -> bytes:
    """Return the content of a checkpoint: tensors and plain types only.

    Parameters
    ----------
    outcome : Outcome
        What the training has found so far.
    state : mapping
        What the training changes, by name.
    run : Run
        Its random numbers are saved, too.
    """
    ranking = outcome.ranking
    plain = {key: value for key, value in vars(outcome).items() if key not in KEPT_APART}
    content = {
        "state": {name: part.state_dict() for name, part in state.items()},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(run.device) if run.device.type == "cuda" else None,
        "numpy": json.dumps(run.rng.bit_generator.state),
        "outcome": json.dumps(plain),
        "embeddings": outcome.embeddings,
        "results": json.dumps({name: asdict(one) for name, one in outcome.results.items()}),
        "ranking": ranking
        and {
            "hits": torch.from_numpy(ranking.hits),
            "n_targets": torch.from_numpy(ranking.n_targets),
            "tie_size": ranking.tie_size,
            "constant": ranking.constant,
            "items": None if ranking.items is None else torch.from_numpy(ranking.items),
        },
        "hits_at": {epoch: torch.from_numpy(hits) for epoch, hits in outcome.hits_at.items()},
    }
    buffer = BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def restore(
    saved: Mapping[str, Any], state: Mapping[str, Stateful], run: Run, folder: Path | None
) -> None:
    """Restore what the training changes, and the random numbers, from a checkpoint.

    Raises
    ------
    ReproError
        If the model has other parts or shapes than when the checkpoint was written.
    """
    try:
        for name, part in state.items():
            part.load_state_dict(saved["state"][name])
    except (KeyError, ValueError, RuntimeError) as error:
        raise ReproError(
            f"the checkpoint in {folder} is of another version of the model: {error}",
            "repro run --force trains from the beginning",
        ) from error
    torch.set_rng_state(saved["torch"])
    if saved["cuda"] is not None and run.device.type == "cuda":
        torch.cuda.set_rng_state(saved["cuda"], run.device)  # maybe another GPU than before
    run.rng.bit_generator.state = json.loads(saved["numpy"])
