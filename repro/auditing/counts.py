"""Rules on statistics of datasets: counts that cannot belong together (D1 to D4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from repro.auditing.findings import At, Finding, Severity
from repro.auditing.intervals import Interval, Rounding, count, interval
from repro.auditing.read import Print, counted
from repro.auditing.rules import documented
from repro.papers.schema import View

COUNTS = ("users", "items", "interactions")

_RULES = {"mean_length": "D2", "sparsity": "D1", "density": "D1"}

_FORMULAS = {
    "mean_length": "interactions / users",
    "sparsity": "1 − interactions / (users × items)",
    "density": "interactions / (users × items)",
}


@dataclass(frozen=True)
class Statistics:
    """What a paper prints of one dataset at one place."""

    table: str
    group: str
    row: str
    view: View
    printed: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)

    def at(self, *names: str) -> tuple[At, ...]:
        """Return where some statistics stand."""
        return tuple(
            At(
                self.table,
                self.group,
                self.row,
                self.labels.get(name, name.replace("_", " ")),
                self.printed[name],
            )
            for name in names
            if name in self.printed
        )


def all_of(found: Print) -> Iterator[Statistics]:
    """Yield the statistics tables' rows, and what the text says of a view's data."""
    for number, table in found.content.tables.items():
        if table.kind == "statistics":
            labels = {metric: label for label, metric in table.metrics.items()}
            for row, place, _, group in found.places(number):
                texts = zip(table.metrics.values(), place.published, strict=True)
                printed = {name: text for name, text in texts if text}
                view = found.content.views[place.view or group.view]
                yield Statistics(number, group.label, row.label, view, printed, labels)
    for view in found.content.views.values():
        if view.stated:
            printed = {k: v for k, v in view.stated.model_dump().items() if v and k != "where"}
            yield Statistics(view.stated.where, view.label, "in the text", view, printed)


def derived(
    name: str, users: Interval, items: Interval | None, interactions: Interval
) -> Interval | None:
    """Return mean length, sparsity or density from counts."""
    if name == "mean_length":
        return Interval(interactions.low / users.high, interactions.high / users.low)
    if items is None:
        return None
    cells = Interval(users.low * items.low, users.high * items.high)
    dense = Interval(interactions.low / cells.high, interactions.high / cells.low)
    return dense if name == "density" else Interval(1 - dense.high, 1 - dense.low)


def _recomputed(found: Statistics, name: str, rounding: Rounding) -> Interval | None:
    ranges = {n: count(found.printed[n], rounding) for n in COUNTS if n in found.printed}
    if not {"users", "interactions"} <= ranges.keys() or ranges["users"].low <= 0:
        return None
    return derived(name, ranges["users"], ranges.get("items"), ranges["interactions"])


def recomputed(found: Statistics) -> Iterator[Finding | None]:
    """Yield that sparsity, density and mean length follow from the counts.

    Notes
    -----
    Demands: sparsity = 1 - interactions / (users x items), and density is the rest (D1); mean
    length = interactions / users (D2).
    Source: their definitions, over the intervals of the printed counts.
    Assumes: a count without K or M is exact. Where the print is on the side that repeated
    interactions explain (sparser or shorter than the counts), it only "differs".
    """
    for name, rule in _RULES.items():
        allowed = _recomputed(found, name, "rounded") if name in found.printed else None
        if allowed is None:
            continue
        text = found.printed[name]
        printed = interval(text)
        if not printed.outside(allowed):
            yield None
            continue
        wide = _recomputed(found, name, "cut")
        fewer = printed.high < allowed.low if name != "sparsity" else printed.low > allowed.high
        severity: Severity = "impossible"
        if wide and not interval(text, "cut").outside(wide):
            severity = "impossible unless truncated or rounded up"
        elif fewer:
            severity = "differs"
        names = (name, "interactions", "users", *(() if name == "mean_length" else ("items",)))
        cells = found.at(*names)
        repeats = "; repeats that count as interactions would explain it" if fewer else ""
        yield Finding(
            "",
            found.table,
            rule,
            severity,
            cells,
            f"{found.group}: {cells[0].label} is printed as {text}, but the printed counts give "
            f"{_range(name, allowed)}{repeats}",
            f"{cells[0].label} = {_FORMULAS[name]}",
            *(printed.low, allowed.high)
            if printed.low > allowed.high
            else (allowed.low, printed.high),
            rounding="rounded to the nearest digit; a count without K or M is exact",
        )


def _range(name: str, of: Interval) -> str:
    """Return a range as people write it, with as many digits as show its ends apart."""
    if name in COUNTS:
        same = of.high - of.low < 0.5
        return f"{of.low:,.0f}" if same else f"{of.low:,.0f} to {of.high:,.0f}"
    scale, end = (100, " %") if name != "mean_length" else (1, "")
    low, high = f"{of.low * scale:.4f}{end}", f"{of.high * scale:.4f}{end}"
    return low if low == high else f"{low} to {high}"


documented("D1, D2", recomputed)


def sizes(found: Statistics) -> Iterator[Finding | None]:
    """Yield that counts of users, items and interactions belong together.

    Notes
    -----
    Demands: users <= interactions <= users x items.
    Source: a user in the data has an interaction; a pair of user and item is one cell of a matrix.
    Assumes: users without an interaction are not counted. Beyond users x items there must be
    repeats, which is notable and no fault.
    """
    if not set(COUNTS) <= found.printed.keys():
        return
    users, items, interactions = (count(found.printed[name]) for name in COUNTS)
    cells = found.at("interactions", "users", "items")
    rounding = "a count without K or M is exact"
    if interactions.high < users.low:
        says = f"{found.group}: {cells[0].printed} interactions of {cells[1].printed} users"
        yield Finding(
            "", found.table, "D3", "impossible", cells, f"{says}: some user has none",
            "users ≤ interactions", users.low, interactions.high, rounding=rounding,
        )  # fmt: skip
    elif interactions.low > users.high * items.high:
        most = users.high * items.high
        yield Finding(
            "", found.table, "D3", "notable", cells,
            f"{found.group}: {cells[0].printed} interactions are more than the {most:,.0f} pairs "
            "of a user and an item, so repeats are counted",
            "interactions ≤ users × items", interactions.low, most, rounding=rounding,
        )  # fmt: skip
    else:
        yield None


documented("D3", sizes)


def as_counted(found: Statistics, faulty: set[str]) -> Iterator[Finding | None]:
    """Yield that printed counts agree with those of the dataset's manifest.

    Notes
    -----
    Demands: what is printed agrees with the counts that the manifest of the dataset expects.
    Source: `data_manifests/`, read as a file; the data itself is not needed.
    Assumes: the view is the paper's data, and repeats count as interactions. Statistics that the
    printed counts already contradict, or that follow from a count that differs, are left out.
    """
    own = counted(found.view).model_dump()
    known = {name: Interval(own[name], own[name]) for name in COUNTS if own.get(name)}
    if not known:
        return
    differs = False
    for name in (*COUNTS, *_RULES):
        text = found.printed.get(name)
        if text is None or name in faulty:
            continue
        if name in COUNTS:
            printed, expected = count(text), known.get(name)
        elif differs:
            continue
        else:
            users, items, interactions = (known.get(one) for one in COUNTS)
            if users is None or interactions is None:
                continue
            printed, expected = interval(text), derived(name, users, items, interactions)
        if expected is None:
            continue
        if not printed.outside(expected):
            yield None
            continue
        differs = True
        (cell,) = found.at(name)
        wide = count(text, "cut") if name in COUNTS else interval(text, "cut")
        cut = "" if wide.outside(expected) else " (as if truncated or rounded up)"
        yield Finding(
            "", found.table, "D4", "differs", (cell,),
            f"{found.group}: {cell.label} is printed as {text}{cut}; the manifest of "
            f"{found.view.dataset} expects {_range(name, expected)}",
            rounding="rounded to the nearest digit; a count without K or M is exact",
        )  # fmt: skip


documented("D4", as_counted)
