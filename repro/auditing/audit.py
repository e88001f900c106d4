"""Audit a paper: every rule that applies to its print, what was tested, and what could not be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from repro import paths
from repro.auditing import counts, many_targets, multiples, one_target  # noqa: F401 - they enter rules
from repro.auditing.broken import broken_by, infeasible
from repro.auditing.columns import decimals, falling_ndcg
from repro.auditing.copies import equal_rows, plain, printed_twice, quoted
from repro.auditing.findings import HARD, SEVERITIES, Finding, at
from repro.auditing.intervals import TOLERANCE
from repro.auditing.marks import averages, bold, improvements, significance
from repro.auditing.programme import feasible
from repro.auditing.read import Print, named
from repro.auditing.rows import Bound, PrintedRow
from repro.auditing.rules import RULES, Rule
from repro.errors import readable, unknown
from repro.papers.numbers import meant
from repro.papers.printed_facts import ByHand
from repro.papers.schema import Table


@dataclass(frozen=True)
class Tested:
    """How much a rule tested."""

    rule: str
    comparisons: int
    cells: int
    """Numbers that it looked at; each once."""


@dataclass(frozen=True)
class Untested:
    """Rules that could not be applied to tables, and why."""

    tables: tuple[str, ...]
    rules: tuple[str, ...]
    why: str


@dataclass
class _Count:
    comparisons: int = 0
    cells: set[object] = field(default_factory=set)


@dataclass(frozen=True)
class Audited:
    """What the rules say of a paper's print."""

    paper: str
    findings: tuple[Finding, ...]
    """By table, the worst first."""
    by_hand: tuple[ByHand, ...]
    """Faults noted by hand that no rule can find."""
    tested: tuple[Tested, ...]
    untested: tuple[Untested, ...]

    @property
    def hard(self) -> list[Finding]:
        """The findings that no honest table has."""
        return [one for one in self.findings if one.severity in HARD]


class _Audit:
    """Collects while the rules run."""

    def __init__(self, found: Print) -> None:
        self.print = found
        self.findings: list[Finding] = []
        self.counts: dict[str, _Count] = {}
        self.untested: dict[tuple[str, str], list[str]] = {}

    def count(self, rule: str, cells: Iterable[object], comparisons: int = 1) -> None:
        one = self.counts.setdefault(rule, _Count())
        one.comparisons += comparisons
        one.cells.update(cells)

    def skip(self, table: str, rule: str, why: str) -> None:
        rules = self.untested.setdefault((table, why), [])
        if rule not in rules:
            rules.append(rule)

    def take(self, rule: str, findings: Iterable[Finding | None], cells: Sequence[object]) -> None:
        """Keep the findings of a rule; each one, found or None, is a comparison."""
        all_ = list(findings)
        self.findings += [one for one in all_ if one]
        if all_:
            self.count(rule, cells, len(all_))

    def hold(self, rule: str, findings: Iterable[Finding], cells: Sequence[object]) -> None:
        """Keep the findings of a rule that looks at many numbers at once."""
        self.findings += findings
        if cells:
            self.count(rule, cells)


def audit(found: Print, tables: Sequence[str] = ()) -> Audited:
    """Return what the rules say of a paper's print.

    Parameters
    ----------
    found : Print
        A table file.
    tables : sequence of str
        Numbers of the tables whose findings are wanted; all if there is none.
    """
    run = _Audit(found)
    every = [row for number in found.content.tables for row in found.rows(number)]
    for number, table in found.content.tables.items():
        rows = [row for row in every if row.table == number]
        if rows:
            _rows(run, number, rows)
            _shares(run, number, rows, table.runs)
            cells = [cell for row in rows for cell in at(row)]
            run.hold("P5", decimals(rows), cells)
            run.hold(
                "M6", falling_ndcg(rows), [c for c in cells if "ndcg" in table.metrics[c.label]]
            )
            run.take("P4", bold(rows, table), cells)
            run.take(
                "G2", averages(rows), [cell for row in rows if row.average_of for cell in at(row)]
            )
            run.take("G1", improvements(rows, table), cells)
            run.take("S8", significance(rows, table), cells)
            _absent(run, number, rows, table)
    _copies(run, every)
    for statistics in counts.all_of(found):
        derived = list(counts.recomputed(statistics))
        for one in derived:
            rule = one.rule if one else "D1"
            run.take(rule, [one], statistics.at(*statistics.printed))
        faulty = {c.label for one in derived if one for c in one.cells[:1]}
        names = {
            name for name in statistics.printed for c in statistics.at(name) if c.label in faulty
        }
        run.take("D3", counts.sizes(statistics), statistics.at(*counts.COUNTS))
        run.take("D4", counts.as_counted(statistics, names), statistics.at(*statistics.printed))
    return _result(run, tables)


def _absent(run: _Audit, number: str, rows: Sequence[PrintedRow], table: Table) -> None:
    """Note the rules for which a table holds nothing to test, and the keys that would hold it."""
    held = {
        "P1": ("source", any(row.source for row in rows)),
        "M5": ("errors", any(row.errors for row in rows)),
        "P4": ("bold", any(row.bold for row in rows)),
        "G1": ("improvements", bool(table.improvements)),
        "S8": ("significance with runs = 1", bool(table.significance) and table.runs == 1),
        "G2": ("average_of", any(row.average_of for row in rows)),
    }
    absent = {rule: key for rule, (key, there) in held.items() if not there}
    for rule in absent:
        run.skip(
            number, rule, f"the file does not have what they test: {', '.join(absent.values())}"
        )


