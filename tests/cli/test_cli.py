"""The command line as people type it: on toy data, offline."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import repro
from builders import Write, papers
from builders.commands import json_of, known, repro_
from builders.manifests import BY_HAND, box, sha256
from builders.models import breaking, level, model
from builders.papers import BOTH, at, table, view
from repro import paths
from repro.cli import app, progress
from repro.errors import EXIT_CODES, ReproError
from repro.experiment import Spec
from repro.results import frozen
from repro.runs import records

COMMANDS = [
    "list",
    "show",
    "fetch",
    "run",
    "status",
    "compare",
    "audit",
    "figure",
    "freeze",
    "clean",
]

BREAKING = breaking('raise ValueError("negative dimensions are not allowed")')

GROWS = """
    n_epochs: int = 2

    def epochs(self, train, run):
        for epoch in run.epochs(self.n_epochs):
            run.log(loss=float("nan") if epoch else float("inf"))
            yield self

    def score(self, queries):
        return torch.arange(float(queries.history.n_items)).repeat(len(queries), 1)
"""
DRIFTING = model("Drifting", GROWS, "import torch")

FIRST_HALF = '''
"""First half: train on the first half of every list, ask for the rest."""

from dataclasses import dataclass

import numpy as np

from repro.split import Cases, Split


@dataclass(frozen=True, kw_only=True)
class FirstHalf:
    """Ask for the second half."""

    def split(self, dataset):
        rows = dataset.interactions
        train = rows.where(rows.position < rows.counts[rows.user] // 2)
        test = rows.where(rows.position >= rows.counts[rows.user] // 2)
        return Split(train, None, Cases.of(np.arange(rows.n_users), train, test))


PROTOCOL = FirstHalf
'''

LISTS = "".join(f"{u},{(u + step) % 9}\n" for u in range(12) for step in range(6))

EXACT = model("Exact", "\n    size: int\n    rate: float = 0.5\n")


def paper(*rows: str, dataset: str = "toy/split", protocol: str = "given_split") -> str:
    return papers.paper(view("toy", dataset, protocol), table("1", BOTH), *rows)


row = partial(papers.row, published=["0.5", "0.5"])


def compared(*arguments: str) -> list[dict[str, Any]]:
    return json_of("compare", *arguments)


def test_fetch_then_run_then_compare() -> None:
    shown = repro_("fetch", "toy").stdout
    assert "view toy/split" in shown
    assert "min_items_per_user = 5" in shown

    ran = repro_("run", "toy", "--row", "POP")
    assert ran.stdout == ""
    assert "4 to run, 0 have a record already" in ran.stderr
    assert "4 finished, 0 refused, 0 failed" in ran.stderr

    text = repro_("compare", "toy").stdout
    assert text.startswith("### toy, Table 1")
    assert "published (unrun)" in text
    pop = [cell for cell in compared("toy") if cell["row"] == "POP"]
    assert len(pop) == 8
    assert {cell["verdict"] for cell in pop} == {"exact"}
    assert all(cell["ours"] > 0 for cell in pop)


def test_what_has_a_record_is_not_run_again_unless_forced() -> None:
    command = ["run", "toy", "--table", "1", "--row", "pop"]
    repro_(*command)
    before = known()
    assert "0 to run, 2 have a record already" in repro_(*command).stderr
    assert known() == before
    assert "2 to run, 0 have a record already" in repro_(*command, "--force").stderr
    assert [record.results for record in known()] == [record.results for record in before]


def test_a_dry_run_only_tells() -> None:
    command = ["run", "toy", "--table", "1", "--row", "EASE", "--view", "split"]
    told = repro_(*command, "--dry-run").stdout
    assert "to run" in told
    assert "ease(l2=50.0)" in told
    assert "toy/split, given_split(leaked=keep, holdout_valid=False)" in told
    assert not paths.home().exists()
    repro_(*command)
    (record,) = known()
    assert f"done {record.id}" in repro_(*command, "--dry-run").stdout


def test_a_hyper_parameter_can_be_set_and_makes_a_row_of_ours() -> None:
    repro_("run", "toy", "--table", "1", "--row", "EASE", "--view", "split", "--set", "l2=5")
    (record,) = known()
    assert record.experiment.model == Spec("ease", {"l2": 5.0})
    cells = [cell for cell in compared("toy", "--table", "1") if cell["ours"]]
    assert {(cell["row"], cell["origin"]) for cell in cells} == {("ease [l2=5.0]", "other")}
    assert {cell["verdict"] for cell in cells} == {"ours"}


@pytest.mark.parametrize("dims", ["[8, 4]", "(8, 4)", "8,4"])
def test_a_hyper_parameter_can_be_set_as_it_is_shown(dims: str) -> None:
    assert "gamma_cap: float | None = None" in repro_("show", "mult_vae").stdout
    which = ["toy", "--row", "Mult-VAE", "--view", "split"]
    settings = [f"hidden_dims={dims}", "gamma_cap=None", "optimizer=sgd"]
    told = repro_("run", *which, *(part for s in settings for part in ("--set", s)), "--dry-run")
    assert "mult_vae(hidden_dims=[8, 4], " in told.stdout
    assert "gamma_cap=None, optimizer=sgd, " in told.stdout


def test_seeds_are_runs_of_their_own_shown_with_their_spread() -> None:
    repro_("run", "toy", "--table", "1", "--row", "Random", "--seeds", "3,4,5")
    assert {record.experiment.seed for record in known()} == {3, 4, 5}
    cell = next(cell for cell in compared("toy", "--table", "1") if cell["ours"])
    assert cell["seeds"] == 3
    assert cell["spread"] > 0
    assert " ± " in repro_("compare", "toy", "--table", "1").stdout


def test_rows_are_compared_user_by_user_with_the_one_that_is_named() -> None:
    repro_("run", "toy", "--table", "1", "--row", "EASE", "--view", "split")
    repro_("run", "toy", "--table", "1", "--row", "POP", "--view", "split")
    asked = repro_("compare", "toy", "--table", "1", "--against", "EASE").stdout
    (line,) = re.findall(r"^- POP minus EASE, user by user .*$", asked, re.M)
    cells = [cell for cell in compared("toy", "--table", "1") if cell["label"] == "NDCG@10"]
    values = {cell["row"]: cell["ours"] for cell in cells if cell["ours"] is not None}
    said = re.search(r"NDCG@10 ([+-]\d\.\d+) ± \d\.\d+", line)
    assert said is not None
    assert float(said[1]) == pytest.approx(values["POP"] - values["EASE"], abs=1e-4)
    assert "minus" not in repro_("compare", "toy", "--table", "1").stdout
    wrong = repro_("compare", "toy", "--against", "EAES", code=1).stderr
    assert "no row is called 'EAES'" in wrong


def test_against_a_row_that_a_table_lacks_shows_no_pair_of_that_table(write: Write) -> None:
    one = table() + papers.row("A", "popularity") + papers.row("B", "random")
    two = table("2") + papers.row("C", "ease", table="2")
    claim = papers.claim(tables=["1"], pairs=[["A", "B"]])
    write("tables/mine.toml", papers.paper(view(), one, two, claim))
    repro_("run", "mine")
    assert "A minus B" in repro_("compare", "mine").stdout
    against = repro_("compare", "mine", "--against", "C")
    assert "minus" not in against.stdout
    assert "nothing to" in against.stderr


def test_a_model_under_a_papers_protocol_is_a_row_of_ours() -> None:
    repro_("run", "toy", "--table", "2", "--model", "ease")
    cells = [cell for cell in compared("toy", "--table", "2") if cell["ours"] is not None]
    assert [(cell["row"], cell["verdict"]) for cell in cells] == [("ease", "ours")] * 2
    assert "| ease (own) | yours" in repro_("compare", "toy", "--table", "2").stdout


def test_a_smoke_run_goes_through_and_never_passes_for_a_real_one() -> None:
    repro_("run", "acvae", "--table", "2", "--row", "POP", "--smoke")
    assert known()
    for record in known():
        assert record.experiment.smoke
        assert record.experiment.dataset == "toy/ratings"

    def verdicts(*options: str) -> set[tuple[str, bool]]:
        cells = compared("acvae", "--table", "2", *options)
        printed = [cell for cell in cells if cell["row"] == "POP" and cell["published"]]
        return {(cell["verdict"], "s" in cell["marks"]) for cell in printed}

    assert verdicts() == {("unrun", False)}
    assert verdicts("--smoke") == {("smoke", True)}


def test_a_smoke_run_leaves_out_and_names_what_has_no_model_or_recipe(write: Write) -> None:
    quoted = row("Quoted", "popularity").replace('model = "popularity"', 'quoted_from = "them"')
    write("tables/mine.toml", paper(row("POP", "popularity"), row("Later", "later"), quoted))
    told = repro_("run", "mine", "--smoke", "--dry-run").stdout
    left_out = {line.split("|")[1].strip() for line in told.splitlines() if "left out" in line}
    assert left_out == {"Later", "Quoted"}


def test_a_smoke_run_of_all_papers_with_one_model_has_no_other() -> None:
    told = repro_("run", "--smoke", "--model", "ease", "--dry-run").stdout
    rows = [line.split("|")[1].strip() for line in told.splitlines() if "to run" in line]
    assert set(rows) == {"ease"}
    protocols = ("sequential_split", "leave_one_out", "strong_generalization", "given_split")
    assert len(rows) == len(protocols)
    assert all(f", {protocol}(" in told for protocol in protocols)


def test_of_all_papers_those_that_have_a_table_are_run() -> None:
    command = ["run", "--smoke", "--model", "ease", "--dry-run"]
    told = repro_(*command, "--table", "II").stdout
    papers = {line.split()[2] for line in told.splitlines() if "to run" in line}
    assert papers == {"multvae_ablation", "mvae"}
    assert "no table is called '99'" in repro_(*command, "--table", "99", code=1).stderr


def test_on_a_narrow_terminal_the_name_of_a_run_gives_way_to_its_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = StringIO()
    narrow = Console(file=shown, width=60, force_terminal=True)
    monkeypatch.setattr(progress, "Console", lambda **_: narrow)
    with progress.Runs(3) as watch:
        watch.begin("mvae II | MVAE, R' as target | Movielens1M | seed 0")("train", 171, 200)
    assert "mvae II | MVAE, R' as" in shown.getvalue()
    assert "171/200" in shown.getvalue()


def test_a_run_whose_epochs_are_not_known_yet_shows_no_number_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = StringIO()
    wide = Console(file=shown, width=100, force_terminal=True)
    monkeypatch.setattr(progress, "Console", lambda **_: wide)
    with progress.Runs(3) as watch:
        report = watch.begin("a run")
        watch.say("reading data")
        report("train", 22, 50)
    assert "/?" not in shown.getvalue()
    assert "22/50" in shown.getvalue()


def test_runs_can_lie_elsewhere(tmp_path: Path) -> None:
    repro_("run", "toy", "--table", "1", "--row", "POP", "--runs", str(tmp_path / "mine"))
    assert known() == []
    assert len(list(records.load_all(tmp_path / "mine"))) == 2
    shown = repro_("compare", "toy", "--json", "--runs", str(tmp_path / "mine")).stdout
    assert sum(cell["ours"] is not None for cell in json.loads(shown)) == 4


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("papers", {"sevae", "mvae", "toy"}),
        ("datasets", {"ml-20m", "toy"}),
        ("models", {"ease", "mult_vae"}),
        ("protocols", {"leave_one_out"}),
        ("metrics", {"ndcg@K", "f1_of_means@K"}),
    ],
)
def test_everything_can_be_listed(kind: str, names: set[str]) -> None:
    text = repro_("list", kind).stdout
    assert names <= set(text.split())
    rows = json_of("list", kind)
    key = {"models": "name", "protocols": "name"}.get(kind, kind.removesuffix("s"))
    assert names <= {row[key] for row in rows}


def test_the_list_of_papers_names_their_tables_and_figures() -> None:
    listed = {row["paper"]: row for row in json_of("list", "papers")}
    assert (listed["toy"]["tables"], listed["toy"]["figures"]) == (["1", "2", "3"], ["1", "2"])


def test_the_list_of_results_tells_how_much_is_kept_and_who_is_ahead() -> None:
    listed = json_of("list", "results")
    (row,) = (r for r in listed if (r["paper"], r["data"]) == ("mvae", "Movielens1M"))
    kept = [r for r in frozen.load("mvae") if r.group == "Movielens1M" and r.table == "II"]
    own = {r.row for r in kept if r.origin == "paper"}
    assert (row["rows"], row["rows_printed"]) == (len(own), 8)
    assert sum(row["verdicts"].values()) == 6 * len(own)
    (lead,) = row["ahead_printed"]
    assert (lead["name"]["row"], lead["columns"]) == ("MVAE", 6)
    best = max((r for r in kept if r.label == "NDCG@10"), key=lambda r: r.value).row
    assert best in {lead["name"]["row"] for lead in row["ahead_with_added"]}


def test_the_list_of_results_says_where_only_rows_of_ours_are_kept() -> None:
    listed = json_of("list", "results")
    (row,) = (r for r in listed if r["data"] == "MovieLens 100K, ties as in the file, ours")
    kept = {r.row for r in frozen.load("dave") if r.group == row["data"]}
    assert (row["rows"], row["added_rows"]) == (0, len(kept))
    assert row["added_view"]
    assert not [r for r in listed if not r["rows"] + r["added_rows"]]


def test_the_list_of_datasets_tells_what_is_here() -> None:
    def state() -> str:
        rows = json_of("list", "datasets")
        return next(row["here"] for row in rows if row["dataset"] == "toy")

    assert state() == "no"
    repro_("fetch", "toy")
    assert state() == "verified"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sevae", ["0.319", "Views:", "ml-20m/liang2018", "Table 4:"]),
        (
            "ml-20m",
            ["terms: research use", "liang2018", "not in the cache"],
        ),
        ("mult_vae", ["latent_dim: int = 200", "Liang et al."]),
        ("leave_one_out", ["negatives: int = 99", "He et al. 2017"]),
    ],
)
def test_one_of_them_can_be_shown(name: str, words: list[str]) -> None:
    text = repro_("show", name).stdout
    for word in words:
        assert word in text
    assert json_of("show", name)


def test_one_table_can_be_shown() -> None:
    text = repro_("show", "dave", "--table", "2").stdout
    assert "Table 2:" in text
    assert "Table 4:" not in text
    assert json_of("show", "dave", "--table", "2")["tables"].keys() == {"2"}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("run sevea", "no paper is called 'sevea'\n  did you mean sevae?"),
        ("run", "which paper?"),
        ("run toy --table 7", "no table of toy is called '7'\n  available: 1, 2, 3"),
        ("run toy --row POPP", "no row is called 'POPP'\n  did you mean POP?"),
        ("run toy --view splitt", "no view is called 'splitt'\n  did you mean split?"),
        ("run toy --row EASE --set l3=5", "no parameter of the selected rows is called 'l3'"),
        ("run toy --row EASE --set l3=5", "did you mean l2?"),
        ("run toy --row EASE --set l2", "--set 'l2' is not KEY=VALUE"),
        ("run toy --row EASE --set l2=1 --set l2=2", "--set gives l2 twice: 1 and 2"),
        ("run toy --row BPR --set n_epochs=0", "--set: bpr needs an epoch, got n_epochs=0"),
        ("run toy --row Mult-VAE --set hidden_dims=[]", "must be at least one number, got []"),
        ("run toy --row POP --model ease", "--row 'POP' and --model exclude each other"),
        ("run toy --row EASE --set l2=big", "--set: l2 of ease must be a number, got 'big'"),
        ("run toy --model eas", "no model is called 'eas'\n  did you mean ease?"),
        ("run toy --row NeuMF --view split", "row 'NeuMF' has no numbers under view 'split'"),
        ("run toy --view xxx", "available: Toy, 99 negatives; Toy, future; Toy, given split;"),
        ("run toy --view toy/spli", "no view is called 'toy/spli'\n  did you mean toy/split?"),
        ("run toy --figure 1 --table 3", "--figure and --table exclude each other"),
        ("run acvae --table 1", "there is nothing to run in table 1 of acvae\n  repro compare"),
        ("run acvae --table 1 --row POP", "there is nothing to run in table 1 of acvae"),
        ("run toy --row EASE --set l2=nan", "--set: l2 of ease must be a number, got 'nan'"),
        ("run toy --row EASE --set l2=None", "--set: l2 of ease must be a number, got None"),
        ("run toy --seeds 1,two", "--seeds '1,two' does not name seeds"),
        ("run toy --seeds 3..1", "--seeds '3..1' does not name seeds"),
        (
            "run toy --seeds 4294967296",
            "does not name seeds\n  as in 0,1,2 or 0..4; below 4,294,967,296",
        ),
        ("run toy --seeds 0..1000000000", "--seeds '0..1000000000' does not name seeds"),
        ("fetch to", "no dataset is called 'to'\n  did you mean toy?"),
        ("show mult_va", "is called 'mult_va'\n  did you mean mult_vae?"),
        ("show sevae --table 9", "no table of sevae is called '9'"),
        ("compare sevea", "no paper is called 'sevea'"),
        ("compare toy --table IX", "no table of toy is called 'IX'"),
        ("compare --table 99", "no table is called '99'"),
        ("compare acvae dave --table 99", "no table is called '99'\n  available: 1, 2, 4, 5"),
        ("run dave --table 2 --model ease", "there is nothing to run in table 2 of dave"),
        ("show xxx", "available: acae, acvae, acvae-ml-10m,"),  # of two acvaes one
    ],
)
def test_what_does_not_exist_is_an_error_with_a_suggestion(command: str, said: str) -> None:
    result = repro_(*command.split(), code=1)
    assert said in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output
    assert known() == []


@pytest.mark.parametrize(
    "command",
    [
        "runn",
        "list cars",
        "run toy --tabel 1",
        "run toy --threads -1",
        "compare --format x",
        "compare --runs nowhere",
    ],
)
def test_a_command_that_is_not_understood_exits_2(command: str) -> None:
    assert repro_(*command.split(), code=2).stderr


@pytest.mark.parametrize(
    ("variable", "command"),
    [
        ("REPRO_HOME", "fetch toy"),
        ("REPRO_HOME", "run toy --row POP"),
        ("REPRO_RUNS", "run toy --row POP"),
    ],
)
def test_a_folder_that_cannot_be_one_is_named_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, command: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    said = repro_(*command.split(), code=1).stderr
    assert f"no file can be written in {tmp_path / 'file'}" in said
    assert f"name another folder in {variable}" in said


def test_without_the_device_that_was_asked_for_nothing_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = repro_("run", "toy", "--row", "POP", "--device", "cuda", code=1)
    assert "error: no CUDA device is available\n  use --device cpu" in result.stderr
    assert not list(paths.runs().glob("*/failure.json"))


def test_a_record_whose_hits_are_damaged_is_named_where_they_are_needed() -> None:
    repro_("run", "toy", "--table", "1", "--view", "split", "--row", "POP")
    repro_("run", "toy", "--table", "1", "--view", "split", "--row", "EASE")
    file = paths.runs() / known()[0].id / records.HITS
    file.write_bytes(file.read_bytes()[:200])
    assert "verdict" in repro_("compare", "toy", "--table", "1").stdout
    said = repro_("compare", "toy", "--table", "1", "--against", "EASE").stderr
    assert f"damaged: {file} is not the file that was saved with its record" in said
    file.unlink()
    said = repro_("compare", "toy", "--table", "1", "--against", "EASE").stderr
    assert f"damaged: {file} cannot be read: " in said


def test_debug_shows_where_an_error_arose() -> None:
    result = CliRunner().invoke(app, ["--debug", "run", "sevea"])
    assert isinstance(result.exception, ReproError)


@pytest.mark.parametrize(
    ("model", "text", "params", "said"),
    [
        ("impolite", BREAKING, {}, "the wheels came off"),
        ("abrupt", BREAKING, {"how": "suddenly"}, "ValueError: negative dimensions"),
        (
            "diverged",
            level().replace("self.value", "torch.nan"),
            {},
            "diverged gave a score that is not a number",
        ),
        ("idle", level().replace("yield self", "yield from ()"), {}, "idle yielded no scorer"),
    ],
)
def test_a_run_that_fails_does_not_stop_the_others(
    write: Write, model: str, text: str, params: dict[str, str], said: str
) -> None:
    write(f"models/{model}.py", text)
    write("tables/mine.toml", paper(row("A", model, params=params), row("POP", "popularity")))
    result = repro_("run", "mine", code=4)
    assert said in result.stderr
    assert "1 finished, 0 refused, 1 failed" in result.stderr
    assert [record.experiment.model.name for record in known()] == ["popularity"]
    again = repro_("run", "mine", code=4)
    assert "1 to run, 1 have a record already" in again.stderr


def test_every_failure_keeps_its_own_traceback(write: Write) -> None:
    write("models/abrupt.py", BREAKING)
    rows = [row(how, "abrupt", params={"how": how}) for how in ("suddenly", "at once")]
    write("tables/mine.toml", paper(*rows))
    repro_("run", "mine", code=4)
    failures = [records.failure(file.parent) for file in paths.runs().glob("*/failure.json")]
    assert len(failures) == 2
    for failure in failures:
        assert failure is not None
        assert "ValueError: negative dimensions" in failure.traceback
        assert failure.code["version"]


def test_a_model_that_cannot_serve_a_protocol_is_refused_without_failure() -> None:
    result = repro_("run", "toy", "--table", "1", "--view", "users", "--model", "bpr")
    assert "refused: bpr knows only the users of its training data" in result.stderr
    assert "0 finished, 1 refused, 0 failed" in result.stderr
    assert known() == []


def test_constant_scores_are_told_and_marked(write: Write) -> None:
    write("models/flat.py", level())
    write("tables/mine.toml", paper(row("Flat", "flat")))
    assert "CONSTANT scores for 100% of the users" in repro_("run", "mine").stderr
    assert {cell["marks"] for cell in compared("mine")} == {"c"}


@pytest.mark.parametrize("command", ["fetch box", "run mine"])
def test_offline_the_message_says_how_to_get_the_data(
    write: Write, closed_port: int, command: str, hurried: None
) -> None:
    url = f"http://127.0.0.1:{closed_port}/rows.csv"
    member = f'url = "{url}"\nsha256 = "{64 * "0"}"'
    write("data_manifests/box.toml", box(member))
    write("tables/mine.toml", paper(row("POP", "popularity"), dataset="box/all"))
    result = repro_(*command.split(), code=1)
    assert "could not be downloaded" in result.stderr
    assert "--from FOLDER" in result.stderr
    assert url in result.stderr


@pytest.mark.parametrize("command", ["fetch box", "run mine"])
def test_data_behind_a_form_exits_3_and_says_how_to_get_it(write: Write, command: str) -> None:
    write("data_manifests/box.toml", box(archive=BY_HAND))
    write("tables/mine.toml", paper(row("POP", "popularity"), dataset="box/all"))
    result = repro_(*command.split(), code=3)
    assert "box must be obtained by hand" in result.stderr
    assert "write to them" in result.stderr


def test_missing_data_does_not_stop_the_other_runs(write: Write) -> None:
    write("data_manifests/box.toml", box(archive=BY_HAND))
    text = paper(row("POP", "popularity")).replace('groups = ["toy"]', 'groups = ["toy", "box"]')
    text += at("box", "0.1", "0.2") + view("box", "box/all", "random_split")
    write("tables/mine.toml", text)
    result = repro_("run", "mine", code=3)
    assert "1 to run, 0 have a record already, 1 without data" in result.stderr
    assert len(known()) == 1


@pytest.mark.parametrize("command", ["fetch --all mine", "run mine"])
def test_data_behind_a_form_does_not_hide_data_that_failed(
    write: Write, closed_port: int, command: str, hurried: None
) -> None:
    member = f'url = "http://127.0.0.1:{closed_port}/rows.csv"\nsha256 = "{64 * "0"}"'
    write("data_manifests/form.toml", box(archive=BY_HAND))
    write("data_manifests/box.toml", box(member))
    text = paper(row("POP", "popularity"), dataset="form/all")
    text = text.replace('groups = ["toy"]', 'groups = ["toy", "box"]')
    text += at("box", "0.1", "0.2") + view("box", "box/all", "random_split")
    write("tables/mine.toml", text)
    told = repro_(*command.split(), code=1).stderr
    assert "form must be obtained by hand" in told
    assert "could not be downloaded" in told


def test_a_dry_run_says_that_the_mirror_has_the_data(
    write: Write, closed_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = f'url = "http://127.0.0.1:{closed_port}/rows.csv"\n{sha256(LISTS.encode())}'
    write("data_manifests/box.toml", box(member))
    write("tables/mine.toml", paper(row("POP", "popularity"), dataset="box/all"))
    monkeypatch.setenv("REPRO_MIRROR", str(tmp_path))
    command = ["run", "mine", "--dry-run"]
    assert "box/all: download, unknown" in repro_(*command).stdout
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "rows.csv").write_text(LISTS)
    assert f"box/all: from {tmp_path}\n" in repro_(*command).stdout


def test_data_papers_models_and_protocols_of_ones_own_need_no_fork(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text(LISTS)
    write("data_manifests/box.toml", box(archive=BY_HAND))
    write("models/level.py", level())
    write("protocols/first_half.py", FIRST_HALF)
    rows = [row("Level", "level", params={"value": 2.0}), row("POP", "popularity")]
    write("tables/mine.toml", paper(*rows, dataset="box/all", protocol="first_half"))

    fetched = repro_("fetch", "box", "--from", str(tmp_path))
    assert "bytes, own, from" in fetched.stdout
    assert 'sha256 = "' in fetched.stderr
    repro_("run", "mine")
    assert [record.n_users for record in known()] == [12, 12]
    assert {(cell["row"], cell["marks"]) for cell in compared("mine")} == {
        ("Level", "oc"),
        ("POP", "o"),
    }
    for kind, name in [("models", "level"), ("protocols", "first_half"), ("datasets", "box")]:
        assert name in repro_("list", kind).stdout.split()


def test_a_model_of_ones_own_runs_under_a_shipped_paper(write: Write) -> None:
    write("models/plain.py", level())
    repro_("run", "toy", "--model", "plain", "--set", "value=3")
    rows = {cell["row"] for cell in compared("toy") if cell["ours"] is not None}
    assert rows == {"plain [value=3.0]"}
    assert len(known()) == 4


def test_a_parameter_without_a_default_is_given_with_the_model(write: Write) -> None:
    write("models/exact.py", EXACT)
    command = ["run", "toy", "--table", "1", "--view", "split", "--model", "exact", "--dry-run"]
    assert "--set: exact needs size" in repro_(*command, code=1).stderr
    assert "exact(rate=0.5, size=4)" in repro_(*command, "--set", "size=4").stdout
    wrong = repro_(*command, "--set", "size=large", code=1).stderr
    assert "--set: size of exact must be a whole number, got 'large'" in wrong


def test_strict_exits_1_where_a_number_is_another(write: Write) -> None:
    write("tables/mine.toml", paper(row("POP", "popularity", published=["0.9", "0.9"])))
    repro_("compare", "mine", "--strict")
    repro_("run", "mine")
    repro_("compare", "mine")
    assert "lower" in repro_("compare", "mine", "--strict", code=1).stdout
    numbers = [f"{cell['ours']:.4f}" for cell in compared("mine")]
    write("tables/mine.toml", paper(row("POP", "popularity", published=numbers)))
    assert "exact" in repro_("compare", "mine", "--strict").stdout


def test_strict_counts_frozen_numbers_where_there_is_no_record() -> None:
    cells = compared("dave", "--table", "4")
    assert not any(cell["ours"] for cell in cells)
    assert {"higher", "lower"} & {cell["reference_verdict"] for cell in cells}
    repro_("compare", "dave", "--table", "4", "--strict", code=1)
    repro_("compare", "toy", "--strict")


def test_a_comparison_can_be_read_by_programs() -> None:
    repro_("run", "toy", "--table", "1", "--row", "POP")
    cells = compared("toy", "--table", "1")
    assert cells == json.loads(repro_("compare", "toy", "--table", "1", "--format", "json").stdout)
    lines = list(
        csv.DictReader(StringIO(repro_("compare", "toy", "--table", "1", "--format", "csv").stdout))
    )
    assert [line["ours"] for line in lines] == [
        "" if cell["ours"] is None else repr(cell["ours"]) for cell in cells
    ]
    assert "**" not in repro_("compare", "toy", "--table", "1", "--format", "text").stdout


def test_all_papers_are_compared_where_none_is_named() -> None:
    shown = repro_("compare").stdout
    for paper_table in ("sevae, Table 4", "mvae, Table I", "acvae, Table 2", "toy, Table 3"):
        assert f"### {paper_table}\n" in shown


def test_of_several_papers_those_that_have_a_table_are_compared() -> None:
    assert {cell["paper"] for cell in compared("acvae", "dave", "--table", "4")} == {"dave"}


def test_letters_that_an_encoding_lacks_are_replaced() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "repro", "compare", "multvae_ablation", "--table", "IX"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        encoding="latin-1",
        check=True,
    )
    assert "| ? as a function of user interactions" in done.stdout


def test_the_help_is_as_wide_as_the_terminal_up_to_100_columns() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "repro", "run", "--help"],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 80 < max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_ends_with_an_example(command: str) -> None:
    last = repro_(command, "--help").stdout.strip().splitlines()[-1]
    assert last.strip().startswith(f"Example: repro {command}")


def test_the_help_names_every_command_and_exit_code() -> None:
    text = repro_("--help").stdout
    assert set(COMMANDS) <= set(text.split())
    for code, meaning in EXIT_CODES.items():
        assert f"{code}  {meaning}" in " ".join(text.split()).replace(f"{code} ", f"{code}  ")


@pytest.mark.parametrize("program", [["-m", "repro"], ["-c", "from repro.cli import main; main()"]])
def test_the_version_is_told(program: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *program, "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(rf"repro {repro.__version__}( \(commit [0-9a-f]{{12}}\))?\n", done.stdout)


def test_a_name_of_several_things_is_shown_as_asked() -> None:
    both = repro_("show", "toy")
    assert "a toy paper" in both.stdout
    assert "--kind dataset" in both.stderr
    assert "view toy/split" in repro_("show", "toy", "--kind", "dataset").stdout


def test_a_parameter_without_a_default_is_shown_without_one(write: Write) -> None:
    write("models/exact.py", EXACT)
    lines = repro_("show", "exact").stdout.splitlines()
    assert "  size: int" in lines
    assert "  rate: float = 0.5" in lines
    assert "size, rate=0.5" in repro_("list", "models").stdout


def test_losses_that_are_no_numbers_do_not_lose_the_run(write: Write) -> None:
    write("models/drifting.py", DRIFTING)
    write("tables/mine.toml", paper(row("Drifting", "drifting")))
    repro_("run", "mine")
    (record,) = known()
    assert [entry["losses"] for entry in record.curve] == [{"loss": "inf"}, {"loss": "nan"}]
