"""``repro figure``: drawn from records, with its numbers beside."""

from __future__ import annotations

import csv
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from builders import Write, papers
from builders.commands import repro_
from builders.models import model
from builders.papers import NDCG, figure, line, paper, table, view
from repro import paths
from repro.errors import ReproError
from repro.papers import library
from repro.results import frozen
from repro.runs import records

NET = {"hidden_dims": [8], "latent_dim": 4, "n_epochs": 5}
LAMBDA = {"label": "lambda", "param": "l2", "values": [5, 50]}
FIGURES = paper(
    view("toy", "toy/ratings", "random_split"),
    table(),
    papers.row("POP", "popularity"),
    figure("1", "curve", NDCG | {"loss": "loss:loss"}, every=2, seeds=[0, 1]),
    line("1", "narrow", "mult_vae", params=NET),
    line("1", "wide", "mult_vae", params=NET | {"hidden_dims": [16], "latent_dim": 8}),
    figure("2", "sweep", {"Recall@5": "recall@5"}, x=LAMBDA),
    line("2", "EASE", "ease"),
)


@pytest.fixture(autouse=True)
def mine(write: Write) -> Path:
    return write("tables/mine.toml", FIGURES)


def numbers(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_curve_has_every_look_of_every_line_and_seed(tmp_path: Path) -> None:
    repro_("run", "mine", "--figure", "1")
    repro_("figure", "mine", "1", "--to", str(tmp_path))
    rows = numbers(tmp_path / "mine-1.csv")
    looks = [row for row in rows if row["metric"] == "NDCG@10"]
    assert [float(row["x"]) for row in looks] == [1, 3, 5] * 4  # every second, and the last
    assert {(row["line"], row["seed"]) for row in looks} == {
        (line, seed) for line in ("narrow", "wide") for seed in "01"
    }
    losses = [row for row in rows if row["metric"] == "loss"]
    assert [float(row["x"]) for row in losses] == [1, 2, 3, 4, 5] * 4
    known = {record.id: record for record in records.load_all(paths.runs())}
    for row in looks:
        curve = known[row["experiment"]].curve[int(float(row["x"])) - 1]
        assert float(row["value"]) == curve["test"]["ndcg@10"]


def test_a_sweep_has_the_result_at_every_place_of_its_axis(tmp_path: Path) -> None:
    repro_("run", "mine", "--figure", "2")
    repro_("figure", "mine", "2", "--to", str(tmp_path))
    rows = numbers(tmp_path / "mine-2.csv")
    known = {record.id: record for record in records.load_all(paths.runs())}
    assert [float(row["x"]) for row in rows] == [5, 50]
    for row in rows:
        record = known[row["experiment"]]
        assert record.experiment.model.params["l2"] == float(row["x"])
        assert float(row["value"]) == record.results["recall@5"].value


def test_of_runs_on_several_versions_of_the_data_the_latest_is_drawn(tmp_path: Path) -> None:
    repro_("run", "mine", "--figure", "2")
    first = records.load(next(paths.runs().glob("*/record.json")).parent)
    hits, n_targets = first.hits()
    for digest, year in {"0" * 64: "2999", "f" * 64: "1999"}.items():
        id = first.experiment.id(digest)
        began = f"{year}-01-01T00:00:00+00:00"
        other = replace(first, id=id, digest=digest, began=began)
        records.save(paths.runs(), other, hits, n_targets)
    repro_("figure", "mine", "2", "--to", str(tmp_path))
    drawn = {row["experiment"] for row in numbers(tmp_path / "mine-2.csv")}
    assert len(drawn) == 2
    assert first.experiment.id("0" * 64) in drawn


def test_the_drawing_comes_as_png_and_svg(tmp_path: Path) -> None:
    repro_("run", "mine", "--figure", "2")
    shown = repro_("figure", "mine", "2", "--to", str(tmp_path / "figures"))
    assert "2 points" in shown.stdout
    assert (tmp_path / "figures" / "mine-2.png").read_bytes().startswith(b"\x89PNG")
    root = ET.fromstring((tmp_path / "figures" / "mine-2.svg").read_text())
    assert root.tag.endswith("svg")


def test_frozen_points_are_drawn_where_there_is_no_record(mine: Path, tmp_path: Path) -> None:
    repro_("run", "mine", "--figure", "1", "--row", "narrow")
    shown = repro_("freeze", "mine", "--figure", "1")
    kept = mine.parent / "reference" / "figures" / "mine-1.csv"
    assert "16 points of 2 runs" in shown.stdout  # 3 looks and 5 losses of each
    before = kept.read_bytes()
    shutil.rmtree(paths.runs())
    repro_("run", "mine", "--figure", "1", "--row", "wide")
    drawn = repro_("figure", "mine", "1", "--to", str(tmp_path))
    assert "drawn from tables/reference, 2 runs: narrow (seeds 0, 1) on Toy\n" in drawn.stderr
    assert "not drawn" not in drawn.stderr
    own = [row for row in numbers(tmp_path / "mine-1.csv") if row["line"] == "narrow"]
    assert own == numbers(kept)
    repro_("freeze", "mine", "--figure", "1")
    assert set(before.splitlines()) < set(kept.read_bytes().splitlines())
    kept.write_text(kept.read_text().replace('"narrow",', '"narrow","more",', 1))
    broken = repro_("figure", "mine", "1", "--to", str(tmp_path), code=1)
    assert f"{kept}, line 2" in broken.stderr


def test_frozen_points_of_a_sweep_have_their_place_on_the_axis(tmp_path: Path) -> None:
    repro_("run", "mine", "--figure", "2")
    repro_("freeze", "mine", "--figure", "2")
    every = records.load_all(paths.runs())
    (gone,) = (one.id for one in every if one.experiment.model.params["l2"] == 5)
    shutil.rmtree(paths.runs() / gone)
    shown = repro_("figure", "mine", "2", "--to", str(tmp_path))
    assert "drawn from tables/reference, 1 run: EASE at 5 (seed 0) on Toy\n" in shown.stderr
    assert [float(row["x"]) for row in numbers(tmp_path / "mine-2.csv")] == [5, 50]


def test_a_point_of_a_figure_is_not_frozen_as_a_row(mine: Path) -> None:
    mine.write_text(FIGURES.replace('"recall@5"', '"ndcg@10"'))  # all that the table shows
    repro_("run", "mine", "--figure", "2")
    repro_("run", "mine", "--model", "ease", "--set", "l2=7")
    assert "ease [l2=50.0] (own)" in repro_("compare", "mine").stdout
    repro_("freeze", "mine", "--table", "1")
    assert {row.row for row in frozen.load("mine")} == {"ease [l2=7.0]"}


def test_what_has_no_record_or_is_two_things_is_not_frozen() -> None:
    assert "there is no record" in repro_("freeze", "mine", "--figure", "1", code=1).stderr
    both = repro_("freeze", "mine", "--figure", "1", "--table", "1", code=1)
    assert "exclude each other" in both.stderr


def test_lines_without_a_record_are_named_and_left_out(tmp_path: Path) -> None:
    repro_("run", "mine", "--figure", "1", "--row", "narrow")
    shown = repro_("figure", "mine", "1", "--to", str(tmp_path))
    assert "not drawn, 2 runs: wide (seeds 0, 1) on Toy: no record\n" in shown.stderr
    assert {row["line"] for row in numbers(tmp_path / "mine-1.csv")} == {"narrow"}


def test_without_any_record_the_command_that_makes_them_is_told() -> None:
    refused = repro_("figure", "mine", "1", code=1)
    assert "repro run mine --figure 1" in refused.stderr


def test_a_smoke_run_is_drawn_only_where_asked_and_says_so(tmp_path: Path) -> None:
    repro_("run", "mine", "--figure", "2", "--smoke")
    repro_("figure", "mine", "2", "--to", str(tmp_path), code=1)
    repro_("figure", "mine", "2", "--smoke", "--to", str(tmp_path))
    assert "smoke" in (tmp_path / "mine-2-smoke.svg").read_text()


def test_figures_are_no_tables() -> None:
    assert "0.5" in repro_("compare", "mine").stdout
    assert "figure" not in repro_("compare", "mine").stdout.lower()
    assert list(library.load("mine").tables) == ["1"]


def test_an_unknown_figure_is_an_error() -> None:
    assert "no figure of mine is called '3'" in repro_("figure", "mine", "3", code=1).stderr
    assert (
        "no figure of mine is called '3'" in repro_("run", "mine", "--figure", "3", code=1).stderr
    )


def test_a_sweep_without_an_axis_is_refused(mine: Path) -> None:
    mine.write_text(FIGURES.replace('kind = "curve"', 'kind = "sweep"'))
    with pytest.raises(ReproError, match=r"figures\.1: a sweep needs an x axis"):
        library.load("mine")


def test_a_parameter_that_the_model_does_not_have_is_refused(mine: Path) -> None:
    mine.write_text(FIGURES.replace('param = "l2"', 'param = "l3"'))
    with pytest.raises(ReproError, match="l3"):
        library.load("mine")


BARS = (
    figure("3", "bars", seeds=[0, 1]) + line("3", "POP", "popularity") + line("3", "EASE", "ease")
)
NOISY = {"name": "leave_one_out", "noise": [0.25, 4.0], "noise_draws": 2}
AXIS = {"label": "noise", "cases": "noise", "values": [0.25, 4.0]}
NOISE = (
    view("noisy", "toy/leave_one_out", NOISY)
    + figure("3", "sweep", groups=["noisy"], x=AXIS)
    + line("3", "EASE", "ease", group="noisy")
)


def test_bars_are_one_number_for_each_line_and_seed(mine: Path, tmp_path: Path) -> None:
    mine.write_text(FIGURES + BARS)
    repro_("run", "mine", "--figure", "3")
    repro_("figure", "mine", "3", "--to", str(tmp_path))
    rows = numbers(tmp_path / "mine-3.csv")
    assert [(row["line"], row["seed"]) for row in rows] == [
        (line, seed) for line in ("POP", "EASE") for seed in "01"
    ]
    known = {record.id: record for record in records.load_all(paths.runs())}
    for row in rows:
        assert float(row["value"]) == known[row["experiment"]].results["ndcg@10"].value


SHORT = {"n_epochs": 2}
PARTS = (
    figure("3", "bars")
    + line("3", "users", "mvae", part="uVAE", params=SHORT)
    + line("3", "both", "mvae", params=SHORT)
)


def test_parts_of_a_model_are_drawn_from_the_one_run_of_the_whole(
    mine: Path, tmp_path: Path
) -> None:
    mine.write_text(FIGURES + PARTS)
    repro_("run", "mine", "--figure", "3")
    repro_("figure", "mine", "3", "--to", str(tmp_path))
    part, whole = numbers(tmp_path / "mine-3.csv")
    (record,) = records.load_all(paths.runs())
    assert part["experiment"] == whole["experiment"] == record.id
    assert float(part["value"]) == record.curve[-1]["uVAE"]["ndcg@10"]
    assert float(whole["value"]) == record.results["ndcg@10"].value
    assert set(record.curve[-1]) >= {"uVAE", "iVAE"}


def test_only_bars_are_of_parts(mine: Path) -> None:
    mine.write_text(FIGURES + PARTS.replace('"bars"', '"curve"'))
    with pytest.raises(ReproError, match=r"figures\.3: only bars can show parts"):
        library.load("mine")


def test_one_run_is_asked_at_every_level_of_noise_and_more_noise_hurts(
    mine: Path, tmp_path: Path
) -> None:
    mine.write_text(FIGURES + NOISE)
    repro_("run", "mine", "--figure", "3")
    repro_("figure", "mine", "3", "--to", str(tmp_path))
    low, high = numbers(tmp_path / "mine-3.csv")
    assert low["experiment"] == high["experiment"]
    (record,) = records.load_all(paths.runs())
    clean = record.results["ndcg@10"].value
    assert clean > float(low["value"]) > float(high["value"])
    assert float(low["value"]) == record.curve[-1]["noise 0.25"]["ndcg@10"]


@pytest.mark.parametrize("axis", ['param = "l2", cases = "noise", ', ""])
def test_an_axis_is_of_a_parameter_or_of_cases(mine: Path, axis: str) -> None:
    mine.write_text((FIGURES + NOISE).replace('cases = "noise", ', axis))
    with pytest.raises(ReproError, match="needs either param or cases"):
        library.load("mine")


PLACED = model(
    "Placed",
    """
    def epochs(self, train, run):
        class Net:
            def score(self, queries):
                width = train.n_items if queries.candidates is None else queries.candidates.shape[1]
                return torch.zeros(len(queries), width)

            def embeddings(self):
                users = torch.rand(train.n_users, 4)
                users[::2] += 20
                return {"users": users, "items": torch.rand(train.n_items, 4)}

        yield Net()
""",
    "import torch",
)

PICTURE = (
    figure("3", "picture", {"users": "embedding:users"})
    + line("3", "placed", "placed")
    + line("3", "POP", "popularity")
)


def test_a_picture_shows_every_row_and_numbers_beside(
    mine: Path, write: Write, tmp_path: Path
) -> None:
    write("models/placed.py", PLACED)
    mine.write_text(FIGURES + PICTURE)
    repro_("run", "mine", "--figure", "3")
    shown = repro_("figure", "mine", "3", "--to", str(tmp_path))
    assert "not drawn, 1 run: POP (seed 0) on Toy: has no vectors" in shown.stderr
    rows = numbers(tmp_path / "mine-3.csv")
    found = {record.experiment.model.name: record for record in records.load_all(paths.runs())}
    assert len(rows) == len(found["placed"].embeddings()["users"])
    assert found["popularity"].embeddings() == {}
    odd, even = ({row["cluster"] for row in rows[k::2]} for k in (1, 0))
    assert not odd & even
    (beside,) = numbers(tmp_path / "mine-3-numbers.csv")
    assert float(beside["variance between clusters"]) > 0.9


def test_a_picture_shows_vectors_and_nothing_else_does(mine: Path) -> None:
    mine.write_text(FIGURES + PICTURE.replace('"picture"', '"bars"'))
    with pytest.raises(ReproError, match="a picture shows only embedding:users"):
        library.load("mine")


TINY = NET | SHORT
VALID = (
    view("held", "toy/leave_one_out", "leave_one_out")
    + figure("3", "curve", {"loss": "loss:loss"}, groups=["held"])
    + line("3", "one", "mult_vae", group="held", params=TINY)
    + figure("4", "curve", groups=["held"], cases="valid")
    + line("4", "the same", "mult_vae", group="held", params=TINY)
)


def test_a_run_that_another_figure_asked_for_is_run_again_if_it_lacks_something(
    mine: Path, tmp_path: Path
) -> None:
    mine.write_text(FIGURES + VALID)
    repro_("run", "mine", "--figure", "3")
    shown = repro_("figure", "mine", "4", "--to", str(tmp_path), code=1)
    assert "the same (seed 0) on Held: lacks some NDCG@10" in shown.stderr
    assert "1 to run" in repro_("run", "mine", "--figure", "4").stderr
    repro_("figure", "mine", "4", "--to", str(tmp_path))
    assert len(numbers(tmp_path / "mine-4.csv")) == 2
    for number in "34":
        assert "0 to run" in repro_("run", "mine", "--figure", number).stderr


def test_a_level_of_noise_that_was_not_asked_is_named(mine: Path, tmp_path: Path) -> None:
    mine.write_text((FIGURES + NOISE).replace("values = [0.25, 4.0]", "values = [0.25, 0.5]"))
    repro_("run", "mine", "--figure", "3")
    shown = repro_("figure", "mine", "3", "--to", str(tmp_path))
    assert "lacks some NDCG@10" in shown.stderr
    assert len(numbers(tmp_path / "mine-3.csv")) == 1
