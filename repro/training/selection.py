"""The epoch that counts: the last, the best on some cases, or each metric's own best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from repro.experiment import Selection
from repro.metrics import Result
from repro.training.outcome import Outcome
from repro.training.ranking import Ranking


@dataclass(frozen=True)
class BestEpoch:
    """Keeps in an outcome the epoch that a selection rule names.

    Parameters
    ----------
    rule : Selection
        Which epoch counts.
    outcome : Outcome
        What the training has found so far.
    patience, patience_from
        As in `repro.experiment.Experiment`.
    """

    rule: Selection
    outcome: Outcome
    patience: int | None
    patience_from: int

    def looked(self, look: dict[str, Any], epoch: int) -> bool:
        """Note an evaluation; return whether its epoch, from 1, is the best so far."""
        if not self.rule.metric:
            return True
        seen = look[self.rule.cases][self.rule.metric]
        better = bool(seen > self.outcome.selected)
        if better:
            self.outcome.selected, self.outcome.stale = seen, 0
        elif epoch >= self.patience_from:
            self.outcome.stale += 1
        return better

    def keep(self, ranking: Ranking, look: dict[str, Any], metrics: Iterable[str]) -> None:
        """Keep the results of the best epoch so far; with "test:each", each metric's own best."""
        for metric in metrics:
            value, best = look["test"][metric], self.outcome.results.get(metric)
            if not self.rule.each or best is None or value > best.value:
                error = ranking.standard_error(metric)
                self.outcome.results[metric] = Result(value, error, self.outcome.epoch)
        if self.rule.each:
            best_of = {result.epoch for result in self.outcome.results.values()}
            known = self.outcome.hits_at | {self.outcome.epoch: ranking.hits}
            self.outcome.hits_at = {at: hits for at, hits in known.items() if at in best_of}

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return bool(self.patience and self.outcome.stale >= self.patience)
