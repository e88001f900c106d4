"""`repro freeze`: results that stay beside the tables, and are shown beside later ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import repro
from builders import Write
from builders.commands import json_of, known, repro_
from builders.models import level
from builders.papers import BOTH, paper, row, table, view
from builders.records import content, rewrite, with_hits
from repro import paths
from repro.results.frozen import DIGEST, Frozen
from repro.runs import records
from repro.runs.records import Record

RANDOM = 'Random, "seeded"'

PAPER = paper(
    view(label="Toy, split"),
    table("1", BOTH, seeds=[0, 1]),
    row(RANDOM, "random", ["0.50", "0.5"]),
    table("2", {"Recall@20": "recall@20"}),
    row("POP", "popularity", table="2"),
)

SHIPPED = Path(repro.__file__).parent.parent / "tables"


@pytest.fixture
def file(write: Write) -> Path:
    """Write the paper into a folder of one's own; return where its frozen results lie."""
    return write("tables/mine.toml", PAPER).parent / "reference" / "mine.csv"


def lines(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(file.read_text(), newline="")))


def by_seed() -> dict[int, Record]:
    return {record.experiment.seed: record for record in known()}


def compared(*arguments: str) -> list[dict[str, Any]]:
    return json_of("compare", "mine", *arguments)


def doctor(change: Callable[[dict[str, Any]], None], *, sealing: bool = True) -> None:
    """Change what the records say, and seal them again."""
    for file in list(paths.runs().glob(f"*/{records.FILE}")):
        new = json.loads(file.read_text())
        change(new)
        rewrite(file.parent, sealing=sealing, **dict.fromkeys(content(file.parent)) | new)


def folder_of(place: Path) -> list[Path]:
    return sorted(place.rglob("*"))


def test_a_line_is_written_per_cell_and_seed_with_all_that_made_it(file: Path) -> None:
    shipped = folder_of(SHIPPED)
    repro_("run", "mine", "--table", "1")
    told = repro_("freeze", "mine")
    assert f"4 numbers of 2 runs in {file}" in told.stdout
    assert folder_of(SHIPPED) == shipped

    found = lines(file)
    assert len(found) == 4
    assert {(line["row"], line["label"], line["seed"]) for line in found} == {
        (RANDOM, label, seed) for label in ("NDCG@10", "HR@5") for seed in ("0", "1")
    }
    for line in found:
        record = by_seed()[int(line["seed"])]
        result = record.results[line["metric"]]
        made = record.environment
        assert line == {
            "table": "1",
            "row": RANDOM,
            "origin": "paper",
            "shortened": "",
            "apart": "",
            "group": "Toy, split",
            "label": {"ndcg@10": "NDCG@10", "hit_rate@5": "HR@5"}[line["metric"]],
            "metric": line["metric"],
            "value": repr(result.value),
            "standard_error": repr(result.standard_error),
            "epoch": str(result.epoch),
            "select": "last",
            "seed": line["seed"],
            "experiment": record.id,
            "dataset": "toy/split",
            "digest": record.digest,
            "verified": "True",
            "version": repro.__version__,
            "commit": record.code.get("commit", ""),
            "dirty": str(record.code.get("dirty", False)),
            "device": "cpu",
            "cpu": made["cpu"],
            "threads": str(made["threads"]),
            "python": made["python"],
            "torch": made["torch"],
            "numpy": made["numpy"],
            "began": record.began,
            "seconds": repr(record.seconds),
            "seal": record.seal,
            "evidence": line["evidence"],
            DIGEST: line[DIGEST],
        }
        assert line.keys() == {*(field.name for field in fields(Frozen)), DIGEST}
        assert len(line["seal"]) == 64
        assert len(line[DIGEST]) == 16


def say_code(record: dict[str, Any], **said: object) -> None:
    """Let a record, and its one start, say this of the code."""
    (start,) = record["attempts"]
    record["code"].update(said)
    start.update(said)


def test_the_version_of_the_code_is_frozen_with_the_number(file: Path) -> None:
    repro_("run", "mine", "--table", "2")
    doctor(lambda record: say_code(record, version="7.7", commit="c" * 40, dirty=False))
    told = repro_("freeze", "mine")
    (line,) = lines(file)
    assert (line["version"], line["commit"], line["dirty"]) == ("7.7", "c" * 40, "False")
    assert told.stderr == ""


def test_code_that_differed_from_its_commit_is_said(file: Path) -> None:
    repro_("run", "mine")
    doctor(lambda r: say_code(r, commit="c" * 40, dirty=r["experiment"]["seed"] == 1))
    told = repro_("freeze", "mine")
    assert "differed from its commit" in told.stderr
    assert by_seed()[1].id in told.stderr
    assert by_seed()[0].id not in told.stderr
    assert {line["dirty"] for line in lines(file) if line["seed"] == "1"} == {"True"}
    assert {line["dirty"] for line in lines(file) if line["seed"] == "0"} == {"False"}


