"""Fit: drive a model's epochs, look at the metrics, keep what `select` names; survive a cut.

The test cases are ranked at every look, and the best epoch's hits are kept, not a copy of its
scorer: so there is no second copy of a large network, and a checkpoint need not hold a scorer.
Selection still sees only what `select` names. A protocol's further cases, 25 under DAVE's noise,
would take longer than an epoch: where there are some, the best scorer is copied, and they are
ranked at the end, or before a checkpoint.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repro import checkpoints
from repro.errors import ReproError, UnsupportedError
from repro.evaluation import Ranking, rank
from repro.metrics import Result
from repro.model import Composite, Embedding, Model, Scorer, Stateful
from repro.split import Split

CHECKPOINT_SECONDS = 60.0
"""At most so much work is lost when a run is cut off, or one epoch if that is longer."""

KEPT_APART = ("ranking", "results", "embeddings")
"""What of an outcome is not plain JSON."""


@dataclass(eq=False)
class Outcome:
    """What a training has found so far."""

    ranking: Ranking | None = None
    """Of the test cases at the epoch that counts; with "test:each" at the last look."""
    epoch: int = 0
    """That epoch, from 1."""
    selected: float = -np.inf
    """What `select` saw there."""
    stale: int = 0
    """Looks since."""
    results: dict[str, Result] = field(default_factory=dict)
    """Test metrics by name."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    """Per epoch: phase, epoch, seconds, mean losses; at a look also the metrics of the cases."""
    seconds: float = 0.0
    """Spent in epochs and looks, over all attempts."""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """What is said of each start: the first, and one after every cut."""
    embeddings: dict[str, torch.Tensor] = field(default_factory=dict)
    """Where a model that says so places users and items, at the epoch that counts."""
    followed: list[str] = field(default_factory=list)
    """The metrics that every look so far has seen."""

    def forget(self) -> None:
        """Forget the best epoch; the curve stays."""
        self.ranking, self.epoch, self.selected, self.stale = None, 0, -np.inf, 0
        self.results, self.embeddings = {}, {}


class Progress:
    """The run in progress, as a model sees it (`repro.model.Run`), and its checkpoint.

    Parameters
    ----------
    seed : int
        Seeds `rng` and torch.
    device : torch.device
        Where to train.
    folder : Path, optional
        Where checkpoints lie that survive a cut; if one is there, training goes on from it.
    report : callable, optional
        Called after every epoch with the phase, the epoch from 1, and the phase's epochs.
    attempt : mapping, optional
        What to say of this start, such as the code that runs; kept in the checkpoint.
    say : callable, optional
        Told of a checkpoint that cannot be read.
    """

    def __init__(
        self,
        seed: int,
        device: torch.device,
        folder: Path | None = None,
        report: Callable[[str, int, int], None] | None = None,
        attempt: dict[str, Any] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.seed = seed
        self.device = device
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.outcome = Outcome()
        self.epoch = 0
        self.final = True  # a model that does not count its epochs has one
        self.look: dict[str, Any] = {}
        self._phase = "train"
        self._losses: dict[str, list[Any]] = {}
        self._loop = -1
        self._over = False
        self._later: tuple[int, Callable[[], dict[str, Any]]] | None = None
        self._folder = folder
        self._report = report or (lambda phase, epoch, n: None)
        self._saved = _newest(folder, say or (lambda text: None)) if folder else None
        if self._saved:
            self.outcome = _outcome(self._saved)
        self.outcome.attempts += [attempt] if attempt else []
        self._began = self._written = time.monotonic()

    def begin_anew(self) -> None:
        """Forget what the checkpoint held; the start is said of all the same."""
        self._saved = None
        self.outcome = Outcome(attempts=self.outcome.attempts[-1:])

    def phase(self, name: str) -> None:
        """Begin a phase; forgets the best epoch, unless a checkpoint lies ahead."""
        self._phase = name
        if self._saved is None or self._saved["loop"] <= self._loop:
            self.outcome.forget()
            self._later = None

    def later(self, work: Callable[[], dict[str, Any]]) -> None:
        """Do work at the end, or before a checkpoint, unless a later epoch has work to do by then.

        What it returns goes into the curve at the epoch in progress.
        """
        self._later = len(self.outcome.curve), work

    def settle(self) -> None:
        """Do the work that was put off."""
        if self._later:
            place, work = self._later
            self.outcome.curve[place] |= work()
            self._later = None

    def log(self, **losses: Any) -> None:
        """Note losses; their means over the epoch go into the curve."""
        for name, value in losses.items():
            total = self._losses.setdefault(name, [0.0, 0])
            total[0] = total[0] + (value.detach() if isinstance(value, torch.Tensor) else value)
            total[1] += 1

    def epochs(self, n: int, **state: Stateful) -> Iterator[int]:
        """Count n epochs from 0; begin behind the last one that the checkpoint holds."""
        self._loop += 1
        first = 0
        if self._saved and self._loop < self._saved["loop"]:
            return  # this loop was over when the checkpoint was written
        if self._saved and self._loop == self._saved["loop"]:
            self._restore(self._saved, state)
            first = self._saved["epoch"] + 1
        for epoch in range(first, n):
            self.epoch, self.final = epoch, epoch == n - 1
            yield epoch
            self.close_epoch()
            over, self._over = self.final or self._over, False
            self._report(self._phase, epoch + 1, n)
            waited = time.monotonic() - self._written
            if self._folder and (over or waited > CHECKPOINT_SECONDS):
                self.epoch = n - 1 if over else epoch
                self.settle()
                checkpoints.save(self._folder, self._checkpoint(state))
                self._written = time.monotonic()
            if over:
                return

    def end_phase(self) -> None:
        """Let the epoch in progress be the last of its phase."""
        self._over = True

    def close_epoch(self) -> None:
        """Put the epoch's losses and metrics into the curve."""
        now = time.monotonic()
        means = {name: float(total) / n for name, (total, n) in self._losses.items()}
        means_or_words = {k: v if math.isfinite(v) else str(v) for k, v in means.items()}
        entry = {"phase": self._phase, "epoch": self.epoch + 1, "seconds": now - self._began}
        self.outcome.curve.append({**entry, "losses": means_or_words, **self.look})
        self.outcome.seconds += now - self._began
        self._began = now
        self.look, self._losses = {}, {}

    def _checkpoint(self, state: dict[str, Stateful]) -> bytes:
        """Return the bytes of a checkpoint: tensors and plain types only."""
        ranking = self.outcome.ranking
        content = {
            "loop": self._loop,
            "epoch": self.epoch,
            "state": {name: part.state_dict() for name, part in state.items()},
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "numpy": json.dumps(self.rng.bit_generator.state),
            "outcome": json.dumps(
                {k: v for k, v in vars(self.outcome).items() if k not in KEPT_APART}
            ),
            "embeddings": self.outcome.embeddings,
            "results": json.dumps({k: asdict(v) for k, v in self.outcome.results.items()}),
            "ranking": ranking
            and {
                "hits": torch.from_numpy(ranking.hits),
                "n_targets": torch.from_numpy(ranking.n_targets),
                "tie_size": ranking.tie_size,
                "constant": ranking.constant,
            },
        }
        buffer = BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    def _restore(self, saved: dict[str, Any], state: dict[str, Stateful]) -> None:
        try:
            for name, part in state.items():
                part.load_state_dict(saved["state"][name])
        except (KeyError, ValueError, RuntimeError) as error:
            raise ReproError(
                f"the checkpoint in {self._folder} is of another version of the model: {error}",
                "repro run --force trains from the beginning",
            ) from error
        torch.set_rng_state(saved["torch"])
        if saved["cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(saved["cuda"], self.device)  # maybe not the GPU it was
        self.rng.bit_generator.state = json.loads(saved["numpy"])


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


def _newest(folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
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


def _outcome(saved: dict[str, Any]) -> Outcome:
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


def fit(
    model: Model,
    split: Split,
    progress: Progress,
    *,
    name: str,
    metrics: tuple[str, ...],
    select: str = "last",
    every: int = 1,
    patience: int | None = None,
    patience_from: int = 0,
    curve: tuple[str, ...] = (),
) -> Outcome:
    """Train a model, and return its test metrics at the epoch that `select` names.

    Parameters
    ----------
    model : Model
        Hyper-parameters.
    split : Split
        Training interactions, and the cases of validation and test.
    progress : Progress
        The run.
    name : str
        The model's, for messages.
    metrics : tuple of str
        What the results and the curve report, such as "ndcg@100".
    select, every, patience, patience_from
        As in `repro.experiment.Experiment`.
    curve : tuple of str
        Metrics that every look must have seen, for a figure; without them a checkpoint is no use.

    Raises
    ------
    UnsupportedError
        If the model cannot serve the split.
    ReproError
        If `select` needs a validation that the protocol does not have, or training diverged.
    """
    part, _, criterion = select.partition(":")
    if part == "valid" and split.valid is None:
        raise ReproError(
            f"select = '{select}' needs validation cases, and this protocol holds out none",
            "select = 'last', or give the protocol a validation part",
        )
    check_users(model, split, name)
    # Of a metric that was not looked at, best epochs and the curve's beginning are lost.
    if {*curve, *(metrics if criterion == "each" else ())} - set(progress.outcome.followed):
        progress.begin_anew()
    outcome = progress.outcome
    metrics = tuple(dict.fromkeys([*metrics, *curve, *outcome.followed]))
    outcome.followed = list(metrics)
    if outcome.ranking is not None:
        for metric in [name for name in metrics if name not in outcome.results]:
            value, error = outcome.ranking.value(metric), outcome.ranking.standard_error(metric)
            outcome.results[metric] = Result(value, error, outcome.epoch)
    for scorer in model.epochs(split.train, progress):
        if progress.epoch % every and not progress.final:
            continue
        test, progress.look = _look(scorer, split, name, (*metrics, criterion))
        if part in ("valid", "test") and criterion != "each":
            seen = progress.look[part][criterion]
            counted = progress.epoch + 1 >= patience_from
            outcome.stale = 0 if seen > outcome.selected else outcome.stale + counted
            better = seen > outcome.selected
            outcome.selected = max(seen, outcome.selected)
        else:
            better = True
        if better:
            outcome.ranking, outcome.epoch = test, progress.epoch + 1
            progress.look |= _parts(scorer, split, metrics)
            if split.others:
                for entry in outcome.curve:  # a checkpoint may have come between
                    for key in split.others:
                        entry.pop(key, None)
                kept = copy.deepcopy(scorer)  # the training goes on
                progress.later(partial(_others, kept, split, name, metrics, progress.seed))
            outcome.embeddings = _embeddings(scorer)
        for metric in metrics:
            value = progress.look["test"][metric]
            best = outcome.results.get(metric)
            if better and (criterion != "each" or best is None or value > best.value):
                error = test.standard_error(metric)
                outcome.results[metric] = Result(value, error, progress.epoch + 1)
        if patience and outcome.stale >= patience:
            progress.end_phase()
    if progress.look:  # the model does not count its epochs
        progress.close_epoch()
    progress.settle()
    return outcome


def check_users(model: Model, split: Split, name: str) -> None:
    """Raise UnsupportedError if a model, here under its name, cannot score a split's users."""
    known_only = getattr(model, "KNOWN_USERS_ONLY", False)
    if known_only and (split.test.queries.user < 0).any():
        raise UnsupportedError(
            f"{name} knows only the users of its training data, and this protocol asks for others",
            "choose a model that scores from a history",
        )


def _embeddings(scorer: Scorer) -> dict[str, torch.Tensor]:
    """Return a copy of where the scorer places users and items, if it says so."""
    # By its type: a submodule of that name lies on the instance.
    if not callable(getattr(type(scorer), "embeddings", None)):
        return {}
    assert isinstance(scorer, Embedding)
    with torch.random.fork_rng():
        return {name: rows.detach().cpu().clone() for name, rows in scorer.embeddings().items()}


def _parts(scorer: Scorer, split: Split, metrics: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Return the metrics of a model's parts."""
    if not callable(getattr(type(scorer), "parts", None)):
        return {}
    assert isinstance(scorer, Composite)
    with torch.random.fork_rng():
        rankings = {key: rank(part, split.test, key) for key, part in scorer.parts().items()}
    return {key: {name: r.value(name) for name in metrics} for key, r in rankings.items()}


def _others(
    scorer: Scorer, split: Split, name: str, metrics: tuple[str, ...], seed: int
) -> dict[str, dict[str, float]]:
    """Return the metrics of the further cases, mean over the draws of each."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # when they are ranked depends on the clock
        rankings = {
            key: [rank(scorer, one, name) for one in cases] for key, cases in split.others.items()
        }
    return {
        key: {metric: float(np.mean([r.value(metric) for r in found])) for metric in metrics}
        for key, found in rankings.items()
    }


def _look(
    scorer: Scorer, split: Split, name: str, wanted: tuple[str, ...]
) -> tuple[Ranking, dict[str, Any]]:
    """Return the ranking of the test cases, and the metrics of all cases for the curve."""
    metrics = [metric for metric in dict.fromkeys(wanted) if "@" in metric]
    with torch.random.fork_rng():  # a scorer that samples must not change the training to come
        test = rank(scorer, split.test, name)
        look = {"test": {metric: test.value(metric) for metric in metrics}}
        if split.valid:
            valid = rank(scorer, split.valid, name)
            look["valid"] = {metric: valid.value(metric) for metric in metrics}
    return test, look
