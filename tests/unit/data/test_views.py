"""From files to numbered interactions: counts on the way, digest, parts."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from builders import Write
from builders.archives import tar_of
from builders.manifests import HEAD, sha256
from repro import files, paths
from repro.data import archive, build, cache, manifest, prepare, tell, views
from repro.errors import ReproError
from repro.interactions import Dataset, Interactions

ROWS = "u7,b\nu3,a\nu7,a\nu3,c\nu7,c\nu9,c\n"
OTHER_ORDER = "u7,a\nu3,a\nu7,b\nu3,c\nu7,c\nu9,c\n"
TRAIN = "1,30\n1,10\n2,20\n"
VALID = "1,10\n"  # inside train
TEST = "1,20\n2,40\n"
NEGATIVES = "(1,20)\t40\t40\n(2,40)\t10\n"

ONE_FILE = """
[read]
rows = { member = "rows.csv", identifiers = "text" }
[views.all]
source = "a test"
"""

PARTS = """
[read]
train     = { member = "train.csv" }
valid     = { member = "valid.csv" }
test      = { member = "test.csv" }
negatives = { member = "negatives.txt", format = "negatives" }
[views.all]
source = "a test"
read   = { train = "train", valid = "valid", test = "test", negatives = "negatives" }
whole  = ["train", "test"]
"""

BY_ITEM = "30,b\n10,b\n20,b\n10,a\n30,a\n20,c\n"  # sorted by item, as Netflix is

NETFLIX = """
[read.rows]
any_of  = [["all.tar"], ["one.txt", "two.txt"]]
format  = "netflix"
columns = ["user", "rating", "date"]
[views.all]
source = "a test"
steps  = [{ number_items = "first appearance" }, { order = "file" }]
"""
ONE, TWO = "1:\n6,3,2005-09-06\n7,5,2005-05-13\n", "2:\n7,1,2005-12-31\n5,4,2004-01-01\n"

BUILD = """
import sys
from repro.data import cache, download, views

class Tell:
    def bytes(self, name, done, total): ...
    def say(self, text): print(text, flush=True)

print(views.load("box/all", Tell()).digest)
"""
"""A process of its own that builds the view."""

KILLED = """
import os, signal
import numpy as np
from repro.data import cache, download, views

save, saved = np.save, []

def dies(*args, **given):
    save(*args, **given)
    saved.append(args)
    if len(saved) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

np.save = dies
views.load("box/all")
"""
"""One that is killed when three arrays are written."""

Make = Callable[..., str]


@pytest.fixture
def box(write: Write, tmp_path: Path) -> Make:
    """Return what makes and fetches the dataset "box" out of a manifest's end and files."""

    def make(
        read: str, files: dict[str, str], *, fetched: bool = True, verified: bool = True
    ) -> str:
        text = HEAD + 'manual = "ask"\n'
        for name, content in files.items():
            (tmp_path / name).write_text(content, newline="")
            text += f'[members."{name}"]\n{sha256(content.encode()) if verified else ""}\n'
        write("data_manifests/box.toml", text + read)
        if fetched:
            archive.fetch(manifest.load("box"), tmp_path, unverified=not verified)
        return "box/all"

    return make


def pairs(rows: Interactions) -> list[tuple[int, int]]:
    return list(zip(rows.user.tolist(), rows.item.tolist(), strict=True))


def one_file(box: Make, steps: str = "", rows: str = ROWS) -> Dataset:
    (cache.raw_folder("box") / "rows.csv").unlink(missing_ok=True)
    return views.load(box(ONE_FILE + steps, {"rows.csv": rows}))


def test_rows_are_numbered_and_grouped_by_user_in_the_order_of_the_file(box: Make) -> None:
    built = one_file(box)
    assert built.id == "box/all"
    assert built.user_ids.tolist() == ["u3", "u7", "u9"]
    assert built.item_ids.tolist() == ["a", "b", "c"]
    assert pairs(built.interactions) == [(0, 0), (0, 2), (1, 1), (1, 0), (1, 2), (2, 2)]
    assert not built.interactions.ordered
    assert built.parts == {}


