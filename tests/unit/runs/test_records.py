"""Records: whole or absent, and their hits answer what the run was not asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.checkpoints import PLACE
from builders.records import EASE, HITS, TARGETS, asking, record, rewrite
from repro.errors import ReproError
from repro.experiment import Experiment, Need, model_spec
from repro.metrics import Result
from repro.runs import records
from repro.runs.records import Failure, Record
from repro.training import checkpoints

RECORD = record(
    digest="d" * 64,
    code={"version": "0"},
    seconds=1.5,
    epoch=3,
    results={"ndcg@3": Result(0.1 + 0.2, 1 / 3, 3)},
    curve=[{"phase": "train", "epoch": 3, "seconds": 0.1, "losses": {"loss": 0.7}}],
)


FULL = EASE.as_json()


def save_as(runs: Path, experiment: dict[str, Any]) -> Path:
    """Save the record of an experiment as an earlier version had it; return its folder."""
    return rewrite(records.save(runs, RECORD, HITS, TARGETS).path, experiment=experiment)


def test_what_is_saved_is_loaded_to_the_last_bit(tmp_path: Path) -> None:
    records.save(tmp_path, RECORD, HITS, TARGETS)
    loaded = records.load(tmp_path / RECORD.id)
    assert loaded == RECORD
    hits, n_targets = loaded.hits()
    assert hits.tolist() == HITS.tolist()
    assert n_targets.tolist() == TARGETS.tolist()


def test_what_was_asked_is_kept_and_a_record_from_before_says_nothing(tmp_path: Path) -> None:
    asked = replace(RECORD, split=asking(98.5, 99), untrained=2)
    saved = records.save(tmp_path, asked, HITS, TARGETS)
    assert records.load(saved.path) == records.load_all(tmp_path)[0] == asked
    before = records.load(rewrite(saved.path, split=None, untrained=None, sealing=False))
    assert (before.split, before.untrained) == (None, 0)


def test_a_metric_that_is_deeper_than_the_ranks_kept_is_not_known(tmp_path: Path) -> None:
    hits = np.ones((4, 250), dtype=bool)
    deep = replace(RECORD, results={"recall@250": Result(0.5, 0.1, 3)})
    loaded = records.load(records.save(tmp_path, deep, hits, np.full(4, 300)).path)
    assert [loaded.has(f"recall@{k}") for k in (100, 200, 250, 251)] == [True, True, True, False]
    assert loaded.result("recall@200").value == pytest.approx(200 / 300)
    assert not RECORD.has("ndcg@101")


@pytest.mark.parametrize("width", [1, 7, 8, 9, 100])
def test_hits_of_any_depth_are_kept(tmp_path: Path, width: int) -> None:
    hits = np.random.default_rng(0).random((5, width)) < 0.3
    records.save(tmp_path, RECORD, hits, np.full(5, width))
    assert records.load(tmp_path / RECORD.id).hits()[0].tolist() == hits.tolist()


def test_a_metric_that_was_not_asked_for_comes_from_the_hits(tmp_path: Path) -> None:
    records.save(tmp_path, RECORD, HITS, TARGETS)
    result = records.load(tmp_path / RECORD.id).result("recall@3")
    per_user = [1, 1 / 2, 0, 2 / 4]
    assert result.value == pytest.approx(np.mean(per_user))
    assert result.standard_error == pytest.approx(np.std(per_user, ddof=1) / 2)
    assert result.epoch == 3


def test_a_metric_that_was_asked_for_is_what_the_run_said(tmp_path: Path) -> None:
    records.save(tmp_path, RECORD, HITS, TARGETS)
    assert records.load(tmp_path / RECORD.id).result("ndcg@3") == RECORD.results["ndcg@3"]


def test_hits_of_one_epoch_do_not_answer_for_the_best_of_another(tmp_path: Path) -> None:
    each = save_as(tmp_path, FULL | {"select": "test:each"})
    assert not records.load(each).has("recall@3")


def test_hits_of_the_only_epoch_answer_for_every_metric(tmp_path: Path) -> None:
    each = records.load(save_as(tmp_path, FULL | {"select": "test:each"}))
    alone = replace(each, epoch=1)
    assert alone.has("recall@3")
    assert alone.keeps("recall@3")
    assert alone.result("recall@3").epoch == 1
    assert not replace(each, epoch=2).has("recall@3")


def test_a_record_takes_the_place_of_its_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / RECORD.id
    folder.mkdir()
    checkpoints.save(folder, b"half way", PLACE)
    assert not records.exists(tmp_path, RECORD.id)
    records.save(tmp_path, RECORD, HITS, TARGETS)
    assert records.exists(tmp_path, RECORD.id)
    assert sorted(path.name for path in folder.iterdir()) == ["hits.npz", "record.json"]


def test_vectors_of_an_earlier_run_do_not_stay_with_a_later_one(tmp_path: Path) -> None:
    vectors = {"users": np.ones((4, 2), dtype=np.float32)}
    records.save(tmp_path, RECORD, HITS, TARGETS, vectors)
    kept = records.load(tmp_path / RECORD.id).embeddings()
    assert {name: rows.tolist() for name, rows in kept.items()} == {"users": [[1.0, 1.0]] * 4}
    records.save(tmp_path, RECORD, HITS, TARGETS)
    assert records.load(tmp_path / RECORD.id).embeddings() == {}


def cut_off_at(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process cut off when a file is about to get its final name."""
    replace_ = Path.replace

    def cut(temporary: Path, path: Path) -> Path:
        if path.name == name:
            raise KeyboardInterrupt
        return replace_(temporary, path)

    monkeypatch.setattr(Path, "replace", cut)


