"""Text in pieces of whole lines, so that a file of gigabytes is never in memory whole."""

from __future__ import annotations

import codecs
import gzip
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from repro.data import first_bytes
from repro.errors import ReproError
from repro.files import reading

PIECE = 1 << 25
"""Bytes that are read at once; no line may be longer."""

BOM = b"\xef\xbb\xbf"
"""A byte order mark in UTF-8, which may begin a file."""

UTF_8 = "utf-8"


def pieces(path: Path, encoding: str = UTF_8) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines in UTF-8, many at once, with the number of the first.

    Parameters
    ----------
    path : Path
        A file of text; what gzip has packed is unpacked, whatever its name.
    encoding : str
        Of the file.
    """
    with _opened(path) as stream:
        yield from of_stream(str(path), stream, encoding)


def of_stream(where: str, stream: IO[bytes], encoding: str = UTF_8) -> Iterator[tuple[int, bytes]]:
    r"""Yield the whole lines of a stream, many at once, with the number of the first.

    Lines may end with "\n", "\r\n", or, in a file without any "\n", with "\r".

    Raises
    ------
    ReproError
        If it is empty, cut off, damaged or not text, is not in its encoding, or has a line that is
        longer than a piece.
    """
    decoded = _decoder(where, encoding)
    line, rest, empty, old_mac = 1, b"", True, False
    while chunk := _read(where, stream):
        chunk = decoded(chunk)
        if empty:
            first_bytes.check_text(where, chunk)
            old_mac = b"\n" not in chunk and re.search(rb"\r[^\r]", chunk) is not None
            chunk = chunk.removeprefix(BOM)
        empty = False
        chunk = chunk.replace(b"\r", b"\n") if old_mac else chunk
        end = chunk.rfind(b"\n") + 1
        if end:
            piece, rest = rest + chunk[:end], chunk[end:]
            yield line, piece
            line += piece.count(b"\n")
        else:
            rest += chunk
        if len(rest) > PIECE:
            raise ReproError(f"{where}, line {line}: longer than {PIECE:,} bytes")
    if empty:
        raise ReproError(f"{where} is empty")
    rest += decoded(b"")
    if rest:
        yield line, rest


def is_encoding(name: str) -> bool:
    """Return whether an encoding of text has this name."""
    with suppress(LookupError, UnicodeError, ValueError):
        "".encode(name)  # refuses codecs that are not of text
        return True
    return False


def _decoder(where: str, encoding: str) -> Callable[[bytes], bytes]:
    """Return what turns the next bytes, none at the end, into UTF-8."""
    if codecs.lookup(encoding).name in (UTF_8, "utf-8-sig"):
        return lambda chunk: chunk
    decoder, lines = codecs.getincrementaldecoder(encoding)(), 1

    def decode(chunk: bytes) -> bytes:
        nonlocal lines
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(encoding, "ignore")
            bad = error.object[error.start : error.end]
            raise ReproError(
                f"{where}, line {lines + before.count(chr(10))}: {bad!r} is not text in {encoding}",
                "state the file's encoding in the entry of `read` in the manifest",
            ) from None
        lines += text.count("\n")
        return text.encode(UTF_8, "surrogatepass")

    return decode


def _read(where: str, stream: IO[bytes]) -> bytes:
    with reading(f"{where} is cut off or damaged"):
        return stream.read(PIECE)


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        begin = stream.read(len(first_bytes.GZIP))
    if path.suffix == ".gz" and not first_bytes.GZIP.startswith(begin):
        raise ReproError(f"{path} is cut off or damaged, or not packed by gzip as its name says")
    if path.suffix == ".gz" or begin == first_bytes.GZIP:
        return gzip.open(path)  # type: ignore[return-value]
    return path.open("rb")


def count(piece: bytes) -> int:
    """Return how many lines a piece has."""
    return piece.count(b"\n") + (not piece.endswith(b"\n"))


def split(piece: bytes) -> list[bytes]:
    """Return the lines of a piece, without their ends."""
    return piece.removesuffix(b"\n").split(b"\n")
