"""The index of a folder of runs: it saves reading records, and is never believed above them."""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.records import EASE, HITS, TARGETS, content, record, result, rewrite
from repro.errors import ReproError
from repro.runs import index, records
from repro.runs.records import Records

N = 5


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write an index at once, and believe it about files of this very moment."""
    monkeypatch.setattr(index, "FEWEST", 1)
    monkeypatch.setattr(index, "TICK_NS", -(10**9))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed in range(N):
        results = {"ndcg@3": result("ndcg@3", seed + 1)}
        experiment = replace(EASE, seed=seed)
        curve = [{"epoch": seed + 1, "losses": {"loss": 0.5}, "test": {"ndcg@3": 0.1}}]
        made = record(experiment, epoch=seed + 1, results=results, curve=curve)
        records.save(tmp_path, made, HITS, TARGETS)
    return tmp_path


class Counted:
    """Lists records, and counts those that are read from their own files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n = 0
        opened = records.opened  # type: ignore[attr-defined]

        def counting(file: Path) -> tuple[dict[str, Any], str]:
            self.n += 1
            return opened(file)

        monkeypatch.setattr("repro.runs.records.opened", counting)

    def __call__(self, runs: Path) -> tuple[Records, int]:
        self.n = 0
        return records.load_all(runs), self.n


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_records_are_read_once_and_are_the_same_from_the_index(runs: Path, listed: Counted) -> None:
    first, n_first = listed(runs)
    second, n_second = listed(runs)
    assert (n_first, n_second) == (N, 0)
    assert second == first == [records.load(one.path) for one in first]
    for one in second:
        full = records.load(one.path)
        assert (one.seal, one.arrays, one.folder) == (full.seal, full.arrays, full.folder)
        assert (one.dirty, one.experiment.key()) == (full.dirty, full.experiment.key())
        assert one.hits()[0].tolist() == HITS.tolist()


def test_what_the_index_lacks_is_read_from_the_record_when_asked_for(runs: Path) -> None:
    records.load_all(runs)
    for one in records.load_all(runs):
        assert "curve" not in vars(one)
        assert one.curve[0]["epoch"] == one.experiment.seed + 1
        with pytest.raises(AttributeError, match="a record has no curves"):
            one.curves  # type: ignore[attr-defined]  # noqa: B018


def test_a_record_that_changed_since_it_was_listed_is_not_mixed_with_the_list(runs: Path) -> None:
    listed = records.load_all(runs)[0]
    rewrite(listed.path, seconds=7.0)
    with pytest.raises(ReproError, match="has changed since it was listed"):
        _ = listed.curve


def test_an_edit_is_noticed_even_with_size_and_time_kept(runs: Path, listed: Counted) -> None:
    first, _ = listed(runs)
    file = first[0].path / records.FILE
    was = file.stat()
    text = file.read_text()
    value = str(first[0].results["ndcg@3"].value)
    file.write_text(text.replace(value, "0.9" + value[3:]))
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)
    found, n = listed(runs)
    assert (len(found), n) == (N - 1, 1)
    assert [one.id for one in found.damaged] == [first[0].id]


def test_what_changes_in_the_moment_of_indexing_is_read_again(
    runs: Path, listed: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(runs)
    monkeypatch.setattr(index, "TICK_NS", 2 * 10**9)
    assert listed(runs)[1] == N


def test_new_and_deleted_records_are_seen(runs: Path, listed: Counted) -> None:
    first, _ = listed(runs)
    (first[0].path / records.FILE).unlink()
    new = records.save(runs, record(replace(EASE, seed=99)), HITS, TARGETS)
    found, n = listed(runs)
    assert n == 1
    assert {one.id for one in found} == {one.id for one in first[1:]} | {new.id}


def test_few_new_records_do_not_rewrite_the_index(
    runs: Path, listed: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(runs)
    monkeypatch.setattr(index, "FEWEST", 2)
    was = (runs / index.FILE).read_bytes()
    records.save(runs, record(replace(EASE, seed=99)), HITS, TARGETS)
    assert listed(runs)[1] == 1
    assert (runs / index.FILE).read_bytes() == was


@pytest.mark.parametrize("how", ["cut", "a byte", "a value", "empty", "a folder", "a loop", "old"])
def test_a_damaged_index_is_ignored_and_written_anew(runs: Path, listed: Counted, how: str) -> None:
    first, _ = listed(runs)
    file = runs / index.FILE
    good = file.read_bytes()
    if how == "a folder":
        file.unlink()
        file.mkdir()
    elif how == "a loop":
        file.unlink()
        file.symlink_to(file)
    else:
        bad = {
            "cut": good[:-20],
            "a byte": good[:-20] + b"x" + good[-19:],
            "a value": good.replace(b"0.5", b"0.9"),
            "empty": b"",
            "old": good.replace(b'"index": 2', b'"index": 1'),
        }
        assert bad[how] != good
        file.write_bytes(bad[how])
    found, n = listed(runs)
    assert (found, n) == (first, N)
    if how != "a folder":
        assert listed(runs) == (first, 0)


def test_a_read_only_folder_works_without_an_index(
    runs: Path, listed: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(index, "write_atomically", refused)
    assert len(listed(runs)[0]) == N
    assert not (runs / index.FILE).exists()
    assert listed(runs)[1] == N


def listing(runs: Path) -> list[str]:
    index.FEWEST = 1
    return [one.id for one in records.load_all(runs)]


@pytest.mark.slow
def test_two_processes_may_write_the_index_at_once(runs: Path, listed: Counted) -> None:
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(listing, [runs] * 8))
    assert all(one == found[0] for one in found)
    assert listed(runs)[1] == 0
    assert not [path for path in runs.iterdir() if path.name.startswith(f"{index.FILE}.")]


def test_a_damaged_record_is_never_indexed(runs: Path, listed: Counted) -> None:
    folder = records.load_all(runs)[0].path
    (folder / records.FILE).write_text(json.dumps(content(folder) | {"seconds": 7.0}))
    for _ in range(3):
        found, n = listed(runs)
        assert (len(found), len(found.damaged), n) == (N - 1, 1, 1)
