"""Seals: no edit of a record, its arrays or its place passes for what was measured."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.records import EASE, HITS, TARGETS, content, record, result, rewrite
from repro.errors import ReproError
from repro.runs import records, sealed
from repro.runs.records import Record
from repro.runs.verify import verify

RECORD = record(
    digest="d" * 64,
    epoch=3,
    results={"ndcg@3": result("ndcg@3", 3), "recall@3": result("recall@3", 3)},
    curve=[
        {"phase": "train", "epoch": 2, "losses": {"loss": 0.9}, "test": {"ndcg@3": 0.1}},
        {
            "phase": "train",
            "epoch": 3,
            "losses": {"loss": 0.7},
            "test": {"ndcg@3": result("ndcg@3").value},
        },
    ],
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return records.save(tmp_path, RECORD, HITS, TARGETS).path


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where the plain values of a JSON value are."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, one in inside:
        plain = not isinstance(one, dict | list) or not one
        found += [(*path, key)] if plain else leaves(one, (*path, key))
    return found


def edited(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = new
    return copy


OTHER = st.none() | st.booleans() | st.integers() | st.floats(0, 1) | st.text(max_size=5)


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_edit_of_a_value_counts(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as runs:
        folder = records.save(Path(runs), RECORD, HITS, TARGETS).path
        was = content(folder)
        place = data.draw(st.sampled_from(leaves(was)))
        new = edited(was, place, data.draw(OTHER))
        (folder / records.FILE).write_text(json.dumps(new))
        if json.dumps(new, sort_keys=True) == json.dumps(was, sort_keys=True):
            assert records.load(folder) == RECORD
            return
        with pytest.raises(ReproError, match=str(folder / records.FILE)):
            records.load(folder)
        found = records.load_all(Path(runs))
        assert not found
        assert [one.folder for one in found.damaged] == [folder]


def test_another_form_of_the_same_json_is_no_edit(folder: Path) -> None:
    text = json.dumps(dict(reversed(content(folder).items())), indent=4, ensure_ascii=True)
    (folder / records.FILE).write_text(text)
    assert records.load(folder) == RECORD


def test_hits_of_another_run_are_refused(folder: Path, tmp_path: Path) -> None:
    other = records.save(tmp_path, replace(RECORD, id="another"), ~HITS, TARGETS + 3).path
    (other / records.HITS).replace(folder / records.HITS)
    found = records.load(folder)
    with pytest.raises(ReproError, match=f"{folder / records.HITS} is not the file that was saved"):
        found.hits()
    with pytest.raises(ReproError, match="is not the file that was saved"):
        found.result("mrr@3")
    assert verify(found).faults


def test_embeddings_are_those_that_were_saved(tmp_path: Path) -> None:
    vectors = {"users": np.ones((4, 2), dtype=np.float32)}
    folder = records.save(tmp_path, RECORD, HITS, TARGETS, vectors).path
    assert records.load(folder).embeddings()["users"].tolist() == [[1.0, 1.0]] * 4
    np.savez_compressed(folder / records.EMBEDDINGS, users=np.zeros((4, 2), dtype=np.float32))
    with pytest.raises(ReproError, match="is not the file that was saved"):
        records.load(folder).embeddings()
    (folder / records.EMBEDDINGS).unlink()
    with pytest.raises(ReproError, match="cannot be read"):
        records.load(folder).embeddings()


def test_embeddings_that_were_put_beside_a_record_are_not_its_own(folder: Path) -> None:
    np.savez_compressed(folder / records.EMBEDDINGS, users=np.ones((4, 2), dtype=np.float32))
    assert records.load(folder).embeddings() == {}


def a_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_dead_link(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("gone"))


def text(new: str) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        file.write_text(new)

    return write


def latin(file: Path) -> None:
    file.write_bytes(b'{"id": "\xff"}')


def without_seal(file: Path) -> None:
    new = content(file.parent)
    del new["seal"]
    file.write_text(json.dumps(new))


BROKEN = {
    "a loop": (a_loop, "symbolic links"),
    "a folder": (a_folder, "it is not a file"),
    "a pipe": (a_pipe, "it is not a file"),
    "a dead link": (a_dead_link, "a link to something that does not exist"),
    "empty": (text(""), "Expecting value"),
    "a list": (text("[]"), "not a JSON object"),
    "deep": (text("[" * 100_000), "is damaged: it is nested too deeply"),
    "a long number": (text('{"id": ' + "9" * 5000 + "}"), "digits"),
    "no text": (latin, "utf-8"),
    "without its seal": (without_seal, "its seal is missing"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_whatever_lies_in_place_of_a_record_is_named_and_hides_no_other(
    tmp_path: Path, folder: Path, how: str
) -> None:
    damage, said = BROKEN[how]
    good = rewrite(records.save(tmp_path, RECORD, HITS, TARGETS).path, digest="e" * 64)
    folder = records.save(tmp_path, RECORD, HITS, TARGETS).path
    damage(folder / records.FILE)
    found = records.load_all(tmp_path)
    assert [one.folder for one in found] == [good]
    (damaged,) = found.damaged
    assert damaged.id == RECORD.id
    assert str(folder) in damaged.reason
    assert said in damaged.reason
    assert "delete its folder" in damaged.error.hint
    again = records.save(tmp_path, RECORD, HITS, TARGETS)  # as a forced run does
    assert records.load(again.path) == RECORD


def test_a_folder_that_is_a_loop_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (damaged,) = records.load_all(tmp_path).damaged
    assert damaged.id == "loop"
    assert "symbolic links" in damaged.reason


@pytest.mark.parametrize("sealing", [True, False], ids=["sealed", "unsealed"])
def test_a_record_in_the_folder_of_another_run_is_named(
    tmp_path: Path, folder: Path, sealing: bool
) -> None:
    folder = rewrite(folder, sealing=sealing)
    folder.rename(tmp_path / ("0" * 12))
    with pytest.raises(ReproError, match=f"it is the record of {RECORD.id}"):
        records.load(tmp_path / ("0" * 12))


@pytest.mark.parametrize("key", ["experiment", "digest", "id"])
def test_an_id_is_the_hash_of_experiment_and_data_even_without_a_seal(
    folder: Path, key: str
) -> None:
    folder = rewrite(folder, sealing=False)
    other = {"experiment": replace(EASE, seed=1).as_json(), "digest": "e" * 64, "id": "0" * 12}
    (folder / records.FILE).write_text(json.dumps(content(folder) | {key: other[key]}))
    with pytest.raises(ReproError, match=r"its id is .*and its experiment and data have the id"):
        records.load(folder)


def test_a_record_of_a_later_version_is_said_to_be_one(folder: Path) -> None:
    later = rewrite(folder, mood="good")
    with pytest.raises(ReproError, match=r"(?s)later version of repro: .*mood.*update repro"):
        records.load(later)
    new = content(later) | {"format": sealed.FORMAT + 1}
    (later / records.FILE).write_text(json.dumps(new))
    with pytest.raises(ReproError, match=r"(?s)later version of repro: its format is 2"):
        records.load(later)


def test_a_record_from_before_there_were_seals_counts_and_is_told_apart(folder: Path) -> None:
    old = rewrite(folder, sealing=False)
    loaded = records.load(old)
    assert loaded == RECORD
    assert (loaded.seal, loaded.arrays) == ("", {})
    assert loaded.hits()[0].tolist() == HITS.tolist()
    assert verify(loaded).faults == []


def test_the_saved_record_and_the_loaded_one_have_the_same_digests(tmp_path: Path) -> None:
    saved = records.save(tmp_path, RECORD, HITS, TARGETS)
    loaded = records.load(saved.path)
    assert len(saved.seal) == 64
    assert (saved.seal, saved.arrays) == (loaded.seal, loaded.arrays)


# Results and hits


def resealed(folder: Path, **changed: Any) -> Record:
    return records.load(rewrite(folder, **changed))


def said(**changed: Any) -> dict[str, Any]:
    one = vars(result("ndcg@3", 3)) | changed
    return {"ndcg@3": one, "recall@3": vars(result("recall@3", 3))}


def test_results_that_the_hits_give_are_verified(folder: Path) -> None:
    found = verify(records.load(folder))
    assert found.faults == []
    assert (found.recomputed, found.followed, found.n_results) == (2, 0, 2)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"results": said(value=0.9)}, "results.ndcg@3.value is 0.9, and the"),
        ({"results": said(standard_error=0.01)}, "results.ndcg@3.standard_error is 0.01"),
        ({"results": said(standard_error=None)}, "results.ndcg@3.standard_error is None"),
        ({"results": said(epoch=2)}, "results.ndcg@3 is of epoch 2, not 3"),
        ({"results": said() | {"mood@3": vars(result("ndcg@3", 3))}}, "results.mood@3: no metric"),
        ({"n_users": 5}, "n_users is 5, and there are hits of 4 users"),
        ({"curve": [{"epoch": 3, "test": {"ndcg@3": 0.5}}]}, "the curve has 0.5 at epoch 3"),
    ],
)
def test_a_result_that_does_not_fit_the_hits_is_named_though_the_seal_fits(
    folder: Path, changed: dict[str, Any], fault: str
) -> None:
    assert fault in "; ".join(verify(resealed(folder, **changed)).faults)


@pytest.mark.parametrize("value", [0.1, None])
def test_results_of_other_epochs_are_compared_with_the_curve(
    folder: Path, value: float | None
) -> None:
    experiment = replace(EASE, select="test:each").as_json()
    best = said(value=0.1, epoch=2)
    curve = content(folder)["curve"]
    if value is None:
        curve[0]["test"] = {"ndcg@3": 0.2}
    found = verify(resealed(folder, experiment=experiment, results=best, curve=curve))
    assert bool(found.faults) is (value is None)
    assert (found.recomputed, found.followed) == (1, 1)
    assert "1 of 2 results recomputed from hits, 1 found in the curve" in found.coverage


@pytest.mark.parametrize(
    "arrays",
    [
        {"hits": np.packbits(HITS, axis=1), "width": 3},
        {"hits": np.packbits(HITS, axis=1), "width": 3, "n_targets": TARGETS[:2]},
        {"hits": HITS.astype(float), "width": 3, "n_targets": TARGETS},
        {"hits": np.packbits(HITS, axis=1), "width": [3, 3], "n_targets": TARGETS},
        {"hits": np.packbits(~HITS, axis=1), "width": 3, "n_targets": TARGETS},
        {"hits": np.packbits(HITS, axis=1), "width": 3, "n_targets": np.zeros(4, dtype=int)},
    ],
    ids=["no targets", "fewer targets", "no bits", "widths", "more hits", "without a target"],
)
def test_unsealed_hits_that_are_none_are_a_fault_and_no_traceback(
    folder: Path, arrays: dict[str, Any]
) -> None:
    folder = rewrite(folder, sealing=False)
    np.savez_compressed(folder / records.HITS, **arrays)
    assert verify(records.load(folder)).faults


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_unsealed_hits_with_any_byte_changed_give_no_traceback(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as runs:
        folder = records.save(Path(runs), RECORD, HITS, TARGETS).path
        folder = rewrite(folder, sealing=False)
        file = folder / records.HITS
        bytes_ = bytearray(file.read_bytes())
        at = data.draw(st.integers(0, len(bytes_) - 1))
        bytes_[at] ^= data.draw(st.integers(1, 255))
        file.write_bytes(bytes_[: data.draw(st.integers(at, len(bytes_)))])
        verify(records.load(folder))
