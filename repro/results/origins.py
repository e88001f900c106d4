"""Where a row's numbers come from: the data, and the runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from repro.data import cache, manifest, views
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.results import frozen
from repro.results.evidence import Evidence
from repro.results.frozen import Frozen
from repro.runs.records import Record


@dataclass(frozen=True)
class DataFile:
    """A file that the data comes in."""

    name: str
    hashes: dict[str, str]
    """The manifest's, by kind."""
    state: Literal["verified", "own", "not verified", "not in the cache", "generated"]


@dataclass(frozen=True)
class Data:
    """Where a row's data comes from."""

    dataset: str
    """Archive and view."""
    title: str
    files: list[DataFile]
    source: str
    """Who says how the view is made."""
    steps: list[str]
    """In order, with the counts expected after each."""
    variants: list[str]
    """What the manifest tries after them, where the source leaves it open."""
    digest: str
    """Of the view that is in the cache; empty if none is."""


@dataclass(frozen=True)
class Ran:
    """A run of the row: its record, or the frozen line of one."""

    kind: Literal["record", "frozen"]
    id: str
    seed: int
    epoch: int | None
    """The one that counts; null where each metric has its own."""
    seconds: float
    began: str
    version: str
    commit: str
    dirty: bool
    """Whether the code differed from its commit."""
    device: str
    cpu: str
    threads: int | None
    verified: bool
    """Whether the data had the hashes of its manifest."""
    digest: str


def data_of(dataset: str) -> Data | None:
    """Return where a view comes from; None if there is no manifest of it."""
    archive, name = manifest.split_id(dataset)
    if archive not in manifest.names():
        return None
    found = manifest.load(archive)
    view, have, known = found.view(name), cache.receipts(found), views.prepared(dataset)
    read = [found.read[part] for part in view.read.values()]
    members = dict.fromkeys(m for one in read for choice in one.choices() for m in choice)
    files = [DataFile(found.archive.file_name, found.archive.stated(), _whole(found, have))]
    files = files if found.archive.url else []
    for member in members:
        stated = found.members[member].stated() if member in found.members else {}
        receipt = have.get(member)
        state: Any = "generated" if found.generate else "not in the cache"
        if receipt and not found.generate:
            state = cache.state(found, member, receipt).replace("unverified", "not verified")
        files.append(DataFile(member, stated, state))
    recipes = view.recipes()
    return Data(
        dataset=dataset,
        title=found.archive.title,
        files=files,
        source=view.source,
        steps=[_step(one) for one in view.steps],
        variants=list(recipes) if "" not in recipes else [],
        digest=known.digest if known else "",
    )


def _whole(found: manifest.Manifest, have: dict[str, cache.Receipt]) -> Any:
    """Return the state of an archive, which is not kept: that of the members it gave."""
    given = [have[name] for name in found.all_members() if name in have]
    if not given:
        return "not in the cache"
    return "verified" if all(one.verified for one in given) else "not verified"


def _step(step: dict[str, Any]) -> str:
    expected = ", ".join(f"{n:,} {kind}" for kind, n in step.get("expect", {}).items())
    text = ", ".join(f"{k} = {v}" for k, v in step.items() if k != "expect")
    return f"{text} (gives {expected})" if expected else text


def of_record(record: Record) -> Ran:
    """Return the run of a record."""
    made = record.environment
    return Ran(
        kind="frozen" if isinstance(record, Evidence) else "record",
        id=record.id,
        seed=record.experiment.seed,
        epoch=None if record.experiment.selection.each else record.epoch,
        seconds=record.seconds,
        began=record.began,
        version=record.code.get("version", ""),
        commit=record.code.get("commit", ""),
        dirty=record.dirty,
        device=made.get("device", ""),
        cpu=made.get("cpu", ""),
        threads=made.get("threads"),
        verified=record.verified,
        digest=record.digest,
    )


def frozen_rows(paper: Paper, entry: Entry, shortened: str) -> list[Frozen]:
    """Return the frozen numbers of a row, of the data that was frozen last."""
    origin = "added" if "row" in entry.added else "paper"
    place = entry.table, entry.row, entry.group_label, origin, shortened
    found = [
        one
        for one in frozen.load(paper.id)
        if (one.table, one.row, one.group, one.origin, one.shortened) == place
    ]
    newest = max(found, key=lambda one: one.began).digest if found else ""
    return [one for one in found if one.digest == newest]


def of_frozen(one: Frozen) -> Ran:
    """Return the run of a frozen number."""
    shared = Ran.__dataclass_fields__.keys() - {"kind", "id", "epoch"}
    return Ran(
        kind="frozen",
        id=one.experiment,
        epoch=None if one.select == "test:each" else one.epoch,
        **{name: getattr(one, name) for name in shared},
    )
