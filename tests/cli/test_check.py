"""`repro check`: verifies whatever it is given."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import repro
from builders import Write
from builders.commands import content, json_of, known, repro_
from builders.manifests import BY_HAND, box
from builders.models import level
from builders.papers import paper, row, table, view
from builders.records import rewrite
from repro import paths

PAPER = paper(view(label="Toy, split"), table(seeds=[0, 1]), row("POP", "popularity"))


@pytest.fixture
def mine(write: Write) -> Path:
    return write("tables/mine.toml", PAPER)


def checked(*what: str, code: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(repro_("check", *what, "--json", code=code).stdout)
    return found


def states(*what: str, code: int = 0) -> dict[str, str]:
    return {one["name"]: one["state"] for one in checked(*what, code=code)}


def test_nothing_named_verifies_all_that_is_there_and_changes_nothing(mine: Path) -> None:
    repro_("run", "mine")
    before = content(paths.runs(), paths.home())
    found = checked()
    kinds = {"manifest", "file", "view", "table", "frozen", "evidence", "record"}
    assert {one["kind"] for one in found} == kinds
    assert not any(one["damaged"] for one in found)
    assert content(paths.runs(), paths.home()) == before
    told = repro_("check").stdout.splitlines()
    assert told[-1] == f"{len(found)} verified: 0 damaged"
    assert len(told) == len(found) + 1


def test_a_record_is_verified_by_id_and_by_folder(mine: Path) -> None:
    repro_("run", "mine")
    for name in (known()[0].id, str(known()[0].folder), f"{known()[0].folder}/record.json"):
        (state,) = states(name).values()
        assert state == "sealed; 1 of 1 results recomputed from hits"
    assert len(states(str(paths.runs()))) == 2


def test_a_record_from_before_there_were_seals_is_told_apart(mine: Path) -> None:
    repro_("run", "mine")
    old = rewrite(known()[0].path, sealing=False)
    assert states(old.name)[str(old)].startswith("unsealed: from before")
    assert "2 verified: 0 damaged, 1 records unsealed" in repro_("check", str(paths.runs())).stdout


def test_every_damaged_record_is_named_with_what_is_wrong(mine: Path) -> None:
    repro_("run", "mine")
    first, second = (record.path for record in known())
    (first / "record.json").write_text("{")
    lie = {"ndcg@10": {"value": 0.5, "standard_error": 0.01, "epoch": 1}}
    rewrite(second, results=lie, curve=[])
    found = states(str(paths.runs()), code=1)
    assert found[str(first)].startswith(f"DAMAGED: {first}/record.json is damaged: ")
    assert "results.ndcg@10.value is 0.5, and the hits give" in found[str(second)]
    assert "2 damaged" in repro_("check", str(paths.runs()), code=1).stdout


def test_a_paper_is_its_tables_and_its_frozen_lines(mine: Path) -> None:
    repro_("run", "mine")
    repro_("freeze", "mine")
    file = mine.parent / "reference" / "mine.csv"
    frozen = {
        str(file): "2 lines intact, 2 compared with their records",
        str(file.parent / "evidence"): "of 2 runs",
    }
    assert states("mine") == {str(mine): "1 table, 0 figures"} | frozen
    assert states(str(file)) == frozen
    was = file.read_text()
    file.write_text(was.replace('"last"', '"best"'))
    found = [one for one in checked("mine", code=1) if one["damaged"]]
    assert len(found) == 2
    for n, one in enumerate(found, 2):
        assert f"{file}, line {n}: its digest does not fit its values" in one["state"]


def test_a_frozen_line_that_was_forged_with_its_digest_differs_from_its_record(mine: Path) -> None:
    from repro.results import frozen
    from repro.results.frozen import Frozen

    repro_("run", "mine", "--seeds", "0")
    repro_("freeze", "mine")
    file = mine.parent / "reference" / "mine.csv"
    (line,) = csv.DictReader(StringIO(file.read_text()))
    (row,) = frozen.load("mine")
    forged = Frozen(**vars(row) | {"value": 0.5})
    assert line["seal"] == known()[0].seal
    file.write_text(frozen.written([forged], Frozen))
    (state,) = (one["state"] for one in checked(str(file), code=1) if one["kind"] == "frozen")
    assert "differs from its record in value" in state


def test_data_is_verified_as_fetch_does(mine: Path) -> None:
    assert states("toy/split", code=0)
    repro_("fetch", "toy")
    found = states("toy")
    assert found["toy/train.csv"] == "verified"
    assert found["toy/split"] == "intact"
    (paths.home() / "data" / "toy" / "raw" / "train.csv").write_text("1,2\n")
    found = states("toy", code=1)
    assert found["toy/train.csv"].startswith("CHANGED since it was fetched")
    repro_("fetch", "--check", "toy", code=1)


def test_files_of_ones_own_are_verified_wherever_they_lie(tmp_path: Path) -> None:
    good = {
        "a.toml": (PAPER, "1 table, 0 figures"),
        "b.toml": (box(archive=BY_HAND), "1 file, 1 view"),
    }
    for name, (text, state) in good.items():
        (tmp_path / name).write_text(text)
        assert states(str(tmp_path / name)) == {str(tmp_path / name): state}
    bad = {"c.toml": "[paper", "d.toml": PAPER.replace("caption", "captoin"), "e.py": "def (:"}
    for name, text in bad.items():
        (tmp_path / name).write_text(text)
        (state,) = states(str(tmp_path / name), code=1).values()
        assert state.startswith("DAMAGED: ")
        assert name in state


def test_a_model_is_loaded_and_put_through_the_checks(tmp_path: Path) -> None:
    file = tmp_path / "level.py"
    file.write_text(level())
    found = checked(str(file), code=1)
    assert found[-1]["kind"] == "model"
    assert found[-1]["state"].startswith("1 parameters, ")
    assert any("FAILS learns_more_than_chance" in one["state"] for one in found)
    file = tmp_path / "failing.py"
    file.write_text("raise RuntimeError('no')\n" + level())
    (state,) = states(str(file), code=1).values()
    assert "it cannot be loaded: RuntimeError: no" in state


def test_a_model_and_a_protocol_of_ours_pass() -> None:
    folder = Path(repro.__file__).parent
    for file in ("models/ease.py", "protocols/random_split.py"):
        (state,) = states(str(folder / file)).values()
        n = state.split()[2]
        assert state.endswith(f"{n} of {n} checks passed")


def test_what_does_not_exist_is_an_error_with_the_nearest_name(mine: Path) -> None:
    assert "did you mean mine?" in repro_("check", "mime", code=1).stderr
    repro_("check", "toy/nothing", code=1)


def test_a_notebook_checks_the_same(mine: Path) -> None:
    repro_("run", "mine")
    assert [vars(one) for one in repro.check("mine")] == json_of("check", "mine")
    assert [one.state for one in repro.check(runs=paths.runs()) if one.kind == "record"] == [
        "sealed; 1 of 1 results recomputed from hits"
    ] * 2
