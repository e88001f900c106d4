"""Text that came from outside, made safe to show.

Labels and notes of table files, reasons of servers, names in archives and names of files can hold
anything: escapes that steer a terminal, marks that turn the reading direction, newlines that look
like the next line of a table, markup. What cannot be printed is shown as Python would escape it, so
that nothing is hidden and two different texts stay different.
"""

import re

LONGEST = 3000
"""Characters of a line; the longest note of a paper has some two thousand."""
MOST_LINES = 100

_MARKUP = re.compile(
    r"""
    \\(?=[!-/:-@\[-`{-~])      # a backslash that would escape something
    | [`*~$]                   # code, emphasis, strikethrough, formulas
    | (?<!\w)_ | _(?!\w)       # emphasis; inside a word it is none
    | <(?=[A-Za-z/!?])         # HTML and addresses
    | \](?=[(\[:])             # links and pictures
    | &(?=\#?\w+;)             # entities
    | ^>                       # a quotation
    | ^[#+=-](?=[#+=\s-]|$)    # a heading, a point, a rule
    | (?<=^\d)[.)](?=\s|$)     # a numbered point
    """,
    re.VERBOSE,
)


def visible(text: str) -> str:
    """Return text of which every character but the newline prints something or is a space."""
    return "\n".join(map(_printable, text.split("\n")))


def one_line(text: object) -> str:
    """Return text in one line: each run of spaces with a newline or tab in it is one space.

    A text of more than `LONGEST` characters keeps its beginning and its end.
    """
    joined = re.sub(r"\s+", lambda run: run[0] if not run[0].strip(" ") else " ", str(text))
    shown = _printable(joined)
    if len(shown) <= LONGEST:
        return shown
    end = LONGEST // 3
    return f"{shown[: LONGEST - end - 3]} … {shown[-end:]}"


def in_lines(text: str) -> str:
    """Return a message in its lines, of which all but the first are indented.

    So a newline from outside cannot begin a message of its own. Of more than `MOST_LINES` lines the
    rest are counted.
    """
    first, *others = map(one_line, text.split("\n"))
    shown = [first, *(one if one[:2].isspace() else f"  {one}" for one in others)]
    if len(shown) > MOST_LINES:
        shown[MOST_LINES - 1 :] = [f"  … and {len(shown) - MOST_LINES + 1} more lines"]
    return "\n".join(shown)


def in_markdown(text: object) -> str:
    """Return text in one line that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text))


def in_cell(text: object) -> str:
    """Return text for a cell of a table in Markdown."""
    return in_markdown(text).replace("|", "\\|")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else " " if one.isspace() else _escaped(one) for one in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
