"""Write a report: every page, its style and script, and the numbers as CSV, into one folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from repro.errors import ReproError
from repro.files import json_bytes, whole_folder
from repro.report.site.gather import gather, n_frozen
from repro.report.site.pages import Page, pages, paper_file
from repro.runs.provenance import code_version
from repro.runs.records import Damaged, Record
from repro.text import one_line

HERE = Path(__file__).parent
STATIC = ("site.css", "site.js")
ABOUT = "report.json"
"""What tells a folder that a report may replace from any other."""


@dataclass(frozen=True)
class Site:
    """A report that has been written."""

    folder: Path
    pages: int
    bytes: int
    damaged: tuple[str, ...] = ()
    """What is wrong with each record that cannot be used."""


@cache
def environment() -> Environment:
    """Return the templates; whatever they show is text of one line, and never markup."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plural"] = _plural
    return made


def _plain(shown: Any) -> Any:
    return one_line(shown) if isinstance(shown, str) and not isinstance(shown, Markup) else shown


def _plural(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def report(
    to: Path,
    papers: Sequence[str],
    records: Iterable[Record],
    damaged: Iterable[Damaged] = (),
) -> Site:
    """Write a report of some papers.

    Parameters
    ----------
    to : Path
        The folder; a report that is there is replaced as a whole.
    papers : sequence of str
        By id; without any: all.
    records, damaged : iterable
        All there are; where a row has no record, its frozen numbers are shown.

    Raises
    ------
    ReproError
        If there is no such paper, or the folder holds anything but a report.
    """
    check_free(to)
    broken = list(damaged)
    made = contents(papers, records, broken)
    with whole_folder(to) as folder:
        for name, content in made.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    n_pages = sum(name.endswith(".html") for name in made)
    faults = tuple(one.reason for one in broken)
    return Site(to, n_pages, sum(map(len, made.values())), faults)


def check_free(to: Path) -> None:
    """Raise if a report would replace a folder that is none."""
    if to.exists() and not to.is_dir():
        raise ReproError(f"{to} is a file", "name a folder that is new, empty or a report")
    if to.is_dir() and any(to.iterdir()) and not (to / ABOUT).is_file():
        raise ReproError(
            f"{to} holds files that are no report", "name a folder that is new, empty or a report"
        )


def contents(
    papers: Sequence[str], records: Iterable[Record], damaged: Iterable[Damaged] = ()
) -> dict[str, bytes]:
    """Return the files of a report by name; parameters are those of `report`."""
    known = list(records)
    found = gather(papers, known, damaged)
    made, data = pages(found)
    code = code_version()
    about = {
        "version": code["version"],
        "commit": code.get("commit", ""),
        "papers": [one.paper.id for one in found],
        "records": len(known),
        "frozen_numbers": n_frozen(found),
    }
    shared = {
        "nav": [(one.paper.id, paper_file(one.paper.id)) for one in found],
        "made": about,
    }
    files = {page.file: rendered(page, shared).encode() for page in made}
    files |= {name: text.encode() for name, text in data.items()}
    files |= {name: (HERE / "static" / name).read_bytes() for name in STATIC}
    return files | {ABOUT: json_bytes(about)}


def rendered(page: Page, shared: dict[str, Any]) -> str:
    """Return a page as HTML."""
    template = environment().get_template(page.template)
    return template.render(**shared, **page.content, page_title=page.title, here=page.file)
