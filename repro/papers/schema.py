"""The schema of a file in ``tables/``.

A published number stays the printed string: a float would lose how many digits were printed, which
says how closely ours must agree.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from repro.papers.claims import Claim
from repro.papers.printed_facts import ByHand, Cases, Improvement, Significance, Stated
from repro.strict_toml import Name, Strict

STATISTICS = ("users", "items", "interactions", "sparsity", "mean_length")
"""What a statistics table can print about a view; sparsity in per cent."""


class Tolerance(Strict):
    """How far our number may be from the published one and still be `close`, and who says so.

    It stands beside the rule for all cells, which counts seeds, users and the last digit.
    """

    source: str
    """Who says so."""
    within: str = ""
    """A difference, as a decimal number in the unit of the table."""
    standard_errors: float | None = Field(default=None, gt=0, le=2)
    """In files for version 0.2, instead of `within`. It changes nothing: the rule for all cells
    allows two standard errors."""
    groups: list[str] | None = None
    """The column groups it holds for; None: all."""


class Sourced(Strict):
    """A part of a table file that says where its settings come from."""

    sources: dict[str, list[str]] = {}
    """Settings by their sources, which are written as `repro.hyperparameters.sources_in` reads
    them: ours = ["patience"], "paper 4.1" = ["dave.latent_dim"]. Where several rows share the
    part, MODEL or LABEL before the dot limits a hyper-parameter to the rows of that model or
    label."""


class RowSettings(Sourced):
    """A row's settings for its runs, in all column groups or in one."""

    model: Name | None = None
    """Its name; None of a quotation."""
    params: dict[str, Any] = {}
    """Hyper-parameters that differ from the model's defaults."""
    select: str | None = None
    """Instead of the table's, as are the next three."""
    every: int | None = Field(default=None, ge=1)
    """Evaluate every so many epochs."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations without a new best."""
    patience_from: int | None = Field(default=None, ge=1)
    """Count those from this epoch on."""
    note: str = ""
    """What the paper leaves open or contradicts, and why our number differs."""


class Place(RowSettings):
    """A row in one column group: its numbers, and what differs there."""

    published: list[str] = []
    """One per metric of the table, as printed; "" where the paper prints none. Figures and added
    rows have none."""
    view: str | None = None
    """A view instead of the column group's own."""
    notes: dict[str, str] = {}
    """Notes on single cells, by metric label."""
    misprints: list[str] = []
    """Metric labels whose printed number cannot be this row's result; a note says why."""
    tolerance: Tolerance | None = None
    """Instead of the table's."""
    source: list[str] = []
    """Of a quotation: the digits in the source, one per metric; "" where nobody has looked."""
    errors: list[str] = []
    """The printed standard errors over users, one per metric; "" where none is printed."""
    bold: list[str] = []
    """The labels of the metrics whose number is in bold."""


class Row(RowSettings):
    """A row of a table: a model with its settings, or a quotation."""

    label: str
    """As printed."""
    added: bool = False
    """A row of ours, which the paper does not have."""
    quoted_from: str = ""
    """Where the paper took the numbers from, if not from a run of its own."""
    average_of: list[str] = []
    """Of a printed row of averages: the labels of the rows that it averages."""
    at_popularity: bool = False
    """The printed numbers are at the level of the most popular items, as the note says."""
    at: dict[str, Place]
    """By column group."""


class Group(Strict):
    """A group of columns that share a view; by default there is one per view."""

    label: str
    """As printed."""
    view: str
    """The key of its view."""


class View(Sourced):
    """A dataset under a protocol, as the paper's column heads name it."""

    label: str
    """As printed."""
    dataset: str = ""
    """Archive and view of ``data_manifests/``; `repro audit` needs none."""
    protocol: dict[str, Any] | None = None
    """None where a table only counts the data."""
    redraw: float = Field(default=1.0, ge=0)
    """How much results vary with the draw of the test cases, in standard errors over users: 0 where
    they are the paper's own, published with its data or fixed by its recipe; 1 where other users
    are drawn; between them, as measured, where its users have other held-out items."""
    blocked: str = ""
    """Why nobody can obtain the data, if so."""
    added_for: str = ""
    """Of a view that the paper does not have: the paper's view whose rows all run on it, too."""
    params: dict[str, dict[str, Any]] = {}
    """Hyper-parameters that must differ on this view, by model or by a row's label."""
    select: str | None = None
    """Which epoch counts on this view, whatever the rows say."""
    cases: Cases | None = None
    """What is known of the test cases."""
    stated: Stated | None = None
    """What the text says of the data."""
    note: str = ""
    """What the paper leaves open or contradicts."""


