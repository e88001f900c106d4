"""Frozen results: every number keeps what made it, and comes back to the last bit."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders.papers import paper, row, table, view
from builders.records import EASE, frozen_row, record
from repro.errors import ReproError
from repro.metrics import Result
from repro.papers import library
from repro.results import frozen
from repro.results.figures import Point
from repro.results.frozen import CellKey, Frozen, RowName
from repro.results.frozen_counts import FrozenCount

PAPER = paper(view(), table(), row("EASE", "ease"))

ROW = frozen_row(
    value=0.1 + 0.2,
    standard_error=1 / 3,
    epoch=7,
    select="valid:ndcg@10",
    commit="c" * 40,
    cpu="a processor, with a comma",
    threads=3,
    seconds=12.345,
)

RECORD = record(
    replace(EASE, select="valid:ndcg@10", seed=5),
    id="0123456789ab",
    digest="d" * 64,
    verified=False,
    code={"version": "0.1.0", "sources": "s" * 64, "commit": "c" * 40, "dirty": True},
    environment={
        "python": "3.12.1",
        "torch": "2.7.0",
        "numpy": "2.1.0",
        "cpu": "a processor",
        "threads": 3,
        "device": "a graphics card",
    },
    seconds=12.345,
    epoch=9,
)


def settled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the paper into a folder of one's own; return where its frozen results lie."""
    monkeypatch.setenv("REPRO_PATH", str(folder))
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "mine.toml").write_text(PAPER)
    return folder / "tables" / "reference" / "mine.csv"


@pytest.fixture
def file(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return settled(own_folders / "user", monkeypatch)


def test_a_paper_that_was_never_frozen_has_no_rows(file: Path) -> None:
    assert frozen.load("mine") == []
    assert not file.exists()


def test_a_paper_that_does_not_exist_is_an_error(file: Path) -> None:
    with pytest.raises(ReproError, match="no paper is called 'mime'"):
        frozen.load("mime")


def test_what_is_saved_beside_the_tables_is_loaded_to_the_last_bit(file: Path) -> None:
    assert frozen.save("mine", [ROW]) == file
    assert frozen.load("mine") == [ROW]
    (line,) = csv.DictReader(StringIO(file.read_text()))
    assert line.keys() == {*(field.name for field in fields(Frozen)), frozen.DIGEST}
    assert line["value"] == repr(ROW.value)


def test_a_number_without_error_and_epoch_comes_back_without(file: Path) -> None:
    alone = replace(ROW, standard_error=None, epoch=None)
    frozen.save("mine", [alone])
    assert frozen.load("mine") == [alone]


def test_saving_again_replaces_the_same_cell_and_seed_and_keeps_the_others(file: Path) -> None:
    others = [
        replace(ROW, seed=1),
        replace(ROW, label="HR@5"),
        replace(ROW, group="Elsewhere"),
        replace(ROW, row="POP"),
        replace(ROW, table="2"),
    ]
    frozen.save("mine", [ROW, *others])
    newer = replace(ROW, value=0.25, experiment="f" * 12, digest="e" * 64)
    frozen.save("mine", [newer])
    loaded = frozen.load("mine")
    assert len(loaded) == 6
    assert {(row.place, row.seed): row for row in loaded} == {
        (row.place, row.seed): row for row in [newer, *others]
    }


def test_the_same_results_give_the_same_file_in_whatever_order_they_come(file: Path) -> None:
    rows = [replace(ROW, seed=seed, row=row) for seed in (10, 2) for row in ("POP", "EASE")]
    frozen.save("mine", rows)
    first = file.read_bytes()
    frozen.save("mine", rows[::-1])
    assert file.read_bytes() == first


def test_a_frozen_row_tells_all_that_the_record_knows_of_the_number() -> None:
    result = Result(0.1 + 0.2, 0.01, 3)
    made = frozen.frozen(CellKey("1", RowName("EASE"), "Toy", "NDCG@10"), "ndcg@10", result, RECORD)
    assert made == Frozen(
        table="1",
        row="EASE",
        group="Toy",
        label="NDCG@10",
        metric="ndcg@10",
        value=0.1 + 0.2,
        standard_error=0.01,
        epoch=3,
        select="valid:ndcg@10",
        seed=5,
        experiment="0123456789ab",
        dataset="toy/split",
        digest="d" * 64,
        verified=False,
        version="0.1.0",
        commit="c" * 40,
        dirty=True,
        device="a graphics card",
        cpu="a processor",
        threads=3,
        python="3.12.1",
        torch="2.7.0",
        numpy="2.1.0",
        began="2024-01-01T00:00:00+00:00",
        seconds=12.345,
    )


def test_a_record_of_code_outside_a_checkout_has_no_commit() -> None:
    bare = replace(RECORD, code={"version": "0.1.0", "sources": "s" * 64})
    made = frozen.frozen(ROW.place, "ndcg@10", Result(0.5, None, 1), bare)
    assert (made.version, made.commit, made.dirty) == ("0.1.0", "", False)


Damage = Callable[[str], str]


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[: len(line) // 2],
        lambda line: line.replace("0.30000000000000004", "O.3"),
        lambda line: line.replace(",True,", ",yes,"),
        lambda line: line.replace(",7,", ",seven,"),
        lambda line: line.replace('"EASE",', '"EASE","the second",', 1),
        lambda line: line + ",more",
    ],
    ids=["cut", "value", "truth", "epoch", "comma", "surplus"],
)
def test_a_damaged_line_is_an_error_that_names_file_and_line(file: Path, damage: Damage) -> None:
    frozen.save("mine", [ROW, replace(ROW, seed=1)])
    head, first, second = file.read_text().splitlines()
    assert damage(second) != second
    file.write_text("\n".join([head, first, damage(second), ""]))
    with pytest.raises(ReproError, match=f"{file}, line 3"):
        frozen.load("mine")
    with pytest.raises(ReproError, match=f"{file}, line 3"):
        frozen.save("mine", [ROW])


