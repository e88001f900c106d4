"""Addresses of files on the web: which are accepted, and what a file there is called."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from repro import paths


def fault(url: str) -> str:
    """Return why a file cannot be fetched from an address; "" if it can be tried."""
    if re.search(r"[\x00-\x20\x7f]", url):
        return "it has a space or a control character"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # both raise for what cannot be one
        encoded = (host or "").encode("idna")
    except ValueError as error:
        return f"it is no address: {error}"
    if parts.scheme not in ("http", "https"):
        return f"its scheme is {parts.scheme or 'missing'}, and only http and https are fetched"
    if not host:
        return "it names no host"
    if ":" not in host and not re.fullmatch(rb"[A-Za-z0-9._-]+", encoded):
        return f"{host[:100]!r} is no host"
    if "@" in parts.netloc:
        return "it holds a user's name; a login belongs into ~/.netrc"
    return ""


def _accepted(url: str) -> str:
    if why := fault(url):
        raise ValueError(f"{url[:200]!r} cannot be fetched: {why}")
    return url


Address = Annotated[str, AfterValidator(_accepted)]
"""An address in a manifest."""


def file_name(url: str) -> str:
    """Return the last part of an address's path as the name of a file; "" if there is none.

    What may not stand in a name becomes "_": an address must not choose the folder.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", urlsplit(url).path.rpartition("/")[2])
    name = name.lstrip(".")[:100]
    return name if paths.is_name(name) else ""
