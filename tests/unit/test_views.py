"""From files to numbered interactions: counts on the way, digest, parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from repro import paths
from repro.data import archive, manifest, views
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
rows = { member = "rows.csv" }
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

Make = Callable[..., str]


@pytest.fixture
def box(own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return what makes and fetches the dataset "box" out of a manifest's end and files."""
    monkeypatch.setenv("REPRO_PATH", str(own_folders / "user"))
    folder = own_folders / "user" / "data_manifests"
    folder.mkdir(parents=True)

    def make(
        read: str, files: dict[str, str], *, fetched: bool = True, verified: bool = True
    ) -> str:
        text = '[archive]\ntitle = "Box"\nlicense = "none"\nsource = "a test"\nmanual = "ask"\n'
        for name, content in files.items():
            (tmp_path / name).write_text(content)
            text += f'[members."{name}"]\n'
            if verified:
                text += f'sha256 = "{hashlib.sha256(content.encode()).hexdigest()}"\n'
        (folder / "box.toml").write_text(text + read)
        if fetched:
            archive.fetch(manifest.load("box"), tmp_path, unverified=not verified)
        return "box/all"

    return make


def pairs(rows: Interactions) -> list[tuple[int, int]]:
    return list(zip(rows.user.tolist(), rows.item.tolist(), strict=True))


def one_file(box: Make, steps: str = "", rows: str = ROWS) -> Dataset:
    (archive.raw_folder("box") / "rows.csv").unlink(missing_ok=True)
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


def test_identifiers_are_ordered_as_numbers_where_they_are_numbers(box: Make) -> None:
    assert one_file(box, rows="10,2\n9,11\n").user_ids.tolist() == ["9", "10"]


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
    with pytest.raises(ReproError, match=r"(?s)rows\.csv missing.*repro fetch box"):
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
    assert views.pairs_text(rows) == b"1 2\n1 1\n2 10\n"


def test_a_view_of_nothing_is_an_error(box: Make) -> None:
    with pytest.raises(ReproError, match="min_items_per_user = 9 leaves no interaction"):
        one_file(box, "steps = [{ min_items_per_user = 9 }]")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ('{ core = "2" }', "core: must be int, got '2'"),
        ("{ core = true }", "core: must be int, got True"),
        ("{ core = 2, expect = { user = 3 } }", "expect.user: Extra inputs are not permitted"),
    ],
)
def test_a_faulty_step_is_told_when_the_manifest_is_read(box: Make, step: str, said: str) -> None:
    with pytest.raises(ReproError, match=re.escape(said)):
        one_file(box, f"steps = [{step}]")


def test_a_file_that_changed_since_it_was_fetched_is_not_read(box: Make) -> None:
    view = box(ONE_FILE, {"rows.csv": ROWS})
    (archive.raw_folder("box") / "rows.csv").write_text(OTHER_ORDER)
    with pytest.raises(ReproError, match="has changed since it was fetched"):
        views.load(view)
