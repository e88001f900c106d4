"""What a notebook shows: records, comparisons and explanations, also as DataFrames."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro import paths
from repro.papers import library
from repro.report import explanations
from repro.report.tables import markdown
from repro.results.comparison import ComparedTable
from repro.results.explanation import Explanation, explain_row
from repro.results.ledger import Reading, readings
from repro.results.verdicts import ComparedCell
from repro.runs import records as record_files
from repro.runs.records import Record

if TYPE_CHECKING:
    import pandas as pd


class Records(list[Record]):
    """Records, in a list."""

    def to_frame(self) -> pd.DataFrame:
        """Return the records, one per row, with a column for each test metric."""
        import pandas as pd

        rows = [
            {
                "id": record.id,
                "dataset": record.experiment.dataset,
                "protocol": record.experiment.protocol.name,
                "model": record.experiment.model.name,
                "params": dict(record.experiment.model.params),
                "select": record.experiment.select,
                "seed": record.experiment.seed,
                "smoke": record.experiment.smoke,
                "epoch": record.epoch,
                "seconds": record.seconds,
                "began": record.began,
                **{name: result.value for name, result in record.results.items()},
            }
            for record in self
        ]
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class Comparison:
    """Tables, with published and your own numbers side by side."""

    tables: list[ComparedTable]

    @property
    def cells(self) -> list[ComparedCell]:
        """The cells of all tables."""
        return [cell for table in self.tables for cell in table.cells]

    def to_frame(self) -> pd.DataFrame:
        """Return the cells, one per row, with the fields of `ComparedCell`."""
        import pandas as pd

        return pd.DataFrame([asdict(cell) for cell in self.cells])

    def __str__(self) -> str:
        return markdown(self.tables)

    def _repr_markdown_(self) -> str:
        return str(self)


class Explanations(list[Explanation]):
    """A row explained, once for each column group."""

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each reading of each cell: ours, other epochs, other formulas."""
        import pandas as pd

        rows = [
            {"group": one.group, "label": cell.label, "published": cell.published, **asdict(v)}
            for one in self
            for cell in one.cells
            for v in [*([cell.ours] if cell.ours else []), *cell.epochs, *cell.readings]
        ]
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        return explanations.text(self)


class Ledger(list[Reading]):
    """Open readings, the largest measured effect first."""

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each reading, with the first effect of the run that measures it best."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for one in self:
            largest = asdict(one.largest) if one.largest else {}
            about = {"paper": one.paper, "row": one.row, "reading": ", ".join(one.names)}
            rows.append(about | largest | {"command": one.command})
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        return explanations.ledger(self)


def explain(
    paper: str,
    table: str,
    row: str,
    *,
    view: str = "",
    metric: str = "",
    runs: str | Path | None = None,
) -> Explanations:
    """Explain a row: settings and who states them, runs, other readings of its numbers.

    Parameters
    ----------
    paper, table, row : str
        The paper's id, the table's printed number, the row's label.
    view, metric : str
        One dataset or column group, one metric by its label; else all.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If one of them does not exist.
    """
    known = record_files.load_all(Path(runs) if runs else paths.runs())
    found = explain_row(library.load(paper), table, row, known, view=view, metric=metric)
    return Explanations(found)


def ledger(*papers: str, runs: str | Path | None = None) -> Ledger:
    """Return what the papers leave open, with the effect that our runs measured.

    Parameters
    ----------
    *papers : str
        Papers; all if none is named.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If there is no such paper.
    """
    known = record_files.load_all(Path(runs) if runs else paths.runs())
    return Ledger(readings([library.load(name) for name in papers or library.papers()], known))