def test_items_number_as_a_step_says_even_those_that_lose_their_rows(box: Make) -> None:
    built = one_file(
        box, 'steps = [{ number_items = "first appearance" }, { last_items_per_user = 1 }]'
    )
    assert built.item_ids.tolist() == ["b", "a", "c"]
    assert pairs(built.interactions) == [(0, 2), (1, 2), (2, 2)]
    assert built.interactions.n_items == 3


def test_identifiers_are_ordered_as_what_the_manifest_says_they_are(box: Make) -> None:
    assert one_file(box, rows="10,2\n9,11\n").user_ids.tolist() == ["10", "9"]
    numbers = ONE_FILE.replace(', identifiers = "text"', "")
    (cache.raw_folder("box") / "rows.csv").unlink()
    built = views.load(box(numbers, {"rows.csv": "10,2\n9,11\n"}))
    assert built.user_ids.tolist() == ["9", "10"]


def test_the_funnel_counts_what_every_step_leaves(box: Make) -> None:
    one_file(
        box,
        "steps = [{ min_items_per_user = 2, expect = { users = 2 } }, { min_users_per_item = 2 }]\n"
        "expect = { interactions = 4 }",
    )
    known = views.prepared("box/all")
    assert known is not None
    assert [(f.step, f.interactions, f.users, f.items) for f in known.funnel] == [
        ("read", 6, 3, 3),
        ("min_items_per_user = 2", 5, 2, 3),
        ("min_users_per_item = 2", 4, 2, 2),
        ("numbered", 4, 2, 2),
    ]


@pytest.mark.parametrize(
    ("lines", "step", "counts"),
    [
        (
            "steps = [{ min_items_per_user = 2, expect = { users = 3, interactions = 5 } },"
            " { min_users_per_item = 2, expect = { users = 9 } }]",
            "min_items_per_user = 2",
            "users expected 3, got 2",
        ),
        (
            "steps = [{ min_items_per_user = 2, expect = { users = 2 } },"
            " { min_users_per_item = 2, expect = { items = 3, interactions = 5 } }]\n"
            "expect = { users = 9 }",
            "min_users_per_item = 2",
            "items expected 3, got 2; interactions expected 5, got 4",
        ),
        ("expect = { users = 1_000 }", "numbered", "users expected 1,000, got 3"),
    ],
)
def test_the_first_step_that_diverges_is_named(
    box: Make, lines: str, step: str, counts: str
) -> None:
    with pytest.raises(ReproError) as caught:
        one_file(box, lines)
    assert f"box/all diverges from its manifest at step '{step}'" in str(caught.value)
    assert sorted(caught.value.hint.split("; ")) == sorted(counts.split("; "))
    assert views.prepared("box/all") is None
    assert list((paths.home() / "data" / "box").rglob("*.npy")) == []


def test_rows_in_another_order_are_found_by_the_hash_of_the_pairs(box: Make) -> None:
    expected = hashlib.sha256(b"1 1\n1 3\n2 2\n2 1\n2 3\n3 3\n").hexdigest()
    lines = f'expect = {{ interactions = 6, pairs_sha256 = "{expected}" }}'
    one_file(box, lines)
    with pytest.raises(ReproError, match="right counts, but not the right rows or order"):
        one_file(box, lines, rows=OTHER_ORDER)


