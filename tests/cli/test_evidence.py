"""Evidence beside frozen results: a clone without runs and data asks a frozen number's users."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from builders import Write
from builders.commands import json_of, known, repro_
from builders.papers import paper, row, table, view
from repro import paths
from repro.metrics import per_user
from repro.papers import library
from repro.results import evidence, frozen
from repro.runs.records import Record

PAPER = paper(
    view(label="Toy, split"),
    table("1", {"NDCG@10": "ndcg@10", "HR@5": "hit_rate@5"}, seeds=[0, 1], select="test:each"),
    row("BPR", "bpr", ["0.5", "0.5"], params={"n_epochs": 30}),
    row("Random", "random", ["0.1", "0.1"]),
    table("2", {"NDCG@10": "ndcg@10"}),
    row("POP", "popularity", ["0.3"], table="2"),
)


def of_paper(name: str) -> list[Record]:
    return evidence.of_lines(name, frozen.load(name))


@pytest.fixture
def file(write: Write) -> Path:
    """Run and freeze the paper; return its file of frozen results. The runs are gone."""
    at = write("tables/mine.toml", PAPER).parent / "reference" / "mine.csv"
    repro_("run", "mine")
    repro_("freeze", "mine")
    return at


@pytest.fixture
def made(file: Path) -> dict[str, Record]:
    """The records that were frozen; their folder is gone, as on a fresh clone."""
    found = {record.id: record for record in known()}
    for record in found.values():
        record.hits()
        _ = record.curve
    shutil.move(paths.runs(), file.parent / "moved")
    for record in found.values():
        vars(record)["folder"] = file.parent / "moved" / record.id
    return found


def test_evidence_is_the_record_that_was_frozen(made: dict[str, Record]) -> None:
    kept = {record.id: record for record in of_paper("mine")}
    assert kept.keys() == made.keys()
    for id, record in made.items():
        for name in ("experiment", "digest", "results", "curve", "environment", "n_users", "seal"):
            assert getattr(kept[id], name) == getattr(record, name)
        for metric in record.results:
            np.testing.assert_array_equal(kept[id].hits(metric)[0], record.hits(metric)[0])
        assert evidence.faults(kept[id].path) == []


def test_a_record_from_before_records_were_sealed_is_evidence_too(write: Write) -> None:
    write("tables/mine.toml", PAPER)
    repro_("run", "mine", "--table", "2")
    (record,) = known()
    plain = json.loads((record.path / "record.json").read_text())
    for key in ("format", "seal", "arrays"):
        del plain[key]
    (record.path / "record.json").write_text(json.dumps(plain))
    repro_("freeze", "mine", "--table", "2")
    shutil.rmtree(paths.runs())
    (kept,) = of_paper("mine")
    assert (kept.seal, kept.results) == ("", record.results)
    assert kept.curve
    repro_("check", "mine")


def test_where_each_metric_has_its_own_epoch_the_hits_of_each_are_kept(
    made: dict[str, Record],
) -> None:
    trained = [r for r in of_paper("mine") if r.experiment.model.name == "bpr"]
    assert any(len({one.epoch for one in r.results.values()}) > 1 for r in trained)
    for record in trained:
        for metric, result in record.results.items():
            assert record.per_user(metric).mean() == result.value


def test_rows_are_compared_user_by_user_without_runs(made: dict[str, Record]) -> None:
    text = repro_("compare", "mine", "--table", "1", "--against", "Random").stdout
    bpr, random = (
        [r for r in made.values() if r.experiment.model.name == name] for name in ("bpr", "random")
    )
    by_seed = {r.experiment.seed: r for r in random}
    values = [
        per_user("hit_rate@5", *r.hits("hit_rate@5"))
        - per_user("hit_rate@5", *by_seed[r.experiment.seed].hits("hit_rate@5"))
        for r in bpr
    ]
    assert f"{np.mean(values):+.4f}" in text


def test_a_row_is_explained_without_runs(made: dict[str, Record]) -> None:
    (one,) = json_of("explain", "mine", "--table", "2", "--row", "POP")
    assert one["evidence"] is True
    assert {run["kind"] for run in one["runs"]} == {"frozen"}
    assert one["cells"][0]["readings"]


@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
def test_damaged_evidence_is_named(made: dict[str, Record], file: Path, damage: str) -> None:
    first, second = sorted((file.parent / "evidence").glob("*.zip"))[:2]
    if damage == "gone":
        first.unlink()
    elif damage == "other":
        shutil.copy(second, first)
    else:
        first.write_bytes(first.read_bytes()[:-40])
    assert str(first) in repro_("ledger", "mine", code=1).stderr
    assert str(first) in repro_("check", "mine", code=1).stdout


def test_evidence_that_no_line_needs_any_more_goes(file: Path) -> None:
    before = sorted((file.parent / "evidence").glob("*.zip"))
    lines = frozen.load("mine")
    file.write_text(frozen.written([line for line in lines if line.table == "1"], frozen.Frozen))
    evidence.tidy("mine")
    after = sorted((file.parent / "evidence").glob("*.zip"))
    assert {path.stem for path in after} == {line.experiment for line in frozen.load("mine")}
    assert len(after) < len(before)


def test_the_same_run_gives_the_same_file_of_evidence(file: Path) -> None:
    first = {path.name: path.read_bytes() for path in (file.parent / "evidence").glob("*.zip")}
    repro_("freeze", "mine")
    again = {path.name: path.read_bytes() for path in (file.parent / "evidence").glob("*.zip")}
    assert first == again
    for line in frozen.load("mine"):
        assert line.evidence == evidence.digest(again[f"{line.experiment}.zip"])


def test_the_evidence_of_the_shipped_results_is_whole_and_small() -> None:
    kept = list({r.id: r for name in library.papers() for r in of_paper(name)}.values())
    for record in kept:
        assert evidence.faults(record.path) == []
    at = evidence.folder("dave")
    assert sum(path.stat().st_size for path in at.glob("*.zip")) < 15e6
    assert {path.stem for path in at.glob("*.zip")} == {record.id for record in kept}
