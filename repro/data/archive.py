"""Fetch: from a folder, a mirror or the network; verified, whole, and with a receipt.

A member lies in the cache under its final name only when its bytes are complete; the receipt beside
it says what they are, where they came from, and whether the manifest's hashes vouch for them.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from repro import paths
from repro.data import toy
from repro.data.manifest import Hashes, Manifest, Member
from repro.errors import ManualDataError, ReproError

CHUNK = 1 << 20
TIMEOUT = 60.0
AS_IS = {"Accept-Encoding": "identity"}  # else lengths are those of a compressed transfer

DAMAGED = (KeyError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)
"""What the standard library raises for an archive that is cut, corrupt, or lacks a member."""

Report = Callable[[str, int, int | None], None]
"""Told the file's name, the bytes so far, and how many there will be."""


@dataclass(frozen=True)
class Receipt:
    """What is known of a member in the cache."""

    bytes: int
    sha256: str
    verified: bool
    """Whether its bytes, or those of the archive it came in, have the manifest's hashes."""
    source: str


def raw_folder(archive: str) -> Path:
    """Return where an archive's members lie."""
    return paths.home() / "data" / archive / "raw"


def receipts(manifest: Manifest) -> dict[str, Receipt]:
    """Return the receipts of the members that are in the cache, whole."""
    file = raw_folder(manifest.id) / "receipt.json"
    if not file.exists():
        return {}
    known = {name: Receipt(**entry) for name, entry in json.loads(file.read_text()).items()}
    folder = raw_folder(manifest.id)
    return {
        name: receipt
        for name, receipt in known.items()
        if (folder / name).exists() and (folder / name).stat().st_size == receipt.bytes
    }


def missing(manifest: Manifest) -> list[str]:
    """Return the members that views read and the cache lacks."""
    have = receipts(manifest)
    return [member for member in manifest.needed() if member not in have]


def fetch(
    manifest: Manifest,
    source: Path | None = None,
    *,
    unverified: bool = False,
    report: Report | None = None,
) -> dict[str, Receipt]:
    """Bring an archive's members into the cache, verified.

    Parameters
    ----------
    manifest : Manifest
        What to fetch.
    source : Path, optional
        A folder that holds the archive or its members, by themselves or in a folder named like the
        dataset. Without it ``REPRO_MIRROR`` is looked at, then the network.
    unverified : bool
        Take bytes that do not have the manifest's hashes, and say so in the receipt.
    report : callable, optional
        Told of the progress.

    Raises
    ------
    ReproError
        If bytes differ from the manifest, or cannot be had.
    ManualDataError
        If only the user can obtain them.
    """
    report = report or (lambda name, done, total: None)
    if manifest.generate:
        return _generate(manifest)
    while wanted := _wanted(manifest, unverified):
        name = wanted[0]  # an archive brings others along
        member = manifest.members[name]
        for folder in _folders(manifest, source):
            if _from_folder(manifest, name, member, folder, unverified, report):
                break
        else:
            if source:
                raise ReproError(
                    f"{source} holds neither {name} of {manifest.id} nor its archive",
                    f"expected {source / manifest.id / name}",
                )
            _from_network(manifest, name, member, unverified, report)
    return receipts(manifest)


def _wanted(manifest: Manifest, unverified: bool) -> list[str]:
    """Return the members that are missing, or unverified where that is not good enough."""
    have = receipts(manifest)
    return [
        name
        for name in manifest.needed()
        if name not in have or not (have[name].verified or unverified)
    ]


def _folders(manifest: Manifest, source: Path | None) -> list[Path]:
    if source:
        if not source.is_dir():
            raise ReproError(f"{source} is no folder")
        return [source / manifest.id, source]
    mirror = paths.mirror()
    return [mirror / manifest.id] if mirror else []


def _from_folder(
    manifest: Manifest, name: str, member: Member, folder: Path, unverified: bool, report: Report
) -> bool:
    """Take a member, or the archive that holds it, from a folder; False if neither is there."""
    file, archive = folder / name, folder / manifest.archive.file_name
    if file.is_file():
        with file.open("rb") as stream:
            _take(manifest, name, stream, member, str(file), unverified, report)
        return True
    if manifest.archive.file_name and archive.is_file():
        found = digests(archive)
        verified = _check(archive.name, found, manifest.archive, unverified, manifest.id)
        _unpack(manifest, archive, str(archive), verified, unverified, report)
        return True
    return False


def _from_network(
    manifest: Manifest, name: str, member: Member, unverified: bool, report: Report
) -> None:
    if manifest.archive.manual:
        raise ManualDataError(f"{manifest.id} must be obtained by hand", manifest.archive.manual)
    raw = raw_folder(manifest.id)
    raw.mkdir(parents=True, exist_ok=True)
    url = member.url or manifest.archive.url
    assert url is not None, "checked when the manifest was read"
    with tempfile.TemporaryDirectory(dir=raw, prefix=".download.") as folder:
        file = Path(folder) / "download"
        _download(url, file, report)
        if member.url:
            with file.open("rb") as stream:
                _take(manifest, name, stream, member, url, unverified, report)
        else:
            named = manifest.archive.file_name
            found = digests(file)
            verified = _check(named, found, manifest.archive, unverified, manifest.id)
            _unpack(manifest, file, url, verified, unverified, report)


