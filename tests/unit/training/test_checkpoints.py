"""The newest two are kept, each whole or not there, and no damage goes unseen."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import pytest

from builders.checkpoints import PLACE
from repro.training import checkpoints

CONTENT = bytes(range(40))

SAVING = """
import sys
from pathlib import Path
from repro.training import checkpoints
place = checkpoints.Place(0, 3, 10)
for number in range(int(sys.argv[2]), 10**6):
    checkpoints.save(Path(sys.argv[1]), number.to_bytes(4, "big") * 2**16, place)
"""


def saved(folder: Path, n: int) -> list[Path]:
    """Save "1", "2" and so on; return what is there."""
    for number in range(1, n + 1):
        checkpoints.save(folder, str(number).encode(), PLACE)
    return checkpoints.present(folder)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_where_nothing_was_saved_there_is_none(tmp_path: Path) -> None:
    assert checkpoints.present(tmp_path / "nowhere") == []


@pytest.mark.parametrize("content", [b"", b"half way", CONTENT * 1000], ids=["empty", "some", "k"])
def test_what_is_saved_is_read(tmp_path: Path, content: bytes) -> None:
    checkpoints.save(tmp_path / "run", content, PLACE)
    (file,) = checkpoints.present(tmp_path / "run")
    assert checkpoints.read(file)[1] == content


def test_the_newest_two_are_kept_the_newest_first(tmp_path: Path) -> None:
    there = saved(tmp_path, 5)
    assert [checkpoints.read(file)[1] for file in there] == [b"5", b"4"]
    assert names(tmp_path) == ["checkpoint-000004.pt", "checkpoint-000005.pt"]


def test_the_numbering_goes_on_past_a_million(tmp_path: Path) -> None:
    saved(tmp_path, 1)[0].rename(tmp_path / "checkpoint-999999.pt")
    checkpoints.save(tmp_path, b"next", PLACE)
    checkpoints.save(tmp_path, b"and on", PLACE)
    newest, older = checkpoints.present(tmp_path)
    assert (newest.name, older.name) == ("checkpoint-1000001.pt", "checkpoint-1000000.pt")
    assert checkpoints.read(newest)[1] == b"and on"


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, CONTENT, PLACE)
    (file,) = checkpoints.present(tmp_path)
    whole = bytearray(file.read_bytes())
    assert len(whole) > len(CONTENT) + 32
    for place, bit in product(range(len(whole)), range(8)):
        whole[place] ^= 1 << bit
        file.write_bytes(whole)
        with pytest.raises(ValueError, match="its checksum does not match"):
            checkpoints.read(file)
        whole[place] ^= 1 << bit


def test_a_cut_is_found_wherever_it_is(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, CONTENT, PLACE)
    (file,) = checkpoints.present(tmp_path)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="its checksum does not match"):
            checkpoints.read(file)


def test_a_byte_more_is_found(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, CONTENT, PLACE)
    (file,) = checkpoints.present(tmp_path)
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="its checksum does not match"):
        checkpoints.read(file)


def test_one_put_aside_is_kept_and_is_no_checkpoint(tmp_path: Path) -> None:
    newest, older = saved(tmp_path, 3)
    whole = newest.read_bytes()
    kept = checkpoints.put_aside(newest)
    assert kept.read_bytes() == whole
    assert checkpoints.present(tmp_path) == [older]


def test_after_one_was_put_aside_the_newest_two_are_kept_as_before(tmp_path: Path) -> None:
    kept = checkpoints.put_aside(saved(tmp_path, 3)[0])
    for content in (b"a", b"b", b"c"):
        checkpoints.save(tmp_path, content, PLACE)
    assert [checkpoints.read(file)[1] for file in checkpoints.present(tmp_path)] == [b"c", b"b"]
    assert kept.exists()


def test_clear_deletes_all_of_them_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "lock.json").touch()
    checkpoints.put_aside(saved(tmp_path, 3)[0])
    checkpoints.save(tmp_path, b"4", PLACE)
    (tmp_path / ".checkpoint-000005.pt.4711.0badcafe").touch()  # a killed write's
    checkpoints.clear(tmp_path)
    assert names(tmp_path) == ["lock.json"]
    checkpoints.clear(tmp_path)


def test_a_write_that_was_cut_off_leaves_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved(tmp_path, 2)

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", cut_off)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(tmp_path, b"3", PLACE)
    assert checkpoints.present(tmp_path) == before
    assert sorted(tmp_path.iterdir()) == sorted(before)


def test_what_a_killed_write_left_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    before = saved(tmp_path, 2)
    (tmp_path / ".checkpoint-000003.pt.4711.0badcafe").write_bytes(b"hal")
    assert checkpoints.present(tmp_path) == before
    checkpoints.save(tmp_path, b"3", PLACE)
    assert [checkpoints.read(file)[1] for file in checkpoints.present(tmp_path)] == [b"3", b"2"]
    assert names(tmp_path) == ["checkpoint-000002.pt", "checkpoint-000003.pt"]  # and it is gone


def test_the_oldest_goes_first_so_that_a_cut_leaves_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 5):  # as saves leave them that were killed before the oldest went
        (tmp_path / f"checkpoint-{number:06}.pt").touch()
    unlink = Path.unlink

    def cut_off(file: Path, missing_ok: bool = False) -> None:
        unlink(file, missing_ok)
        if file.name.startswith("checkpoint-"):
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", cut_off)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(tmp_path, b"5", PLACE)
    assert names(tmp_path) == [f"checkpoint-{number:06}.pt" for number in range(2, 6)]


def test_other_files_are_not_taken_for_checkpoints(tmp_path: Path) -> None:
    for name in ("checkpoint-.pt", "checkpoint-1x.pt", "checkpoint-last.pt", "checkpoint-1.pt.bak"):
        (tmp_path / name).touch()
    assert checkpoints.present(tmp_path) == []
    assert [checkpoints.read(file)[1] for file in saved(tmp_path, 1)] == [b"1"]


def test_a_killed_process_leaves_whole_ones_only(tmp_path: Path) -> None:
    first = 0
    for kills, wait in enumerate((0.0, 0.002, 0.005, 0.011, 0.02, 0.031), 1):
        already = checkpoints.present(tmp_path)
        program = [sys.executable, "-c", SAVING, str(tmp_path), str(first)]
        with subprocess.Popen(program) as process:
            deadline = time.monotonic() + 30
            while checkpoints.present(tmp_path)[:1] == already[:1]:
                assert time.monotonic() < deadline
            time.sleep(wait)
            process.kill()
        there = checkpoints.present(tmp_path)
        assert 1 <= len(there) <= checkpoints.KEPT + kills  # each may come before the oldest goes
        numbers = [int.from_bytes(checkpoints.read(file)[1][:4], "big") for file in there]
        assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1))
        first = numbers[0] + 1
    checkpoints.save(tmp_path, b"after", PLACE)
    assert len(checkpoints.present(tmp_path)) == 2
    assert checkpoints.read(checkpoints.present(tmp_path)[0])[1] == b"after"


def test_one_of_another_run_or_of_none_is_not_read_and_says_whose_it_is(tmp_path: Path) -> None:
    (theirs,) = saved(tmp_path / "theirs", 1)
    moved = tmp_path / "ours" / theirs.name
    moved.parent.mkdir()
    shutil.copy(theirs, moved)
    with pytest.raises(ValueError, match="it is of run theirs; expected ours"):
        checkpoints.read(moved)
    nameless = b"half way"
    moved.write_bytes(nameless + hashlib.sha256(nameless).digest())
    with pytest.raises(ValueError, match="does not say which run it is of; expected ours"):
        checkpoints.read(moved)
    assert checkpoints.reached(moved.parent) is None


def odd(file: Path, kind: str) -> None:
    """Put something that is no file in the place of a checkpoint."""
    if kind == "loop":
        file.symlink_to(file)
    elif kind == "dangling":
        file.symlink_to("nowhere")
    elif kind == "folder":
        file.mkdir()
    else:
        os.mkfifo(file)


@pytest.mark.parametrize("kind", ["loop", "dangling", "folder", "pipe"])
def test_what_is_no_file_is_not_read_and_can_be_set_aside(tmp_path: Path, kind: str) -> None:
    older, run = saved(tmp_path / "run", 1)[0], tmp_path / "run"
    odd(run / "checkpoint-000002.pt", kind)
    assert checkpoints.reached(run) == PLACE
    with pytest.raises(ValueError, match="it is not a file"):
        checkpoints.read(run / "checkpoint-000002.pt")
    checkpoints.put_aside(run / "checkpoint-000002.pt")
    assert checkpoints.present(run) == [older]
    checkpoints.save(run, b"2", PLACE)
    checkpoints.clear(run)
    assert names(run) == (["checkpoint-000002.damaged"] if kind == "folder" else [])


def test_how_far_a_run_is_is_read_without_torch(tmp_path: Path) -> None:
    saved(tmp_path / "run", 1)
    program = (
        "import sys; from pathlib import Path; from repro.training import checkpoints; "
        "print(checkpoints.reached(Path(sys.argv[1])).epoch, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    assert subprocess.run(command, capture_output=True, text=True).stdout.split() == ["3", "False"]
