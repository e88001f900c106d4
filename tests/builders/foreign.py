"""Text from outside that tries to be more than text."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from repro.text import one_line

NASTY = (
    "\x1b[31m",  # red, on a terminal
    "\x1b]0;title\x07",
    "\x9b2J",  # a screen cleared with one byte
    "a\nerror: b",
    "a\r\n| b | c |",
    "a\x1c\x85\u2028b",  # str.splitlines ends a line at each
    "\u202eexe",
    "\u200b\u2066",
    "\x00\x07\x08\x7f",
    "[red]a[/red]",
    "[/]",
    ":smile:",
    "a|b",
    "a\\|b",
    "a\\",
    "`a",
    "**a**",
    "__a__",
    "<b>a</b>",
    "<!--",
    "[a](http://b)",
    "![a](http://b)",
    "&lt;a",
    "$a_b$",
    r"$\frac{",
    "_a",
    "{a}",
    "%s",
    "\001",  # tabulate's line between rows
    "1e5",
    "# a",
    "- a",
    "---",
    "> a",
    "1. a",
)

texts = st.sampled_from(NASTY) | st.text(max_size=3).filter(
    lambda text: 0 < len(one_line(text).strip()) <= 16
)
"""Short, so that no column is wrapped because of one."""


def check_harmless(shown: str) -> None:
    """Check that a terminal prints the text, and does nothing else."""
    assert all(one == "\n" or one.isprintable() for one in shown), repr(shown)


def cells_of(line: str) -> list[str]:
    """Return the cells of a line of a Markdown table, as GitHub's parser splits them."""
    inner = re.findall(r"((?:\\[!-/:-@\[-`{-~]|[^|])*)\|", line.removeprefix("|"))
    return [re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cell).strip() for cell in inner]
