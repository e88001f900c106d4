"""Read ``data_manifests/*.toml``: an archive's source, how it is read, and its views."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from repro import paths, strict_toml
from repro.data import addresses, steps
from repro.data.addresses import Address
from repro.data.columns import KINDS
from repro.data.dialect import PLAIN, Dialect
from repro.data.times import Unit
from repro.errors import unknown
from repro.files import changed
from repro.strict_toml import Inside, Name, Strict

RECEIPT = "receipt.json"
"""The file beside the members in the cache that says where they come from."""


class Hashes(Strict):
    """What a file's bytes must be; whatever is stated must match."""

    bytes: int | None = None
    """The length."""
    sha256: str | None = None
    """Of the bytes, as the next two."""
    md5: str | None = None
    """As some sources state it; sha256 is better."""
    git_blob: str | None = None
    """The id that git gives the content: sha1 of "blob LENGTH\\0" and the bytes."""
    confirmed: bool = False
    """Whether a real file was found to have these hashes; else they are only quoted."""

    def stated(self) -> dict[str, str]:
        """Return the stated digests by kind."""
        kinds = {"sha256": self.sha256, "md5": self.md5, "git_blob": self.git_blob}
        return {kind: value for kind, value in kinds.items() if value}


class Archive(Hashes):
    """What is downloaded, and under which terms."""

    title: str
    """What it is, for people."""
    license: str
    """The owner's terms, in a sentence."""
    source: str
    """The page that describes the data."""
    url: Address | None = None
    """Of a zip or tar that holds the members; None where each member has its own."""
    mirrors: list[Address] = []
    """Other addresses of the same bytes, in the order they are tried."""
    citation: str = ""
    """What its owner asks to cite."""
    manual: str = ""
    """How to obtain what may not be downloaded by a program."""
    note: str = ""
    """What else there is to know."""

    @property
    def file_name(self) -> str:
        """The archive's own file name."""
        return addresses.file_name(self.url or "")


class Member(Hashes):
    """A file that is read."""

    path: str | None = None
    """Its path inside the archive; "outer.tar//inner.csv" inside an archive inside it."""
    container: Name | None = None
    """The file name of the zip or tar that holds it, where that is not the archive."""
    url: Address | None = None
    """Its own address."""
    mirrors: list[Address] = []
    """Other addresses, in the order they are tried."""


class Read(Dialect):
    """How a file, or several of one form, is read into rows."""

    member: Inside | None = None
    """The file; `any_of` instead, where there are several."""
    any_of: list[list[Inside]] = []
    """Instead of one member: lists of members with the same rows; the first one there is read."""
    format: Literal["separated", "netflix", "json", "negatives", "adjacency"] = "separated"
    """separated: columns of text, as in a CSV. netflix: "item:" lines, then its users. json: an
    object a line. negatives: NCF's lists of items that a user has not touched. adjacency: a user
    and all of its items, a line."""
    separator: str = Field(default=",", min_length=1)
    """Between the columns: a character, once or repeated as in "::"; or "whitespace", any run of
    blanks and tabs."""
    header: bool = False
    """Whether the first line names the columns."""
    columns: list[Literal["user", "item", "rating", "time", "date", "-"]] = ["user", "item"]
    """What each column holds; "-" is skipped."""
    fields: dict[str, str] = {}
    """The keys of a JSON object, by column name."""
    identifiers: Literal["number", "text"] = "number"
    """Whether users and items are numbers; "text" takes any words."""
    time_unit: Unit = ""
    """Of a time that is a number: seconds, milliseconds, microseconds or nanoseconds since 1970.
    Not stated: recognised by its size."""

    @model_validator(mode="before")
    @classmethod
    def _blanks_between(cls, content: Any) -> Any:
        """Separate adjacency lists by blanks, unless the file says otherwise."""
        if isinstance(content, dict) and content.get("format") == "adjacency":
            return {"separator": " ", **content}
        return content

    def choices(self) -> list[list[str]]:
        """Return the lists of members; any one of them is enough."""
        return [[self.member]] if self.member else self.any_of


class Counts(Strict):
    """Expected counts."""

    users: int | None = None
    """Users with interactions."""
    items: int | None = None
    """Items."""
    interactions: int | None = None
    """Rows."""


