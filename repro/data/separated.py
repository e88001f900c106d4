"""Read separated text into rows.

pyarrow turns a piece of lines into typed columns, so its text never becomes Python objects. Lines
of a dialect that pyarrow does not read as we do, such as with quotes, are rewritten first; only a
piece that does not fit is checked again, line by line, to name the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from repro.data import header as headers
from repro.data import lines
from repro.data.columns import KINDS, ZONE, Gathered, Kind, fault_of, kinds, sound, value_fault
from repro.data.dialect import INNER, PLAIN, WHITESPACE, Dialect, UnfitError
from repro.data.rows import Rows
from repro.errors import ReproError

if TYPE_CHECKING:
    import pyarrow as pa


def read_separated(
    path: Path,
    separator: str,
    header: bool,
    columns: list[str],
    text: bool = False,
    dialect: Dialect = PLAIN,
    unit: str = "",
) -> Rows:
    """Read one interaction per line.

    Parameters
    ----------
    path : Path
        A text file; what gzip has packed is unpacked while it is read.
    separator : str
        Between the columns: a character, or the same one repeated, as in "::"; or "whitespace".
    header : bool
        Whether the first line names the columns.
    columns : list of str
        "user", "item", "rating", "time", "date", or "-" for one that is skipped.
    text : bool
        Whether identifiers are text; else they are numbers.
    dialect : Dialect
        How the text is written.
    unit : str
        Of times that are numbers; "" to recognise it.

    Raises
    ------
    ReproError
        If a row does not fit; it names the file and the first such line. If the first line names
        other columns, or is a row where it should name columns.
    """
    if faults := dialect.faults(separator):
        raise ReproError(f"{path}: {faults[0]}")
    layout = Layout(separator, columns, kinds(text, dialect), dialect)
    gathered = Gathered(path, unit)
    names: headers.Names | None = None
    for line, piece in lines.pieces(path, dialect.encoding):
        while header and names is None and piece:
            head, _, piece = piece.partition(b"\n")
            if not dialect.skips(head):
                names = layout.names(path, line, head)
            line += 1
        if piece:
            gathered.add(layout.read(str(path), line, piece, first=not header))
    rows = gathered.rows()
    if not layout.has_numbers:
        return headers.checked(rows, str(path), names)
    return rows


class Layout:
    """How a line of separated columns is read."""

    def __init__(
        self,
        separator: str,
        columns: list[str],
        of: dict[str, Kind] = KINDS,
        dialect: Dialect = PLAIN,
    ) -> None:
        self._separator = separator
        self._columns = columns
        self._kinds = of
        self._dialect = dialect
        self._plain = dialect.is_plain(separator)
        self._readings = list(_readings(of, columns))
        self._zoned: bool | None = None
        """Whether dates have a zone, once the first piece is read."""

    @property
    def has_numbers(self) -> bool:
        """Whether a column must be a number or a date, so that no row looks like a header."""
        return any(not self._kinds[name].is_text for name in self._columns if name != "-")

    def read(
        self, where: str, line: int, piece: bytes, rows: bytes | None = None, first: bool = False
    ) -> dict[str, pa.ChunkedArray]:
        """Return the columns of some lines.

        Parameters
        ----------
        where, line, piece
            The file's name, the number of the first line, and the lines as the file has them.
        rows : bytes, optional
            The lines that hold rows; by default all.
        first : bool
            Whether a first line that names the columns would be unforeseen.
        """
        import pyarrow as pa

        try:
            text = self._rewritten(piece if rows is None else rows)
            if _is_suspicious(text):
                for one in self._kept(piece):
                    if self._line_fault(one):
                        raise pa.ArrowInvalid("see below")
            return self._columns_of(text)
        except (pa.ArrowException, UnfitError) as error:
            numbered = [
                (number, one)
                for number, one in enumerate(lines.split(piece), start=line)
                if not self._dialect.skips(one) and (rows is None or not is_head(one))
            ]
            raise fault_of(
                where, numbered, self._wrong(first), lambda some: self._read(some), error
            ) from None

    def names(self, path: Path, line: int, head: bytes) -> headers.Names:
        """Return the names in a header; raise if it has other columns, or is a row itself."""
        where = f"{path}, line {line}"
        try:
            parts = self._dialect.values(head, self._separator)
        except UnfitError as error:
            raise ReproError(f"{where}: {error}") from None
        if len(parts) != len(self._columns):
            raise ReproError(f"{where}: {self._count_fault(head, len(parts))}")
        said = head.decode("utf-8", "replace").strip()
        if self.has_numbers and self._line_fault(head) is None:
            raise ReproError(
                f"{where}: expected the columns' names, got a row: {said[:80]!r}",
                "if the file has no line of names: header = false",
            )
        texts = [part.decode("utf-8", "replace").strip() for part in parts]
        headers.check_order(where, texts, self._columns)
        pair = texts[self._columns.index("user")], texts[self._columns.index("item")]
        return headers.Names(line, said, *pair)

    def _rewritten(self, rows: bytes) -> bytes:
        """Return lines as pyarrow reads them, without those that are left out."""
        if self._plain:
            return rows
        made = []
        for one in self._kept(rows):
            parts = self._dialect.values(one, self._separator)
            if len(parts) != len(self._columns):
                raise UnfitError("another number of columns")
            made.append(INNER.encode().join(map(self._point, self._columns, parts)))
        return b"\n".join(made)

    def _kept(self, rows: bytes) -> Iterator[bytes]:
        return (one for one in lines.split(rows) if not self._dialect.skips(one))

    def _point(self, name: str, value: bytes) -> bytes:
        return self._dialect.number(value) if name in ("rating", "time") else value

    def _read(self, rows: bytes) -> dict[str, pa.ChunkedArray]:
        return self._columns_of(self._rewritten(rows))

    def _columns_of(self, rows: bytes) -> dict[str, pa.ChunkedArray]:
        """Return the columns of lines, in the first types that fit; the next piece begins there."""
        import pyarrow as pa

        if not rows:  # all lines of the piece are left out
            return {}
        failed: Exception | None = None
        for at, types in enumerate(self._readings):
            try:
                found = self._converted(rows, types)
            except pa.ArrowException as error:
                failed = failed or error
            else:
                self._readings.insert(0, self._readings.pop(at))
                if "date" in types:
                    self._zoned = types["date"] == ZONE
                return found
        assert failed is not None
        raise failed

    def _converted(self, rows: bytes, types: dict[str, str]) -> dict[str, pa.ChunkedArray]:
        import pyarrow as pa
        from pyarrow import csv

        from repro.data.times import decimals

        separator = self._separator if self._plain else INNER
        width = len(separator)  # between "::" lies an empty column
        names = [str(i) for i in range(width * (len(self._columns) - 1) + 1)]
        places = {name: str(width * i) for i, name in enumerate(self._columns) if name != "-"}
        between = [name for i, name in enumerate(names) if i % width]
        of_type = {at: _type(types[name]) for name, at in places.items()}
        table = csv.read_csv(
            pa.BufferReader(
                lines.BOM + rows if rows.startswith(lines.BOM) else rows
            ),  # pyarrow drops one
            csv.ReadOptions(column_names=names, block_size=1 << 22),
            csv.ParseOptions(delimiter=separator[0], quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(
                column_types=of_type | dict.fromkeys(between, pa.null()),
                include_columns=[*places.values(), *between],
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        found = {name: table.column(at) for name, at in places.items()}
        if types.get("time") == "string":
            decimals(found["time"])  # raises
        return sound(found, lines.count(rows), self._kinds)

    def _wrong(self, first: bool) -> Callable[[bytes], str | None]:
        """Return what says what is wrong with a line, given the lines before it."""
        zoned, at_first = self._zoned, first

        def wrong(line: bytes) -> str | None:
            nonlocal zoned, at_first
            found = self._line_fault(line)
            if found and at_first and self.has_numbers and self._is_header(line):
                found = f"{found}; if the line names the columns: header = true"
            at_first = False
            if found or "date" not in self._columns:
                return found
            value = self._dialect.values(line, self._separator)[self._columns.index("date")]
            here = re.search(rb":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$", value) is not None
            if zoned not in (None, here):
                have, lack = ("some", "this one") if zoned else ("this one", "others")
                return f"the date {value.decode()!r}: {have} has a zone, {lack} has none"
            zoned = here
            return None

        return wrong

    def _is_header(self, line: bytes) -> bool:
        """Return whether no value of a line fits a column that must be a number."""
        parts = line.removesuffix(b"\r").split(self._separator.encode())
        pairs = [(n, part) for n, part in zip(self._columns, parts, strict=False) if n != "-"]
        return all(
            self._kinds[name].is_text or value_fault(name, self._kinds[name], part)
            for name, part in pairs
        )

    def _line_fault(self, line: bytes) -> str | None:
        """Return what is wrong with a line, or None."""
        if "item" not in self._columns and is_head(line):
            return None
        try:
            parts = self._dialect.values(line, self._separator)
        except UnfitError as error:
            return str(error)
        if len(parts) != len(self._columns):
            return self._count_fault(line, len(parts))
        for name, part in zip(self._columns, map(self._point, self._columns, parts), strict=True):
            if name != "-" and (found := value_fault(name, self._kinds[name], part)):
                return found
        return "a line break in the line" if b"\r" in line.removesuffix(b"\r") else None

    def _count_fault(self, line: bytes, got: int) -> str:
        """Return what is said of a line with too many or too few columns, and what may help."""
        wanted, text = len(self._columns), line.decode("utf-8", "replace").strip("\r")
        said = f"expected {wanted} columns, got {got}"
        if not text.strip():
            return f'{said}: the line is blank; blank_lines = "skip" leaves such lines out'
        said += f" in {text[:60]!r}"
        if text.strip() == "\x1a":
            return f"{said}: a mark of the file's end, from DOS; delete it"
        if text.lstrip()[0] in "#%" and not self._dialect.comment:
            return f'{said}; comment = "{text.lstrip()[0]}" leaves such lines out'
        if got == wanted + 1 and not text.rsplit(self._separator, 1)[-1].strip():
            return f'{said}; the last is empty: add "-" to the columns'
        if '"' in text and not self._dialect.quotes:
            return f"{said}; quote = '\"' has quotes enclose values"
        for other in (",", ";", "\t", "|", "::", " ", ":"):
            if other != self._separator and len(text.split(other)) == wanted:
                return f"{said}; separator = {other!r} gives {wanted}"
        if self._separator != WHITESPACE and len(text.split()) == wanted:
            return f'{said}; separator = "{WHITESPACE}" gives {wanted}'
        return said


def is_head(line: bytes) -> bool:
    """Return whether a line of Netflix's files begins a block."""
    return re.fullmatch(rb"\d+:\r?", line) is not None


def _is_suspicious(rows: bytes) -> bool:
    """Return whether pyarrow might misread some lines: 0x10, or a line break in a line."""
    return (
        b"0x" in rows or b"0X" in rows or b"\0" in rows or rows.count(b"\r") != rows.count(b"\r\n")
    )


def _readings(of: dict[str, Kind], columns: list[str]) -> Iterator[dict[str, str]]:
    """Yield the types that columns may have, together."""
    named = [name for name in columns if name != "-"]
    for types in product(*(of[name].arrow for name in named)):
        yield dict(zip(named, types, strict=True))


def _type(name: str) -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("ns", "UTC") if name == ZONE else pa.type_for_alias(name)
