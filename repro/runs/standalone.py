"""Train and evaluate a model outside of any paper's table: nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from repro.errors import ReproError
from repro.metrics import Result, depth, parse
from repro.runs.settings import Report

if TYPE_CHECKING:
    import pandas as pd

    from repro.model import Model, Scorer
    from repro.split import Cases, Split
    from repro.training.ranking import Ranking


@dataclass(frozen=True)
class Fitted:
    """A model that has been trained and evaluated."""

    results: dict[str, Result]
    """Test metrics: value, standard error over the test users, and epoch."""
    epoch: int
    """The epoch that counts, from 1."""
    curve: list[dict[str, Any]]
    """Per epoch: phase, epoch, seconds, mean losses, and the metrics of the cases looked at."""
    ranking: Ranking
    """Of the test cases: hits by rank, and targets per user."""
    scorer: Scorer | None
    """Of the epoch that counts; None if it was not kept."""

    def to_frame(self) -> pd.DataFrame:
        """Return the test metrics, one per row."""
        import pandas as pd

        rows = [{"metric": name, **asdict(one)} for name, one in self.results.items()]
        return pd.DataFrame(rows)

    def curve_frame(self) -> pd.DataFrame:
        """Return the curve, a row for each epoch, with columns such as "test:ndcg@10"."""
        import pandas as pd

        def flat(entry: Mapping[str, Any]) -> dict[str, Any]:
            nested = {k: v for k, v in entry.items() if isinstance(v, dict)}
            plain = {k: v for k, v in entry.items() if k not in nested}
            return plain | {
                f"{of}:{k}": v for of, values in nested.items() for k, v in values.items()
            }

        return pd.DataFrame([flat(entry) for entry in self.curve])


def fit(
    model: Model,
    split: Split,
    metrics: str | Iterable[str] = ("ndcg@100", "recall@20", "recall@50"),
    *,
    select: str = "last",
    every: int = 1,
    patience: int | None = None,
    patience_from: int = 0,
    seed: int = 0,
    device: str = "auto",
    threads: int = 0,
    keep_scorer: bool = True,
    report: Report | None = None,
) -> Fitted:
    """Train a model on a split, and evaluate it on the split's test cases.

    Nothing is written: no record, no checkpoint. `repro.run` trains the rows of a paper's table.

    Parameters
    ----------
    model : Model
        Such as ``repro.models.MultVAE(latent_dim=64)``.
    split : Split
        What a protocol makes of a dataset: ``repro.protocols.LeaveOneOut().split(data)``.
    metrics : str or iterable of str
        What to measure, as in ``repro list metrics``: "ndcg@100".
    select, every, patience, patience_from
        Which epoch counts, as in `repro.experiment.Experiment`: "last", "valid:ndcg@100".
    seed : int
        Of all random numbers.
    device : str
        "auto", "cpu", "cuda" or "cuda:1".
    threads : int
        CPU threads; 0: torch's own choice.
    keep_scorer : bool
        Whether to keep the scorer of the epoch that counts, for `rank` and `evaluate`.
    report : callable, optional
        Called after every epoch with the phase, the epoch from 1, and the phase's epochs.

    Raises
    ------
    UnsupportedError
        If the model cannot serve the split.
    ReproError
        If a metric does not exist, or training diverged.
    """
    from repro.runs import machine
    from repro.training.fit import fit as trained
    from repro.training.progress import Progress

    asked = _named(metrics)
    for metric in asked:
        parse(metric)
    with machine.restored(), machine.subnormals_as_zero():
        outcome = trained(
            model,
            split,
            Progress(seed, machine.chosen_device(device, threads), report=report),
            name=type(model).__name__,
            metrics=asked,
            select=select,
            every=every,
            patience=patience,
            patience_from=patience_from,
            keep_scorer=keep_scorer,
        )
    if outcome.ranking is None:
        raise ReproError(f"{type(model).__name__} yielded no scorer", "it needs one epoch or more")
    shown = outcome.results, outcome.epoch, outcome.curve, outcome.ranking
    return Fitted(*shown, outcome.scorer)


def rank(scorer: Scorer, cases: Cases, *, depth: int = 0) -> Ranking:
    """Rank the items for every case, as for the numbers of every table.

    Parameters
    ----------
    scorer : Scorer
        Anything with a method ``score(queries)`` that returns a float tensor of shape (B, I), or
        (B, C) where the queries have candidates; see `repro.model.Scorer`.
    cases : Cases
        ``split.test`` or ``split.valid``.
    depth : int
        How many ranks to keep, where that is more than 100: as many as the deepest cut-off.
    """
    from repro.training.ranking import rank as ranked

    return ranked(scorer, cases, type(scorer).__name__, depth=depth)


def evaluate(
    scorer: Scorer,
    cases: Cases,
    metrics: str | Iterable[str] = ("ndcg@100", "recall@20", "recall@50"),
) -> dict[str, float]:
    """Return the metrics of a scorer's ranking, as means over users.

    Parameters
    ----------
    scorer, cases
        As in `rank`.
    metrics : str or iterable of str
        What to measure: "ndcg@100".
    """
    asked = _named(metrics)
    ranking = rank(scorer, cases, depth=depth(asked))
    return {name: ranking.value(name) for name in asked}


def _named(metrics: str | Iterable[str]) -> tuple[str, ...]:
    return (metrics,) if isinstance(metrics, str) else tuple(metrics)
