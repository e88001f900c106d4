"""A file with faults: all of them at once, each where it stands, with what was meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from builders import Write
from builders.manifests import box
from builders.papers import BOTH, paper, row, table, view
from builders.toml import section
from repro import strict_toml
from repro.data import manifest
from repro.errors import ReproError
from repro.papers import library
from repro.strict_toml import Strict


class Wheel(Strict):
    size: int
    spokes: int | None = None


class Car(Strict):
    name: str
    wheels: list[Wheel] = Field(default=[])
    spare: Wheel | None = None
    by_place: dict[str, Wheel] = Field(default={})


def read(folder: Path, text: str, schema: type[BaseModel] = Car) -> Any:
    path = folder / "car.toml"
    path.write_text(text)
    return strict_toml.read(path, schema)


def test_a_file_without_faults_is_read(tmp_path: Path) -> None:
    car = read(tmp_path, 'name = "2CV"\n[[wheels]]\nsize = 15\n[spare]\nsize = 14\nspokes = 3\n')
    assert car == Car(name="2CV", wheels=[Wheel(size=15)], spare=Wheel(size=14, spokes=3))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "name: missing"),
        ("name = 2", "name: must be a text in quotes, got 2"),
        ('name = "a"\ncolor = 1', "color: unknown key; known here: by_place, name, spare, wheels"),
        ('name = "a"\nwheel = []', "wheel: unknown key; did you mean wheels?"),
        (
            'name = "a"\n[[wheels]]\nsize = 1\nspoke = 2',
            "wheels.0.spoke: unknown key; did you mean",
        ),
        ('name = "a"\n[spare]\nsize = 1\nspoke = 2', "spare.spoke: unknown key; did you mean spok"),
        ('name = "a"\n[by_place.left]\nsise = 1\nsize = 1', "by_place.left.sise: unknown key; did"),
        ('name = "a"\n[[wheels]]\nsize = "1"', "wheels.0.size: must be a whole number"),
        ('name = "a"\n[[wheels]]\nsize = 1.5', "wheels.0.size: must be a whole number"),
    ],
)
def test_a_fault_stands_under_its_key(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ReproError, match=re.escape(f"{tmp_path / 'car.toml'}: 1 fault\n  {fault}")):
        read(tmp_path, text)


def test_all_faults_of_a_file_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match=r"4 faults") as caught:
        read(tmp_path, 'nam = "a"\n[[wheels]]\nsize = 1\n[[wheels]]\nsize = "b"\nspoke = 1\n')
    keys = {line.split(":")[0].strip() for line in caught.value.hint.splitlines()}
    assert keys == {"name", "nam", "wheels.1.size", "wheels.1.spoke"}


@pytest.mark.parametrize("content", [b"name = ", b"name = 'a'\nname = 'b'", b"name = '\xff'"])
def test_what_is_no_toml_is_said_with_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "car.toml"
    path.write_bytes(content)
    with pytest.raises(ReproError, match=rf"{re.escape(str(path))}: not a TOML file"):
        strict_toml.read(path, Car)


PAPER = paper(view(), table("1", BOTH), row("POP", "popularity", ["0.1", "0.2"]))
BOX = box(archive='url = "http://nowhere/box.zip"', steps=[{"core": 5}])

Own = Callable[[str, str], Any]


@pytest.fixture
def own(write: Write) -> Own:
    """Return what writes a file of one's own and loads it."""

    def load(kind: str, text: str) -> Any:
        write(f"{kind}/mine.toml", text)
        return library.load("mine") if kind == "tables" else manifest.load("mine")

    return load


def faults(own: Own, kind: str, text: str) -> str:
    with pytest.raises(ReproError) as caught:
        own(kind, text)
    assert f"{kind}/mine.toml: " in caught.value.message
    return caught.value.hint


