"""`repro audit`: our papers, and table files of one's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import repro
from builders.commands import json_of, repro_
from repro.errors import EXIT_CODES

PAGE = Path(__file__).parents[2] / "repro" / "auditing" / "README.md"

(UNDER_REVIEW,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
"""The file that the page shows."""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(UNDER_REVIEW, encoding="utf-8")
    return tmp_path / "mine.toml"


def test_a_file_of_ones_own_needs_no_model_manifest_or_data(mine: Path) -> None:
    text = repro_("audit", str(mine), "--strict").stdout
    assert text.startswith("mine: nothing found")
    assert "S7 1 (2)" in text
    assert repro_("audit", "--file", str(mine)).stdout == text
    repro_("compare", "mine", code=1)  # for the other commands it is no paper


def test_strict_exits_1_where_a_number_is_impossible(mine: Path) -> None:
    mine.write_text(UNDER_REVIEW.replace('"39.7%"', '"69.7%"'), encoding="utf-8")
    text = repro_("audit", str(mine)).stdout
    assert "impossible [S3] MovieLens 100K, Ours: NDCG@10 ≤ HR@10 fails" in " ".join(text.split())
    repro_("audit", str(mine), "--strict", code=1)
    assert "audit" in EXIT_CODES[1]
    repro_("audit", "mvae", "--strict")
    repro_("audit", "dave", "--strict", code=1)
    repro_("audit", "dave", "--table", "6", "--strict")


def test_what_is_not_known_switches_rules_off_and_is_said(mine: Path) -> None:
    unknown = UNDER_REVIEW.replace("cases =", "# cases =").replace('"39.7%"', '"20.0%"')
    mine.write_text(unknown, encoding="utf-8")
    text = " ".join(repro_("audit", str(mine), "--strict").stdout.split())
    assert "nothing says that each user of the view ml100k has one target" in text
    assert "the number of test users of the view ml100k is not known" in text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"66.3%"', '"66.3"', "a table in per cent needs per_cent = true"),
        ('"66.3%"', '"?"', "'?' is not a number"),
        ('"hit_rate@10"', '"hitrate@10"', "did you mean hit_rate?"),
        ('published = ["66.3%", "39.7%"]', 'published = ["66.3%"]', "1 published values for 2"),
        ("users = 943", "user = 943", "did you mean users?"),
        ('"39.7%"] }', '"39.7%"], source = ["0.1"] }', "source: 1 numbers for 2 metrics"),
        ('"39.7%"] }', '"39.7%"], errors = ["x", ""] }', "'x' is not a number"),
        ('"39.7%"] }', '"39.7%"], bold = ["HR@1"] }', "did you mean HR@10?"),
        ("[[tables.1.rows]]", "bold_among = [['Our']]\n[[tables.1.rows]]", "did you mean Ours?"),
        (
            "[[tables.1.rows]]",
            "improvements = [{ of = 'Our', at = { ml100k = ['1%'] } }]\n[[tables.1.rows]]",
            "1 numbers for 2 metrics",
        ),
        (
            "[[tables.1.rows]]",
            "significance = [{ row = 'Ours', against = 'Ours', group = 'ml', metric = 'HR@10', "
            "z = '2' }]\n[[tables.1.rows]]",
            "no column group is called 'ml'",
        ),
        (
            "[tables.1]",
            "[[by_hand]]\ntable = '1'\nsays = 'x'\nwhy = 'y'\nrow = 'Our'\n[tables.1]",
            "did you mean Ours?",
        ),
        (
            "[tables.1]",
            '[[by_hand]]\ntable = "1"\nsays = "x"\n[tables.1]',
            "by_hand.0.why: missing",
        ),
    ],
)
def test_a_fault_of_the_file_is_told(mine: Path, old: str, new: str, said: str) -> None:
    mine.write_text(UNDER_REVIEW.replace(old, new), encoding="utf-8")
    error = repro_("audit", str(mine), code=1).stderr
    assert str(mine) in error
    assert said in error


def test_what_does_not_exist_is_told(mine: Path) -> None:
    assert "no paper is called 'davee'" in repro_("audit", "davee", code=1).stderr
    assert "no such file" in repro_("audit", "--file", f"{mine}x.toml", code=1).stderr
    assert "no table is called '9'" in repro_("audit", "dave", "--table", "9", code=1).stderr


def test_the_json_names_cells_and_bounds() -> None:
    (dave,) = json_of("audit", "dave", "--table", "4")
    worst = dave["findings"][0]
    assert (worst["severity"], worst["rule"], worst["table"]) == ("impossible", "S4", "4")
    assert worst["left"] > worst["right"]
    assert worst["cells"][0] == {
        "table": "4", "group": "MovieLens 100K", "row": "AVB", "label": "NDCG@20",
        "printed": "0.3620",
    }  # fmt: skip
    assert {one["table"] for one in dave["findings"]} == {"4"}


def test_faults_noted_by_hand_are_printed_with_the_reason() -> None:
    text = " ".join(repro_("audit", "mvae", "--table", "II").stdout.split())
    assert "Noted by hand, not found by a rule" in text
    assert "F1-score@1: .024 is probably a misprint" in text
    assert "known from the test file" in text


def test_a_notebook_has_the_same() -> None:
    found = repro.audit("dave", table="4")
    assert repr(found) == repro_("audit", "dave", "--table", "4").stdout.rstrip("\n")
    assert found.to_frame()["rule"].tolist()[0] == "S4"
