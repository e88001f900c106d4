"""Text in pieces of whole lines, so that a file of gigabytes is never in memory whole."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from repro.errors import ReproError
from repro.files import reading

PIECE = 1 << 25
"""Bytes that are read at once; no line may be longer."""

BOM = b"\xef\xbb\xbf"
"""A byte order mark in UTF-8, which may begin a file."""


def pieces(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines, many at once, with the number of the first."""
    with _opened(path) as stream:
        yield from of_stream(str(path), stream)


def of_stream(where: str, stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the whole lines of a stream, many at once, with the number of the first.

    Raises
    ------
    ReproError
        If it is empty, cut off, damaged, or has a line that is longer than a piece.
    """
    line, rest, empty = 1, b"", True
    while chunk := _read(where, stream):
        chunk = chunk.removeprefix(BOM) if empty else chunk
        empty = False
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
    if rest:
        yield line, rest


def _read(where: str, stream: IO[bytes]) -> bytes:
    with reading(f"{where} is cut off or damaged"):
        return stream.read(PIECE)


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def count(piece: bytes) -> int:
    """Return how many lines a piece has."""
    return piece.count(b"\n") + (not piece.endswith(b"\n"))


def split(piece: bytes) -> list[bytes]:
    """Return the lines of a piece, without their ends."""
    return piece.removesuffix(b"\n").split(b"\n")
