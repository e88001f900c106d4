"""The arrays of an .npz file, of which a comparison reads thousands."""

from __future__ import annotations

import io
import zlib
from functools import lru_cache
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

UNREADABLE = (
    *(OSError, ValueError, EOFError, BadZipFile, zlib.error),
    *(KeyError, TypeError, NotImplementedError, RuntimeError, MemoryError, AttributeError),
)
"""What numpy and zipfile raise for bytes that are no arrays."""


def unpackbits(packed: NDArray[Any], width: int) -> NDArray[np.bool_]:
    """Return rows of `width` values that were packed eight to a byte."""
    return np.unpackbits(packed, axis=1, count=width).astype(bool)


@lru_cache(maxsize=32)  # rows are compared column by column, and with several others
def unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays in the bytes of an .npz file."""
    with ZipFile(io.BytesIO(content)) as kept:
        return {
            member.removesuffix(".npy"): _array(kept.read(member)) for member in kept.namelist()
        }


def _array(content: bytes) -> NDArray[Any]:
    """Return the array in the bytes of an .npy file.

    A comparison reads thousands; numpy takes most of its time for a header that it has just seen.
    """
    start = 10 + int.from_bytes(content[8:10], "little")
    shape, by_column, kind = _described(content[:start])
    values = np.frombuffer(content[start:], kind)
    made = (values.reshape(shape[::-1]).T if by_column else values.reshape(shape)).copy()
    made.flags.writeable = False
    return made


@lru_cache(maxsize=256)
def _described(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether columns come first, and type, from the head of an .npy file."""
    stream = io.BytesIO(head)
    if npy.read_magic(stream) != (1, 0):
        raise ValueError("its arrays are of another format")
    shape, by_column, kind = npy.read_array_header_1_0(stream)
    if kind.hasobject:
        raise ValueError("it holds objects, not numbers")
    return shape, by_column, kind
