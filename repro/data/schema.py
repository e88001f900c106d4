"""What a manifest file holds, key by key; unknown keys are refused."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from repro.data import addresses
from repro.data.addresses import Address
from repro.data.dialect import Dialect
from repro.data.times import Unit
from repro.strict_toml import Inside, Name, Strict


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
        return {
            name: [step_of(entry) for entry in [*self.steps, *end]] for name, end in ends.items()
        }


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


def step_of(entry: dict[str, Any]) -> Step:
    """Return a step of a manifest: its one key but "expect", and that key's value."""
    name = next(key for key in entry if key != "expect")
    return Step(
        name=name, argument=entry[name], expect=Counts.model_validate(entry.get("expect", {}))
    )
