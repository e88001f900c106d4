"""One request to one address: ask for the missing rest of a file, and write what comes.

A request asks for a range (RFC 9110, Section 14); with If-Range where nothing else would show that
the file has changed in the meantime.
"""

from __future__ import annotations

import errno
import re
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from repro import files
from repro.data import parts
from repro.data.answers import AgainError, GoneError, answer, failing
from repro.data.first_bytes import is_page
from repro.data.tell import Tell
from repro.errors import ReproError

if TYPE_CHECKING:
    import requests

    from repro.data.watched import Session

PIECE = 1 << 20
PAGE = 4096
"""Bytes beyond the length of a file, after which a server is not believed any more."""
MOST_BYTES = 1 << 36
"""The most that is taken from a server where nobody states a length; the largest file of ours has a
thirtieth of it."""
PATIENCE_SECONDS = 120.0
"""The longest wait that a server may ask for."""
STALL_SECONDS, STALL_BYTES = 60.0, 1024
"""A transfer that brings fewer bytes than this in so many seconds has stalled."""
RETRIED = (408, 425, 429, 500, 502, 503, 504)
MEANS = {
    401: "a login is needed",
    403: "the server refuses access",
    404: "it is no longer there",
    410: "it is no longer there",
    429: "too many requests",
    503: "the server is out of service",
}
EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True)
class Transfer:
    """The transfer of a file from one address.

    Parameters
    ----------
    session : watched.Session
        Makes the requests to this address only: once an expired certificate is accepted, it checks
        no other.
    url : str
        The address.
    part : Path
        Where the bytes go.
    n_bytes : int, optional
        How many there must be.
    pinned : bool
        Whether the file's hash is known: bytes from anywhere can then be verified.
    tell : Tell
        Hears the progress.
    """

    session: Session
    url: str
    part: Path
    n_bytes: int | None
    pinned: bool
    tell: Tell
    _told: set[str] = field(default_factory=set)
    """Redirections that the user has been told of."""

    def attempt(self) -> None:
        """Ask once for what is missing, and write what comes.

        Raises
        ------
        GoneError, AgainError
            If the part is not complete after it.
        ReproError
            If the disk has no room.
        """
        import requests
        import urllib3

        known = parts.known(self.part)
        if not self.pinned and (known.url != self.url or not known.validator):
            parts.discard(self.part)  # nothing would show whether the rest belongs to it
        have = parts.size(self.part)
        if have and have == self.n_bytes:
            return
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and known.url == self.url and known.validator:
            headers["If-Range"] = known.validator
        unsafe = urllib3.exceptions.InsecureRequestWarning  # `_accept_expired` says it better
        quiet = warnings.catch_warnings(action="ignore", category=unsafe)
        try:
            with quiet, self.session.watch.running(), self._asked(headers) as response:
                self._take(response, have, known.validator)
        except requests.exceptions.SSLError as error:
            self._accept_expired(error)
            self.attempt()

    def _asked(self, headers: dict[str, str]) -> requests.Response:
        """Return the answer, its body still to come."""

        def say(text: str) -> None:
            if text not in self._told:
                self._told.add(text)
                self.tell.say(f"{name(self.url)}: {text}")

        found = answer(self.session, self.url, headers, self.pinned, say)
        self.session.watch.allow(STALL_SECONDS)
        return found

    def _take(self, response: requests.Response, have: int, expected: str | None) -> None:
        """Check the answer's head, then write its body.

        Parameters
        ----------
        response : requests.Response
        have : int
            How many bytes of the file have arrived.
        expected : str, optional
            The validator of these bytes.
        """
        validator = _validator(response)
        if response.status_code == 206 and not self.pinned and validator != expected:
            parts.discard(self.part)
            raise AgainError("the file has changed since its first part arrived", 0.0)
        total = self._total(response, have)
        if total is None and response.status_code == 416:
            return
        if have and response.status_code != 206:
            self.tell.say(f"{name(self.url)}: the server cannot resume a download; starting over")
            have = 0
        stated = total is not None
        total = self.n_bytes if total is None else total
        first = self._next(response, total)
        if have == 0 and is_page(first) and not name(self.url).endswith((".html", ".htm")):
            raise GoneError(
                "it sent a web page instead of the file: a login, a form, or an error page"
            )
        if self.n_bytes not in (None, total):
            raise GoneError(f"it offers {total:,} bytes, expected {self.n_bytes:,}")
        files.need_room(self.part.parent, (total or have) - have)
        parts.note(self.part, self.url, validator)
        self._write(response, first, have, total, stated)

    def _total(self, response: requests.Response, have: int) -> int | None:
        """Return the length of the whole file, if the answer states it; raise if it is no file."""
        status = response.status_code
        if status == 206:
            unit, _, total = response.headers.get("Content-Range", "").partition("/")
            if not unit.startswith(f"bytes {have}-"):
                parts.discard(self.part)
                raise AgainError("it sent another range than requested", 0.0)
            return _number(total)
        if status == 416:
            if response.headers.get("Content-Range", "") == f"bytes */{have}":
                return None  # the part is complete
            parts.discard(self.part)
            raise AgainError("it does not have the requested range", 0.0)
        if status == 200:
            return _number(response.headers.get("Content-Length", ""))
        said = f"{status} {response.reason}"
        said += f": {MEANS[status]}" if status in MEANS else ""
        if status in RETRIED:
            after = _number(response.headers.get("Retry-After", ""))
            raise AgainError(said, None if after is None else min(after, PATIENCE_SECONDS))
        raise GoneError(said)

    def _write(
        self, response: requests.Response, chunk: bytes, have: int, total: int | None, stated: bool
    ) -> None:
        """Write the body as it comes, but not more than it may have; `chunk` is its beginning."""
        most = MOST_BYTES if total is None else total + PAGE
        title = name(self.url)
        done, since, at = have, time.monotonic(), have
        try:
            with self.part.open("ab" if have else "wb") as out:
                while chunk:
                    if done + len(chunk) > most:
                        parts.discard(self.part)
                        raise GoneError(_too_long(done + len(chunk), total, stated))
                    out.write(chunk)
                    done += len(chunk)
                    self.tell.bytes(title, done, total)
                    if time.monotonic() - since > STALL_SECONDS:
                        if done - at < STALL_BYTES:
                            raise AgainError(f"stalled at {done:,} bytes", in_vain=True)
                        since, at = time.monotonic(), done
                    chunk = self._next(response, total)
                if self.session.watch.is_over:
                    raise AgainError(f"stalled at {done:,} bytes", in_vain=True)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ReproError(
                f"the disk is full: {title} stopped at {parts.size(self.part):,} bytes, "
                "which are kept",
                f"make room at {self.part.parent}, then fetch again to resume",
            ) from error
        if total is not None and done > total:
            raise GoneError(_too_long(done, total, stated))
        if total is not None and done != total:
            raise AgainError(f"broke off after {done:,} of {total:,} bytes")

    def _accept_expired(self, error: requests.exceptions.SSLError) -> None:
        """Accept a certificate that has only expired, if the file's hash is known; else raise."""
        if not _expired(error):
            raise GoneError(f"its certificate is not accepted: {error}") from error
        if not self.pinned:
            raise GoneError(
                "its certificate has expired, and no hash is known to verify the bytes"
            ) from error
        self.session.verify = False
        self.tell.say(
            f"the certificate of {urlsplit(self.url).hostname} has expired; the file's hash is "
            "known, so it is fetched anyway"
        )

    def _next(self, response: requests.Response, total: int | None) -> bytes:
        """Return the next bytes; none at the end, nor where it breaks off and that will show."""
        from http.client import IncompleteRead

        import urllib3

        with failing(self.session):
            try:
                piece = response.raw.read1(PIECE)
            except urllib3.exceptions.ProtocolError as error:
                if total is None or not any(isinstance(one, IncompleteRead) for one in error.args):
                    raise
                return b""
        self.session.watch.allow(STALL_SECONDS)
        return piece


def name(url: str) -> str:
    """Return the file name in an address, by which messages call the file."""
    return urlsplit(url).path.rpartition("/")[2] or url


def _validator(response: requests.Response) -> str | None:
    """Return what identifies the file's version: its ETag unless that is weak, else its date."""
    strong = response.headers.get("ETag", "")
    dated = response.headers.get("Last-Modified")
    return dated if strong[:2] in ("", "W/") else strong


def _number(text: str) -> int | None:
    """Return the number in a header, if it is one."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _too_long(came: int, total: int | None, stated: bool) -> str:
    """Return what is wrong with a body that is longer than it may be."""
    if total is None:
        return f"it states no length, and sends more than {MOST_BYTES:,} bytes"
    how = "it states" if stated else "expected"
    return f"{how} {total:,} bytes, and it sends more: {came:,} came before it was stopped"


def _expired(error: BaseException | Any) -> bool:
    """Return whether the only fault of a certificate is its age."""
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_code == EXPIRED
        inner = [getattr(error, "reason", None), error.__cause__, error.__context__, *error.args]
        error = next((one for one in inner if isinstance(one, BaseException)), None)
    return False
