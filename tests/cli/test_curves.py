"""``repro figure`` draws learning curves of any records."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from builders.commands import known, repro_

SHORT = ["--set", "n_epochs=3"]


@pytest.fixture(autouse=True)
def ran() -> None:
    repro_("run", "toy", "--table", "1", "--row", "Mult-VAE", "--view", "split", *SHORT)
    repro_("run", "toy", "--table", "1", "--row", "EASE", "--view", "split")


def numbers(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_record_is_drawn_by_its_id(tmp_path: Path) -> None:
    record = next(one for one in known() if one.experiment.model.name == "mult_vae")
    shown = repro_("figure", "--run", record.id[:8], "--metric", "ndcg@10", "--to", str(tmp_path))
    stem = tmp_path / f"curve-{record.id}"
    assert f"{stem}.png, .svg, .pdf and .csv" in shown.stdout
    cases = "valid" if record.experiment.selection.cases == "valid" else "test"
    expected = [(e["epoch"], e[cases]["ndcg@10"]) for e in record.curve if cases in e]
    rows = numbers(stem.with_suffix(".csv"))
    assert [(float(row["x"]), float(row["value"])) for row in rows] == expected
    assert {row["experiment"] for row in rows} == {record.id}


def test_rows_of_a_table_are_drawn_together_and_a_loss_too(tmp_path: Path) -> None:
    asked = ["figure", "toy", "--table", "1", "--to", str(tmp_path)]
    repro_(*asked, "--row", "Mult-VAE", "--row", "EASE", "--cases", "test")
    (file,) = tmp_path.glob("curve-toy-1-*.csv")
    assert len({row["line"] for row in numbers(file)}) == 2
    record = next(one for one in known() if one.experiment.model.name == "mult_vae")
    loss = next(iter(record.curve[0]["losses"]))
    shown = repro_(*asked, "--row", "Mult-VAE", "--metric", f"loss:{loss}")
    assert shown.stderr == ""
    rows = numbers(tmp_path / f"curve-{record.id}.csv")
    assert [float(r["value"]) for r in rows] == [e["losses"][loss] for e in record.curve]


def test_a_record_that_lacks_it_is_named_in_a_line(tmp_path: Path) -> None:
    record = next(one for one in known() if one.experiment.model.name == "mult_vae")
    loss = f"loss:{next(iter(record.curve[0]['losses']))}"
    shown = repro_("figure", "toy", "--table", "1", "--metric", loss, "--to", str(tmp_path))
    assert shown.stderr.startswith("not drawn: EASE, seed 0 (")
    assert shown.stderr.count("\n") == 1


def test_what_cannot_be_drawn_is_an_error() -> None:
    for asked, said in (
        ([], "which figure?"),
        (["toy"], "which figure?"),
        (["toy", "1", "--row", "EASE"], "which figure?"),
        (["--run", "zz"], "no record is called 'zz'"),
        (["toy", "--row", "EASE", "--metric", "ndgc@10"], "no curve of these records"),
        (["toy", "--row", "EASE", "--cases", "tset"], "did you mean test"),
    ):
        assert said in repro_("figure", *asked, code=1).stderr