def test_a_start_by_code_that_differed_counts_though_the_last_did_not(file: Path) -> None:
    repro_("run", "mine", "--table", "2")

    def cut_off_once(record: dict[str, Any]) -> None:
        say_code(record, commit="c" * 40, dirty=False)
        record["attempts"].insert(0, record["attempts"][0] | {"dirty": True})

    doctor(cut_off_once)
    assert "differed from its commit" in repro_("freeze", "mine").stderr


def test_records_that_do_not_tell_of_memory_and_determinism_are_compared_and_frozen(
    file: Path,
) -> None:
    def older(record: dict[str, Any]) -> None:
        del record["peak_bytes"], record["environment"]["deterministic"], record["attempts"]

    repro_("run", "mine", "--table", "2")
    before = compared()
    doctor(older, sealing=False)
    assert compared() == before
    repro_("freeze", "mine")
    assert len(lines(file)) == 1


def test_smoke_runs_are_never_frozen(file: Path) -> None:
    repro_("run", "mine", "--smoke")
    repro_("run", "mine", "--smoke", "--model", "popularity")
    assert len(known()) > 0
    result = repro_("freeze", "mine", code=1)
    assert "there is no record for mine\n  repro run mine" in result.stderr
    assert not file.exists()
    repro_("run", "mine", "--table", "2")
    repro_("freeze", "mine")
    assert [line["table"] for line in lines(file)] == ["2"]


def test_without_a_record_nothing_is_frozen(file: Path) -> None:
    for asked in ([], ["--table", "1"]):
        result = repro_("freeze", "mine", *asked, code=1)
        assert "there is no record for mine" in result.stderr
        assert result.stdout == ""
    assert not file.parent.exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("freeze mime", "no paper is called 'mime'\n  did you mean mine?"),
        ("freeze mine --table 7", "no table of mine is called '7'"),
    ],
)
def test_what_does_not_exist_cannot_be_frozen(file: Path, command: str, said: str) -> None:
    assert said in repro_(*command.split(), code=1).stderr


def test_one_table_can_be_frozen_alone(file: Path) -> None:
    repro_("run", "mine")
    repro_("freeze", "mine", "--table", "2")
    assert {line["table"] for line in lines(file)} == {"2"}
    repro_("freeze", "mine", "--table", "1")
    assert {line["table"] for line in lines(file)} == {"1", "2"}


def test_records_elsewhere_can_be_frozen(file: Path, tmp_path: Path) -> None:
    repro_("run", "mine", "--table", "2", "--runs", str(tmp_path))
    repro_("freeze", "mine", code=1)
    repro_("freeze", "mine", "--runs", str(tmp_path))
    assert len(lines(file)) == 1


def test_freezing_again_replaces_the_same_cell_and_seed_and_keeps_the_others(file: Path) -> None:
    repro_("run", "mine", "--table", "1", "--seeds", "0")
    repro_("freeze", "mine")
    first = {(line["label"], line["seed"]): line for line in lines(file)}
    for record in paths.runs().glob(f"*/{records.FILE}"):
        record.unlink()
    repro_("run", "mine", "--table", "1", "--seeds", "1,2")
    repro_("freeze", "mine")
    second = {(line["label"], line["seed"]): line for line in lines(file)}
    assert len(lines(file)) == len(second) == 6
    assert all(second[place] == line for place, line in first.items())

    for old in known():
        with_hits(old, ~old.hits()[0])
    better = {seed: record.results for seed, record in by_seed().items()}
    repro_("freeze", "mine")
    third = {(line["label"], line["seed"]): line for line in lines(file)}
    assert len(lines(file)) == len(third) == 6
    for place, line in third.items():
        if place[1] == "0":
            assert line == second[place]
        else:
            assert float(line["value"]) == better[int(place[1])][line["metric"]].value
            assert line["value"] != second[place]["value"]


@pytest.mark.parametrize("command", ["compare", "freeze"])
def test_a_damaged_line_is_an_error_that_names_file_and_line(file: Path, command: str) -> None:
    repro_("run", "mine", "--table", "1")
    repro_("freeze", "mine")
    text = file.read_text().splitlines()
    file.write_text("\n".join([*text[:2], text[2].replace("True", "perhaps"), *text[3:], ""]))
    result = repro_(command, "mine", code=1)
    assert f"{file}, line 3" in result.stderr
    assert "Traceback" not in result.output


def test_compare_shows_the_frozen_number_beside_the_published_one_and_ours(file: Path) -> None:
    repro_("run", "mine", "--table", "1")
    before = compared("--table", "1")
    assert {cell["reference"] for cell in before} == {None}
    assert "reference" not in repro_("compare", "mine").stdout
    repro_("freeze", "mine")
    after = compared("--table", "1")
    kept = ("verdict", "marks", "seeds", "runs")
    assert after == [
        cell | {"reference": cell["ours"]} | {f"reference_{name}": cell[name] for name in kept}
        for cell in before
    ]

    first = after[0]
    shown = f"{first['reference']:.3f}"
    for form in ("markdown", "text"):
        text = repro_("compare", "mine", "--table", "1", "--format", form).stdout
        published, reference, ours = (
            next(n for n, line in enumerate(text.splitlines()) if word in line)
            for word in ("published", "reference", "ours")
        )
        assert published < reference < ours
        assert shown in text.splitlines()[reference]
    read = csv.DictReader(
        StringIO(repro_("compare", "mine", "--table", "1", "--format", "csv").stdout)
    )
    assert [line["reference"] for line in read] == [repr(cell["reference"]) for cell in after]


