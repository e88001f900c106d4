"""Papers and their tables, in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.api.runs import compare, run
from repro.papers import library
from repro.papers.paper import Paper
from repro.report.notebook import Comparison
from repro.runs.batch import Batch
from repro.text import one_line

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class TableOf:
    """A table of a paper."""

    paper: Paper
    number: str

    def __repr__(self) -> str:
        caption = self.paper.table(self.number).caption
        return one_line(f"<table {self.number} of {self.paper.id}: {caption}>")

    @property
    def rows(self) -> list[str]:
        """The labels of its rows, added rows included."""
        return [row.label for row in self.paper.table(self.number).rows]

    def to_frame(self) -> pd.DataFrame:
        """Return the published cells, one per row."""
        import pandas as pd

        cells = [
            {"row": e.row, "group": e.group_label, "view": e.dataset, "label": cell.label}
            | {"metric": cell.metric, "published": cell.published}
            for e in self.paper.entries[self.number]
            for cell in e.cells
            if cell.published
        ]
        return pd.DataFrame(cells)

    def run(self, **asked: Any) -> Batch:
        """Train and evaluate what has no record yet; parameters as in `repro.run`."""
        return run(self.paper.id, table=self.number, **asked)

    def compare(self, **asked: Any) -> Comparison:
        """Return published and your own numbers; parameters as in `repro.compare`."""
        return compare(self.paper.id, table=self.number, **asked)


@dataclass(frozen=True, repr=False)
class PaperOf:
    """A paper."""

    paper: Paper

    def __repr__(self) -> str:
        return one_line(f"<paper {self.paper.id}: {self.title}; tables {', '.join(self.tables)}>")

    @property
    def title(self) -> str:
        """The title."""
        return self.paper.about.title

    @property
    def tables(self) -> list[str]:
        """The numbers of its tables."""
        return list(self.paper.tables)

    @property
    def figures(self) -> list[str]:
        """The numbers of its figures."""
        return list(self.paper.figures)

    def table(self, number: str) -> TableOf:
        """Return one table by its printed number.

        Raises
        ------
        ReproError
            If there is no such table.
        """
        return TableOf(self.paper, self.paper.number(number))


def paper(name: str) -> PaperOf:
    """Return a paper by its id: "sevae", or the name of your own table file.

    Raises
    ------
    ReproError
        If there is no such paper, or its file has faults.

    Examples
    --------
    >>> paper("dave").table("4").rows[:2]
    ['CDAE', 'APR']
    """
    return PaperOf(library.load(name))
