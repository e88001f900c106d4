"""Read a table file for its print alone: no model, manifest or data need be there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repro import paths, strict_toml
from repro.auditing.intervals import interval
from repro.auditing.rows import Cell, Known, PrintedRow
from repro.data import manifest, schema
from repro.errors import ReproError, unknown
from repro.papers.checks import faults_in_print
from repro.papers.printed import number_in
from repro.papers.schema import Group, PaperFile, Place, Row, Table, View


@dataclass(frozen=True)
class Print:
    """What a paper prints, as its table file has it."""

    paper: str
    path: Path
    content: PaperFile

    def groups(self, table: Table) -> dict[str, Group]:
        """Return the column groups of a table by key."""
        own = {k: Group(label=v.label, view=k) for k, v in self.content.views.items()} | table.group
        return {key: own[key] for key in table.groups}

    def places(self, number: str) -> Iterator[tuple[Row, Place, str, Group]]:
        """Yield the printed rows of a table with place, key and column group, in printed order."""
        table = self.content.tables[number]
        groups = self.groups(table)
        for row in table.rows:
            for key, group in groups.items():
                if key in row.at and any(row.at[key].published):
                    yield row, row.at[key], key, group

    def rows(self, number: str) -> list[PrintedRow]:
        """Return the rows of a results table."""
        table = self.content.tables[number]
        return (
            [self._row(number, *place) for place in self.places(number)]
            if table.kind == "results"
            else []
        )

    def _row(self, number: str, row: Row, place: Place, key: str, group: Group) -> PrintedRow:
        table = self.content.tables[number]
        view = place.view or group.view
        select = self.content.views[view].select or place.select or row.select or table.select
        used = [n for n, text in enumerate(place.published) if text]
        columns = list(table.metrics.items())

        def kept(texts: list[str]) -> tuple[str, ...]:
            return tuple(printed(texts[n]) for n in used) if texts else ()

        def printed(text: str) -> str:
            return f"{text.rstrip(' %')}%" if text and table.per_cent else text

        return PrintedRow(
            table=number,
            group=key,
            group_label=group.label,
            view=view,
            label=row.label,
            cells=tuple(Cell(*columns[n], printed(place.published[n])) for n in used),
            known=self.known(view),
            one_epoch=select != "test:each",
            quoted_from=row.quoted_from,
            source=kept(place.source),
            errors=kept(place.errors),
            bold=tuple(place.bold),
            average_of=tuple(row.average_of),
            runs=table.runs,
        )

    def known(self, key: str) -> Known:
        """Return what is known of the test cases of a view: from the file, else its protocol."""
        view = self.content.views[key]
        name = (view.protocol or {}).get("name")
        if cases := view.cases:
            mean = interval(cases.mean_targets) if cases.mean_targets else None
            most = (
                1 if cases.most_targets is None and name == "leave_one_out" else cases.most_targets
            )
            users, source = cases.users, cases.source
            return Known(users, source, cases.fewest_targets, most, mean, source)
        if name == "strong_generalization":
            heldout = (view.protocol or {}).get("heldout_users")
            return Known(heldout if isinstance(heldout, int) else None, f"the protocol {name}")
        if name == "leave_one_out":
            return Known(*self._users(key, view), most=1, targets_from=f"the protocol {name}")
        return Known()

    def _users(self, key: str, view: View) -> tuple[int | None, str]:
        """Return the users of a view and who says so: the paper's own table, else the manifest."""
        for number, table in self.content.tables.items():
            if table.kind != "statistics":
                continue
            for _, place, _, group in self.places(number):
                for statistic, text in zip(table.metrics.values(), place.published, strict=True):
                    if group.view == key and statistic == "users" and text[-1:].isdigit():
                        return int(number_in(text)), f"the paper's Table {number}"
        users = counted(view).users
        return users, f"the manifest of {view.dataset}" if users else ""


def counted(view: View) -> schema.Counts:
    """Return the counts that the manifest of a view's data expects, as far as there is one."""
    archive, name = manifest.split_id(view.dataset)
    if archive not in manifest.names():
        return schema.Counts()
    own = manifest.load(archive).views.get(name)
    return own.expect if own else schema.Counts()


def read(path: Path, paper: str = "") -> Print:
    """Return the print of a table file.

    Raises
    ------
    ReproError
        If the file has faults in what is printed; the message lists all of them. Models,
        protocols and datasets are not looked up.
    """
    if not path.is_file():
        raise ReproError(f"{path}: no such file", "name a table file, such as my-paper.toml")
    content = strict_toml.read(path, PaperFile)
    faults = list(faults_in_print(content))
    found = Print(paper or path.stem, path, content)
    if faults:
        raise strict_toml.faulty(path, faults)
    return found


def named(paper: str) -> Print:
    """Return the print of a paper by its id, or of a file by its name."""
    files = paths.files("tables")
    if paper in files:
        return read(files[paper], paper)
    if paper.endswith(".toml"):
        return read(Path(paper))
    raise unknown("paper", paper, files)
