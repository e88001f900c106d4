"""Rows compared user by user: as a sentence, and as JSON or CSV with a line for each column."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from repro.results.comparison import ComparedTable
from repro.results.differences import Pair
from repro.results.frozen import RowName
from repro.results.naming import row_name
from repro.text import one_line


@dataclass(frozen=True, kw_only=True)
class PairedCell:
    """How far one row is above another in a column, for the same users and seeds."""

    paper: str
    table: str
    group: str
    """The column group's label."""
    row: str
    """As it is printed."""
    against: str
    """The row that is subtracted."""
    label: str
    """The metric as printed."""
    value: float
    """Mean over users and seeds."""
    standard_error: float | None
    """Over users and seeds; with one seed, over users alone."""
    df: float
    """Its degrees of freedom; 0 without one."""
    n_users: int
    """Test users."""
    seeds: tuple[int, ...]
    """Those that both rows have."""
    of_seeds: tuple[float, ...]
    """Mean over the users, by seed."""


def paired_cells(tables: Iterable[ComparedTable]) -> list[PairedCell]:
    """Return the differences of all pairs, column by column."""
    return [
        PairedCell(
            paper=table.paper,
            table=table.number,
            group=pair.group,
            row=row_name(pair.row),
            against=row_name(pair.against),
            **vars(difference),
            n_users=pair.n_users,
            seeds=pair.seeds,
        )
        for table in tables
        for pair in table.pairs
        for difference in pair.differences
    ]


def pairs_as_json(tables: Iterable[ComparedTable]) -> str:
    """Return the differences as JSON, a list of them."""
    return json.dumps([asdict(one) for one in paired_cells(tables)], indent=1)


def pairs_as_csv(tables: Iterable[ComparedTable]) -> str:
    """Return the differences as CSV, a line each."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(PairedCell.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    for one in paired_cells(tables):
        joined = {"seeds": _joined(one.seeds), "of_seeds": _joined(one.of_seeds)}
        fields = asdict(one) | joined
        writer.writerow({k: one_line(v) if isinstance(v, str) else v for k, v in fields.items()})
    return out.getvalue()


def _joined(values: Iterable[float]) -> str:
    return " ".join(map(str, values))


def paired_text(pair: Pair, short: Mapping[RowName, str] = MappingProxyType({})) -> str:
    """Return how far a row is above another, with the standard error, and by seed."""
    seeds = f"seed{'s' * (len(pair.seeds) > 1)} {', '.join(map(str, pair.seeds))}"
    row, against = (row_name(name, short.get(name, "")) for name in (pair.row, pair.against))
    parts = [
        f"{d.label} {d.value:+.4f}"
        + ("" if not d.standard_error else f" ± {d.standard_error:.4f}")
        + (f" ({' '.join(f'{one:+.4f}' for one in d.of_seeds)})" if len(d.of_seeds) > 1 else "")
        for d in pair.differences
    ]
    return (
        f"{row} minus {against}, user by user ({pair.n_users:,} users, {seeds}): {', '.join(parts)}"
    )
