"""Dialects of separated text: quotes, comments, blank lines, decimal commas, encodings."""

from __future__ import annotations

import csv
import re
from typing import Literal

from pydantic import Field

from repro.data import lines
from repro.strict_toml import Strict

WHITESPACE = "whitespace"
"""The separator that is any run of blanks and tabs."""

INNER = "\x1f"
"""Separates the values of a line that was rewritten: no text has it."""

BLANK = (
    "\t\n\x0b\x0c\r \x1c\x1d\x1e\x1f\x85\xa0\xad\u1680\u2000-\u200f"
    "\u2028-\u202f\u205f\u2060\u3000\ufeff"
)
"""What prints nothing, as the inside of a regular expression's brackets."""

_AT_AN_END = re.compile(f"^[{BLANK}]|[{BLANK}]$")
_TRIMMED = re.compile(f"^[{BLANK}]+|[{BLANK}]+$")


class UnfitError(Exception):
    """A line cannot be split into its values; the text says why."""


class Dialect(Strict):
    """How text is written, apart from its separator and its columns."""

    quote: str = Field(default="", max_length=4)
    """The character around values that may hold the separator, such as `"`; doubled, it stands for
    itself. "none": quotes are ordinary characters. Not stated: an identifier that begins or ends
    with `"` is an error."""
    blanks: Literal["", "strip", "keep"] = ""
    """Blanks around a value: "strip" drops them, "keep" has them belong to an identifier. Not
    stated: around an identifier of text they are an error, around a number they are dropped."""
    comment: str = ""
    """What a line begins with that is left out, such as "#"."""
    blank_lines: Literal["error", "skip"] = "error"
    """Whether lines with nothing in them are left out."""
    decimal: Literal[".", ","] = "."
    """What stands before the decimals of a rating or time."""
    encoding: str = lines.UTF_8
    """Of the file, by its name in Python, such as "latin-1" or "utf-16"."""

    def faults(self, separator: str) -> list[str]:
        """Return what is wrong with the dialect beside a separator."""
        found = []
        one = separator[:1]
        if separator != WHITESPACE and (len(set(separator)) != 1 or one in "\r\n\0" + INNER):
            found.append(
                f"separator: {separator!r} is not one character, once or repeated, "
                f'nor "{WHITESPACE}"'
            )
        if self.quote not in ("", "none") and len(self.quote) != 1:
            found.append(f'quote: {self.quote!r} is neither one character nor "none"')
        if self.quotes and (self.quote in "\r\n\0 " + INNER or self.quote == one):
            found.append(f"quote: {self.quote!r} cannot be a quote here")
        if self.quotes and len(separator) > 1:
            found.append(f"quote: needs a separator of one character, got {separator!r}")
        if self.decimal == one:
            found.append("decimal: is the separator, too")
        if self.comment != self.comment.strip() or INNER in self.comment:
            found.append(f"comment: {self.comment!r} has blanks around it")
        if not lines.is_encoding(self.encoding):
            found.append(f"encoding: Python knows no encoding {self.encoding[:40]!r} of text")
        return found

    @property
    def quotes(self) -> bool:
        """Whether a character is stated that may stand around values."""
        return self.quote not in ("", "none")

    def is_plain(self, separator: str) -> bool:
        """Return whether lines need not be rewritten."""
        stated = self.quotes or self.blanks == "strip" or self.comment or self.decimal != "."
        one = separator[0]
        return not (
            stated or self.blank_lines == "skip" or separator == WHITESPACE or not one.isascii()
        )

    def skips(self, line: bytes) -> bool:
        """Return whether a line is left out."""
        if self.comment and line.lstrip().startswith(self.comment.encode()):
            return True
        return self.blank_lines == "skip" and not line.strip()

    def values(self, line: bytes, separator: str) -> list[bytes]:
        """Return the values of a line.

        Raises
        ------
        UnfitError
            If quotes in it do not close.
        """
        line = line.removesuffix(b"\r")
        if self.is_plain(separator):
            return line.split(separator.encode())
        text = line.decode(lines.UTF_8, "surrogateescape")
        if INNER in text:
            raise UnfitError(f"it holds {INNER!r}, a character that does not print")
        if separator == WHITESPACE:
            found = re.split("[ \t\xa0]+", text.strip(" \t\xa0"))
        elif self.quotes:
            found = self._unquoted(text, separator)
        else:
            found = text.split(separator)
        if self.blanks == "strip":
            found = [_TRIMMED.sub("", value) for value in found]
        return [value.encode(lines.UTF_8, "surrogateescape") for value in found]

    def _unquoted(self, text: str, separator: str) -> list[str]:
        skip = self.blanks == "strip"
        try:
            return next(
                csv.reader(
                    [text],
                    delimiter=separator,
                    quotechar=self.quote,
                    strict=True,
                    skipinitialspace=skip,
                ),
                [""],
            )
        except csv.Error as error:
            if "field larger" in str(error):
                raise UnfitError("a value in it is too long to be unquoted") from None
            closed = "unexpected end" not in str(error)
            why = "something follows a closing quote" if closed else "a quote does not close"
            raise UnfitError(f"{why} in {text[:60]!r}") from None

    def number(self, value: bytes) -> bytes:
        """Return a rating or time with a decimal point."""
        if self.decimal == "," and b"." not in value:
            return value.replace(b",", b".", 1)
        return b"." if self.decimal == "," else value  # no number: it has a point already

    def fault(self, value: str) -> str:
        """Return what is wrong with an identifier of text, or "": blanks or quotes around it."""
        if self.blanks == "" and _AT_AN_END.search(value):
            return 'has a blank at an end; blanks = "strip" drops it, blanks = "keep" keeps it'
        quoted = value[:1] == '"' or value[-1:] == '"' or (value[:1] == value[-1:] == "'")
        if self.quote == "" and quoted:
            mark = "'" if value[:1] == "'" else '"'
            said = "'\"'" if mark == '"' else '"\'"'
            return f'is in quotes; quote = {said} drops them, quote = "none" keeps them'
        return ""

    @property
    def refused(self) -> str:
        """A regular expression (RE2) of identifiers that `fault` refuses, and of line breaks."""
        found = ["^$", r"[\x00\r\n]"]
        if self.blanks == "":
            found += [f"^[{BLANK}]", f"[{BLANK}]$"]
        if self.quote == "":
            found += ['^"', '"$', "^'(.*')?$"]
        return "|".join(found)


PLAIN = Dialect()
