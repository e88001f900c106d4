"""What a fetch would do for a view whose files the cache lacks, told beforehand."""

from __future__ import annotations

from pathlib import Path

from repro import paths
from repro.data import archive, cache, manifest
from repro.data.manifest import Manifest
from repro.data.schema import Hashes, View


def told(dataset: str) -> str:
    """Return where a view that is not built would come from, and what stands in its way.

    Files in the folder of ``REPRO_MIRROR`` are read, as a fetch compares them with the manifest.
    """
    name, view_name = manifest.split_id(dataset)
    found = manifest.load(name)
    view = found.view(view_name)
    if not cache.missing(found, view):
        return "in the cache, to be built"
    if found.generate:
        return "generated"
    if archive.in_mirror(found, view):
        faults = _misfits(found, view)
        if not faults:
            return f"from {paths.mirror()}"
        trust = f"repro fetch {dataset} --unverified takes it"
        return f"{_elsewhere(found, view, dataset)}; in {paths.mirror()} {faults[0]} ({trust})"
    return _elsewhere(found, view, dataset)


def _elsewhere(found: Manifest, view: View, dataset: str) -> str:
    if found.archive.manual:
        return f"repro fetch {dataset}, by hand"
    if any(not _stated(found, name) for name in _needed(found, view)):
        return f"refused, as the manifest states no hash: repro fetch {dataset} --unverified"
    return f"download, {manifest.size_text(found)}"


def _needed(found: Manifest, view: View) -> list[str]:
    have = cache.receipts(found)
    names = [name for name in cache.members(found, view, have) if name not in have]
    return [name for name in names if not cache.is_own(found, name)]


def _stated(found: Manifest, name: str) -> bool:
    member = found.members[name]
    return bool(member.stated() or (not member.url and found.archive.stated()))


def _misfits(found: Manifest, view: View) -> list[str]:
    """Return how files in the mirror differ from the manifest."""
    mirror = paths.mirror()
    assert mirror is not None
    faults = []
    for name in _needed(found, view):
        member = found.members[name]
        packed = member.container or found.archive.file_name
        alone = mirror / found.id / name
        if alone.is_file():
            faults += _differs(alone, member)
        elif packed and packed == found.archive.file_name and found.archive.stated():
            faults += _differs(mirror / found.id / packed, found.archive)
    return list(dict.fromkeys(faults))


def _differs(file: Path, stated: Hashes) -> list[str]:
    if not stated.stated():
        return [f"{file.name} has no hash in the manifest"]
    if not file.is_file():
        return []
    wrong_size = stated.bytes not in (None, file.stat().st_size)  # a large file need not be read
    if wrong_size or cache.differences(cache.digests(file), stated):
        return [f"{file.name} does not match the manifest"]
    return []