def test_building_twice_gives_the_same_arrays_and_digest(
    box: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = one_file(box)
    monkeypatch.setenv("REPRO_HOME", str(tmp_path / "elsewhere"))
    second = one_file(box)
    assert second.digest == first.digest
    assert pairs(second.interactions) == pairs(first.interactions)
    assert second.item_ids.tolist() == first.item_ids.tolist()


def test_a_view_that_is_built_is_loaded_as_it_is(box: Make) -> None:
    first = one_file(box)
    assert views.load("box/all").digest == first.digest
    known = views.prepared("box/all")
    assert known is not None
    assert known.digest == first.digest


@pytest.mark.parametrize(
    ("rows", "steps"),
    [
        (ROWS + "u9,a\n", ""),
        (ROWS.replace("9", "8"), ""),
        (OTHER_ORDER, ""),
        (ROWS, 'steps = [{ number_items = "first appearance" }]'),
        (ROWS, "steps = [{ min_items_per_user = 2 }]"),
    ],
    ids=["another row", "another user", "another order", "other numbers", "fewer rows"],
)
def test_the_digest_changes_with_the_content(box: Make, rows: str, steps: str) -> None:
    plain = one_file(box).digest
    assert one_file(box, steps, rows).digest != plain


def test_the_digest_is_that_of_the_arrays_not_of_the_way_there(box: Make) -> None:
    plain = one_file(box).digest
    assert one_file(box, "steps = [{ min_items_per_user = 1 }]").digest == plain


def test_parts_share_the_numbers_of_the_whole(box: Make) -> None:
    files = {"train.csv": TRAIN, "valid.csv": VALID, "test.csv": TEST, "negatives.txt": NEGATIVES}
    built = views.load(box(PARTS + "expect = { interactions = 5, users = 2, items = 4 }", files))
    assert built.item_ids.tolist() == ["10", "20", "30", "40"]
    assert pairs(built.interactions) == [(0, 2), (0, 0), (0, 1), (1, 1), (1, 3)]
    assert {name: pairs(part) for name, part in built.parts.items()} == {
        "train": [(0, 2), (0, 0), (1, 1)],
        "valid": [(0, 0)],
        "test": [(0, 1), (1, 3)],
        "negatives": [(0, 3), (0, 3), (1, 0)],
    }
    assert all(part.n_users == 2 and part.n_items == 4 for part in built.parts.values())


def test_steps_apply_to_train_and_test_together(box: Make) -> None:
    read = """
[read]
train = { member = "train.csv", columns = ["user", "item", "time"] }
test  = { member = "test.csv", columns = ["user", "item", "time"] }
[views.all]
source = "a test"
read   = { train = "train", test = "test" }
steps  = [{ order = "time" }]
"""
    files = {"train.csv": "1,30,5\n1,10,4\n2,20,1\n", "test.csv": "1,20,9\n2,30,0\n"}
    built = views.load(box(read, files))
    assert built.interactions.ordered
    assert pairs(built.interactions) == [(0, 0), (0, 2), (0, 1), (1, 2), (1, 1)]
    assert pairs(built.parts["train"]) == [(0, 0), (0, 2), (1, 1)]
    assert pairs(built.parts["test"]) == [(0, 1), (1, 2)]


def test_an_item_of_a_part_that_the_whole_lacks_is_an_error(box: Make) -> None:
    files = {
        "train.csv": TRAIN,
        "valid.csv": VALID,
        "test.csv": TEST,
        "negatives.txt": "(1,20)\t77\n",
    }
    with pytest.raises(ReproError, match="item 77 occurs in no training or test row"):
        views.load(box(PARTS, files))


@pytest.mark.parametrize("verified", [True, False])
def test_a_view_tells_whether_its_bytes_were_verified(box: Make, verified: bool) -> None:
    dataset = box(ONE_FILE, {"rows.csv": ROWS}, verified=verified)
    assert views.load(dataset).verified is verified
    known = views.prepared(dataset)
    assert known is not None
    assert known.verified is verified


def test_missing_members_are_named_with_the_command_that_brings_them(box: Make) -> None:
    dataset = box(ONE_FILE, {"rows.csv": ROWS}, fetched=False)
    assert views.prepared(dataset) is None
    with pytest.raises(ReproError, match=r"(?s)needs rows\.csv, missing.*repro fetch box"):
        views.load(dataset)


def test_an_unknown_view_is_an_error_with_a_suggestion(box: Make) -> None:
    box(ONE_FILE, {"rows.csv": ROWS})
    with pytest.raises(ReproError, match=r"(?s)no view of box is called 'al'.*did you mean all"):
        views.load("box/al")


def test_statistics_are_those_of_the_whole(box: Make) -> None:
    one_file(box)
    known = views.prepared("box/all")
    assert known is not None
    assert [known.statistic(name) for name in ("users", "items", "interactions")] == [3, 3, 6]
    assert known.statistic("sparsity") == pytest.approx(100 * (1 - 6 / 9))
    assert known.statistic("mean_length") == 2.0


def test_pairs_as_text_are_numbers_from_one() -> None:
    rows = Interactions(np.array([0, 0, 1]), np.array([1, 0, 9]), 2, 10, True)
    assert build.pairs_text(rows) == b"1 2\n1 1\n2 10\n"


def test_a_view_of_nothing_is_an_error(box: Make) -> None:
    with pytest.raises(ReproError, match="min_items_per_user = 9 leaves no interaction"):
        one_file(box, "steps = [{ min_items_per_user = 9 }]")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ('{ core = "2" }', "core: must be a whole number, got '2'"),
        ("{ core = true }", "core: must be a whole number, got True"),
        ("{ core = 2, expect = { user = 3 } }", "expect.user: Extra inputs are not permitted"),
    ],
)
def test_a_faulty_step_is_told_when_the_manifest_is_read(box: Make, step: str, said: str) -> None:
    with pytest.raises(ReproError, match=re.escape(said)):
        one_file(box, f"steps = [{step}]")