class Expect(Counts):
    """What is expected of a finished view."""

    parts: dict[str, int] = {}
    """How many rows each part must have."""

    pairs_sha256: str | None = None
    """Of the text "user item\\n" over all interactions, numbers from 1: the form of ACVAE's
    files."""


class Step(Strict):
    """One step, and the counts expected after it."""

    name: str
    argument: Any
    expect: Counts = Counts()


class View(Strict):
    """What one paper makes of the archive."""

    source: str
    """Who says so: paper and section, or code."""
    read: dict[Name, str] = {"rows": "rows"}
    """The manifest's `read` entry for each part; several parts, such as train and test, where the
    authors published a split."""
    whole: list[str] = []
    """Which parts together are all interactions; empty: all. Negatives never are."""
    steps: list[dict[str, Any]] = []
    """Filters and numberings, in order, each with the counts expected after it."""
    variants: dict[str, list[dict[str, Any]]] = {}
    """Further steps that the source leaves open; the first variant that gives what is expected is
    taken."""
    expect: Expect = Expect()
    """Counts of the finished view."""
    paper: dict[str, str] = {}
    """The paper's own statistics, as printed, where they differ or say more."""
    note: str = ""
    """How its source is read, and what stays open."""
    unconfirmed: str = ""
    """What no real file has confirmed."""

    def recipes(self) -> dict[str, list[Step]]:
        """Return the steps by the variant's name; without variants there is one, named ""."""
        ends = self.variants or {"": []}
        return {name: [_step(entry) for entry in [*self.steps, *end]] for name, end in ends.items()}


class Generate(Strict):
    """Parameters of generated data."""

    users: int = Field(ge=1, le=10_000)
    """Users."""
    items: int = Field(ge=18, le=10_000)
    """A user has six or more of them, and at most a third."""
    clusters: int = Field(ge=1, le=10_000)
    """Groups of users and items with one taste."""
    per_user: int = Field(ge=1, le=10_000)
    """Mean interactions of a user."""
    seed: int = Field(ge=0)
    """Of the random numbers."""


class ManifestFile(Strict):
    """One file of ``data_manifests/``."""

    archive: Archive
    """What it is, where it comes from, under which terms."""
    members: dict[Inside, Member] = {}
    """The files that are read, by name."""
    read: dict[str, Read] = {}
    """How they are read into rows, by a name that views use."""
    views: dict[Name, View] = Field(min_length=1)
    """What papers make of it, by name: the dataset ARCHIVE/VIEW."""
    generate: Generate | None = None
    """Of generated data: how much."""


class Manifest(ManifestFile):
    """An archive by id, with its views."""

    id: str
    path: Path

    def view(self, name: str) -> View:
        """Return one view by name."""
        if name not in self.views:
            raise unknown(f"view of {self.id}", name, self.views)
        return self.views[name]

    def all_members(self) -> list[str]:
        """Return every member that any view can read."""
        lists = [choice for read in self.read.values() for choice in read.choices()]
        return list(dict.fromkeys(member for choice in lists for member in choice))


def names() -> list[str]:
    """Return the ids of all archives."""
    return list(paths.files("data_manifests"))


def files() -> list[Path]:
    """Return the files of all manifests."""
    return list(paths.files("data_manifests").values())


def at(path: Path) -> Manifest:
    """Return the manifest in a file, wherever it lies.

    Raises
    ------
    ReproError
        If it has faults; all of them are listed.
    """
    return _load(path.stem, path, path.stat().st_mtime_ns)


def load(archive: str) -> Manifest:
    """Return an archive's manifest by id.

    Raises
    ------
    ReproError
        If there is none, or its file has faults; all of them are listed.
    """
    files = paths.files("data_manifests")
    if archive not in files:
        raise unknown("dataset", archive, files)
    return _load(archive, files[archive], changed(files[archive]))


def size(found: Manifest) -> tuple[int | None, bool]:
    """Return the bytes to download, as far as they are stated, and whether some are not.

    The bytes are None if none are stated, and for generated data.
    """
    if found.generate:
        return None, False
    parts = [found.archive] if found.archive.url else list(found.members.values())
    known = sum(part.bytes or 0 for part in parts)
    return known or None, not all(part.bytes for part in parts)


