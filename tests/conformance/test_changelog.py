"""CHANGELOG.md: Keep a Changelog with Results, and no table of results."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import repro

TEXT = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Results"]
"""The headings of Keep a Changelog, in its order, and ours."""

Released = tuple[str, date | None, str]
"""A version, its date if the heading has one, and its text."""


def released() -> list[Released]:
    """Return all versions but Unreleased, newest first."""
    found: list[Released] = []
    for part in re.split("^## ", TEXT, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        if heading == "Unreleased" and not found:
            continue
        match = re.fullmatch(r"(\d+\.\d+\.\d+)(?: \((\d{4}-\d{2}-\d{2})\))?", heading)
        assert match, f"## {heading} is no version with an ISO date"
        day = date.fromisoformat(match[2]) if match[2] else None
        found.append((match[1], day, text))
    return found


def test_the_newest_heading_is_the_version_of_the_package() -> None:
    version, day, _ = released()[0]
    assert version == repro.__version__
    assert day


def test_versions_and_dates_descend() -> None:
    versions = [tuple(map(int, version.split("."))) for version, _, _ in released()]
    assert versions == sorted(set(versions), reverse=True)
    days = [day for _, day, _ in released() if day]
    assert days == sorted(days, reverse=True)


def test_headings_are_those_of_keep_a_changelog_and_results() -> None:
    for version, _, text in released():
        kinds = re.findall("^#+ (.*)$", text, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds], version
        assert kinds[-1] == "Results", version
        assert "(tables/README.md)" in text.partition("### Results")[2], version


def test_no_table_of_results_is_left() -> None:
    for line in re.findall(r"^\s*\|.*$", TEXT, re.MULTILINE):
        assert not re.search(r"(?<![\w.])0?\.\d{2,}", line), line