def test_a_file_that_changed_since_it_was_fetched_is_not_read(box: Make) -> None:
    view = box(ONE_FILE, {"rows.csv": ROWS})
    (cache.raw_folder("box") / "rows.csv").write_text(OTHER_ORDER)
    with pytest.raises(ReproError, match="has changed since it was fetched"):
        views.load(view)


def test_without_an_order_rows_are_not_said_to_be_in_the_order_of_time_or_file(box: Make) -> None:
    built = one_file(box)
    assert not built.interactions.ordered
    assert built.interactions.row is None


def test_the_order_of_the_file_is_kept_where_the_file_is_sorted_by_item(box: Make) -> None:
    built = one_file(
        box, 'steps = [{ number_items = "first appearance" }, { order = "file" }]', rows=BY_ITEM
    )
    whole = built.interactions
    assert built.user_ids.tolist() == ["10", "20", "30"]
    assert built.item_ids.tolist() == ["b", "a", "c"]
    assert pairs(whole) == [(0, 0), (0, 1), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert whole.row is not None
    assert whole.row.tolist() == [1, 3, 2, 5, 0, 4]
    assert whole.row.dtype == np.int32
    assert not whole.ordered


def test_places_in_the_file_count_the_rows_that_the_steps_left(box: Make) -> None:
    steps = 'steps = [{ min_users_per_item = 2 }, { order = "file" }]'
    whole = one_file(box, steps, rows="9,z\n" + BY_ITEM).interactions
    assert whole.row is not None
    assert sorted(whole.row.tolist()) == [0, 1, 2, 3, 4]
    assert [pairs(whole)[i] for i in np.argsort(whole.row)] == [
        (2, 1),
        (0, 1),
        (1, 1),
        (0, 0),
        (2, 0),
    ]


def test_the_digest_tells_files_apart_that_differ_only_in_the_order_between_users(
    box: Make,
) -> None:
    steps = 'steps = [{ order = "file" }]'
    one = one_file(box, steps, rows="a,x\nb,x\n")
    other = one_file(box, steps, rows="b,x\na,x\n")
    assert pairs(one.interactions) == pairs(other.interactions)
    assert one.digest != other.digest


def test_an_item_that_is_no_number_from_one_is_an_error_that_names_it(box: Make) -> None:
    read = ONE_FILE.replace(', identifiers = "text"', "")
    read += 'steps = [{ number_items = "from one" }]'
    with pytest.raises(ReproError, match="item 0"):
        views.load(box(read, {"rows.csv": "1,1\n1,0\n"}))


def test_text_identifiers_cannot_be_numbered_from_one(box: Make) -> None:
    with pytest.raises(ReproError, match="'from one': their identifiers are text"):
        one_file(box, 'steps = [{ number_items = "from one" }]')


VARIANTS = """
[views.all.variants]
"three of each"    = [{ min_items_per_user = 3 }]
"two of each user" = [{ min_items_per_user = 2 }, { number_items = "first appearance" }]
"pairs of those"   = [{ min_items_per_user = 2 }, { distinct = "first" }]
"""


@pytest.mark.parametrize(
    ("expect", "variant"),
    [
        ("interactions = 5", "two of each user"),
        ("users = 2, items = 3", "two of each user"),
        ("users = 3", ""),
        ("interactions = 5, users = 2, items = 3", "two of each user"),
    ],
)
def test_the_first_variant_that_gives_what_is_expected_is_taken(
    box: Make, expect: str, variant: str
) -> None:
    lines = f"expect = {{ {expect} }}\n{VARIANTS}"
    if not variant:
        with pytest.raises(ReproError, match="no variant gives the expected 3 users"):
            one_file(box, lines)
        return
    built = one_file(box, lines)
    known = views.prepared("box/all")
    assert known is not None
    assert known.variant == variant
    assert built.item_ids.tolist() == ["b", "a", "c"]  # that variant numbers so, the others do not
    assert [stage.step for stage in known.funnel] == [
        "read",
        "min_items_per_user = 2",
        "number_items = first appearance",
        "numbered",
    ]


def test_a_view_without_variants_has_none(box: Make) -> None:
    one_file(box)
    known = views.prepared("box/all")
    assert known is not None
    assert known.variant == ""


def test_where_no_variant_fits_the_error_says_what_each_gave(box: Make) -> None:
    with pytest.raises(ReproError) as caught:
        one_file(box, f"expect = {{ users = 7, interactions = 1_000 }}\n{VARIANTS}")
    said = str(caught.value)
    assert "box/all: no variant gives the expected 7 users, 1,000 interactions" in said
    assert "two of each user: 5 of 2 users, 3 items" in said
    assert "pairs of those: 5 of 2 users, 3 items" in said
    assert "three of each: 3 of 1 users, 3 items" in said
    assert views.prepared("box/all") is None


def test_a_variant_that_leaves_nothing_does_not_keep_the_others_from_being_tried(
    box: Make,
) -> None:
    lines = """expect = { users = 3 }
[views.all.variants]
"nobody"    = [{ min_items_per_user = 99 }]
"everybody" = [{ min_items_per_user = 1 }]
"""
    one_file(box, lines)
    known = views.prepared("box/all")
    assert known is not None
    assert known.variant == "everybody"


def test_variants_come_after_the_steps_that_all_share(box: Make) -> None:
    lines = f'steps = [{{ distinct = "last" }}]\nexpect = {{ users = 2 }}\n{VARIANTS}'
    one_file(box, lines)
    known = views.prepared("box/all")
    assert known is not None
    assert [stage.step for stage in known.funnel][1:3] == [
        "distinct = last",
        "min_items_per_user = 2",
    ]


PART_FILES = {
    "train.csv": TRAIN,
    "valid.csv": VALID,
    "test.csv": TEST,
    "negatives.txt": NEGATIVES,
}


def test_a_part_with_other_rows_than_expected_is_refused_and_named(box: Make) -> None:
    lines = "expect = { parts = { train = 3, test = 1_002, negatives = 4 } }"
    with pytest.raises(ReproError) as caught:
        views.load(box(PARTS + lines, PART_FILES))
    assert "box/all diverges from its manifest when read" in str(caught.value)
    assert "expected 1,002 rows of test, got 2; expected 4 rows of negatives, got 3" in str(
        caught.value
    )
    assert "train expected" not in str(caught.value)
    assert views.prepared("box/all") is None


def test_parts_with_the_expected_rows_are_built(box: Make) -> None:
    lines = "expect = { parts = { train = 3, valid = 1, test = 2, negatives = 3 } }"
    assert len(views.load(box(PARTS + lines, PART_FILES)).parts["negatives"]) == 3


def test_without_a_whole_all_parts_but_the_negatives_are_all_interactions(box: Make) -> None:
    read = PARTS.replace('whole  = ["train", "test"]', "")
    built = views.load(box(read, PART_FILES))
    assert len(built.interactions) == 6
    assert len(built.parts["negatives"]) == 3


def test_text_identifiers_of_train_and_test_share_numbers(box: Make) -> None:
    read = """
[read]
train = { member = "train.csv", identifiers = "text" }
test  = { member = "test.csv", identifiers = "text" }
valid = { member = "valid.csv", identifiers = "text" }
[views.all]
source = "a test"
read   = { train = "train", test = "test", valid = "valid" }
whole  = ["train", "test"]
"""
    files = {
        "train.csv": "ann,lamp\nbob,é\nann,zoo\n",
        "test.csv": "bob,a much longer name\nann,é\ncid,lamp\n",
        "valid.csv": "bob,é\n",
    }
    built = views.load(box(read, files))
    assert built.user_ids.tolist() == ["ann", "bob", "cid"]
    assert built.item_ids.tolist() == ["a much longer name", "lamp", "zoo", "é"]
    assert pairs(built.parts["train"]) == [(0, 1), (0, 2), (1, 3)]
    assert pairs(built.parts["test"]) == [(0, 3), (1, 0), (2, 1)]
    assert pairs(built.parts["valid"]) == [(1, 3)]
    assert pairs(built.interactions) == [(0, 1), (0, 2), (0, 3), (1, 3), (1, 0), (2, 1)]


@pytest.mark.parametrize("other", ["valid", "test"])
def test_parts_of_which_one_has_text_identifiers_and_one_numbers_are_an_error(
    box: Make, other: str
) -> None:
    read = PARTS.replace(f'"{other}.csv"', f'"{other}.csv", identifiers = "text"')
    with pytest.raises(ReproError, match="identifiers"):
        views.load(box(read, PART_FILES))


def test_either_layout_of_the_same_rows_gives_the_same_view(
    box: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tar = tar_of({"set/mv_0000002.txt": TWO, "set/mv_0000001.txt": ONE}).decode()
    files = {"all.tar": tar, "one.txt": ONE, "two.txt": TWO}
    built = {}
    for layout, absent in (("tar", ["one.txt", "two.txt"]), ("combined", ["all.tar"])):
        monkeypatch.setenv("REPRO_HOME", str(tmp_path / layout))
        box(NETFLIX, files, fetched=False)
        for name in absent:
            (tmp_path / name).unlink()
        archive.fetch(manifest.load("box"), tmp_path)
        built[layout] = views.load("box/all")
    assert built["tar"].digest == built["combined"].digest
    assert built["tar"].user_ids.tolist() == ["5", "6", "7"]
    assert pairs(built["combined"].interactions) == [(0, 1), (1, 0), (2, 0), (2, 1)]
    rows = built["combined"].interactions.row
    assert rows is not None
    assert rows.tolist() == [3, 0, 1, 2]


def test_half_a_layout_is_not_enough(box: Make, tmp_path: Path) -> None:
    box(NETFLIX, {"all.tar": "", "one.txt": ONE, "two.txt": TWO}, fetched=False)
    (tmp_path / "all.tar").unlink()
    (tmp_path / "two.txt").unlink()
    with pytest.raises(ReproError):
        archive.fetch(manifest.load("box"), tmp_path)
    with pytest.raises(ReproError, match=r"box/all needs .*missing from the cache"):
        views.load("box/all")


def changed(array: Path) -> None:
    content = np.load(array)
    content[-1] += 1
    np.save(array, content)


def test_a_view_that_is_as_it_was_built_has_no_damage(box: Make) -> None:
    one_file(box)
    assert views.damage("box/all") == ""


@pytest.mark.parametrize(
    "harm",
    [
        changed,
        lambda array: array.write_bytes(array.read_bytes()[:-4]),
        lambda array: array.write_bytes(b""),
        lambda array: array.write_bytes(b"rubbish"),
        lambda array: array.unlink(),
    ],
    ids=["changed", "cut off", "emptied", "overwritten", "deleted"],
)
def test_damage_to_a_views_arrays_is_told_with_what_to_do(
    box: Make, harm: Callable[[Path], None]
) -> None:
    one_file(box)
    (array,) = (paths.home() / "data" / "box" / "views").glob("all-*/whole_item.npy")
    harm(array)
    said = views.damage("box/all")
    assert said
    assert f"delete {array.parent}, and it will be built again" in said


@pytest.mark.parametrize(
    "harm",
    [
        lambda array: array.write_bytes(array.read_bytes()[:-4]),
        lambda array: array.write_bytes(b""),
        lambda array: array.unlink(),
    ],
    ids=["cut off", "emptied", "deleted"],
)
def test_a_view_that_cannot_be_loaded_any_more_is_told_with_what_to_do(
    box: Make, harm: Callable[[Path], None]
) -> None:
    one_file(box)
    (array,) = (paths.home() / "data" / "box" / "views").glob("all-*/whole_item.npy")
    harm(array)
    with pytest.raises(ReproError, match=f"delete {array.parent}"):
        views.load("box/all")


def test_a_damaged_description_of_a_view_is_told_with_what_to_do(box: Make) -> None:
    one_file(box)
    (about,) = (paths.home() / "data" / "box" / "views").glob("all-*/view.json")
    about.write_text(about.read_text()[:40])
    with pytest.raises(ReproError, match=f"delete {about.parent}"):
        views.load("box/all")


def test_a_deleted_view_is_built_anew(box: Make) -> None:
    digest = one_file(box).digest
    (folder,) = (paths.home() / "data" / "box" / "views").glob("all-*")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert views.load("box/all").digest == digest
    assert views.damage("box/all") == ""


def test_what_a_killed_process_leaves_is_neither_taken_for_data_nor_kept(box: Make) -> None:
    dataset = box(ONE_FILE, {"rows.csv": ROWS})
    killed = subprocess.run([sys.executable, "-c", KILLED], check=False)
    folder = paths.home() / "data" / "box" / "views"
    (left,) = folder.iterdir()
    assert killed.returncode == -signal.SIGKILL
    assert left.name.startswith(".building.")
    assert len(list(left.iterdir())) == 3
    assert views.prepared(dataset) is None
    built = views.load(dataset)
    assert len(built.interactions) == 6
    assert [path.name.partition("-")[0] for path in folder.iterdir()] == ["all"]


def test_every_array_is_on_the_disk_before_the_view_has_its_name(
    box: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = box(ONE_FILE, {"rows.csv": ROWS})
    rename, fsync = Path.rename, os.fsync
    synced: set[int] = set()
    unsafe: list[str] = []

    def noted(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        fsync(file)

    def checked(folder: Path, name: Path) -> Path:
        if folder.name.startswith(".building"):
            unsafe.extend(f.name for f in folder.iterdir() if f.stat().st_ino not in synced)
        return rename(folder, name)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "rename", checked)
    assert len(views.load(dataset).interactions) == 6
    assert synced
    assert unsafe == []


def test_processes_that_build_at_once_both_end_well(box: Make) -> None:
    box(ONE_FILE, {"rows.csv": ROWS})
    command = [sys.executable, "-c", BUILD]
    with cache.locked("box", tell.Silent()):
        both = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
            for _ in range(2)
        ]
        said = []
        for one in both:
            assert one.stdout is not None
            said.append(one.stdout.readline())
    ends = [one.communicate(timeout=60)[0] for one in both]
    busy = f"box is in use by process {os.getpid()} on {socket.gethostname()}; waiting for it\n"
    assert said == [busy] * 2
    assert [one.returncode for one in both] == [0, 0]
    assert [end.strip() for end in ends] == [views.load("box/all").digest] * 2
    views_folder = paths.home() / "data" / "box" / "views"
    assert len(list(views_folder.iterdir())) == 1
    assert views.damage("box/all") == ""


def broken(path: Path, how: str) -> None:
    """Put something else in the place of a file of a view."""
    path.unlink()
    if how == "loop":
        path.symlink_to(path)
    elif how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "endless":
        path.symlink_to("/dev/zero")
    elif how == "large":
        head = b"{'descr': '<i4', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(
            117
        )
        path.write_bytes(b"\x93NUMPY\x01\x00v\x00" + head + b"\n")
    else:
        path.write_bytes({"deep": b"[" * 100_000, "digits": b"9" * 5000, "noise": b"\xff\0"}[how])


@pytest.mark.parametrize("how", ["loop", "folder", "pipe", "endless", "large", "deep", "noise"])
@pytest.mark.parametrize("name", ["view.json", "whole_user.npy", "user_ids.npy"])
def test_a_view_that_cannot_be_read_is_told_and_not_waited_for(name: str, how: str) -> None:
    prepare.prepare("toy/split")
    folder = views.folder("toy/split")
    broken(folder / name, how)
    if name == "view.json" and how == "loop":
        prepare.prepare("toy/split")  # as if it were absent: it is built again
        assert views.damage("toy/split") == ""
        return
    with pytest.raises(ReproError, match=str(folder)):
        views.load("toy/split")
    assert f"delete {folder}, and it will be built again" in views.damage("toy/split")


@pytest.mark.parametrize("key", ["users", "items"])
def test_a_description_that_does_not_fit_its_arrays_is_told(key: str) -> None:
    prepare.prepare("toy/split")
    file = views.folder("toy/split") / "view.json"
    known = files.read_json(file)
    files.write_json(file, known | {key: known[key] + 1})
    with pytest.raises(ReproError, match="state different numbers"):
        views.load("toy/split")
