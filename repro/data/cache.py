"""The cache: which files of an archive it holds, and whether they are unchanged.

A member gets its final name only when its bytes are complete; the receipt beside it states their
size and sha256, their source, and whether they have the manifest's hashes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from repro import locks, paths
from repro.data.manifest import RECEIPT, Manifest
from repro.data.schema import Hashes, View
from repro.data.tell import Asking, Tell
from repro.files import need_writable, read_json, write_json
from repro.locks import BusyError, Holder, Lock
from repro.strict_toml import Inside, checked

CHUNK = 1 << 20
POLL_SECONDS = 0.5
"""After how long it is checked again whether a busy archive is free."""


@dataclass(frozen=True)
class Receipt:
    """What the cache records of a member."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    bytes: int
    """Its length."""
    sha256: str
    """Of its bytes."""
    verified: bool
    """Whether its bytes, or those of the archive it came in, have the manifest's hashes."""
    source: str
    """The file or address that it came from."""


def folder(archive: str) -> Path:
    """Return an archive's folder in the cache."""
    return paths.home() / "data" / archive


def raw_folder(archive: str) -> Path:
    """Return the folder of an archive's members."""
    return folder(archive) / "raw"


def receipts(manifest: Manifest) -> dict[str, Receipt]:
    """Return the receipts of the members that are complete in the cache."""
    raw = raw_folder(manifest.id)
    return {
        name: _judged(manifest, name, receipt)
        for name, receipt in _signed(manifest).items()
        if (raw / name).exists() and (raw / name).stat().st_size == receipt.bytes
    }


def _judged(manifest: Manifest, name: str, receipt: Receipt) -> Receipt:
    """Return a receipt, verified or not by the hash that the manifest states today."""
    stated = manifest.members.get(name)
    if stated is None or stated.sha256 is None:
        return receipt
    right = stated.sha256 == receipt.sha256 and stated.bytes in (None, receipt.bytes)
    return replace(receipt, verified=right)


def is_own(manifest: Manifest, name: str) -> bool:
    """Return whether a member is the user's own file.

    Its manifest is the user's, and states neither a hash nor an address of it.
    """
    of, member = manifest.archive, manifest.members.get(name)
    elsewhere = of.url or of.stated() or (member and (member.url or member.stated()))
    return not (elsewhere or manifest.generate or paths.is_ours(manifest.path))


def state(manifest: Manifest, name: str, receipt: Receipt) -> str:
    """Return "verified", "own" or "unverified"."""
    if receipt.verified:
        return "verified"
    return "own" if is_own(manifest, name) else "unverified"


def _signed(manifest: Manifest) -> dict[str, Receipt]:
    file = raw_folder(manifest.id) / RECEIPT
    if not file.exists():
        return {}
    hint = "delete it and fetch again: the files beside it are then verified again"
    return checked(read_json(file, hint), _RECEIPTS, f"{file} is damaged", hint)


_RECEIPTS = TypeAdapter(dict[Inside, Receipt])


def members(
    manifest: Manifest, view: View | None = None, have: dict[str, Receipt] | None = None
) -> list[str]:
    """Return the members that a view reads, or that all views read.

    If an entry of `read` leaves a choice, these are the first list of members that all have a
    receipt in `have`, by default the receipts of the cache; else the first list.
    """
    have = receipts(manifest) if have is None else have
    entries = view.read.values() if view else manifest.read
    found = [name for entry in entries for name in _choice(manifest, entry, have)]
    return list(dict.fromkeys(found))


def files(manifest: Manifest, entry: str) -> list[Path]:
    """Return the files in the cache that an entry of `read` is read from."""
    raw = raw_folder(manifest.id)
    return [raw / name for name in _choice(manifest, entry, receipts(manifest))]


def _choice(manifest: Manifest, entry: str, have: dict[str, Receipt]) -> list[str]:
    choices = manifest.read[entry].choices()
    return next((one for one in choices if all(name in have for name in one)), choices[0])


