"""Download one file over HTTP: in pieces that survive, from whichever address serves it.

The bytes go into a ``.part`` file as they come. A later attempt, be it in this process or after a
``kill -9`` in another, asks for the rest (RFC 9110, Section 14: Range, with If-Range where nothing
else would notice that the file has changed meanwhile).
"""

from __future__ import annotations

import errno
import re
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import repro
from repro import files
from repro.errors import ReproError

if TYPE_CHECKING:
    import requests

PIECE = 1 << 20
CONNECT_SECONDS, READ_SECONDS = 20.0, 60.0
ATTEMPTS = 5
"""How often an address is asked in vain before the next; what brings bytes is not in vain."""
DELAY_SECONDS = 1.0
"""Before the second attempt; doubled for each one after."""
PATIENCE_SECONDS = 120.0
"""The longest a server may ask us to wait."""
STALL_SECONDS, STALL_BYTES = 60.0, 1024
"""A transfer that brings fewer bytes than this in so long has stalled."""
RETRIED = (408, 425, 429, 500, 502, 503, 504)
MEANS = {
    401: "a login is needed",
    403: "the server refuses to give it",
    404: "it is not there any more",
    410: "it is not there any more",
    429: "too many requests",
    503: "the server is out of service",
}
EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


class Tell(Protocol):
    """Who is told how it goes."""

    def bytes(self, name: str, done: int, total: int | None) -> None:
        """Hear how much of a file has arrived."""

    def say(self, text: str) -> None:
        """Hear what the user should know."""


class Silent:
    """Is told, and says nothing."""

    def bytes(self, name: str, done: int, total: int | None) -> None:
        """Hear how much of a file has arrived."""

    def say(self, text: str) -> None:
        """Hear what the user should know."""


class _GoneError(Exception):
    """An address will not serve the file."""


