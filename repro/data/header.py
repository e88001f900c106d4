"""Check the first line of a table: whether it names the columns, and by which names."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from repro.data.rows import Ids, Rows
from repro.errors import ReproError
from repro.interactions import IntArray

WORDS = {
    "user": "user userid uid userno username reviewer reviewerid customer customerid visitor "
    "visitorid member memberid reader readerid listener session sessionid",
    "item": "item itemid iid itemno movie movieid film filmid asin product productid article "
    "articleid song songid track trackid artist artistid book bookid isbn business businessid "
    "anime animeid recipe recipeid poi poiid",
    "rating": "rating ratings stars star score scores overall preference ratingscore",
    "time": "time times timestamp ts date dates datetime unixreviewtime reviewtime",
}
"""What columns are called, in lower case and letters only."""

_COLUMN = {word: column for column, words in WORDS.items() for word in words.split()}


@dataclass(frozen=True)
class Names:
    """The first line of a table, where it is to name the columns."""

    line: int
    said: str
    user: str
    """What stands in the column of users."""
    item: str


def column_of(name: str) -> str | None:
    """Return which column is called so, as far as that is certain."""
    plain = re.sub(r":(token|float|token_seq|float_seq)$", "", name.strip().lower())  # of RecBole
    return _COLUMN.get(re.sub(r"[^a-z]", "", plain))


def check_order(where: str, names: list[str], columns: list[str]) -> None:
    """Raise if a column has the name of another one than the manifest says."""
    for at, (name, column) in enumerate(zip(names, columns, strict=True), start=1):
        found, wanted = column_of(name), "time" if column == "date" else column
        if wanted != "-" and found not in (None, wanted):
            raise ReproError(
                f"{where}: column {at} is called {name[:40]!r}, and the manifest reads it as the "
                f"{column}",
                "give the columns in the order of the file; if its names are wrong, correct them",
            )


def checked(rows: Rows, where: str, names: Names | None) -> Rows:
    """Return the rows of a table in which nothing must be a number, with a doubt if there is one.

    Parameters
    ----------
    rows : Rows
        The rows, with identifiers of text.
    where : str
        The file.
    names : Names, optional
        The first line, if the manifest says that it names the columns.

    Raises
    ------
    ReproError
        If the first line is a row where it should name columns, or the other way round.
    """
    if names is not None:
        _check_names(rows, where, names)
        return rows
    user, item = str(rows.user_ids[rows.user[0]]), str(rows.item_ids[rows.item[0]])
    if len(rows) < 2 or _often(rows.user) > 1 or _often(rows.item) > 1:
        return rows
    said = f"{where}, line 1: {user!r} and {item!r}"
    if column_of(user) == "user" and column_of(item) == "item":
        raise ReproError(f"{said} are the names of columns, not a row", "set header = true")
    others = [ids[ids != own] for ids, own in ((rows.user_ids, user), (rows.item_ids, item))]
    if all(_form(own) not in _forms(ids) for own, ids in zip((user, item), others, strict=True)):
        doubt = (
            f"{said} stand nowhere else and look unlike all other identifiers; if they name the "
            "columns: header = true"
        )
        return replace(rows, doubts=(*rows.doubts, doubt))
    return rows


def _check_names(rows: Rows, where: str, names: Names) -> None:
    ids = {names.user: rows.user_ids, names.item: rows.item_ids}
    again = [name for name, known in ids.items() if name in known]
    digits = any(map(str.isdigit, names.user + names.item))
    alike = digits and all(_form(name) in _forms(known) for name, known in ids.items())
    if again or alike:
        why = (
            f"{again[0]!r} is an identifier in other lines, too"
            if again
            else "it looks like the other lines"
        )
        raise ReproError(
            f"{where}, line {names.line}: expected the columns' names, got a row: "
            f"{names.said[:80]!r} ({why})",
            "if the file has no line of names: header = false",
        )


def _often(places: IntArray) -> int:
    """Return how many rows have the identifier of the first row."""
    return int(np.count_nonzero(places == places[0]))


def _forms(ids: Ids) -> set[str]:
    return set(map(_form, ids.tolist()))


def _form(identifier: str) -> str:
    """Return the form of an identifier: that of "U10" is "A9"."""
    return re.sub(r"[^\W\d_]+", "A", re.sub(r"\d+", "9", identifier))