def audit_all(names: Sequence[str] = (), table: str | None = None) -> list[Audited]:
    """Return the audits of papers by id, or of table files by path; of all papers if none is named.

    Raises
    ------
    ReproError
        If there is no such paper, file or table, or a file has faults.
    """
    every = readable(paths.files("tables"), named)
    found = [named(name) for name in names] if names else list(every)
    if table is None:
        return [audit(one) for one in found]
    having = [(one, n) for one in found if (n := meant(table, one.content.tables))]
    if not having:
        raise unknown("table", table, {n for one in found for n in one.content.tables})
    return [audit(one, [number]) for one, number in having]


def _result(run: _Audit, tables: Sequence[str]) -> Audited:
    order = list(run.print.content.tables)
    worst = list(SEVERITIES)

    def place(one: Finding) -> tuple[int, int]:
        at_ = order.index(one.table) if one.table in order else len(order)
        return at_, worst.index(one.severity)

    def wanted(table: str) -> bool:
        return not tables or table in tables

    return Audited(
        run.print.paper,
        tuple(f.of(run.print.paper) for f in sorted(run.findings, key=place) if wanted(f.table)),
        tuple(_labelled(run.print, one) for one in run.print.content.by_hand if wanted(one.table)),
        tuple(Tested(rule, c.comparisons, len(c.cells)) for rule, c in sorted(run.counts.items())),
        tuple(_merged(run, wanted)),
    )


def _labelled(found: Print, fault: ByHand) -> ByHand:
    """Return a fault noted by hand with its column group as printed."""
    table = found.content.tables.get(fault.table)
    if not (table and fault.group):
        return fault
    return fault.model_copy(update={"group": found.groups(table)[fault.group].label})


def _merged(run: _Audit, wanted: Callable[[str], bool]) -> Iterator[Untested]:
    """Yield what could not be applied, once for all tables with the same reason."""
    tables: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for (table, why), rules in run.untested.items():
        if wanted(table):
            tables.setdefault((tuple(sorted(rules)), why), []).append(table)
    for (names, why), where in tables.items():
        yield Untested(tuple(where), names, why)


def _why_not(rule: Rule, row: PrintedRow) -> str:
    """Return why an inequality does not apply to a row; "" if it does."""
    if rule.one_target and not row.known.one_target:
        return f"nothing says that each user of the view {row.view} has one target"
    if rule.one_epoch and not row.one_epoch:
        return "each metric has its own epoch (test:each)"
    if rule.key == "M5" and any(row.errors) and not row.known.users:
        return f"the number of test users of the view {row.view} is not known"
    return ""


def _rows(run: _Audit, number: str, rows: Sequence[PrintedRow]) -> None:
    """Test the inequalities of each row; with one target all of them at once, too."""
    ready: list[PrintedRow] = []
    broken: dict[int, list[tuple[str, Bound]]] = {}
    for row in rows:
        one = row.known.one_target
        for rule in RULES.values():
            if one and not rule.one_target and rule.key != "M5":
                continue  # what these say of one target is contained in the others
            if why := _why_not(rule, row):
                run.skip(number, rule.key, why)
                continue
            bounds = list(rule.bounds(row))
            for bound in bounds:
                run.count(rule.key, at(row, *bound.labels))
            failed = [b for b in bounds if b.left > b.right + TOLERANCE]
            if failed:
                worst = max(failed, key=lambda b: b.left - b.right)
                broken.setdefault(id(row), []).append((rule.key, worst))
        if one and row.one_epoch and len(row.cells) > 1:
            ready.append(row)
        elif why := _why_not(Rule("S7", lambda _: iter(()), True, True), row):
            run.skip(number, "S7", why)
    possible = dict(zip(map(id, ready), feasible(ready), strict=True))
    for row in ready:
        run.count("S7", at(row))
    for row in rows:
        off = broken.get(id(row), [])
        whole = not possible.get(id(row), True)
        if whole:
            run.findings.append(infeasible(row, off))
            off = [one for one in off if one[0] == "M5"]
        run.findings += [broken_by(row, rule, bound) for rule, bound in off]


def _shares(run: _Audit, number: str, rows: Sequence[PrintedRow], runs: int | None) -> None:
    """Test each column group's shares of users, where the number of users is known."""
    for group in dict.fromkeys(row.group for row in rows):
        own = [row for row in rows if row.group == group]
        users = own[0].known.users
        found = multiples.shares(own, users or 1)
        if not found:
            continue
        if not users:
            run.skip(
                number, "S1", f"the number of test users of the view {own[0].view} is not known"
            )
        elif not runs and not multiples.informative(found):
            run.skip(number, "S1", f"too few digits for {users:,} users: chance explains them")
        else:
            cells = [cell for one in found for cell in at(one.row, one.cell.label)]
            run.count("S1", cells, len(found))
            run.findings += multiples.whole_users(own, users, runs)


def _copies(run: _Audit, rows: Sequence[PrintedRow]) -> None:
    for row in rows:
        run.take("P1", quoted(row), at(row))
    for a, b in _same_name(run.print, rows):
        run.take("P2", printed_twice(a, b), (*at(a), *at(b)))
    run.findings += equal_rows(rows)
    run.count("P3", [cell for row in rows for cell in at(row)], len(rows) * (len(rows) - 1) // 2)


def _same_name(found: Print, rows: Sequence[PrintedRow]) -> Iterator[tuple[PrintedRow, PrintedRow]]:
    """Yield rows of one name in two tables, on one view and in columns that are views."""
    for a, b in combinations(rows, 2):
        columns = [row.group in found.content.tables[row.table].group for row in (a, b)]
        same = a.view == b.view and plain(a.label) == plain(b.label)
        if same and a.table != b.table and not any(columns):
            yield a, b
