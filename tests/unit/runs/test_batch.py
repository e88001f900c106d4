"""A batch: what is asked for, planned, prepared and run; each view is looked up once."""

from __future__ import annotations

import pytest
import torch
from threadpoolctl import threadpool_info

from builders import Write
from builders.commands import known
from builders.papers import paper, row, table, view
from repro import paths
from repro.data import prepare, views
from repro.interactions import Dataset
from repro.runs import batch, execute, records
from repro.runs.asked import asked_for
from repro.runs.batch import Quiet
from repro.runs.plan import plan
from repro.runs.settings import How


def test_a_view_is_looked_up_and_loaded_as_often_for_many_runs_as_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    load, prepared = views.load, views.prepared

    def loading(dataset: str, *tell: object) -> Dataset:
        seen.append("load")
        return load(dataset, *tell)  # type: ignore[arg-type]

    def looking(dataset: str) -> object:
        seen.append("prepared")
        return prepared(dataset)

    monkeypatch.setattr(views, "load", loading)
    monkeypatch.setattr(views, "prepared", looking)

    def counted(seeds: str) -> dict[str, int]:
        seen.clear()
        execute._dataset.cache_clear()
        asked = asked_for("toy", "1", rows=["Random"], views=["split"], seeds=seeds)
        done = batch.run(asked, How(paths.runs()), Quiet())
        assert done.exit_code == 0
        return {what: seen.count(what) for what in ("load", "prepared")}

    assert counted("0") == counted("1..5")
    assert counted("6")["load"] == 2  # to build it, and to train on it


def test_a_batch_tells_its_records_those_that_there_were_among_them() -> None:
    asked = asked_for("toy", "1", rows=["POP"], views=["split"])
    how = How(paths.runs())
    first = batch.run(asked, how, Quiet())
    assert (len(first.known), len(first.done.finished)) == (0, 1)
    quiet = Quiet()
    again = batch.run(asked, how, quiet)
    assert (len(again.known), len(again.done.finished)) == (1, 0)
    assert again.records == first.records
    assert quiet.said == ["0 to run, 1 have a record already, 0 without data"]


def test_a_damaged_view_costs_its_own_runs_alone() -> None:
    prepare.prepare("toy/leave_one_out")
    (views.folder("toy/leave_one_out") / "view.json").write_text("x")
    quiet = Quiet()
    done = batch.run(asked_for("toy", rows="POP"), How(paths.runs()), quiet)
    assert list(done.without_data) == ["toy/leave_one_out"]
    assert done.done.finished
    assert not done.done.failed
    assert any("toy/leave_one_out" in text for text in quiet.said)


def test_one_batch_does_not_decide_how_many_threads_the_next_one_has() -> None:
    def threads() -> tuple[int, list[int]]:
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        return torch.get_num_threads(), [pool["num_threads"] for pool in pools]

    torch.set_num_threads(2)
    before = threads()
    batch.run(asked_for("toy", "1", rows="EASE", views="split"), How(paths.runs()), Quiet())
    try:
        assert threads() == before
    finally:
        torch.set_num_threads(1)


def test_what_runs_say_is_kept_where_nobody_hears_it() -> None:
    asked = asked_for("toy", "1", rows="POP", views="split")
    how = How(paths.runs())
    (made,) = batch.run(asked, how, Quiet()).records
    folder = paths.runs() / made.id
    (folder / records.FILE).unlink()
    (folder / "checkpoint-000001.pt").write_bytes(b"junk")
    quiet = Quiet()
    batch.run(asked, how, quiet)
    assert any("cannot be used" in text for text in quiet.said)


@pytest.mark.parametrize("key", ["evcf", "se_vae"])
@pytest.mark.parametrize("model", ["evcf", "se_vae"])
def test_a_renamed_model_has_its_settings_under_either_name(
    write: Write, key: str, model: str
) -> None:
    settings = {key: {"hidden_dim": 16}}
    rows = row("A", model)
    write("tables/mine.toml", paper(view(params=settings), table(), rows))
    asked = asked_for("mine", smoke=True)
    (found,) = plan(asked).jobs
    assert found.experiment.model.name == "se_vae"
    assert found.experiment.model.params["hidden_dim"] == 16
    assert found.experiment.as_json()["model"]["name"] == "evcf"


def test_a_record_says_whether_its_bytes_were_verified_when_it_was_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = How(paths.runs())
    for verified in (False, True):
        monkeypatch.setattr("repro.data.views.is_verified", lambda *_, said=verified: said)
        seeds = str(int(verified))
        batch.run(asked_for("toy", "1", rows="POP", views="split", seeds=seeds), how, Quiet())
    assert {record.experiment.seed: record.verified for record in known()} == {0: False, 1: True}
