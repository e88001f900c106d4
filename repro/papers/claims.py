"""The schema of ``[[claims]]``: what a paper says of its numbers, as data that can be judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from repro.strict_toml import Strict

Kind = Literal[
    "above", "margin", "best", "level", "trend", "faster", "equal", "unmeasured", "untestable"
]
"""What a claim says.

- above: each row is higher than the other of its pair; "margin": by a stated share
- best: a row has a rank in every column, the first if not told otherwise
- level: the rows of a pair differ by less than a margin
- trend: along an axis of a figure a row rises, falls, or is best at one place
- faster: a row needs fewer epochs than the other for a share of its best validation value
- equal: stated counts, settings or numbers are what they are said to be
- unmeasured: it could be tested, but no row or metric here does; the reason says what is missing
- untestable: it cannot be tested; the reason says why
"""


class RowAt(Strict):
    """A row, where it is not in the claim's own tables or column groups."""

    row: str
    """Its label; in a figure, the label of the line."""
    table: str = ""
    """Its table, or "figure 3"; else each of the claim's."""
    group: str = ""
    """Its column group; else each of the claim's."""
    metric: str = ""
    """Its column, where two columns of a row are compared; else each of the claim's."""


RowRef = str | RowAt


class LeftOut(Strict):
    """Columns that a claim leaves out."""

    group: str
    """The column group."""
    metrics: list[str] = Field(min_length=1)
    """By printed label."""


class Fact(Strict):
    """A stated number, and what it can be held against: one of the next four."""

    stated: str
    """As the paper writes it: "0.36%"."""
    computed: str = ""
    """A formula of other printed numbers: "10.0M / 136,677"."""
    statistic: str = ""
    """A count of a view, as in a statistics table."""
    view: str = ""
    """The view that is counted."""
    param: str = ""
    """A hyper-parameter of a row; "protocol.NAME", a parameter of its protocol; or "data.NAME", a
    step of its view's manifest."""
    row: RowAt | None = None
    """The row that has it, with table and column group."""


class Claim(Strict):
    """A claim of the paper about its numbers."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    """Lower case, with hyphens; each one once in a paper."""
    section: str
    """Where the paper says it."""
    says: str
    """What, in our own words."""
    kind: Kind
    """above, margin (by a share), best, level (no further apart than `within`), trend (along an
    axis), faster (fewer epochs), equal (stated counts), unmeasured, untestable (with a reason)."""
    tables: list[str] = []
    """Where it holds: tables, or "figure 3"."""
    groups: list[str] = []
    """Column groups of these; empty: all."""
    metrics: list[str] = []
    """Columns, by printed label; empty: all."""
    x: list[float | int] = []
    """Places on a figure's axis; empty: all."""
    views: list[str] = []
    """Added views that count for ours while nothing has been run on the paper's own."""
    need: Literal["all", "most", "some"] = "all"
    """In how many of the comparisons it must hold."""
    rows: list[RowRef] = []
    """Rows, each compared with each of `against`."""
    against: list[RowRef] = []
    """Empty with kind best: all other rows of the paper."""
    pairs: list[Annotated[list[RowRef], Field(min_length=2, max_length=2)]] = []
    """Or: rows that are compared two by two."""
    apart_from: list[LeftOut] = []
    """Columns for which it is not said."""
    percent: dict[str, str] = {}
    """With kind margin: by how much the first row is above the second, by column: "5%"."""
    between: bool = False
    """With kind margin: no column gains less or more than the stated ones."""
    within: str = ""
    """With kind level: the largest difference that still counts as level."""
    ranks: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)] = [1, 1]
    """With kind best: the first and the last rank that fit."""
    shape: Literal["", "rises", "falls", "peak"] = ""
    """With kind trend."""
    peak: dict[str, float | int] = {}
    """With shape peak: where the best value is, by column group."""
    at: Literal["best", "last"] = "best"
    """Which point of a curve counts."""
    facts: list[Fact] = []
    """With kind equal; without, the printed cells of a statistics table."""
    reason: str = ""
    """Why it is unmeasured or untestable."""
    note: str = ""
    """What else a reader should know."""

    def two_by_two(self) -> list[tuple[RowRef, RowRef]]:
        """Return all pairs of rows that are named."""
        crossed = [(row, other) for row in self.rows for other in self.against]
        return [*crossed, *((one, other) for one, other in self.pairs)]

    def rests_on(self) -> list[str]:
        """Return the tables that it rests on, by printed number, and figures: "figure 3"."""
        refs = [*self.rows, *self.against, *(row for pair in self.pairs for row in pair)]
        refs += [fact.row for fact in self.facts if fact.row]
        elsewhere = [ref.table for ref in refs if not isinstance(ref, str) and ref.table]
        return list(dict.fromkeys([*self.tables, *elsewhere]))


def label_of(ref: RowRef) -> str:
    """Return the label of a row that a claim names."""
    return ref if isinstance(ref, str) else ref.row