def test_a_column_that_is_missing_is_an_error_that_names_the_file(file: Path) -> None:
    frozen.save("mine", [ROW])
    file.write_text(file.read_text().replace("digest", "digets"))
    with pytest.raises(ReproError, match=f"(?s){file}.*digest"):
        frozen.load("mine")


def test_bytes_that_are_no_text_are_an_error_that_names_the_file(file: Path) -> None:
    frozen.save("mine", [ROW])
    file.write_bytes(file.read_bytes().replace(b"EASE", b"EA\xffE"))
    with pytest.raises(ReproError, match=str(file)):
        frozen.load("mine")


def test_a_save_that_is_cut_off_leaves_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen.save("mine", [ROW])

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", cut_off)
    with pytest.raises(KeyboardInterrupt):
        frozen.save("mine", [replace(ROW, value=0.9)])
    assert frozen.load("mine") == [ROW]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


words = st.text(
    st.characters(codec="utf-8") | st.sampled_from(list(",\"'\n\r;|\\ \t")), max_size=12
)
numbers = st.floats(allow_nan=False)
whole_numbers = st.integers(0, 2**40)
kinds: dict[str, st.SearchStrategy[object]] = {
    "str": words,
    "Literal['paper', 'added', 'other']": st.sampled_from(["paper", "added", "other"]),
    "int": whole_numbers,
    "float": numbers,
    "bool": st.booleans(),
    "float | None": st.none() | numbers,
    "int | None": st.none() | whole_numbers,
}
frozen_rows = st.builds(Frozen, **{f.name: kinds[str(f.type)] for f in fields(Frozen)})
many = st.lists(frozen_rows, max_size=4, unique_by=lambda row: (row.place, row.seed))


