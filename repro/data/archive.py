"""Fetch an archive from a folder, a mirror or the network into the cache, verified.

One process at a time fetches or builds an archive; the others wait.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from repro import files, paths
from repro.data import cache, parts, toy, unpack
from repro.data.by_hand import by_hand
from repro.data.download import download
from repro.data.manifest import Manifest
from repro.data.schema import Hashes, View
from repro.data.tell import Silent, Tell
from repro.data.unpack import AbsentError
from repro.errors import ManualDataError, ReproError
from repro.locks import BusyError


def fetch(
    manifest: Manifest,
    source: Path | None = None,
    *,
    view: View | None = None,
    unverified: bool = False,
    tell: Tell | None = None,
) -> dict[str, cache.Receipt]:
    """Fetch an archive's members into the cache, and verify them.

    If nothing is missing, nothing is written: the cache may be read-only.

    Parameters
    ----------
    manifest : Manifest
        What to fetch.
    source : Path, optional
        A folder that holds the archive or its members, directly or in a subfolder named like the
        dataset. By default ``REPRO_MIRROR``, then the network.
    view : View, optional
        Fetch only the members that this view reads.
    unverified : bool
        Accept bytes that do not have the manifest's hashes; the receipt says so.
    tell : Tell, optional
        Hears the progress.

    Raises
    ------
    ReproError
        If bytes differ from the manifest, or cannot be obtained.
    ManualDataError
        If only the user can obtain them.
    """
    tell = tell or Silent()
    made = _Fetch(manifest, source, unverified, tell)
    if not (toy.is_cached(manifest) if manifest.generate else made.is_done(view)):
        with cache.locked(manifest.id, tell) as asking:
            if manifest.generate:
                toy.fill(manifest)
            else:
                _Fetch(manifest, source, unverified, asking).run(view)
    return cache.receipts(manifest)


def in_mirror(manifest: Manifest, view: View) -> bool:
    """Return whether `REPRO_MIRROR` is set and, with the cache, holds all that a view reads."""
    near = _Fetch(manifest, None, False, Silent()).is_near
    return bool(paths.mirror()) and all(map(near, view.read.values()))


class _Fetch:
    """One call of `fetch`."""

    def __init__(
        self, manifest: Manifest, source: Path | None, unverified: bool, tell: Tell
    ) -> None:
        self._manifest = manifest
        self._source = source
        self._unverified = unverified
        self._tell = tell
        self._raw = cache.raw_folder(manifest.id)
        self._folders = _folders(manifest, source)
        self._taken: set[str] = set()
        self._passed_over: list[str] = []
        self._unresolved: set[str] = set()

    def run(self, view: View | None) -> None:
        """Fetch what a view reads, or all; a member that fails does not stop the rest."""
        self._raw.mkdir(parents=True, exist_ok=True)
        for name, state in cache.check(self._manifest).items():
            if state.startswith("CHANGED"):
                self._tell.say(f"{self._raw / name} has changed; it is fetched again")
                (self._raw / name).unlink()
        errors: list[ReproError] = []
        for entry in self._entries(view):
            try:
                self._fetch_any(self._manifest.read[entry].choices())
            except BusyError:  # another process fetches it now
                raise
            except ReproError as error:
                errors += [error] if str(error) not in map(str, errors) else []
        if errors:
            worst = max(errors, key=lambda error: error.exit_code)
            others = [f"error: {error}" for error in errors if error is not worst]
            raise type(worst)(worst.message, "\n".join([worst.hint, *self._passed_over, *others]))

    def is_done(self, view: View | None) -> bool:
        """Return whether the cache holds what a view reads, or all, with the right bytes."""
        for entry in self._entries(view):
            if all(self._wanted(choice) for choice in self._manifest.read[entry].choices()):
                return False
        states = cache.check(self._manifest).values()
        return not any(state.startswith("CHANGED") for state in states)

    def _entries(self, view: View | None) -> list[str]:
        """Return the entries of `read` that a view reads, or all."""
        return list(dict.fromkeys(view.read.values() if view else self._manifest.read))

    def is_near(self, entry: str) -> bool:
        """Return whether the cache and folders hold all that an entry of `read` needs."""
        choices = self._manifest.read[entry].choices()
        return any(all(self._is_near(name) for name in one) for one in choices)

    def _fetch_any(self, choices: list[list[str]]) -> None:
        """Fetch the members of one of several choices."""
        if any(not self._wanted(choice) for choice in choices):
            return
        near = [one for one in choices if all(self._is_near(name) for name in one)]
        for choice in near or choices[:1]:
            try:
                for name in choice:
                    if self._wanted([name]) and not self._from_folders(name):
                        self._from_afar(name)
                return
            except AbsentError:
                if choice is (near or choices)[-1]:
                    raise

    def _wanted(self, names: list[str]) -> list[str]:
        """Return those that are missing, or unverified where that is not accepted."""
        have = cache.receipts(self._manifest)
        return [name for name in names if name not in have or not self._is_enough(name, have[name])]

    def _is_enough(self, name: str, receipt: cache.Receipt) -> bool:
        """Return whether a member that the cache holds need not be fetched again.

        Unverified bytes that are accepted, and the user's own, are kept, unless the named folder
        has the member.
        """
        if receipt.verified or name in self._taken:
            return True
        return self._accepts(name) and not (self._source and self._in_folders(name))

    def _accepts(self, name: str) -> bool:
        """Return whether a member's bytes may be any."""
        return self._unverified or cache.is_own(self._manifest, name)

    def _container(self, name: str) -> str:
        """Return the file name of the zip or tar that holds a member."""
        return self._manifest.members[name].container or self._manifest.archive.file_name

    def _in_folders(self, name: str) -> bool:
        files = [name, self._container(name)]
        return any((at / file).is_file() for at in self._folders for file in files if file)

    def _is_near(self, name: str) -> bool:
        """Return whether a member is in the cache, or in a folder, alone or in its archive."""
        left = (self._raw / name).is_file() and name not in cache.receipts(self._manifest)
        return self._in_folders(name) or left or not self._wanted([name])

    def _from_folders(self, name: str) -> bool:
        """Take a member, or the archive that holds it, from a folder; False if neither is there."""
        if (self._raw / name).is_file() and self._adopt(name):
            return True
        packed = self._container(name)
        for at in [*self._folders, self._raw]:
            try:
                if at != self._raw and (at / name).is_file():
                    with (at / name).open("rb") as stream:
                        self._take(name, stream, (at / name).stat().st_size, str(at / name))
                    return True
                if packed and (at / packed).is_file():
                    self._unpack(name, at / packed, str(at / packed))
                    return True
            except ReproError as error:
                if self._source or isinstance(error, AbsentError | BusyError):
                    raise
                self._tell.say(f"skipped in {at}: {error.message}; looking elsewhere")
                trust = f". {self._trust()}" if self._trust() in error.hint else ""
                self._passed_over.append(f"skipped in {at}: {error.message}{trust}")
        return False

    def _adopt(self, name: str) -> bool:
        """Write the receipt of a file in the cache that has none, if its bytes are right.

        Somebody may have put it there, or the machine stopped before the receipt was written.
        """
        stated, known = self._manifest.members[name], cache.receipts(self._manifest).get(name)
        if known and not stated.stated():
            return False  # known, and not good enough
        found = cache.digests(self._raw / name)
        verified = bool(stated.stated()) and not cache.differences(found, stated)
        if verified or (self._accepts(name) and not known):
            source = known.source if known else "found in the cache"
            cache.sign(self._manifest, name, found, verified, source)
            return True
        if not known:
            self._tell.say(f"{self._raw / name} does not match its manifest; it is fetched again")
        return False

    def _from_afar(self, name: str) -> None:
        found, member = self._manifest, self._manifest.members[name]
        if found.archive.manual:
            at = f", and {self._source} does not hold it" if self._source else ""
            raise ManualDataError(f"{found.id} must be obtained by hand{at}", by_hand(found))
        if self._source:
            packed = self._container(name)
            either = f"neither {name} of {found.id} nor {packed}" if packed else f"no {name}"
            raise ReproError(
                f"{self._source} holds {either}", f"expected {self._source / found.id / name}"
            )
        of = member if member.url else found.archive
        stated = Hashes() if self._unverified else of
        title = name if member.url else found.archive.file_name or "archive"
        if not self._accepts(name) and not of.stated() and not member.stated():
            raise ReproError(f"the manifest states no hash of {title}", self._trust())
        part = cache.folder(found.id) / "parts" / f"{title.replace('/', '_')}.part"
        part.parent.mkdir(exist_ok=True)
        url = download(
            [url for url in [of.url, *of.mirrors] if url],
            part,
            stated.bytes,
            bool(stated.stated()),
            lambda file: "; ".join(cache.differences(cache.digests(file), stated)),
            self._tell,
            self._unresolved,
        )
        if member.url:
            with part.open("rb") as stream:
                self._take(name, stream, part.stat().st_size, url)
        else:
            self._unpack(name, part, url)
        parts.discard(part)
        if not any(part.parent.iterdir()):
            part.parent.rmdir()

    def _unpack(self, name: str, archive: Path, source: str) -> None:
        """Extract every member that is still missing from a zip or tar."""
        found = self._manifest
        title = self._container(name)
        verified = title == found.archive.file_name and self._check(
            title, cache.digests(archive), found.archive, lenient=True
        )
        for one in self._wanted(found.all_members()):
            member = found.members[one]
            if one != name and (member.url or self._container(one) != title):
                continue
            stated_bytes = None if self._unverified else member.bytes
            try:
                with unpack.opened(archive, member.path or one, stated_bytes) as (stream, size):
                    self._take(one, stream, size, source, verified)
            except AbsentError:
                if one == name:  # another member that is absent raises when it is asked for
                    raise

    def _take(
        self,
        name: str,
        stream: IO[bytes] | unpack.Member,
        size: int,
        source: str,
        vouched: bool = False,
    ) -> None:
        """Copy a member into the cache under its name once its bytes are verified."""
        stated = self._manifest.members[name]
        files.need_room(self._raw, size)
        with files.whole(self._raw / name) as file:
            states = cache.Digests(size)
            with file.open("wb") as out:
                while chunk := stream.read(cache.CHUNK):
                    out.write(chunk)
                    states.update(chunk)
                    self._tell.bytes(name, out.tell(), size)
            found = states.digests()
            verified = vouched and not stated.stated()
            verified = verified or self._check(name, found, stated)
        cache.sign(self._manifest, name, found, verified, source)
        self._taken.add(name)
        if not verified:
            own = cache.is_own(self._manifest, name)
            why = "your own; to be told if it changes" if own else "UNVERIFIED; if you trust it"
            line = f'sha256 = "{found["sha256"]}"'
            self._tell.say(f'{name} is {why}, add to [members."{name}"] in the manifest: {line}')

    def _check(
        self, name: str, found: dict[str, str], stated: Hashes, lenient: bool = False
    ) -> bool:
        """Return whether the bytes match the manifest.

        Parameters
        ----------
        name, found, stated
            The file, its digests, and what they should be.
        lenient : bool
            Whether the manifest may state no hash: for an archive whose members have their own.

        Raises
        ------
        ReproError
            If they differ, or the manifest states no hash, and `unverified` is not set.
        """
        differs = cache.differences(found, stated)
        if not differs and stated.stated():
            return True
        if self._unverified or (not differs and (lenient or cache.is_own(self._manifest, name))):
            return False
        if differs:
            raise ReproError(
                f"{name} does not match its manifest", "; ".join(differs) + ".\n  " + self._trust()
            )
        raise ReproError(f"the manifest states no hash of {name}", self._trust())

    def _trust(self) -> str:
        at = f" --from {self._source}" if self._source else ""
        return (
            f"To use bytes that you trust: repro fetch {self._manifest.id}{at} --unverified; "
            "every record made from them will say so."
        )


def _folders(manifest: Manifest, source: Path | None) -> list[Path]:
    if source:
        if not source.is_dir():
            raise ReproError(f"{source} is not a folder")
        return [source / manifest.id, source]
    mirror = paths.mirror()
    return [mirror / manifest.id] if mirror else []