def test_a_paper_and_a_dataset_of_ones_own_are_read(own: Own) -> None:
    assert [entry.row for entry in own("tables", PAPER).entries["1"]] == ["POP"]
    recipes = own("data_manifests", BOX).view("all").recipes()
    assert {name: [step.name for step in steps] for name, steps in recipes.items()} == {
        "": ["core"]
    }


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('caption = "Numbers"', "", "tables.1.caption: missing"),
        ("published", "publisht", "rows.0.at.toy.publisht: unknown key; did you mean published?"),
        ('["0.1", "0.2"]', "[0.1, 0.2]", "at.toy.published.0: must be a text in quotes"),
        ('["0.1", "0.2"]', '["0.1"]', '"POP", at.toy: 1 published values for 2 metrics'),
        ('["0.1", "0.2"]', '["0.1", "n/a"]', "'n/a' is not a number"),
        ('["0.1", "0.2"]', '["0.1", "nan"]', "'nan' is not a number"),
        ('["0.1", "0.2"]', '["0.1", "50%"]', "at.toy: HR@5: '50%' is in per cent, but results are"),
        (
            "caption =",
            "tolerance = [{ source = 'x', within = '1%' }]\ncaption =",
            "tables.1.tolerance.within: '1%' is in per cent",
        ),
        ("caption =", "seeds = [0, -1]\ncaption =", "tables.1.seeds.1: must be at least 0"),
        ('"toy/split"', '"toy/splt"', "views.toy.dataset: no view of toy is called 'splt'"),
        ('groups = ["toy"]', 'groups = ["toi"]', "no view is called 'toi'\n  did you mean toy?"),
        ("at.toy =", "at.toi =", "no column group is called 'toi'"),
        ('"ndcg@10"', '"ndgc@10"', "no metric is called 'ndgc'\n  did you mean ndcg?"),
        ('"ndcg@10"', '"ndcg"', "metric 'ndcg' has no cut-off"),
        ('model = "popularity"', "", "needs a model, or quoted_from"),
        ('"POP"', '"POP"\nparams = { k = 1 }', "no parameter of popularity is called 'k'"),
        ('"given_split"', '"given_splt"', "no protocol is called 'given_splt'\n  did you mean giv"),
        (
            '"given_split"',
            '"given_split", leaked = 1',
            "leaked of given_split must be 'keep' or 'drop'",
        ),
        ("caption =", 'select = "best"\ncaption =', "no selection rule is called 'best'"),
        ("caption =", 'select = "valid:x@1"\ncaption =', "no metric is called 'x'"),
        ("caption =", "tolerance = [{ source = 'x' }]\ncaption =", "within: missing"),
        (
            "caption =",
            "tolerance = [{ source = 'x', within = 'y' }]\ncaption =",
            "'y' is not a num",
        ),
    ],
)
def test_a_fault_of_a_paper_is_told(own: Own, old: str, new: str, fault: str) -> None:
    assert old in PAPER
    assert fault in faults(own, "tables", PAPER.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('license = "none"', "", "archive.license: missing"),
        (
            'source = "a test"\nurl',
            'sourc = "a test"\nurl',
            "archive.sourc: unknown key; did you mean",
        ),
        ("core", "cor", "views.all.steps: no step is called 'cor'\n  did you mean core?"),
        ("core = 5", "core = 5, distinct = 'first'", "must name one step"),
        ('member = "rows.csv"', 'member = "row.csv"', "read.rows: no member is called 'row.csv'"),
        ("steps", 'read = { rows = "row" }\nsteps', "views.all: no read entry is called 'row'"),
        ("steps", 'whole = ["row"]\nsteps', "views.all: no part is called 'row'"),
        ("steps", "expect.parts = { train = 1 }\nsteps", "views.all: no part is called 'train'"),
        ("steps", "expect.users = 'many'\nsteps", "views.all.expect.users: must be a whole"),
        ("steps", "variants.x = [{ cor = 5 }]\nsteps", "views.all.x: no step is called 'cor'"),
        ("core = 5", "core = 'five'", "core: must be a whole number, got 'five'"),
        (
            "core = 5",
            "core = 5, expect = { user = 1 }",
            "views.all.steps: expect.user: unknown key; did you mean users?",
        ),
        ('url = "http://nowhere/box.zip"', "", "members.rows.csv: no source"),
        ("{ member", '{ columns = ["user", "-"], member', "read.rows: columns must name user and"),
        (
            "{ member",
            '{ columns = ["user", "item", "item"], member',
            "read.rows: columns name item twice",
        ),
        ("{ member", '{ format = "xml", member', "read.rows.format: must be 'separated'"),
        ("{ member", '{ format = "json", member', "read.rows: the format json needs fields"),
        (
            "{ member",
            "{ fields = { user = 'u' }, member",
            "read.rows: the format json needs fields",
        ),
        ("{ member", '{ any_of = [["rows.csv"]], member', "read.rows: either member or any_of"),
        ('{ member = "rows.csv" }', "{ header = true }", "read.rows: either member or any_of must"),
        ("{ member", '{ separator = "", member', "read.rows.separator: must be a text of 1"),
        ("{ member", '{ columns = ["usr"], member', "read.rows.columns.0: must be 'user'"),
        ("{ member", '{ identifiers = "word", member', "read.rows.identifiers: must be"),
        (
            "{ member",
            '{ format = "json", fields = { user = "u", itm = "i" }, member',
            "read.rows: fields must name user and item",
        ),
        (
            "{ member",
            '{ format = "json", fields = { user = "u", item = "i", ratings = "r" }, member',
            "read.rows: no field is called 'ratings'\n  did you mean rating?",
        ),
        (
            '{ member = "rows.csv" }',
            '{ any_of = [["rows.csv", "rows.csv"]] }',
            "read.rows: the format separated is read from one file",
        ),
        (
            '{ member = "rows.csv" }',
            '{ any_of = [["rows.csv"], ["row.csv"]] }',
            "read.rows: no member is called 'row.csv'\n  did you mean rows.csv?",
        ),
        (
            '[members."rows.csv"]',
            '[members."rows.csv"]\nmirror = ["x"]',
            "members.rows.csv.mirror: unknown key; did you mean mirrors?",
        ),
    ],
)
def test_a_fault_of_a_manifest_is_told(own: Own, old: str, new: str, fault: str) -> None:
    assert old in BOX
    assert fault in faults(own, "data_manifests", BOX.replace(old, new, 1))


