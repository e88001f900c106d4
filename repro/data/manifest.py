"""Read ``data_manifests/*.toml``: an archive's source, how it is read, and its views."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from repro import paths, strict_toml
from repro.data import steps
from repro.data.columns import KINDS
from repro.data.dialect import PLAIN, Dialect
from repro.data.schema import Counts, ManifestFile, Read, View, step_of
from repro.errors import unknown
from repro.files import changed

RECEIPT = "receipt.json"
"""The file beside the members in the cache that says where they come from."""


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
        step = step_of(entry)
    except ValidationError as error:
        return strict_toml.faults_in(Counts, entry["expect"], error, at="expect")
    fault = steps.argument_fault(step.name, step.argument)
    return [f"{step.name}: {fault}"] if fault else []