def test_hits_alone_are_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off_at(records.FILE, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        records.save(tmp_path, RECORD, HITS, TARGETS)
    assert [file.name for file in (tmp_path / RECORD.id).iterdir()] == [records.HITS]
    assert not records.exists(tmp_path, RECORD.id)
    assert list(records.load_all(tmp_path)) == []


def test_all_records_of_a_folder_are_loaded(tmp_path: Path) -> None:
    made = [save_as(tmp_path, FULL | {"seed": seed}).name for seed in (1, 2, 3)]
    (tmp_path / "unfinished").mkdir()
    assert [record.id for record in records.load_all(tmp_path)] == sorted(made)
    assert list(records.load_all(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("damage", ["cut", "a key less", "a key more", "a result less", "a list"])
def test_a_damaged_record_is_named(tmp_path: Path, damage: str) -> None:
    records.save(tmp_path, RECORD, HITS, TARGETS)
    file = tmp_path / RECORD.id / records.FILE
    content = json.loads(file.read_text())
    if damage == "a key less":
        del content["digest"]
    elif damage == "a key more":
        content["mood"] = "good"
    elif damage == "a result less":
        del content["results"]["ndcg@3"]["epoch"]
    elif damage == "a list":
        content["results"] = []
    text = json.dumps(content)
    file.write_text(text[:-9] if damage == "cut" else text)
    with pytest.raises(ReproError, match=rf"(?s){file} is damaged: .*delete its folder"):
        records.load(tmp_path / RECORD.id)


@pytest.mark.parametrize("params", [[1, 2], "text", 7])
def test_parameters_of_another_kind_are_named_even_of_a_plugin_that_is_gone(
    tmp_path: Path, params: object
) -> None:
    folder = save_as(tmp_path, FULL | {"model": {"name": "gone", "params": params}})
    with pytest.raises(ReproError, match=r"is damaged: experiment\.model\.params"):
        records.load(folder)


def test_an_old_record_does_not_vouch_for_new_hits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.save(tmp_path, RECORD, HITS, TARGETS)

    cut_off_at(records.FILE, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        records.save(tmp_path, RECORD, ~HITS, TARGETS)
    assert not records.exists(tmp_path, RECORD.id)


def test_a_record_from_before_a_parameter_existed_has_its_default(tmp_path: Path) -> None:
    full = replace(EASE, model=model_spec("ease", {"l2": 500.0}, "here")).as_json()
    old = full | {"model": {"name": "ease", "params": {}}}
    assert records.load(save_as(tmp_path, old)).experiment == Experiment.from_json(full)


@pytest.mark.parametrize("without", ["peak_bytes", "attempts", "cases"])
def test_a_record_from_before_a_field_existed_is_loaded(tmp_path: Path, without: str) -> None:
    folder = records.save(tmp_path, RECORD, HITS, TARGETS).path
    rewrite(folder, sealing=False, **{without: None})
    loaded = records.load(folder)
    assert loaded == RECORD
    assert not loaded.seal
    assert loaded.hits()[0].tolist() == HITS.tolist()


def test_the_memory_that_a_run_took_is_kept(tmp_path: Path) -> None:
    peak = {"process": 2**40 + 1, "device": 7}
    records.save(tmp_path, replace(RECORD, peak_bytes=peak), HITS, TARGETS)
    assert records.load(tmp_path / RECORD.id).peak_bytes == peak


def found(runs: Path, **changed: str) -> Record | None:
    return records.find(runs, changed.get("digest", RECORD.digest), EASE)


def test_a_record_is_found_under_the_id_of_its_experiment(tmp_path: Path) -> None:
    records.save(tmp_path, RECORD, HITS, TARGETS)
    assert found(tmp_path) == RECORD


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path) -> None:
    assert found(tmp_path) is None
    assert found(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "older",
    [
        {"model": {"name": "ease", "params": {}}},
        {"protocol": {"name": "given_split", "params": {"leaked": "keep"}}},
        {
            "model": {"name": "ease", "params": {}},
            "protocol": {"name": "given_split", "params": {}},
        },
    ],
    ids=["model", "protocol", "both"],
)
def test_a_record_from_before_a_parameter_existed_is_found(
    tmp_path: Path, older: dict[str, object]
) -> None:
    folder = save_as(tmp_path, FULL | older)
    record = found(tmp_path)
    assert record is not None
    assert (record.id, record.experiment) == (folder.name, EASE)
    assert record.id != RECORD.id
    hits, _ = record.hits()
    assert hits.tolist() == HITS.tolist()


@pytest.mark.parametrize(
    "other",
    [
        {"model": {"name": "ease", "params": {"l2": 400.0}}},
        {"model": {"name": "popularity", "params": {}}},
        {"protocol": {"name": "given_split", "params": {"leaked": "drop"}}},
        {"seed": 1},
        {"select": "test:each"},
        {"smoke": True},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_record_of_another_experiment_is_not_found(
    tmp_path: Path, other: dict[str, object]
) -> None:
    save_as(tmp_path, FULL | other)
    assert found(tmp_path) is None


def test_a_record_of_other_data_is_not_found(tmp_path: Path) -> None:
    older = FULL | {"model": {"name": "ease", "params": {}}}
    save_as(tmp_path, older)
    assert found(tmp_path) is not None
    assert found(tmp_path, digest="e" * 64) is None


def test_a_record_that_is_written_anew_is_looked_at_anew(tmp_path: Path) -> None:
    save_as(tmp_path, FULL | {"seed": 1})
    assert found(tmp_path) is None
    older = FULL | {"model": {"name": "ease", "params": {}}}
    save_as(tmp_path, older)
    assert found(tmp_path) is not None


def test_a_damaged_record_is_named_when_it_is_looked_for(tmp_path: Path) -> None:
    file = save_as(tmp_path, FULL) / records.FILE
    file.write_text(file.read_text()[:-9])
    for _ in range(2):
        with pytest.raises(ReproError, match=rf"(?s){file} is damaged.*delete its folder"):
            found(tmp_path)


def test_a_damaged_record_of_another_run_stops_no_search(tmp_path: Path) -> None:
    file = save_as(tmp_path, FULL | {"seed": 1}) / records.FILE
    file.write_text(file.read_text()[:-9])
    older = save_as(tmp_path, FULL | {"model": {"name": "ease", "params": {}}})
    record = found(tmp_path)
    assert record is not None
    assert record.folder == older


FAILED = Failure(
    "the wheels came off\n  put them on again",
    "2024-01-01T00:00:00+00:00",
    {"version": "0", "dirty": True},
    "Traceback (most recent call last):\n…",
)


def test_why_a_run_failed_is_kept_beside_its_checkpoint_and_is_no_record(tmp_path: Path) -> None:
    folder = tmp_path / RECORD.id
    assert records.failure(folder) is None
    assert records.save_failure(folder, FAILED).parent == folder
    checkpoints.save(folder, b"half way", PLACE)
    assert records.failure(folder) == FAILED
    assert not records.exists(tmp_path, RECORD.id)
    assert list(records.load_all(tmp_path)) == []


def test_of_several_failures_the_last_is_kept(tmp_path: Path) -> None:
    records.save_failure(tmp_path, FAILED)
    later = replace(FAILED, message="the engine stopped", traceback="")
    records.save_failure(tmp_path, later)
    assert records.failure(tmp_path) == later


def test_a_record_takes_the_place_of_an_earlier_failure(tmp_path: Path) -> None:
    folder = tmp_path / RECORD.id
    records.save_failure(folder, FAILED)
    records.save(tmp_path, RECORD, HITS, TARGETS)
    assert records.failure(folder) is None
    assert sorted(path.name for path in folder.iterdir()) == ["hits.npz", "record.json"]


@pytest.mark.parametrize("text", ["", '{"message": "the wh', "[]", '{"message": "so"}'])
def test_a_damaged_note_of_a_failure_is_named(tmp_path: Path, text: str) -> None:
    file = records.save_failure(tmp_path, FAILED)
    file.write_text(text)
    with pytest.raises(ReproError, match=str(file)):
        records.failure(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("results", {"ndcg@3": {"value": None, "standard_error": 0.1, "epoch": 1}}, "value"),
        ("results", {"ndcg@3": {"value": float("nan"), "standard_error": 0.1, "epoch": 1}}, "NaN"),
        ("results", {"ndcg@3": {"value": 10**400, "standard_error": 0.1, "epoch": 1}}, "value"),
        ("results", {"ndcg@3": {"value": "0.1", "standard_error": 0.1, "epoch": 1}}, "value"),
        ("constant", True, "constant"),
        ("constant", "0", "constant"),
        ("code", [], "code"),
        ("code", {"version": ["0"]}, "version"),
        ("began", "yesterday", "began"),
        ("epoch", 1.5, "epoch"),
        ("curve", [{"phase": "train"}], "curve"),
        ("curve", [{"epoch": 1, "test": {"ndcg@3": "0.3"}}], "curve"),
        ("experiment", FULL | {"seed": "0"}, "experiment.seed"),
        ("experiment", FULL | {"smoke": 0}, "experiment.smoke"),
        ("experiment", FULL | {"every": None}, "experiment.every"),
        ("experiment", FULL | {"dataset": 7}, "experiment.dataset"),
        ("experiment", FULL | {"protocol": []}, "experiment.protocol"),
        ("experiment", FULL | {"select": "best"}, "experiment.select"),
        ("experiment", {"dataset": "toy/split"}, "experiment"),
    ],
)
@pytest.mark.parametrize("seal", [True, False], ids=["sealed", "unsealed"])
def test_a_record_with_a_value_of_another_kind_is_named(
    tmp_path: Path, key: str, value: object, named: str, seal: bool
) -> None:
    folder = records.save(tmp_path, RECORD, HITS, TARGETS).path
    folder = rewrite(folder, sealing=seal, **{key: value})
    with pytest.raises(ReproError, match=rf"{folder / records.FILE} is damaged: .*{named}"):
        records.load(folder)


@pytest.mark.parametrize(
    ("looks", "held"),
    [
        ([{"ndcg@3": 0.1}, {"ndcg@3": 0.2}], True),
        ([{"mrr@3": 0.1}, {"mrr@3": 0.1, "ndcg@3": 0.2}], False),  # cut off, then another table
        ([], False),
    ],
)
def test_a_curve_is_there_if_every_look_has_seen_it(
    looks: list[dict[str, float]], held: bool
) -> None:
    curve: list[dict[str, Any]] = [{"losses": {}}]
    curve += [{"losses": {"corr": 0.1}, "valid": look} for look in looks]
    made = replace(RECORD, curve=curve)
    assert made.holds(Need.of("valid:ndcg@3")) is held
    assert made.holds(Need.of("loss:corr")) is bool(looks)  # of a phase alone


@pytest.mark.parametrize(
    ("attempts", "dirty"),
    [
        ([{"sources": "a"}], False),
        ([{"sources": "a", "commit": "1"}, {"sources": "a", "commit": "2"}], False),
        ([{"sources": "a"}, {"sources": "b"}], True),
        ([{"sources": "b", "mine.py": "1"}, {"sources": "b", "mine.py": "2"}], True),
        ([{"sources": "a", "dirty": True}], True),
        ([{}, {"began": "before sources were noted"}], False),
    ],
)
def test_a_record_whose_code_changed_after_a_cut_is_of_no_commit(
    attempts: list[dict[str, object]], dirty: bool
) -> None:
    assert replace(RECORD, code=attempts[-1], attempts=attempts).dirty is dirty


def test_what_a_killed_process_was_writing_goes_with_the_next_record(tmp_path: Path) -> None:
    folder = tmp_path / RECORD.id
    folder.mkdir()
    left = [folder / f".{name}.4711.0badcafe" for name in (records.HITS, records.FILE)]
    beat = folder / ".lock.json.4711.0badcafe"  # of the run itself, this moment
    for file in [*left, beat]:
        file.touch()
    records.save(tmp_path, RECORD, HITS, TARGETS)
    assert not any(file.exists() for file in left)
    assert beat.exists()
