"""A batch: what is asked for, planned, prepared and run; each view is looked up once."""

from __future__ import annotations

import pytest

from repro import paths
from repro.data import views
from repro.interactions import Dataset
from repro.runs import batch, execute
from repro.runs.asked import asked_for
from repro.runs.batch import Quiet
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