def size_text(found: Manifest) -> str:
    """Return the size of the download in megabytes; "over" if the size of a part is unknown."""
    known, at_least = size(found)
    if found.generate:
        return "small"
    return f"{'over ' * at_least}{known / 1e6:,.1f} MB" if known else "unknown"


def split_id(dataset: str) -> tuple[str, str]:
    """Return archive and view of an id such as "ml-20m/liang2018"."""
    archive, _, view = dataset.partition("/")
    return archive, view


@cache
def _load(archive: str, path: Path, _changed: int) -> Manifest:
    content = strict_toml.read(path, ManifestFile)
    faults = []
    for part, read in content.read.items():
        faults += [f"read.{part}: {fault}" for fault in _read_faults(read, content)]
    for name, view in content.views.items():
        for entry in view.read.values():
            if entry not in content.read:
                faults.append(str(unknown("read entry", entry, content.read, f"views.{name}")))
        for part in [*view.whole, *view.expect.parts]:
            if part not in view.read:
                faults.append(str(unknown("part", part, view.read, f"views.{name}")))
        for key, end in [("steps", view.steps), *view.variants.items()]:
            for step in end:
                faults += [f"views.{name}.{key}: {fault}" for fault in _step_faults(step)]
        if "whole" in view.read and len(view.read) > 1:
            faults.append(f"views.{name}.read: no part may be called whole, as all are together")
    for name, member in content.members.items():
        if name == RECEIPT:
            faults.append(f"members.{name}: the cache keeps a file of its own under this name")
        if not (member.url or content.archive.url or content.archive.manual or content.generate):
            faults.append(f"members.{name}: no source: neither it nor the archive has a url")
    if faults:
        raise strict_toml.faulty(path, faults)
    return Manifest(id=archive, path=path, **dict(content))


def _read_faults(read: Read, content: ManifestFile) -> list[str]:
    """Return what is wrong with an entry of `read`."""
    faults = []
    if bool(read.member) == bool(read.any_of):
        faults.append("either member or any_of must be given")
    if read.format != "netflix" and any(len(choice) != 1 for choice in read.choices()):
        faults.append(f"the format {read.format} is read from one file")
    if read.format in ("adjacency", "negatives") and read.header:
        faults.append(f"the format {read.format} has no header")
    if (read.format == "json") != bool(read.fields):
        faults.append("the format json needs fields, and no other format has them")
    if read.format == "json" and not {"user", "item"} <= read.fields.keys():
        faults.append("fields must name user and item")
    named: list[str] = [name for name in read.columns if name != "-"]
    if read.format == "separated" and not {"user", "item"} <= set(named):
        faults.append("columns must name user and item")
    if read.format == "separated":
        faults += read.faults(read.separator)
    else:
        own = {key for key in Dialect.model_fields if getattr(read, key) != getattr(PLAIN, key)}
        allowed = {"encoding"} if read.format == "json" else set()
        faults += [f"{key}: only of separated text" for key in sorted(own - allowed)]
    faults += [f"columns name {name} twice" for name in KINDS if named.count(name) > 1]
    faults += [str(unknown("field", name, KINDS)) for name in read.fields if name not in KINDS]
    for member in [one for choice in read.choices() for one in choice]:
        if not content.generate and member not in content.members:
            faults.append(str(unknown("member", member, content.members)))
    return faults


def _step_faults(entry: dict[str, Any]) -> list[str]:
    """Return what is wrong with a step: its name, its argument, its expected counts."""
    keys = [key for key in entry if key != "expect"]
    if len(keys) != 1:
        return [f"{entry} must name one step"]
    if keys[0] not in steps.STEPS:
        return [str(unknown("step", keys[0], steps.STEPS))]
    try:
        step = _step(entry)
    except ValidationError as error:
        return strict_toml.faults_in(Counts, entry["expect"], error, at="expect")
    fault = steps.argument_fault(step.name, step.argument)
    return [f"{step.name}: {fault}"] if fault else []


def _step(entry: dict[str, Any]) -> Step:
    name = next(key for key in entry if key != "expect")
    return Step(
        name=name, argument=entry[name], expect=Counts.model_validate(entry.get("expect", {}))
    )
