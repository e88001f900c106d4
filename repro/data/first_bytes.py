"""What a file is, by its first bytes, where it is not the text that a reader expects."""

from __future__ import annotations

import re

from repro.errors import ReproError

GZIP = b"\x1f\x8b"

_PACKED = "unpack it; or name it as the `container` of the member"
_TABLE = "save it as text: CSV in UTF-8"
_KINDS: list[tuple[bytes, str, str]] = [
    (b"PK\x03\x04", "a zip (as .xlsx files are, too)", _PACKED),
    (b"PK\x05\x06", "an empty zip", _PACKED),
    (GZIP, "packed twice by gzip", "unpack it once"),
    (b"BZh", "packed by bzip2", "unpack it"),
    (b"\xfd7zXZ\0", "packed by xz", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"Rar!\x1a\x07", "a rar archive", "unpack it"),
    (b"PAR1", "a Parquet file", _TABLE),
    (b"ARROW1", "an Arrow file", _TABLE),
    (b"\x89HDF\r\n", "an HDF5 file", _TABLE),
    (b"\x93NUMPY", "an array of numpy", _TABLE),
    (b"SQLite format 3\0", "an SQLite database", _TABLE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file", _TABLE),
    (b"%PDF-", "a PDF", _TABLE),
    (
        b"version https://git-lfs.github.com/",
        "a pointer of Git LFS",
        "fetch it with `git lfs pull`",
    ),
]
"""The beginning of a file, what it is, and what to do about it."""

_MARKS = [
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
]
"""Byte order marks."""

_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml.*?\?>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html)",
    re.IGNORECASE | re.DOTALL,
)


def check_text(where: str, head: bytes) -> None:
    """Raise if a file that begins so is not text in UTF-8, and say what it is.

    Parameters
    ----------
    where : str
        The file.
    head : bytes
        Its beginning, unpacked and in UTF-8 where the reader has unpacked or decoded it.
    """
    for begin, what, remedy in _KINDS:
        if head.startswith(begin):
            raise ReproError(f"{where} is {what}, not text", remedy)
    if head[257:262] == b"ustar":
        raise ReproError(f"{where} is a tar, not text", _PACKED)
    if is_page(head):
        raise ReproError(
            f"{where} is a web page (HTML), not data",
            "it may be a page to log in, or an error: download the file itself",
        )
    if encoding := _wide(head):
        raise ReproError(
            f"{where} is text in {encoding.upper()}, expected UTF-8",
            f'add encoding = "{encoding}" to the entry of `read` in the manifest',
        )


def is_page(head: bytes) -> bool:
    """Return whether a file that begins so is a web page."""
    return _PAGE.match(head[:1024]) is not None


def _wide(head: bytes) -> str:
    """Return the encoding of text with two or four bytes a character; "" of any other."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    head = head[:1024]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) >= 8 and max(even, odd) > len(head) // 4 and min(even, odd) == 0:
        return "utf-16-le" if odd else "utf-16-be"
    return ""
