"""Readers and steps on real pieces of data sets that are not at hand whole; never for a result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repro.data.cache import differences, digests
from repro.data.manifest import load
from repro.data.rows import Rows
from repro.data.separated import read_separated
from repro.data.steps import STEPS

pytestmark = pytest.mark.data

RATED = ["user", "item", "rating", "time"]


@pytest.fixture(scope="module")
def partial(mirror: Path) -> Path:
    folder = mirror.parent / "partial"
    if not folder.is_dir():
        pytest.skip("there are no partial data sets beside REPRO_MIRROR")
    return folder


def counts(rows: Rows) -> tuple[int, int, int]:
    return len(rows), len(np.unique(rows.user)), len(np.unique(rows.item))


@pytest.mark.parametrize(
    ("dataset", "member", "piece"),
    [
        ("ncf-pinterest", "pinterest-20.test.rating", "pinterest-20/ncf/pinterest-20.test.rating"),
        ("jova-pinterest", "test.csv", "pinterest-20/jova/test.csv"),
        ("apr-yelp", "yelp.test.rating", "yelp-eals/yelp.test.rating"),
        ("evcf-ml-20m", "validation_te.csv", "ml-20m-evcf/validation_te.csv"),
        ("evcf-ml-20m", "test_te.csv", "ml-20m-evcf/test_te.csv"),
    ],
)
def test_a_manifest_states_the_hashes_of_the_real_file(
    partial: Path, dataset: str, member: str, piece: str
) -> None:
    stated = load(dataset).members[member]
    assert stated.confirmed
    assert len(stated.stated()) == 2
    assert differences(digests(partial / piece), stated) == []


def test_pinterests_held_out_rows_are_read(partial: Path) -> None:
    file = partial / "pinterest-20" / "ncf" / "pinterest-20.test.rating"
    rows = read_separated(file, "\t", False, RATED)
    assert counts(rows)[:2] == (55_187, 55_187)
    assert rows.item_ids[-1] == 9_897
    assert rows.time is not None
    assert not rows.time.any()


def test_jovas_part_of_pinterest_repeats_pairs(partial: Path) -> None:
    rows = read_separated(
        partial / "pinterest-20" / "jova" / "test.csv", ",", True, ["user", "item"]
    )
    assert counts(rows) == (280_705, 55_187, 9_542)
    assert rows.item_ids[-1] == 9_909
    assert len(STEPS["distinct"](rows, "first")) == 278_533


def test_yelps_held_out_rows_have_the_resolution_of_a_day(partial: Path) -> None:
    rows = read_separated(partial / "yelp-eals" / "yelp.test.rating", "\t", False, RATED)
    assert counts(rows)[:2] == (25_677, 25_677)
    assert rows.time is not None
    assert set((rows.time % 86_400).tolist()) == {16 * 3600}
    days = rows.time.astype("datetime64[s]").astype("datetime64[D]")
    assert (str(days.min()), str(days.max())) == ("2005-04-26", "2015-01-07")


def test_the_core_of_digital_music_2014_is_the_owners(partial: Path) -> None:
    file = partial / "amazon-digital-music-2014" / "ratings.csv"
    rows = read_separated(file, ",", True, ["user", "item", "rating"])
    assert counts(rows) == (238_692, 22_878, 115_082)
    assert counts(STEPS["core"](rows, 5)) == (64_706, 5_541, 3_568)


def test_the_edition_of_2016_does_not_give_acvaes_counts(partial: Path) -> None:
    rows = read_separated(partial / "ml-latest-small-2016" / "ratings.csv", ",", True, RATED)
    assert counts(rows) == (100_004, 671, 9_066)
    for name, argument in [("rating_above", 3.0), ("min_items_per_user", 5)]:
        rows = STEPS[name](rows, argument)
    assert counts(rows)[1:] == (663, 6_991)
    rows = STEPS["last_items_per_user"](STEPS["order"](rows, "time"), 200)
    assert len(rows) == 48_979


def test_evcfs_held_out_rows_are_as_many_as_the_manifest_expects(partial: Path) -> None:
    expected = load("evcf-ml-20m").view("given").expect.parts
    for part, file in {"valid": "validation_te.csv", "test": "test_te.csv"}.items():
        rows = read_separated(partial / "ml-20m-evcf" / file, ",", True, ["user", "item"])
        assert len(rows) == expected[part]
        assert len(rows.user_ids) == 10_000
        assert rows.item_ids[-1] < 20_108