def test_faults_between_the_parts_of_a_paper_come_at_once(own: Own) -> None:
    text = PAPER.replace('"0.1"', '"?"').replace("hit_rate@5", "hitrate@5")
    text += row("POP", published=["1", "2"])
    told = faults(own, "tables", text)
    assert "'?' is not a number" in told
    assert "no metric is called 'hitrate'" in told
    assert 'two rows are called "POP"' in told
    assert "needs a model, or quoted_from" in told


def test_faults_of_several_recipes_come_at_once(own: Own) -> None:
    text = PAPER.replace('"POP"', '"POP"\nparams = { k = 1 }')
    text += row("EASE", "ease", ["0.1", "0.2"], params={"l2": "big"})
    told = faults(own, "tables", text)
    assert "no parameter of popularity is called 'k'" in told
    assert "row \"EASE\", toy: l2 of ease must be a number, got 'big'" in told


def test_a_row_whose_model_is_yet_to_be_written_is_no_fault(own: Own) -> None:
    paper = own("tables", PAPER.replace('"popularity"', '"of_the_future"'))
    entry = paper.entries["1"][0]
    assert entry.model == "of_the_future"
    assert entry.experiment() is None


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, n) for key in ("users", "items", "clusters", "per_user") for n in (0, 10**12)]
    + [("items", 17), ("seed", -1)],
)
def test_generated_data_has_a_size_that_can_be_generated(own: Own, key: str, value: int) -> None:
    sizes = {"users": 20, "items": 30, "clusters": 2, "per_user": 8, "seed": 1} | {key: value}
    text = box(archive="") + section("generate", **sizes)
    assert f"generate.{key}: " in faults(own, "data_manifests", text)
