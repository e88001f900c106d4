"""Files of one's own with faults: each is told in a sentence, and stops nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from builders import Write
from builders.commands import json_of, known, repro_
from builders.models import breaking, level, model
from builders.papers import paper, row, table, view
from repro import paths
from repro.cli import app
from repro.runs import records

HEAD = (view(), table())
BROKEN = {
    "tables/broken.toml": "x = ",
    "data_manifests/broken.toml": "[archive]\ntitle = 'Box'\n",
    "models/broken.py": "def (",
    "protocols/broken.py": "x = 1",
}

NUMPY = level("RANDOM: ClassVar[bool] = False").replace(
    "return torch.full(shape, self.value)", "return np.arange(np.prod(shape)).reshape(shape) % 7"
)
NUMPY = NUMPY.replace("import torch", "from typing import ClassVar\nimport numpy as np")


@pytest.mark.parametrize(
    "command",
    [
        *("list papers", "list datasets", "list models", "list protocols", "list results"),
        *("show toy --kind dataset", "show toy --kind paper", "show ease", "fetch toy", "audit"),
        *("fetch --check", "run toy --table 1 --row POP --dry-run", "status toy", "compare toy"),
    ],
)
def test_a_broken_file_of_ones_own_stops_nothing_else(write: Write, command: str) -> None:
    there = repro_(*command.split()).stdout
    for name, text in BROKEN.items():
        write(name, text)
    found = repro_(*command.split())
    assert len(found.stdout.splitlines()) == len(there.splitlines())
    told = [line for line in found.stderr.splitlines() if line.startswith("left out: ")]
    assert len(told) == len(set(told))


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("list papers", "tables"),
        ("list datasets", "data_manifests"),
        ("list models", "models"),
        ("list protocols", "protocols"),
    ],
)
def test_what_is_left_out_of_a_list_is_told_once_with_its_fault(
    write: Write, command: str, kind: str
) -> None:
    [(name, text)] = [(name, text) for name, text in BROKEN.items() if name.startswith(kind)]
    path = write(name, text)
    assert repro_(*command.split()).stderr.count(f"left out: {path}") == 1


def test_a_broken_file_that_is_asked_for_is_an_error(write: Write) -> None:
    path = write("tables/broken.toml", "x = ")
    assert str(path) in repro_("compare", "broken", code=1).stderr


@pytest.mark.parametrize(("name", "near"), [("popularty", "popularity"), ("mult-vae", "mult_vae")])
def test_a_misspelt_model_of_a_row_gets_a_suggestion(write: Write, name: str, near: str) -> None:
    write("tables/mine.toml", paper(*HEAD, row("A", name), row("POP", "popularity")))
    said = f"there is no model {name} yet; did you mean {near}?"
    assert said in repro_("run", "mine", "--dry-run").stdout
    assert said in repro_("compare", "mine").stdout
    assert said in repro_("check", str(paths.user_folders()[0] / "tables/mine.toml")).stdout


def test_a_misspelt_dataset_of_a_view_gets_a_suggestion(write: Write) -> None:
    write("tables/mine.toml", paper(view(dataset="toyy/split"), table(), row("A", "ease")))
    assert "there is no manifest of toyy yet; did you mean toy?" in repro_("compare", "mine").stdout


def own_model(write: Write, text: str) -> None:
    write("models/mine.py", text)
    write("tables/mine.toml", paper(*HEAD, row("A", "mine")))


def test_a_scorer_may_return_an_array_of_numpy(write: Write) -> None:
    own_model(write, NUMPY)
    repro_("run", "mine")
    assert [record.experiment.model.name for record in known()] == ["mine"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("torch.full(shape, self.value)", "[1.0] * 5", "mine: score returns a list"),
        ("torch.full(shape, self.value)", "None", "mine: score returns a NoneType"),
        ("shape, self.value)", "(3, 2), self.value)", "mine: score returns the shape (3, 2), not"),
        ("yield self", "yield 5", "mine yields a int, which has no method score"),
        ("yield self", "return self", "mine has no epochs(self, train, run) that yields"),
        ("yield self", "pass", "mine has no epochs(self, train, run) that yields"),
        ("def epochs", "def epoch", "mine has no epochs(self, train, run) that yields"),
        ("@dataclass(frozen=True, kw_only=True)\n", "", "Level is a plain class"),
    ],
)
def test_a_model_that_is_none_is_told_in_a_sentence(
    write: Write, old: str, new: str, said: str
) -> None:
    own_model(write, level().replace(old, new))
    result = CliRunner().invoke(app, ["run", "mine"])
    assert result.exit_code in (1, 4)
    assert said in result.stderr
    assert "traceback" not in result.stderr


def test_a_plain_class_with_settings_of_its_own_is_told_with_its_line(write: Write) -> None:
    text = model("Mine", "\n    def __init__(self, k=5):\n        self.k = k\n")
    path = write("models/mine.py", text.replace("@dataclass(frozen=True, kw_only=True)\n", ""))
    said = repro_("show", "mine", code=1).stderr
    assert f"{path}, line " in said
    assert "write @dataclass(frozen=True, kw_only=True) above it" in said


def test_a_plain_class_without_settings_runs(write: Write) -> None:
    text = level().replace("@dataclass(frozen=True, kw_only=True)\n", "")
    text = re.sub(r"    value: float = 1.0\n", "", text).replace("self.value", "1.0")
    own_model(write, text)
    repro_("run", "mine")


@pytest.mark.parametrize("options", [[], ["--jobs", "2"]])
@pytest.mark.parametrize("how", ["politely", "suddenly"])
def test_a_failure_is_told_once_and_debug_shows_its_traceback(
    write: Write, how: str, options: list[str]
) -> None:
    write("models/broken.py", breaking("raise ValueError('negative dimensions')"))
    write("tables/mine.toml", paper(*HEAD, row("A", "broken", params={"how": how})))
    words = "the wheels came off" if how == "politely" else "negative dimensions"
    said = repro_("run", "mine", *options, code=4).stderr
    assert said.count(words) == 1
    assert "Traceback" not in said
    told = CliRunner().invoke(app, ["--debug", "run", "mine", *options]).stderr
    assert "Traceback (most recent call last)" in told
    assert re.search(rf'models/broken.py", line \d+, in epochs(.|\n)*{words}', told)


def test_an_old_failure_is_read_as_it_was_written(write: Write) -> None:
    write("models/broken.py", breaking("raise ValueError('negative dimensions')"))
    write("tables/mine.toml", paper(*HEAD, row("A", "broken", params={"how": "x"})))
    repro_("run", "mine", code=4)
    [file] = paths.runs().glob("*/failure.json")
    found = records.failure(file.parent)
    assert found is not None
    assert "negative dimensions" in found.traceback
    assert "negative dimensions" in str(json_of("status", "mine"))


PARTS = """
[archive]
title = "Parts"
license = "own"
source = "own"
url = "http://nowhere/parts.zip"
[members."train.csv"]
[members."valid.csv"]
[read]
train = { member = "train.csv" }
valid = { member = "valid.csv" }
[views.all]
source = "own"
read = { train = "train", valid = "valid" }
"""
TRAIN = "".join(f"{user},{item}\n" for user in range(5) for item in range(4))


def parts(write: Write, tmp_path: Path, valid: str, more: str = "") -> str:
    write("data_manifests/parts.toml", PARTS + more)
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "valid.csv").write_text(valid)
    result = repro_("fetch", "parts", "--from", str(tmp_path), "--unverified")
    return " ".join(result.output.split())


def test_parts_that_share_rows_are_told(write: Write, tmp_path: Path) -> None:
    said = parts(write, tmp_path, "0,1\n1,2\n2,9\n4,0\n")
    assert "3 of the 4 rows of valid are in train, too, and count twice" in said
    assert "leave valid out of `whole`" in said


def test_parts_that_share_nothing_or_are_not_summed_up_are_not_told(
    write: Write, tmp_path: Path
) -> None:
    assert "count twice" not in parts(write, tmp_path, "0,7\n1,8\n")
    assert "count twice" not in parts(write, tmp_path, "0,1\n", 'whole = ["train"]\n')


def test_check_of_a_folder_without_anything_is_an_error(tmp_path: Path) -> None:
    said = repro_("check", str(tmp_path), code=1)
    assert f"there is nothing to check in {tmp_path}" in said.stderr
    assert "verified" not in said.stdout
    (tmp_path / "tables").mkdir()
    (tmp_path / "notes.txt").write_text("nothing")
    assert "there is nothing to check" in repro_("check", str(tmp_path), code=1).stderr


def test_check_of_a_folder_of_ones_own_reads_every_file(write: Write) -> None:
    write("tables/mine.toml", paper(*HEAD, row("A", "ease")))
    folder = write("tables/other.toml", "x = ").parents[1]
    write("data_manifests/parts.toml", PARTS)
    write("models/plain.py", "def (")
    found = {Path(one["name"]).name: one for one in _checked(folder, code=1)}
    assert found.keys() == {"mine.toml", "other.toml", "parts.toml", "plain.py"}
    assert {name for name, one in found.items() if one["damaged"]} == {"other.toml", "plain.py"}


def test_check_of_everything_names_broken_plug_ins_of_ones_own(write: Write) -> None:
    path = write("models/broken.py", "def (")
    assert f"{path}  DAMAGED: " in repro_("check", code=1).stdout


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "", ".hidden", "a b"])
def test_a_model_whose_name_is_a_path_is_refused(write: Write, name: str) -> None:
    path = write("tables/mine.toml", paper(*HEAD, row("A", "ease").replace('"ease"', f'"{name}"')))
    [one] = _checked(path, code=1)
    assert "tables.1.rows.0.model: " in one["state"]
    assert "cannot be a file's name" in one["state"]


@pytest.mark.parametrize("dataset", ["../x", "toy", "toy/../split", "/toy/split", "a/b/c"])
def test_a_dataset_that_is_no_view_is_refused(write: Write, dataset: str) -> None:
    path = write("tables/mine.toml", paper(view(dataset=dataset), table(), row("A", "ease")))
    [one] = _checked(path, code=1)
    assert "views.toy.dataset: " in one["state"]


def _checked(path: Path, code: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(repro_("check", str(path), "--json", code=code).stdout)
    return found


NEVER = level("RANDOM: ClassVar[bool] = False").replace(
    "return torch.full(shape, self.value)",
    "return -torch.arange(shape[1]).float().repeat(shape[0], 1)",
)
NEVER = NEVER.replace("import torch", "from typing import ClassVar\nimport torch")


def test_no_hit_of_many_users_is_not_known_without_error(write: Write, tmp_path: Path) -> None:
    write("models/never.py", NEVER)
    write("data_manifests/parts.toml", PARTS.replace("valid", "test"))
    users = range(40)
    (tmp_path / "train.csv").write_text("".join(f"{u},{i}\n" for u in users for i in (u % 5, 6, 7)))
    (tmp_path / "test.csv").write_text("".join(f"{u},{4 - (u % 5 == 4)}\n" for u in users))
    repro_("fetch", "parts", "--from", str(tmp_path), "--unverified")
    both = {"HR@1": "hit_rate@1", "NDCG@1": "ndcg@1"}
    rows = row("A", "never", ["0.0500", "0.0500"]) + row("B", "popularity", ["0.0500", "0.0500"])
    write("tables/mine.toml", paper(view(dataset="parts/all"), table("1", both), rows))
    repro_("run", "mine")
    cells = json_of("compare", "mine", "--table", "1")
    shares = [cell for cell in cells if cell["row"] == "A"]
    assert [cell["ours"] for cell in shares] == [0.0, 0.0]
    assert [cell["standard_error"] for cell in shares] == [None, None]
    assert [cell["verdict"] for cell in shares] == ["close", "undecided"]
    shown = repro_("compare", "mine", "--against", "A").stdout
    assert "± 0.0000" not in shown