def _download(url: str, file: Path, report: Report) -> None:
    """Write what a URL serves into a file."""
    import requests

    name = url.rpartition("/")[2]
    try:
        with (
            requests.get(url, headers=AS_IS, stream=True, timeout=TIMEOUT) as response,
            file.open("wb") as out,
        ):
            response.raise_for_status()
            length = response.headers.get("Content-Length")
            total = int(length) if length else None
            done = 0
            for chunk in response.iter_content(CHUNK):
                out.write(chunk)
                done += len(chunk)
                report(name, done, total)
    except requests.RequestException as error:
        raise ReproError(
            f"{name} could not be downloaded: {error}",
            f"check the network, or take it from a folder: repro fetch … --from FOLDER ({url})",
        ) from error
    if total is not None and done != total:
        raise ReproError(f"{name} broke off after {done:,} of {total:,} bytes", "fetch again")


def _unpack(
    manifest: Manifest,
    archive: Path,
    source: str,
    verified: bool,
    unverified: bool,
    report: Report,
) -> None:
    """Take every member that is still missing out of a zip or tar; nothing else is unpacked."""
    for name in _wanted(manifest, unverified):
        member = manifest.members[name]
        inside = member.path or name
        try:
            with _opened(archive, inside) as stream:
                vouched = Hashes() if verified and not member.stated() else member
                _take(manifest, name, stream, vouched, source, unverified, report, verified)
        except DAMAGED as error:
            raise ReproError(
                f"{source} does not give {inside}: {error}", "fetch again, or check the archive"
            ) from error


@contextmanager
def _opened(archive: Path, inside: str) -> Iterator[IO[bytes]]:
    """Yield the bytes of one member of a zip or tar."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed, packed.open(inside) as stream:
            yield stream
        return
    with tarfile.open(archive) as packed_tar:
        found = packed_tar.extractfile(inside)
        if found is None:
            raise KeyError(f"{inside} is no file")
        yield found


def _take(
    manifest: Manifest,
    name: str,
    stream: IO[bytes],
    stated: Hashes,
    source: str,
    unverified: bool,
    report: Report,
    vouched: bool = False,
) -> None:
    """Copy a member into the cache under its name once its bytes are verified."""
    raw = raw_folder(manifest.id)
    with paths.whole(raw / name) as file:
        with file.open("wb") as out:
            while chunk := stream.read(CHUNK):
                out.write(chunk)
                report(name, out.tell(), stated.bytes)
        found = digests(file)
        verified = vouched and not stated.stated()
        verified = verified or _check(name, found, stated, unverified, manifest.id)
    entry = Receipt(int(found["bytes"]), found["sha256"], verified, source)
    known = {**receipts(manifest), name: entry}
    paths.write_json(raw / "receipt.json", {key: asdict(value) for key, value in known.items()})


def digests(file: Path) -> dict[str, str]:
    """Return length, sha256, md5 and git blob id of a file, by their names in a manifest."""
    length = file.stat().st_size
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    blob = hashlib.sha1(f"blob {length}\0".encode(), usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            for state in (sha256, md5, blob):
                state.update(chunk)
    return {
        "bytes": str(length),
        "sha256": sha256.hexdigest(),
        "md5": md5.hexdigest(),
        "git_blob": blob.hexdigest(),
    }


def _check(
    name: str, found: dict[str, str], stated: Hashes, unverified: bool, dataset: str
) -> bool:
    """Return whether the bytes are what the manifest says.

    Raises
    ------
    ReproError
        If they are not, or the manifest says nothing, and `unverified` was not asked for.
    """
    trust = (
        f"To use bytes that you trust: repro fetch {dataset} --from FOLDER --unverified; "
        "every record made from them will say so."
    )
    differs = [
        f"{kind} expected {value}, got {found[kind]}"
        for kind, value in stated.stated().items()
        if found[kind] != value
    ]
    if stated.bytes is not None and found["bytes"] != str(stated.bytes):
        differs.insert(0, f"bytes expected {stated.bytes:,}, got {int(found['bytes']):,}")
    if not differs and stated.stated():
        return True
    if unverified:
        return False
    if differs:
        raise ReproError(
            f"{name} does not match its manifest", "; ".join(differs) + ".\n  " + trust
        )
    raise ReproError(f"the manifest knows no hash of {name}", trust)


def _generate(manifest: Manifest) -> dict[str, Receipt]:
    assert manifest.generate is not None
    raw = raw_folder(manifest.id)
    made = canonical_hash(manifest.generate.model_dump() | {"recipe": toy.RECIPE})
    if not missing(manifest) and all(r.source == made for r in receipts(manifest).values()):
        return receipts(manifest)
    toy.generate(manifest.generate, raw)
    entries = {}
    for name in manifest.needed():
        found = digests(raw / name)
        entries[name] = asdict(Receipt(int(found["bytes"]), found["sha256"], True, made))
    paths.write_json(raw / "receipt.json", entries)
    return receipts(manifest)


def canonical_hash(value: dict[str, Any]) -> str:
    """Return a sha256 that equal mappings share."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