class _AgainError(Exception):
    """An address may serve it at another attempt."""

    def __init__(self, reason: str, wait: float | None = None, in_vain: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.in_vain = in_vain


def download(
    urls: list[str],
    part: Path,
    n_bytes: int | None,
    pinned: bool,
    wrong: Callable[[Path], str],
    tell: Tell,
) -> str:
    """Bring a file from the first address that serves it.

    Parameters
    ----------
    urls : list of str
        Where it lies, in the order in which they are tried.
    part : Path
        Where the bytes go; what an earlier attempt left there is gone on from.
    n_bytes : int, optional
        How many there must be; an address that offers another number is left at once.
    pinned : bool
        Whether `wrong` knows a hash: the bytes may then come from anybody.
    wrong : callable
        Returns what is wrong with a complete file, or "".
    tell : Tell

    Returns
    -------
    str
        The address that served it; `part` is the complete file.

    Raises
    ------
    ReproError
        Naming for every address why it failed; or if the disk has no room.
    """
    reasons = []
    for url in urls:
        try:
            joined = _bring(url, part, n_bytes, pinned, tell)
            reason = wrong(part)
            if reason and joined:
                tell.say(f"{_name(url)}: what an earlier attempt had left does not fit; once more")
                discard(part)
                _bring(url, part, n_bytes, pinned, tell)
                reason = wrong(part)
        except _GoneError as error:
            reason = str(error)
            if pinned and part.exists() and not wrong(part):
                return url  # whole, whatever the server says of its length
        else:
            if not reason:
                return url
            discard(part)
        reasons.append(f"{url}: {reason}")
        if len(reasons) < len(urls):
            tell.say(f"{reasons[-1]}; the next address is tried")
    raise ReproError(
        f"{_name(urls[0])} could not be downloaded",
        "\n  ".join([*reasons, "fetch again later, or take it from a folder: --from FOLDER"]),
    )


def _bring(url: str, part: Path, n_bytes: int | None, pinned: bool, tell: Tell) -> bool:
    """Attempt until the file is complete; return whether it was joined from several answers."""
    import requests

    with requests.Session() as session:
        session.headers.update(
            # Unpacked on the way, lengths and ranges would be those of something else.
            {"Accept-Encoding": "identity", "User-Agent": f"repro/{repro.__version__}"}
        )
        failed, furthest, joined = 0, _size(part), _size(part) > 0
        while True:
            try:
                _attempt(session, url, part, n_bytes, pinned, tell)
                return joined
            except _AgainError as error:
                joined = joined or _size(part) > 0
                failed = 1 if _size(part) > furthest and not error.in_vain else failed + 1
                furthest = max(furthest, _size(part))
                if failed == ATTEMPTS:
                    raise _GoneError(f"{error} ({ATTEMPTS} attempts)") from error
                wait = DELAY_SECONDS * 2 ** (failed - 1) if error.wait is None else error.wait
                tell.say(f"{_name(url)}: {error}; again in {wait:.0f} s")
                time.sleep(wait)


def _attempt(
    session: requests.Session, url: str, part: Path, n_bytes: int | None, pinned: bool, tell: Tell
) -> None:
    """Ask once for what is missing, and write what comes."""
    import requests
    import urllib3

    known = _known(part)
    if not pinned and (known["url"] != url or not known["validator"]):
        discard(part)  # nothing would tell whether the rest belongs to it
    have = _size(part)
    if have and have == n_bytes:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and known["url"] == url and known["validator"]:
        headers["If-Range"] = known["validator"]
    unsafe = urllib3.exceptions.InsecureRequestWarning  # said by us, once and in other words
    quiet = warnings.catch_warnings(action="ignore", category=unsafe)
    try:
        with (
            quiet,
            session.get(
                url,
                headers=headers,
                stream=True,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                verify=session.verify,  # said here, or REQUESTS_CA_BUNDLE would win over False
            ) as response,
        ):
            strong = response.headers.get("ETag", "")
            dated = response.headers.get("Last-Modified")
            validator = dated if strong[:2] in ("", "W/") else strong
            if response.status_code == 206 and not pinned and validator != known["validator"]:
                discard(part)
                raise _AgainError("the file has changed since its first part came", 0.0)
            total = _judged(response, part, have)
            if total is None and response.status_code == 416:
                return
            if have and response.status_code != 206:
                tell.say(f"{_name(url)}: the server gives it whole or not at all; begun anew")
                have = 0
            total = n_bytes if total is None else total
            first = _next(response, total)
            if have == 0 and _is_page(first) and not _name(url).endswith((".html", ".htm")):
                raise _GoneError(
                    "a web page came in place of the file: a login, a form, or an error page"
                )
            if n_bytes not in (None, total):
                raise _GoneError(f"it offers {total:,} bytes, expected {n_bytes:,}")
            need_room(part.parent, (total or have) - have)
            files.write_json(_about(part), {"url": url, "validator": validator})
            _receive(response, first, _name(url), part, have, total, tell)
    except requests.exceptions.SSLError as error:
        if not _expired(error):
            raise _GoneError(f"its certificate is not accepted: {error}") from error
        if not pinned:
            raise _GoneError(
                "its certificate has expired, and no hash is known that would vouch for the bytes"
            ) from error
        session.verify = False
        tell.say(
            f"the certificate of {urlsplit(url).hostname} has expired; the file's hash is known, "
            "so it is fetched all the same"
        )
        _attempt(session, url, part, n_bytes, pinned, tell)
    except requests.exceptions.TooManyRedirects as error:
        raise _GoneError("it redirects in circles") from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise _GoneError(str(error)) from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _AgainError("no answer in time") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _AgainError(f"the connection failed ({_root(error)})") from error


def _judged(response: requests.Response, part: Path, have: int) -> int | None:
    """Return how long the whole file is, if the answer says; raise if it is no answer."""
    status = response.status_code
    if status == 206:
        unit, _, total = response.headers.get("Content-Range", "").partition("/")
        if not unit.startswith(f"bytes {have}-"):
            discard(part)
            raise _AgainError("it sent another range than was asked for", 0.0)
        return int(total) if total.isdecimal() else None
    if status == 416:
        if response.headers.get("Content-Range", "") == f"bytes */{have}":
            return None  # there is no more
        discard(part)
        raise _AgainError("it does not have the range that was asked for", 0.0)
    if status == 200:
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None
    said = f"{status} {response.reason}"
    said += f": {MEANS[status]}" if status in MEANS else ""
    if status in RETRIED:
        after = response.headers.get("Retry-After", "")
        raise _AgainError(said, min(float(after), PATIENCE_SECONDS) if after.isdecimal() else None)
    raise _GoneError(said)


def _receive(
    response: requests.Response,
    chunk: bytes,
    name: str,
    part: Path,
    have: int,
    total: int | None,
    tell: Tell,
) -> None:
    """Write the body as it comes, of which the first chunk has."""
    done, since, at = have, time.monotonic(), have
    try:
        with part.open("ab" if have else "wb") as out:
            while chunk:
                out.write(chunk)
                done += len(chunk)
                tell.bytes(name, done, total)
                if time.monotonic() - since > STALL_SECONDS:
                    if done - at < STALL_BYTES:
                        raise _AgainError(f"stalled at {done:,} bytes", in_vain=True)
                    since, at = time.monotonic(), done
                chunk = _next(response, total)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ReproError(
            f"the disk is full: {name} stopped at {_size(part):,} bytes, which are kept",
            f"make room at {part.parent}, and fetch again to go on",
        ) from error
    if total is not None and done != total:
        raise _AgainError(f"broke off after {done:,} of {total:,} bytes")


def _next(response: requests.Response, total: int | None) -> bytes:
    """Return what has come since; nothing at the end, or where it breaks off and we will see it."""
    from http.client import IncompleteRead

    import urllib3

    try:
        return response.raw.read1(PIECE)
    except urllib3.exceptions.ProtocolError as error:
        if total is None or not any(isinstance(one, IncompleteRead) for one in error.args):
            raise
        return b""


def need_room(folder: Path, n_bytes: int) -> None:
    """Refuse to begin what the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise ReproError(
            f"{n_bytes:,} bytes are needed in {folder}, and {free:,} are free",
            "make room, or set REPRO_HOME to a folder on a larger disk",
        )


def _is_page(head: bytes) -> bool:
    begin = rb"(\xef\xbb\xbf)?\s*(<\?xml.*?\?>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html)"
    return re.match(begin, head[:1024], re.IGNORECASE | re.DOTALL) is not None


def _expired(error: BaseException | Any) -> bool:
    """Return whether the only fault of a certificate is its age."""
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_code == EXPIRED
        inner = [getattr(error, "reason", None), error.__cause__, error.__context__, *error.args]
        error = next((one for one in inner if isinstance(one, BaseException)), None)
    return False


def _root(error: BaseException) -> str:
    """Return the innermost reason of a failed connection, in its own words."""
    inner = getattr(error, "reason", None) or next(
        (one for one in reversed(error.args) if isinstance(one, BaseException)), None
    )
    return _root(inner) if isinstance(inner, BaseException) else str(error) or type(error).__name__


def _name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2] or url


def _about(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _known(part: Path) -> dict[str, Any]:
    """Return where the bytes of a part came from, as far as that is known."""
    nothing = {"url": "", "validator": None}
    try:
        return nothing | files.read_json(_about(part)) if part.exists() else nothing
    except (FileNotFoundError, ValueError, TypeError):
        return nothing


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def discard(part: Path) -> None:
    """Delete a part and what is known of it."""
    part.unlink(missing_ok=True)
    _about(part).unlink(missing_ok=True)