def missing(manifest: Manifest, view: View | None = None) -> list[str]:
    """Return the members that a view, or any view, reads and that the cache lacks."""
    have = receipts(manifest)
    return [member for member in members(manifest, view, have) if member not in have]


def check(manifest: Manifest) -> dict[str, str]:
    """Return the state of every member that was ever fetched, from its bytes.

    A state is "verified", "own", "unverified", or says, first in capitals, what happened to the
    file.
    """
    raw = raw_folder(manifest.id)
    states = {}
    for name, signed in _signed(manifest).items():
        receipt = _judged(manifest, name, signed)
        if not (raw / name).exists():
            states[name] = "MISSING: fetch it again"
        elif sha256(raw / name) != receipt.sha256:
            states[name] = f"CHANGED since it was fetched: delete {raw / name} and fetch it again"
        else:
            states[name] = state(manifest, name, receipt)
    return states


@contextmanager
def locked(archive: str, tell: Tell) -> Iterator[Tell]:
    """Keep other processes from fetching or building the same archive; wait while one does.

    Yields
    ------
    Tell
        Hears what `tell` hears, and raises `BusyError` if another process has taken the archive
        over, because this one was asleep for too long.
    """
    need_writable(folder(archive), "name another folder in REPRO_HOME")
    told = False
    with ExitStack() as stack:
        while True:
            holder = Holder(folder(archive), Lock.here(archive))
            try:
                stack.enter_context(locks.held(holder))
                break
            except BusyError as busy:
                if not told:
                    tell.say(f"{busy.message}; waiting for it")
                told = True
                time.sleep(POLL_SECONDS)
        for left in folder(archive).glob("raw/.*"):  # by a process that was killed
            left.unlink()
        yield Asking(tell, holder.check)


def is_busy(archive: str) -> bool:
    """Return whether a process is fetching or building an archive."""
    found = locks.find(folder(archive), Lock)
    return bool(found and found.is_held())


def sign(manifest: Manifest, name: str, found: dict[str, str], verified: bool, source: str) -> None:
    """Write the receipt of a member: its digests, whether they are verified, and its source."""
    receipt = Receipt(int(found["bytes"]), found["sha256"], verified, source)
    known = {**receipts(manifest), name: receipt}
    write_json(
        raw_folder(manifest.id) / RECEIPT,
        {key: asdict(value) for key, value in known.items()},
    )


class Digests:
    """The digests of a stream of bytes."""

    def __init__(self, length: int) -> None:
        self._length = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._blob = hashlib.sha1(f"blob {length}\0".encode(), usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """Add the next bytes."""
        self._length += len(chunk)
        for state in (self._sha256, self._md5, self._blob):
            state.update(chunk)

    def digests(self) -> dict[str, str]:
        """Return length, sha256, md5 and git blob id, by their names in a manifest."""
        return {
            "bytes": str(self._length),
            "sha256": self._sha256.hexdigest(),
            "md5": self._md5.hexdigest(),
            "git_blob": self._blob.hexdigest(),
        }


def digests(file: Path) -> dict[str, str]:
    """Return length, sha256, md5 and git blob id of a file, by their names in a manifest."""
    states = Digests(file.stat().st_size)
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            states.update(chunk)
    return states.digests()


def sha256(file: Path) -> str:
    """Return the sha256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def differences(found: dict[str, str], stated: Hashes) -> list[str]:
    """Return "kind expected, got" for every stated digest that a file does not have."""
    differs = [
        f"{kind} expected {value}, got {found[kind]}"
        for kind, value in stated.stated().items()
        if found[kind] != value
    ]
    if stated.bytes is not None and found["bytes"] != str(stated.bytes):
        differs.insert(0, f"bytes expected {stated.bytes:,}, got {int(found['bytes']):,}")
    return differs


def canonical_hash(value: dict[str, Any]) -> str:
    """Return a sha256 that is equal for equal mappings."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
