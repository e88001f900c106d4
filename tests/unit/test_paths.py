"""Where things lie, and files that are whole or absent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import files, paths
from repro.errors import ReproError


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REPRO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("REPRO_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("REPRO_PATH", os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path)]))
    (tmp_path / "a").mkdir()
    (tmp_path / "mirror").mkdir()
    assert paths.home() == tmp_path / "home"
    assert paths.runs() == tmp_path / "runs"
    assert paths.mirror() == tmp_path / "mirror"
    assert paths.user_folders() == [tmp_path / "a", tmp_path]


@pytest.mark.parametrize(
    ("variable", "asked"),
    [("REPRO_MIRROR", paths.mirror), ("REPRO_PATH", paths.user_folders)],
)
def test_a_misspelt_folder_is_told_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, asked: Callable[[], object]
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "misspelt"))
    with pytest.raises(ReproError, match=f"{variable} names .*misspelt, which is not a folder"):
        asked()


def test_without_an_environment_runs_lie_here_and_data_where_the_system_keeps_caches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("REPRO_HOME", "REPRO_RUNS", "REPRO_MIRROR", "REPRO_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert paths.runs() == Path("runs")
    assert paths.home().name == "repro"
    assert paths.home().is_absolute()
    assert paths.mirror() is None
    assert paths.user_folders() == []


@pytest.mark.parametrize("kind", ["tables", "data_manifests"])
def test_ones_own_files_stand_beside_ours_and_never_in_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    ours = paths.files(kind)["toy"]
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        (folder / kind).mkdir(parents=True)
        for name in ("toy", "mine"):
            (folder / kind / f"{name}.toml").touch()
    (first / kind / "notes.txt").touch()
    monkeypatch.setenv("REPRO_PATH", os.pathsep.join(map(str, [first, second])))
    found = paths.files(kind)
    assert found["toy"] == ours
    assert found["mine"] == first / kind / "mine.toml"
    assert "notes" not in found
    told = paths.passed_over()
    assert told[0].startswith(
        f"{first / kind / 'toy.toml'} is not read, as a file that comes with repro has its name"
    )
    assert {line.partition(" is not read")[0] for line in told} == {
        str(first / kind / "toy.toml"),
        str(second / kind / "toy.toml"),
        str(second / kind / "mine.toml"),
    }


@pytest.mark.parametrize("kind", ["models", "protocols"])
def test_a_plug_in_of_ones_own_with_the_name_of_ours_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / kind).mkdir()
    name = {"models": "ease", "protocols": "given_split"}[kind]
    (tmp_path / kind / f"{name}.py").touch()
    (tmp_path / kind / "mine.py").touch()
    monkeypatch.setenv("REPRO_PATH", str(tmp_path))
    (told,) = paths.passed_over()
    assert told.startswith(f"{tmp_path / kind / name}.py is not read")


def test_files_of_the_checkout_itself_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRO_PATH", str(paths.files("tables")["toy"].parent.parent))
    assert paths.passed_over() == []


def test_a_folder_of_ones_own_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tables").mkdir()
    monkeypatch.setenv("REPRO_PATH", str(tmp_path))
    access = os.access
    mine = str(tmp_path / "tables")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != mine and access(path, mode))
    with pytest.raises(ReproError, match="tables cannot be read"):
        paths.files("tables")


def test_a_file_is_written_with_its_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "file"
    files.write_atomically(path, b"one")
    files.write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        files.write_atomically(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_json_keeps_its_letters(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    files.write_json(path, {"label": "β-VAE ±", "values": [1, 0.1]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"label": "β-VAE ±", "values": [1, 0.1]}
    assert "β" in path.read_text(encoding="utf-8")


def test_json_is_read_back_whatever_encoding_the_system_has(tmp_path: Path) -> None:
    files.write_json(tmp_path / "file.json", {"label": "β-VAE ±"})
    program = (
        "import locale, sys; from pathlib import Path; from repro import files; "
        "assert locale.getencoding() != 'utf-8'; print(ascii(files.read_json(Path(sys.argv[1]))))"
    )
    asciis = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "file.json")],
        env=os.environ | asciis,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == ascii({"label": "β-VAE ±"})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_holds_no_number_that_json_does_not_know(tmp_path: Path, value: float) -> None:
    path = tmp_path / "file.json"
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"value": value})
    assert not path.exists()
