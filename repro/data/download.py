"""Download one file over HTTP: which address, how many attempts, and how long to wait.

The bytes go into a ``.part`` file as they arrive. A later attempt, in this process or in another
after a ``kill -9``, asks only for the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import repro
from repro.data import parts
from repro.data.answers import AgainError, GoneError, UnresolvedError
from repro.data.tell import Tell
from repro.data.transfer import Transfer, name
from repro.errors import ReproError

ATTEMPTS = 5
"""Attempts in vain before the next address is tried; one that brings bytes is not in vain."""
DELAY_SECONDS = 1.0
"""The wait before the second attempt; it doubles for each one after."""


def download(
    urls: list[str],
    part: Path,
    n_bytes: int | None,
    pinned: bool,
    wrong: Callable[[Path], str],
    tell: Tell,
    unresolved: set[str] | None = None,
) -> str:
    """Download a file from the first address that serves it.

    Parameters
    ----------
    urls : list of str
        The addresses, in the order they are tried.
    part : Path
        Where the bytes go; if an earlier attempt left bytes there, the download resumes.
    n_bytes : int, optional
        How many there must be; an address that offers another number is skipped.
    pinned : bool
        Whether `wrong` knows a hash; the bytes may then come from anywhere.
    wrong : callable
        Returns what is wrong with a complete file, or "".
    tell : Tell
        Hears the progress.
    unresolved : set of str, optional
        Hosts that were found not to resolve: they are not asked again. Grows.

    Returns
    -------
    str
        The address that served it; `part` is the complete file.

    Raises
    ------
    ReproError
        If every address fails, with the reason for each; or if the disk has no room.
    """
    reasons = []
    unresolved = set() if unresolved is None else unresolved
    for url in urls:
        host = urlsplit(url).netloc
        try:
            if host in unresolved:
                raise GoneError("its host does not resolve")
            joined = _attempts(url, part, n_bytes, pinned, tell)
            reason = wrong(part)
            if reason and joined:
                tell.say(f"{name(url)}: the part from an earlier attempt does not fit; once more")
                parts.discard(part)
                _attempts(url, part, n_bytes, pinned, tell)
                reason = wrong(part)
        except GoneError as error:
            reason = str(error)
            if isinstance(error, UnresolvedError):
                unresolved.add(host)
            if pinned and part.exists() and not wrong(part):
                return url  # complete, whatever length the server states
        else:
            if not reason:
                return url
            parts.discard(part)
        reasons.append(f"{url}: {reason}")
        if len(reasons) < len(urls):
            tell.say(f"{reasons[-1]}; trying the next address")
    raise ReproError(
        f"{name(urls[0])} could not be downloaded",
        "\n  ".join([*reasons, "try again later, or take it from a folder: --from FOLDER"]),
    )


def _attempts(url: str, part: Path, n_bytes: int | None, pinned: bool, tell: Tell) -> bool:
    """Attempt until the file is complete; return whether it was joined from several answers."""
    from repro.data.watched import Session  # loads requests

    with Session() as session:
        session.headers.update(
            # If it were decompressed on the way, lengths and ranges would not be the file's.
            {"Accept-Encoding": "identity", "User-Agent": f"repro/{repro.__version__}"}
        )
        transfer = Transfer(session, url, part, n_bytes, pinned, tell)
        failed, furthest, joined = 0, parts.size(part), parts.size(part) > 0
        while True:
            try:
                transfer.attempt()
                return joined
            except AgainError as error:
                have = parts.size(part)
                joined = joined or have > 0
                failed = 1 if have > furthest and not error.in_vain else failed + 1
                furthest = max(furthest, have)
                if failed == ATTEMPTS:
                    raise GoneError(f"{error} ({ATTEMPTS} attempts)") from error
                wait = DELAY_SECONDS * 2 ** (failed - 1) if error.wait is None else error.wait
                tell.say(f"{name(url)}: {error}; retrying in {wait:.0f} s")
                time.sleep(wait)
