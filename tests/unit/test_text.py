"""Text from outside: printed as it is, and never more than printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.foreign import cells_of, check_harmless, texts
from repro.errors import ReproError
from repro.text import LONGEST, MOST_LINES, in_cell, in_lines, in_markdown, one_line, visible


@given(st.text())
def test_every_character_is_shown_and_nothing_else_happens(text: str) -> None:
    check_harmless(visible(text))
    assert visible(text).count("\n") == text.count("\n")
    check_harmless(one_line(text))
    assert "\n" not in one_line(text)
    for cleaned in (visible, one_line, in_lines):
        assert cleaned(cleaned(text)) == cleaned(text)


@given(st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" ")))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert one_line(text) == visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b2J", r"\x9b2J"),
        ("abc\u202edef", r"abc\u202edef"),
        ("a\u200bb\U000e0041", r"a\u200bb\U000e0041"),
        ("\udc80", r"\udc80"),
        ("a\n   b\tc\r\nd\u2028e\x85f", "a b c d e f"),
        ("β = 0.2, Müller  naïve", "β = 0.2, Müller  naïve"),
    ],
)
def test_what_cannot_be_printed_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert one_line(text) == shown


@given(texts, texts)
def test_a_message_keeps_its_lines_and_no_other_line_begins_at_the_margin(
    message: str, hint: str
) -> None:
    first, *others = str(ReproError(message, f"{hint}\n  another")).split("\n")
    assert first == one_line(message)
    assert others[-1] == "  another"
    assert all(line.startswith("  ") for line in others)


def test_a_text_that_is_too_long_keeps_its_beginning_and_its_end() -> None:
    shown = str(ReproError("a" * 30_000 + "b" * 30_000))
    assert len(shown) == LONGEST
    assert shown.startswith("aaa")
    assert " … " in shown
    assert shown.endswith("bbb")


def test_of_too_many_lines_the_rest_are_counted() -> None:
    many = str(ReproError("many faults", "\n  ".join(map(str, range(1000))))).split("\n")
    assert len(many) == MOST_LINES
    assert many[-1] == "  … and 902 more lines"
    assert many[-2] == "  97"


@given(texts, texts)
def test_a_cell_of_markdown_stays_one_cell_and_shows_its_text(one: str, other: str) -> None:
    found = cells_of(f"| {in_cell(one)} | {in_cell(other)} |")
    assert len(found) == 2
    assert found[0] == one_line(one).strip()


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("**a** _b_ `c` ~d~", r"\*\*a\*\* \_b\_ \`c\` \~d\~"),
        ("[a](b) ![c][d]", r"[a\](b) ![c\][d]"),
        ("<b> &lt; $x$ \\*", r"\<b> \&lt; \$x\$ \\\*"),
        ("# a", r"\# a"),
        ("1. a", r"1\. a"),
        ("---", r"\---"),
        ("#Users, 0.5, -0.1, 2 - 1", "#Users, 0.5, -0.1, 2 - 1"),
        ("ease [l2=5.0], k < 5 & n_epochs = 3", "ease [l2=5.0], k < 5 & n_epochs = 3"),
    ],
)
def test_markdown_shows_markup_as_text_and_escapes_nothing_else(text: str, escaped: str) -> None:
    assert in_markdown(text) == escaped
