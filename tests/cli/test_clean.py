"""``repro clean``: only what nothing needs, and only once it is said so."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from builders import Write
from builders.checkpoints import PLACE
from builders.commands import repro_
from builders.processes import dead_process, lock_file
from builders.records import HITS, TARGETS, record
from repro import paths
from repro.cli import app
from repro.data import cache, tell, views
from repro.locks import FOLDER
from repro.runs import locks, records
from repro.training import checkpoints


def clean(*arguments: str, answer: str = "") -> str:
    result = CliRunner().invoke(app, ["clean", *arguments], input=answer)
    assert result.exit_code in (0, 1), result.output
    return result.stdout


def run_of(name: str) -> Path:
    folder = paths.runs() / name
    folder.mkdir(parents=True)
    return folder


def finished() -> Path:
    return records.save(paths.runs(), record(), HITS, TARGETS).path


def locked(folder: Path, pid: int) -> Path:
    return folder / FOLDER / f"{lock_file(folder, pid=pid).token}.json"


@pytest.fixture
def gone() -> int:
    """Return the number of a process that is no more."""
    return dead_process()


def test_where_nothing_is_left_nothing_is_asked() -> None:
    assert "there is nothing to delete" in clean()


def test_what_is_shown_goes_only_if_the_answer_is_yes(gone: int) -> None:
    folder = finished()
    checkpoints.save(folder, b"x" * 2_000_000, PLACE)
    void = locked(run_of("killed"), gone)
    shown = clean(answer="n\n")
    assert "checkpoint of a finished run" in shown
    assert "2.0 MB" in shown
    assert "lock of a process that has ended" in shown
    assert checkpoints.present(folder)
    assert void.exists()
    assert "deleted" in clean(answer="y\n")
    assert not checkpoints.present(folder)
    assert not void.exists()
    assert (folder / "record.json").exists()


def test_a_run_whose_record_is_damaged_keeps_its_checkpoint() -> None:
    folder = finished()
    checkpoints.save(folder, b"half way", PLACE)
    (folder / records.FILE).write_text("{}")
    assert "finished run" not in clean("--yes")
    assert checkpoints.present(folder)


def test_an_unfinished_run_keeps_its_checkpoints_unless_they_are_asked_for() -> None:
    folder = run_of("cut")
    checkpoints.save(folder, b"half way", PLACE)
    checkpoints.put_aside(checkpoints.present(folder)[0])
    checkpoints.save(folder, b"half way", PLACE)
    clean("--yes")
    assert len(checkpoints.present(folder)) == 1
    assert not checkpoints.remains(folder)
    clean("--unfinished", "--yes")
    assert not checkpoints.present(folder)


def test_what_a_killed_process_was_writing_goes() -> None:
    folder = run_of("killed")
    (folder / ".hits.npz.4711.0badcafe").touch()
    (folder / ".notes.of.mine").touch()
    assert "partly written file" in clean("--yes")
    assert [file.name for file in folder.iterdir()] == [".notes.of.mine"]


@pytest.mark.parametrize(("age", "goes"), [(0, False), (3600, True)])
def test_what_a_killed_freeze_was_writing_goes(write: Write, age: int, goes: bool) -> None:
    for name in ("reference/.mine.csv.4711.0badcafe", "reference/figures/.a-1.csv.1.0badcafe"):
        file = write(f"tables/{name}", "half")
        os.utime(file, (time.time() - age,) * 2)
        assert ("partly written file" in clean("--yes")) == goes
        assert file.exists() != goes


def test_a_run_that_a_process_is_at_is_left_alone() -> None:
    folder = run_of("running")
    checkpoints.save(folder, b"half way", PLACE)
    with locks.held(folder, "a run"):
        assert "there is nothing to delete" in clean("--unfinished")
    assert checkpoints.present(folder)


@pytest.mark.parametrize(("age", "goes"), [(0, False), (3600, True)])
def test_a_lock_of_version_0_1_goes_once_nobody_keeps_it_fresh(age: int, goes: bool) -> None:
    folder = run_of("old")
    file = folder / "claim.json"
    file.write_text("{}")
    os.utime(file, (time.time() - age,) * 2)
    assert ("lock of version 0.1" in clean("--yes")) == goes
    assert file.exists() != goes


def aged(*files: Path) -> None:
    for file in files:
        os.utime(file, (1, 1), follow_symlinks=False)


def test_what_killed_processes_leave_of_locks_goes(gone: int) -> None:
    folder, box = run_of("killed"), cache.folder("toy")
    void = [locked(folder, gone), locked(box, gone)]
    (folder / locks.FILE).symlink_to(void[0].relative_to(folder))
    cut = [at / ".lock.4711.0badcafe" for at in (folder, box)]
    for one in cut:
        one.mkdir()
        (one / "f00d.json").touch()
    (run_of("other") / FOLDER).mkdir()  # killed while it released its lock
    shown = clean("--yes")
    assert shown.count("lock of a process that has ended") == 3
    assert "partly written lock" not in shown  # somebody may be writing it
    aged(*cut)
    assert clean("--yes").count("partly written lock") == 2
    assert [*folder.iterdir(), *box.iterdir(), *folder.with_name("other").iterdir()] == []
    assert "there is nothing to delete" in clean("--yes")


def test_files_of_version_0_2_go_once_no_process_uses_them() -> None:
    folder, box = run_of("old"), cache.folder("toy")
    box.mkdir(parents=True)
    files = [folder.parent / ".locks.lock", box / ".lock"]
    for file in files:
        file.touch()
    assert "there is nothing to delete" in clean("--yes")
    aged(*files)
    with files[1].open() as used:
        fcntl.flock(used, fcntl.LOCK_EX)
        assert clean("--yes").count("lock of version 0.2") == 1
    assert clean("--yes").count("lock of version 0.2") == 1
    assert not any(file.exists() for file in files)


def test_raw_data_stay_where_their_manifest_is_not_on_the_path_today(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (paths.files("data_manifests")["toy"]).read_text()
    write("data_manifests/mine.toml", text)
    repro_("fetch", "mine")
    view = views.folder("mine/split")
    assert "there is nothing to delete" in clean("--yes", "--unfinished")
    monkeypatch.delenv("REPRO_PATH")
    assert "view without a manifest" in clean("--yes", "--unfinished")
    assert not view.exists()
    assert (cache.raw_folder("mine") / "train.csv").exists()


def test_a_view_that_was_replaced_goes_and_the_one_in_use_stays() -> None:
    repro_("fetch", "toy")
    used = views.folder("toy/ratings")
    old = used.with_name("ratings-0123456789ab")
    old.mkdir()
    np.save(old / "whole_user.npy", np.arange(10))
    part = cache.folder("toy") / "parts" / "a.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"half")
    clean("--yes")
    assert not old.exists()
    assert part.exists()
    assert views.prepared("toy/ratings") is not None
    clean("--yes", "--unfinished")
    assert not part.exists()
    assert list(cache.raw_folder("toy").iterdir())


def test_what_a_process_begins_while_the_question_waits_is_left_alone(
    gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = run_of("cut"), run_of("void")
    void, theirs = locked(folder, gone), locked(other, gone)
    checkpoints.save(folder, b"half way", PLACE)

    def after_a_while(_: str) -> bool:
        locked(folder, os.getpid())
        return True

    monkeypatch.setattr(typer, "confirm", after_a_while)
    clean("--unfinished")
    assert void.exists()
    assert checkpoints.present(folder)
    assert not theirs.exists()


def test_what_a_process_fetches_or_builds_is_left_alone() -> None:
    repro_("fetch", "toy")
    built = views.folder("toy/ratings").with_name(".building.ratings-0123456789ab.1")
    built.mkdir()
    part = cache.folder("toy") / "parts" / "a.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"half")
    with cache.locked("toy", tell.Silent()):
        assert "there is nothing to delete" in clean("--yes", "--unfinished")
    assert built.exists()
    assert part.exists()
    clean("--yes", "--unfinished")
    assert not built.exists()
    assert not part.exists()
