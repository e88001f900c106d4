"""Adjacency lists: a user and all of its items in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Write
from builders.manifests import HEAD
from repro.data import archive, manifest, views
from repro.data.adjacency import looks_like_adjacency, read_adjacency
from repro.errors import ReproError

READ = """
[read]
train = { member = "train.txt", READ }
test = { member = "test.txt", READ }
[views.all]
source = "a test"
read = { train = "train", test = "test" }
"""


def pairs(path: Path, separator: str = " ", text: bool = False) -> list[tuple[object, object]]:
    rows = read_adjacency(path, separator, text)
    users, items = rows.user_ids[rows.user], rows.item_ids[rows.item]
    return list(zip(users.tolist(), items.tolist(), strict=True))


def written(folder: Path, content: str) -> Path:
    path = folder / "lists.txt"
    path.write_text(content, newline="")
    return path


def test_a_line_gives_a_row_for_each_item_and_an_empty_list_gives_none(tmp_path: Path) -> None:
    for text in ("0 5 3\n13 \n2 5\n41\n", "0 5 3\r\n13 \r\n\r\n2\t 5\r\n41", "\n0 5 3 \n2 5\n\n"):
        assert pairs(written(tmp_path, text)) == [(0, 5), (0, 3), (2, 5)]


def test_another_separator_and_text_can_be_named(tmp_path: Path) -> None:
    assert pairs(written(tmp_path, "7, 1,2\n8,\n"), ",") == [(7, 1), (7, 2)]
    assert pairs(written(tmp_path, "ann b é\n"), text=True) == [("ann", "b"), ("ann", "é")]


@pytest.mark.parametrize("bad", ["1 2 x", "a 1", "1 -2", "1 2.0", f"1 {2**63}", "1 \u0661"])
def test_what_is_no_number_is_named_with_its_line(tmp_path: Path, bad: str) -> None:
    path = written(tmp_path, f"0 1\n{bad}\n")
    with pytest.raises(ReproError, match="line 2: expected a user and items, all numbers") as error:
        read_adjacency(path)
    assert "identifiers" in error.value.hint


def test_a_file_without_an_item_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="has no rows: no user has an item"):
        read_adjacency(written(tmp_path, "0\n1 \n"))


numbers = st.integers(0, 2**63 - 1)
adjacency = st.lists(st.tuples(numbers, st.lists(numbers, max_size=5)), min_size=1)


@given(adjacency, st.sampled_from([" ", "\t", "  ", " \t"]), st.sampled_from(["\n", "\r\n", " \n"]))
def test_all_that_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    lists: list[tuple[int, list[int]]],
    blank: str,
    end: str,
) -> None:
    text = "".join(blank.join(map(str, [user, *items])) + end for user, items in lists)
    path = written(tmp_path_factory.mktemp("lists"), text)
    expected = [(user, item) for user, items in lists for item in items]
    if expected:
        assert pairs(path) == expected
    else:
        with pytest.raises(ReproError, match="has no rows"):
            read_adjacency(path)


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("0 1 2\n1 3\n", True),
        ("0\t1\t2\n1\n", True),
        ("0 1\n1 2\n", False),
        ("0 1 2\n1 2 3\n", False),
        ("a 1 2\n1\n", False),
        ("", False),
    ],
)
def test_lists_are_told_from_columns_by_their_lengths(
    tmp_path: Path, text: str, looks: bool
) -> None:
    assert looks_like_adjacency(written(tmp_path, text)) == looks


@pytest.mark.parametrize("form", ['format = "adjacency"', 'separator = " "'])
def test_the_manifest_names_the_form_and_an_error_suggests_it(
    write: Write, tmp_path: Path, form: str
) -> None:
    members = '[members."train.txt"]\n[members."test.txt"]\n'
    read = READ.replace("READ", form)
    write("data_manifests/box.toml", HEAD + 'manual = "ask"\n' + members + read)
    for name, text in {"train.txt": "1 10 20 30\n2 20\n3 \n", "test.txt": "1 40\n2\n"}.items():
        (tmp_path / name).write_text(text)
    archive.fetch(manifest.load("box"), tmp_path, unverified=True)
    if "adjacency" not in form:
        with pytest.raises(ReproError, match="expected 2 columns") as error:
            views.load("box/all")
        assert 'write format = "adjacency"' in error.value.hint
        return
    built = views.load("box/all")
    assert built.user_ids.tolist() == ["1", "2"]
    assert built.parts["train"].counts.tolist() == [3, 1]
    assert built.parts["test"].counts.tolist() == [1, 0]


def test_lists_have_no_header(write: Write) -> None:
    read = READ.replace("READ", 'format = "adjacency", header = true')
    members = '[members."train.txt"]\n[members."test.txt"]\n'
    write("data_manifests/box.toml", HEAD + 'manual = "ask"\n' + members + read)
    with pytest.raises(ReproError, match="adjacency has no header"):
        manifest.load("box")
