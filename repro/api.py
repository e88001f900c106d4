"""What `import repro` offers: data, protocols, models, training, papers and results in a notebook.

Most commands, such as `list`, `fetch`, `run` and `compare`, do what these functions do. Progress is
shown only to an audience that is given. `dataset` takes a DataFrame, and `to_frame` returns one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from repro import paths
from repro.data import prepare, views
from repro.data.frames import from_frame
from repro.data.tell import Silent
from repro.errors import ReproError
from repro.interactions import Dataset
from repro.papers import library
from repro.papers.paper import Paper
from repro.report import lists
from repro.report.notebook import Comparison, Records, explain, ledger
from repro.results.comparison import compare_all
from repro.runs import batch
from repro.runs import records as record_files
from repro.runs.asked import Asked, asked_for
from repro.runs.batch import Audience, Batch, Quiet
from repro.runs.plan import plan
from repro.runs.settings import How
from repro.runs.standalone import Fitted, evaluate, fit, rank
from repro.runs.status import State, states

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Batch",
    "Comparison",
    "Fitted",
    "PaperOf",
    "Records",
    "TableOf",
    "catalogue",
    "compare",
    "dataset",
    "evaluate",
    "explain",
    "fit",
    "ledger",
    "paper",
    "rank",
    "records",
    "run",
    "status",
]


@overload
def dataset(data: str, *, source: str | Path | None = None) -> Dataset: ...


@overload
def dataset(
    data: pd.DataFrame,
    *,
    user: Hashable = "user",
    item: Hashable = "item",
    time: Hashable | None = None,
    name: str = "frame",
) -> Dataset: ...


def dataset(data: Any, *, source: str | Path | None = None, **columns: Any) -> Dataset:
    """Return a dataset: a view of an archive by its id, or the interactions in a DataFrame.

    Parameters
    ----------
    data : str or DataFrame
        "ml-100k/dave", fetched and built if it is not in the cache; or a DataFrame with a row for
        each interaction.
    source : path, optional
        A folder with the archive or its files, instead of the network.
    user, item, time, name
        The columns of a DataFrame, and its name, as in `repro.data.frames.from_frame`.

    Raises
    ------
    ReproError
        If there is no such dataset, its files cannot be fetched, or a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> plays = pd.DataFrame({"who": ["ann", "bob", "ann"], "song": [7, 7, 3], "at": [1, 1, 2]})
    >>> data = dataset(plays, user="who", item="song", time="at")
    >>> data.user_ids.tolist(), data.item_ids.tolist()
    (['ann', 'bob'], [3, 7])
    """
    if not isinstance(data, str):
        if source is not None:
            raise ReproError("a DataFrame has no source", "leave it out")
        return from_frame(data, **columns)
    if columns:
        raise ReproError(f"{', '.join(columns)} name columns of a DataFrame, and '{data}' is an id")
    asked = prepare.asked_for([data])[0]
    if "/" not in data:
        known = ", ".join(f"{data}/{view}" for view in asked.views)
        raise ReproError(f"'{data}' is an archive, not a view of it", f"available: {known}")
    if source is not None:
        faults = prepare.fetch(asked, Path(source), False, Silent())
        if faults:
            raise faults[0]
    prepare.prepare(data)
    return views.load(data)


def catalogue(kind: str = "papers") -> pd.DataFrame:
    """Return what `repro list` prints.

    Parameters
    ----------
    kind : str
        "papers", "datasets", "models", "protocols", "metrics", or "results": the frozen ones.

    Raises
    ------
    ReproError
        If there is no such kind.
    """
    import pandas as pd

    return pd.DataFrame([asdict(line) for line in lists.lines(kind)])


@dataclass(frozen=True, repr=False)
class TableOf:
    """A table of a paper."""

    paper: Paper
    number: str

    def __repr__(self) -> str:
        caption = self.paper.table(self.number).caption
        return f"<table {self.number} of {self.paper.id}: {caption}>"

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
        return f"<paper {self.paper.id}: {self.title}; tables {', '.join(self.tables)}>"

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
        self.paper.table(number)
        return TableOf(self.paper, number)


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


def run(
    paper: str,
    *,
    table: str | None = None,
    figure: str | None = None,
    rows: str | Iterable[str] = (),
    views: str | Iterable[str] = (),
    added: bool = False,
    seeds: Iterable[int] | str = (),
    settings: Mapping[str, Any] | None = None,
    model: str | None = None,
    smoke: bool = False,
    device: str = "auto",
    threads: int = 0,
    jobs: int = 1,
    engine: str = "local",
    deterministic: bool = True,
    force: bool = False,
    runs: str | Path | None = None,
    audience: Audience | None = None,
) -> Batch:
    """Train and evaluate the rows of a paper's tables that have no record yet.

    The `records` of what is returned are those of all selected runs, new and old.

    Parameters
    ----------
    paper : str
        The paper's id.
    table, figure : str, optional
        One table, or the runs of one figure, by its printed number.
    rows, views : str or iterable of str
        Rows by their printed labels; datasets or column groups. Empty: all of the paper's.
    added : bool
        Also the rows and views that the table file adds.
    seeds : iterable of int, or str
        Seeds instead of the table's; as text, "0..4".
    settings : mapping, optional
        Hyper-parameters by name.
    model : str, optional
        A model to run under the table, instead of the table's rows.
    smoke : bool
        Toy data and two epochs: shows that the code runs, and nothing else.
    device, threads, jobs, engine, deterministic, force
        As in `repro.runs.settings.How`.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.
    audience : Audience, optional
        Receives messages and progress; `repro.cli.progress.Terminal` shows bars.

    Raises
    ------
    ReproError
        If something selected does not exist; or, after all runs have ended, if data is missing or a
        run failed. Finished runs are recorded.
    """
    asked = asked_for(paper, table, figure, rows, added, views, seeds, settings, model, smoke)
    how = How(Path(runs or paths.runs()), device, threads, jobs, engine, deterministic, force)
    quiet = Quiet()
    done = replace(batch.run(asked, how, audience or quiet), messages=tuple(quiet.said))
    if done.exit_code:
        faults = [*done.without_data.values(), *(error for _, error in done.done.failed)]
        raise ReproError(f"failed: {len(faults)}", "\n  ".join(map(str, faults)))
    return done


def status(*papers: str, added: bool = False, runs: str | Path | None = None) -> list[State]:
    """Return the state of every run of some papers' tables: done, running, failed, missing.

    Parameters
    ----------
    *papers : str
        Papers; all if none is named.
    added, runs
        As in `run`.
    """
    asked = Asked(papers=papers or tuple(library.papers()), added=added)
    return states(plan(asked), Path(runs) if runs else paths.runs())


def records(runs: str | Path | None = None) -> Records:
    """Return the records in a folder.

    Parameters
    ----------
    runs : path, optional
        The folder; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If a record cannot be read.
    """
    return Records(record_files.load_all(Path(runs) if runs else paths.runs()))


def compare(
    *papers: str,
    table: str | None = None,
    smoke: bool = False,
    against: str = "",
    runs: str | Path | None = None,
) -> Comparison:
    """Return published numbers with those of the records and the frozen ones.

    Parameters
    ----------
    *papers : str
        Papers; all if none is named.
    table : str, optional
        One table, by its printed number.
    smoke : bool
        Show smoke runs instead of real ones.
    against : str
        A row that all others are compared with, user by user.
    runs : path, optional
        The folder of records; ``REPRO_RUNS``, or ``./runs``.

    Raises
    ------
    ReproError
        If there is no such paper, table or row.
    """
    chosen = [library.load(name) for name in papers or library.papers()]
    return Comparison(compare_all(chosen, records(runs), table=table, smoke=smoke, against=against))
