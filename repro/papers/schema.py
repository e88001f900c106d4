"""What a file of ``tables/`` may say.

A published number stays the string that was printed: a float would lose the digit that says how
well we must agree.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from repro.strict_toml import Strict

STATISTICS = ("users", "items", "interactions", "sparsity", "mean_length")
"""What a statistics table can print of a view; sparsity in per cent."""


class Tolerance(Strict):
    """How far ours may lie from the published number and still be `close`, and who says so."""

    source: str
    within: str | None = None
    """A difference, as a decimal number."""
    standard_errors: float | None = None
    """A multiple of our standard error over users."""
    groups: list[str] | None = None
    """The column groups it holds for; None: all."""


class RowSettings(Strict):
    """What a row says of its runs, in all column groups or in one."""

    model: str | None = None
    params: dict[str, Any] = {}
    select: str | None = None
    every: int | None = Field(default=None, ge=1)
    patience: int | None = Field(default=None, ge=1)
    patience_from: int | None = Field(default=None, ge=1)
    note: str = ""


class Place(RowSettings):
    """A row in one column group: its numbers, and what differs there."""

    published: list[str] = []
    """One per metric of the table, as printed; "" where the paper prints none; of a figure, and of
    an added row, none."""
    view: str | None = None
    notes: dict[str, str] = {}
    """Notes on single cells, by metric label."""
    misprints: list[str] = []
    """Metric labels whose printed number cannot be this row's result, as a note says."""
    tolerance: Tolerance | None = None


class Row(RowSettings):
    """A row of a table: a model with its settings, or a quotation."""

    label: str
    added: bool = False
    """A row of ours, which the paper does not have."""
    quoted_from: str = ""
    """Where the paper took the numbers from, if not from a run of its own."""
    at_popularity: bool = False
    """The printed numbers are at the level of the most popular items, as the note says."""
    at: dict[str, Place]
    """By column group."""


class Group(Strict):
    """A group of columns that share a view; by default there is one per view."""

    label: str
    view: str


class View(Strict):
    """A dataset under a protocol, as the paper's column heads name it."""

    label: str
    dataset: str
    """Archive and view of ``data_manifests/``."""
    protocol: dict[str, Any] | None = None
    """None where a table only counts the data."""
    blocked: str = ""
    """Why the data cannot be had by anybody, if so."""
    added_for: str = ""
    """A view of ours, which the paper does not have, on which every row of this view runs, too."""
    params: dict[str, dict[str, Any]] = {}
    """By model, or by a row's label, hyper-parameters that have to differ on it."""
    select: str | None = None
    """Which epoch counts on it, whatever the rows say."""
    note: str = ""


class Contest(Strict):
    """Two rows of a table whose difference a claim rests on."""

    row: str
    against: str


class Grid(Strict):
    """What a table and a figure have in common: what is shown, and how its runs go."""

    caption: str
    groups: list[str]
    """Column groups in printed order, or panels from left to right: views, or keys of
    ``group``."""
    group: dict[str, Group] = {}
    metrics: dict[str, str]
    """Our metric (or statistic) by printed label, in printed order; of a figure by the label of the
    y axis, a panel below the other: also "loss:NAME", which is what the model logs under that name;
    of a picture "embedding:users" or "embedding:items"."""
    select: str = "last"
    every: int = Field(default=1, ge=1)
    patience: int | None = Field(default=None, ge=1)
    patience_from: int | None = Field(default=None, ge=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0], min_length=1)
    note: str = ""


class Table(Grid):
    """One table of a paper."""

    kind: Literal["results", "statistics"] = "results"
    tolerance: list[Tolerance] = []
    transposed: bool = False
    """The paper prints our rows as columns."""
    needs: list[str] = []
    """What a record must hold besides the metrics, as `repro.runs.records.Record.holds` has it."""
    contests: list[Contest] = []
    """Rows that are compared user by user."""
    rows: list[Row]


class Line(Row):
    """A line or bar of a figure, or what else its numbers are drawn as."""

    part: str = ""
    """Whose metrics, if not the model's own: of the part of it that its scorer calls so."""


class Axis(Strict):
    """What a sweep varies: a hyper-parameter, or what one and the same run is asked."""

    label: str
    param: str = ""
    """A hyper-parameter of every line's model."""
    cases: str = ""
    """Or: the cases of a run that the protocol calls so, as "noise" those of "noise 0.1"."""
    values: list[float | int] = Field(min_length=2)


class Figure(Grid):
    """One figure of a paper, drawn from records."""

    kind: Literal["curve", "sweep", "bars", "picture"]
    """Metrics over the epochs; over an axis; one number for each line; or the vectors of users or
    items in two dimensions."""
    cases: Literal["test", "valid"] = "test"
    """Whose metrics."""
    x: Axis | None = None
    lines: list[Line] = Field(min_length=1)

    def trained(self) -> list[float | int] | list[None]:
        """Return the places of the axis that need runs of their own; without one, None alone."""
        return self.x.values if self.x and self.x.param else [None]

    def as_table(self) -> Table:
        """Return what has to run for it, as a table that prints nothing: a row for each point."""
        metrics = {label: name for label, name in self.metrics.items() if ":" not in name}
        nothing = ["" for _ in metrics]
        rows: list[Row] = []
        for line in self.lines:
            at = {
                k: place.model_copy(update={"published": nothing}) for k, place in line.at.items()
            }
            for x in self.trained():
                own = {self.x.param: x} if self.x and x is not None else {}
                update = {"label": point(line.label, x), "params": line.params | own, "at": at}
                rows.append(line.model_copy(update=update))
        shared = {name: getattr(self, name) for name in Grid.model_fields}
        return Table(**shared | {"metrics": metrics, "needs": self.needs(), "rows": rows})

    def needs(self) -> list[str]:
        """Return what a record must hold to be drawn, besides its test metrics."""
        plain = [name for name in self.metrics.values() if ":" not in name]
        cases: list[str] = []
        if self.kind == "curve" or self.cases == "valid":
            cases = [self.cases]
        if self.x and self.x.cases:
            cases = [f"{self.x.cases} {value:g}" for value in self.x.values]
        cases += [line.part for line in self.lines if line.part]
        named = [name for name in self.metrics.values() if ":" in name]
        return named + [f"{case}:{name}" for case in cases for name in plain]


def point(line: str, x: float | None) -> str:
    """Return the row of a figure's line at a place of its x axis, or of the whole line."""
    return line if x is None else f"{line} at {x:g}"


class About(Strict):
    """The paper itself."""

    title: str
    authors: str
    venue: str
    url: str
    notes: list[str] = []


class PaperFile(Strict):
    """One file of ``tables/``."""

    paper: About
    views: dict[str, View]
    tables: dict[str, Table] = Field(min_length=1)
    figures: dict[str, Figure] = {}

    def with_figures(self) -> dict[str, Table]:
        """Return the tables, and the figures as such: "figure 3"."""
        return self.tables | {figure_key(n): f.as_table() for n, f in self.figures.items()}


def figure_key(number: str) -> str:
    """Return the name of a figure where tables are named by number."""
    return f"figure {number}"