def forget_runs() -> None:
    for record in paths.runs().glob(f"*/{records.FILE}"):
        record.unlink()


def test_compare_shows_the_frozen_number_where_there_is_no_run_here(file: Path) -> None:
    repro_("run", "mine", "--table", "2")
    (cell,) = compared("--table", "2")
    repro_("freeze", "mine")
    forget_runs()
    (alone,) = compared("--table", "2")
    assert alone["reference"] == cell["ours"]
    assert (alone["ours"], alone["verdict"], alone["published"]) == (None, "unrun", "0.5")
    for form in ("markdown", "text"):
        text = repro_("compare", "mine", "--table", "2", "--format", form).stdout
        (line,) = (line for line in text.splitlines() if "reference" in line)
        assert f"{cell['ours']:.2f}" in line
        assert "published  " in text
        assert "published (unrun)" not in text  # beside a number that would mislead


def test_a_frozen_row_of_ours_is_shown_where_there_is_no_run_here(file: Path) -> None:
    repro_("run", "mine", "--table", "2", "--model", "ease", "--set", "l2=5")
    repro_("freeze", "mine")
    values = {cell["table"]: cell["ours"] for cell in compared() if cell["ours"] is not None}
    forget_runs()
    ours = {cell["table"]: cell for cell in compared() if cell["row"] == "ease [l2=5.0]"}
    assert ours["2"]["reference"] == values["2"]
    assert (ours["2"]["ours"], ours["2"]["verdict"], ours["2"]["published"]) == (None, "ours", "")
    for form in ("markdown", "text"):
        text = repro_("compare", "mine", "--table", "2", "--format", form).stdout
        (line,) = (line for line in text.splitlines() if "ease [l2=5.0] (own)" in line)
        assert "reference" in line
        assert f"{values['2']:.4f}" in line


def test_smoke_runs_are_not_shown_beside_frozen_numbers(file: Path) -> None:
    repro_("run", "mine", "--table", "2")
    repro_("freeze", "mine")
    repro_("run", "mine", "--table", "2", "--smoke")
    assert [cell["reference"] for cell in compared("--table", "2", "--smoke")] == [None]
    assert "reference" not in repro_("compare", "mine", "--table", "2", "--smoke").stdout


def test_frozen_numbers_are_the_records_to_the_last_bit(file: Path) -> None:
    repro_("run", "mine", "--table", "2")
    repro_("freeze", "mine")
    (record,) = known()
    (line,) = lines(file)
    value, error = record.results["recall@20"].value, record.results["recall@20"].standard_error
    assert (float(line["value"]), float(line["standard_error"])) == (value, error)
    forget_runs()
    assert [cell["reference"] for cell in compared("--table", "2")] == [value]


def test_counts_of_data_that_are_not_prepared_are_nothing_to_freeze(file: Path) -> None:
    counts = table("1", {"Users": "users"}, kind="statistics")
    text = paper(view(protocol=None), counts, row("Toy", published=["240"]))
    (file.parent.parent / "mine.toml").write_text(text)
    assert "there is no record for mine" in repro_("freeze", "mine", code=1).stderr


def test_nothing_is_frozen_into_an_installed_package(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repro_("run", "mine", "--table", "1")
    monkeypatch.setattr(paths, "is_installed", lambda path: path == file)
    refused = repro_("freeze", "mine", code=1).stderr
    assert f"{file} is in the installed package" in refused
    assert "pip install -e" in refused
    assert not file.exists()


def test_a_plug_in_of_ones_own_that_changed_is_told_and_marked(file: Path, write: Write) -> None:
    shipped = (SHIPPED.parent / "repro" / "models" / "popularity.py").read_text()
    write("models/level.py", shipped)
    asked = ("run", "mine", "--table", "2", "--model", "level")
    repro_(*asked)
    assert "earlier version" not in repro_(*asked).stderr
    assert {cell["marks"] for cell in compared("--table", "2") if cell["runs"]} == {""}
    write("models/level.py", shipped + "\n")
    assert (
        "1 of these records were made by an earlier version of your own plug-in"
        in repro_(*asked).stderr
    )
    assert {cell["marks"] for cell in compared("--table", "2") if cell["runs"]} == {"d"}


def test_a_file_that_a_plug_in_reads_and_that_changed_is_told_and_marked(
    file: Path, write: Write, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.txt"
    weights.write_text("1.0")
    write("models/level.py", level('weights: str = ""'))
    asked = ("run", "mine", "--table", "2", "--model", "level", "--set", f"weights={weights}")
    repro_(*asked)
    assert "earlier version" not in repro_(*asked).stderr
    for change in (lambda: weights.write_text("2.0"), weights.unlink):
        change()
        told = repro_(*asked).stderr
        assert "1 of these records were made by an earlier version of your own plug-in" in told
    marks = {cell["marks"] for cell in compared("--table", "2") if cell["runs"]}
    assert all("d" in one for one in marks)