@settings(deadline=None, max_examples=100)
@given(rows=many)
@example(rows=[replace(ROW, row='Mult-VAE, "ours"\nin two lines', group=" a; b ", label="'")])
@example(rows=[replace(ROW, row="a\rb")])
@example(rows=[replace(ROW, row="", group="", label="", table="")])
@example(rows=[replace(ROW, value=math.inf, seconds=5e-324, standard_error=-0.0)])
def test_whatever_is_frozen_comes_back_the_same(rows: list[Frozen]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        settled(Path(folder), patch)
        frozen.save("mine", rows)
        loaded = frozen.load("mine")
        assert {(row.place, row.seed): row for row in loaded} == {
            (row.place, row.seed): row for row in rows
        }
        assert len(loaded) == len(rows)
        before = frozen.file("mine").read_bytes()
        frozen.save("mine", [])
        assert frozen.file("mine").read_bytes() == before


def test_a_file_of_an_earlier_version_is_an_error_that_names_what_it_lacks(file: Path) -> None:
    frozen.save("mine", [ROW])
    file.write_text(file.read_text().replace('"origin",', "", 1))
    with pytest.raises(ReproError, match=r"(?s)lacks the columns origin.*another version"):
        frozen.load("mine")


# Digests of lines


def test_an_edited_line_never_counts_and_is_named(file: Path) -> None:
    rows = [replace(ROW, seed=seed) for seed in range(3)]
    frozen.save("mine", rows)
    lines = file.read_text().splitlines()
    lines[2] = lines[2].replace("0.30000000000000004", "0.42")
    file.write_text("\n".join([*lines, ""]))
    with pytest.raises(ReproError, match=rf"{file}, line 3: its digest does not fit its values"):
        frozen.load("mine")
    found = frozen.parsed(file, Frozen)
    assert [row.seed for row in found.rows] == [0, 2]
    assert len(found.faults) == 1


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_no_edit_of_any_value_counts(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        file = settled(Path(folder), patch)
        frozen.save("mine", [ROW])
        (line,) = csv.DictReader(StringIO(file.read_text()))
        column = data.draw(st.sampled_from(sorted(line)))
        new = data.draw(st.sampled_from(["0.5", "7", "False", "", "another", "added"]))
        if line[column] == new:
            return
        out = StringIO()
        writer = csv.DictWriter(out, list(line), lineterminator="\n")
        writer.writeheader()
        writer.writerow(line | {column: new})
        file.write_text(out.getvalue())
        with pytest.raises(ReproError, match=rf"{file}, line 2"):
            frozen.load("mine")


def test_every_damaged_line_is_named_with_its_column(file: Path) -> None:
    frozen.save("mine", [replace(ROW, seed=seed) for seed in range(3)])
    head, *lines = file.read_text().splitlines()
    lines[0] = lines[0].replace(",True,", ",yes,")
    lines[2] = lines[2].replace(",7,", ",seven,")
    file.write_text("\n".join([head, *lines, ""]))
    said = r"(?s)line 2: column verified: 'yes'.*line 4: column epoch"
    with pytest.raises(ReproError, match=said):
        frozen.load("mine")


def test_a_line_that_stands_there_twice_is_named(file: Path) -> None:
    frozen.save("mine", [ROW])
    head, line = file.read_text().splitlines()
    file.write_text("\n".join([head, line, line, ""]))
    with pytest.raises(ReproError, match="line 3: it has the cell and seed of line 2"):
        frozen.load("mine")


def test_a_file_from_before_lines_had_digests_counts_and_gets_them_with_the_next_freeze(
    file: Path,
) -> None:
    frozen.save("mine", [ROW])
    out = StringIO()
    (line,) = csv.DictReader(StringIO(file.read_text()))
    old = {name: value for name, value in line.items() if name not in ("seal", frozen.DIGEST)}
    writer = csv.DictWriter(out, list(old), lineterminator="\n")
    writer.writeheader()
    writer.writerow(old)
    file.write_text(out.getvalue())
    assert frozen.load("mine") == [ROW]
    frozen.save("mine", [])
    (line,) = csv.DictReader(StringIO(file.read_text()))
    assert line[frozen.DIGEST] == frozen.line_digest(ROW)


def test_every_frozen_line_that_is_shipped_has_a_digest_that_fits() -> None:
    folder = library.path_of("acvae").parent / "reference"
    files = sorted(folder.rglob("*.csv"))
    assert len(files) >= 11
    for one in files:
        kind: Any = {"figures": Point, "counts": FrozenCount}.get(one.parent.name, Frozen)
        assert frozen.DIGEST in one.read_text().partition("\n")[0], one
        assert frozen.parsed(one, kind).faults == []
