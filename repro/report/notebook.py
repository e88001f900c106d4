"""What a notebook shows: records, comparisons and judgements, also as DataFrames."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from repro.auditing.audit import Audited
from repro.report import audits, beyond, explanations
from repro.report.claims import claims_text, found
from repro.report.tables import markdown
from repro.results.beyond import Beyond
from repro.results.claims.judge import JudgedClaim
from repro.results.comparison import ComparedTable
from repro.results.explanation import Explanation
from repro.results.ledger import Reading
from repro.results.verdicts import ComparedCell
from repro.runs import records

if TYPE_CHECKING:
    import pandas as pd


class Records(records.Records):
    """Records in a list; `damaged` has those that cannot be used."""

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
    damaged: tuple[str, ...] = ()
    """What is wrong with each record that cannot be used."""

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


class Claims(list[JudgedClaim]):
    """Claims of papers, with their verdicts on the printed numbers and on ours."""

    def to_frame(self) -> pd.DataFrame:
        """Return the claims, one per row, with both verdicts and what they rest on."""
        import pandas as pd

        rows = [
            {"paper": one.paper, "id": one.id, "section": one.section, "says": one.says}
            | {"kind": one.kind, "tables": one.tables}
            | {"printed": one.printed.verdict, "ours": one.ours.verdict, "found": found(one)}
            for one in self
        ]
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        return claims_text(self)


class Audits(list[Audited]):
    """Audits of papers, in a list; shown as `repro audit` prints them."""

    def __repr__(self) -> str:
        return audits.text(self)

    def to_frame(self) -> pd.DataFrame:
        """Return the findings, one per row."""
        import pandas as pd

        names = ["paper", "table", "rule", "severity", "says", "inequality", "left", "right"]
        rows = [{name: getattr(f, name) for name in names} for one in self for f in one.findings]
        return pd.DataFrame(rows, columns=names)


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


class BeyondAccuracy(list[Beyond]):
    """What the rows of a table recommend, and whom they serve."""

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each row of the table and column group, a column for each measure."""
        import pandas as pd

        rows = [
            {"group": one.group, "row": one.row.row, "k": one.k, "seeds": one.seeds} | one.measures
            for one in self
        ]
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        return beyond.text(self)
