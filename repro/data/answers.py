"""Ask one address for a file: follow redirections, keep to the time, and turn faults into ours."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from repro.data import addresses

if TYPE_CHECKING:
    import requests

    from repro.data.watched import Session

CONNECT_SECONDS, READ_SECONDS = 20.0, 60.0
"""The longest wait for a connection, and for the next bytes."""
HEAD_SECONDS = 120.0
"""The longest wait for the whole head of an answer, from the request on."""
MOST_REDIRECTS = 10


class GoneError(Exception):
    """An address will not serve the file."""


class AgainError(Exception):
    """An address may serve the file at another attempt."""

    def __init__(self, reason: str, wait: float | None = None, in_vain: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.in_vain = in_vain


class UnresolvedError(GoneError):
    """The host of an address has no number: to ask again would take as long, in vain."""


def answer(
    session: Session,
    address: str,
    headers: dict[str, str],
    pinned: bool,
    say: Callable[[str], None],
) -> requests.Response:
    """Return the answer to a request, its body still to come; redirections are followed.

    Parameters
    ----------
    session : watched.Session
        Makes the requests; its watch runs.
    address : str
        The address to begin with.
    headers : dict
        What is asked for.
    pinned : bool
        Whether the file's hash is known.
    say : callable
        Hears of a redirection to another host.

    Raises
    ------
    GoneError, AgainError
        If there is no answer.
    """
    url = address
    for _ in range(MOST_REDIRECTS + 1):
        response = _asked(session, url, headers)
        if not response.is_redirect:
            return response
        response.close()
        here, url = url, _redirected(url, response.headers["Location"])
        if _origin(here) != _origin(url):
            if here.startswith("https:") and url.startswith("http:") and not pinned:
                raise GoneError(
                    f"it redirects to {_origin(url)}, and no hash is known to verify the bytes"
                )
            say(f"{_origin(here)} redirects to {_origin(url)}")
    raise GoneError(f"it redirects in circles, or more than {MOST_REDIRECTS} times")


def _asked(session: Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Return the answer of one address, which may be a redirection."""
    if why := addresses.fault(url):
        raise GoneError(why)
    session.watch.allow(HEAD_SECONDS)
    with failing(session):
        response = session.get(
            url,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            verify=session.verify,  # else REQUESTS_CA_BUNDLE would win over False
        )
        if session.watch.is_over:  # the end of the connection may look like the end of the head
            response.close()
            raise TimeoutError
    return response


def _redirected(url: str, location: str) -> str:
    """Return where an answer redirects to; raise if a file cannot be fetched from there."""
    from requests.utils import requote_uri

    try:
        target = requote_uri(urljoin(url, location.encode("latin-1").decode("utf-8")))
        why = addresses.fault(target)
    except ValueError as error:
        target, why = location, f"it is no address: {error}"
    if why:
        raise GoneError(f"it redirects to {target[:200]!r}: {why}")
    return target


def _origin(url: str) -> str:
    return f"{urlsplit(url).scheme}://{urlsplit(url).hostname}"


@contextlib.contextmanager
def failing(session: Session) -> Iterator[None]:
    """Turn whatever requests and the libraries below it raise into `AgainError` or `GoneError`.

    As in `repro.files.reading`, no list of it is whole: the block must hold calls of theirs alone.
    SSLError passes.
    """
    import requests
    import urllib3

    try:
        yield
    except requests.exceptions.SSLError:
        raise
    except (urllib3.exceptions.LocationValueError, UnicodeError) as error:
        raise GoneError(f"its address is not accepted: {error}") from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise GoneError(str(error)) from error
    except Exception as error:
        late = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
        if session.watch.is_over or isinstance(error, late):
            raise AgainError("no answer in time") from error
        if _is_unresolved(error):
            raise UnresolvedError(
                "its host does not resolve: this machine is offline, or the address is wrong"
            ) from error
        raise AgainError(f"the connection failed ({_reason(error)[:200]})") from error


def _is_unresolved(error: BaseException) -> bool:
    """Return whether a connection failed because its host, or that of a proxy, does not resolve."""
    import urllib3

    unresolved = (urllib3.exceptions.NameResolutionError, socket.gaierror)
    found: BaseException | None = error
    while found is not None and not isinstance(found, unresolved):
        inner = [getattr(found, "reason", None), *found.args, found.__cause__, found.__context__]
        found = next((one for one in inner if isinstance(one, BaseException)), None)
    return found is not None


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a failed connection, in its own words."""
    inner = getattr(error, "reason", None) or next(
        (one for one in reversed(error.args) if isinstance(one, BaseException)), None
    )
    return (
        _reason(inner) if isinstance(inner, BaseException) else str(error) or type(error).__name__
    )