class Grid(Sourced):
    """What tables and figures share: what they show, and how it is run."""

    caption: str
    """As printed."""
    groups: list[str]
    """Column groups in printed order, or panels from left to right: views, or keys of
    ``group``."""
    group: dict[str, Group] = {}
    """Column groups that are not views, by key."""
    metrics: dict[str, str]
    """Our metric (or statistic) by printed label, in printed order. In a figure, by the label of
    the y axis, one panel below the other; also "loss:NAME", what the model logs under that name. In
    a picture, "embedding:users" or "embedding:items"."""
    select: str = "last"
    """Which epoch counts, as in `repro.experiment.Experiment`."""
    every: int = Field(default=1, ge=1)
    """Look at the metrics every so many epochs."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations that were no better."""
    patience_from: int | None = Field(default=None, ge=1)
    """Count those evaluations from this epoch on."""
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0], min_length=1)
    """Seeds of every row."""
    note: str = ""
    """On the table as a whole."""


class Table(Grid):
    """One table of a paper."""

    kind: Literal["results", "statistics"] = "results"
    """Results of models, or counts of the data."""
    per_cent: bool = False
    """The paper prints these results in per cent, with or without the sign: 17.53 or 17.53% is
    compared, and shown, as 0.1753."""
    tolerance: list[Tolerance] = []
    """How far our numbers may be off; the first that fits a column group holds."""
    transposed: bool = False
    """The paper prints our rows as columns."""
    needs: list[str] = []
    """What a record must hold besides the metrics, as `repro.runs.records.Record.holds` has it."""
    runs: int | None = Field(default=None, ge=1)
    """How many runs a printed number averages, if the paper says so."""
    bold_among: Literal["column", "row"] | list[list[str]] = "column"
    """Among which numbers bold marks the best: those of a column, of a row over all column groups,
    or of one of these lists of rows."""
    improvements: list[Improvement] = []
    """Printed improvements of one row over another."""
    significance: list[Significance] = []
    """Printed tests of one row against another."""
    rows: list[Row]
    """In printed order; added ones among them."""


class Line(Row):
    """A line or bar of a figure, or whatever its numbers are drawn as."""

    part: str = ""
    """The part of the model whose metrics are drawn, as its scorer calls it; else the whole."""


class Axis(Strict):
    """What a sweep varies: a hyper-parameter, or the cases of one and the same run."""

    label: str
    """Of the axis, as printed."""
    param: str = ""
    """A hyper-parameter of every line's model."""
    cases: str = ""
    """Or: the protocol's name for cases, without the value: "noise" of "noise 0.1"."""
    values: list[float | int] = Field(min_length=2)
    """The points on it."""


class Figure(Grid):
    """One figure of a paper, drawn from records."""

    kind: Literal["curve", "sweep", "bars", "picture"]
    """Metrics over the epochs; metrics over an axis; one number per line; or the vectors of users
    or items in two dimensions."""
    cases: Literal["test", "valid"] = "test"
    """The cases whose metrics are drawn."""
    x: Axis | None = None
    """Of a sweep: the axis."""
    lines: list[Line] = Field(min_length=1)
    """As the legend has them."""

    def trained(self) -> list[float | int] | list[None]:
        """Return the values of the axis that need their own runs; without any, only None."""
        return self.x.values if self.x and self.x.param else [None]

    def as_table(self) -> Table:
        """Return what has to run for it, as a table without printed numbers: a row per point."""
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
    """Return the label of the row for a figure's line at a value of x, or for the whole line."""
    return line if x is None else f"{line} at {x:g}"


class About(Sourced):
    """The paper itself."""

    title: str
    """Its title."""
    authors: str
    """As printed."""
    venue: str
    """Where it was published."""
    url: str
    """Where it can be read."""
    notes: list[str] = []
    """On the paper as a whole."""


class PaperFile(Strict):
    """One file of ``tables/``."""

    paper: About
    """What it is."""
    views: dict[str, View]
    """Datasets under protocols, by key."""
    tables: dict[Name, Table] = Field(min_length=1)
    """By printed number."""
    figures: dict[Name, Figure] = {}
    """By printed number."""
    claims: list[Claim] = []
    """What the paper says of its numbers."""
    by_hand: list[ByHand] = []
    """Faults of the print that were noted by hand, and that no rule of `repro audit` can find."""

    def with_figures(self) -> dict[str, Table]:
        """Return the tables, and the figures as tables: "figure 3"."""
        return self.tables | {figure_key(n): f.as_table() for n, f in self.figures.items()}


def figure_key(number: str) -> str:
    """Return the key of a figure among tables, whose keys are numbers."""
    return f"figure {number}"
