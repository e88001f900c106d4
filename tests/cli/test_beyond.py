"""`repro beyond`: what rows recommend, of runs that kept their lists."""

from __future__ import annotations

import numpy as np
import pytest

from builders.commands import json_of, known, repro_
from repro.experiment import Need
from repro.results.exposure import coverage, overlap
from repro.runs import execute, plan
from repro.runs.asked import asked_for

RUN = ("run", "toy", "--table", "1", "--view", "split", "--row", "POP", "--row", "EASE")


def test_lists_are_kept_when_asked_for_and_measured() -> None:
    repro_(*RUN)
    assert not any(record.keeps_lists for record in known())
    assert "no run of table 1" in repro_("beyond", "toy", "--table", "1", code=1).stderr
    told = repro_(*RUN, "--keep", "lists")
    assert "2 to run, 0 have a record already" in told.stderr  # a record without is not enough
    assert "0 to run" in repro_(*RUN, "--keep", "lists").stderr
    assert "0 to run" in repro_(*RUN).stderr

    by_model = {record.experiment.model.name: record for record in known()}
    pop, ease = (by_model[name].lists() for name in ("popularity", "ease"))
    found = {one["row"]["row"]: one for one in json_of("beyond", "toy", "--table", "1", "--k", "5")}
    assert found["POP"]["measures"]["coverage"] == coverage(pop, 5)
    assert found["EASE"]["overlap"]["POP"] == pytest.approx(overlap(ease, pop, 5).mean())
    groups = found["EASE"]["by_activity"]
    mean = sum(one["users"] * one["value"] for one in groups) / sum(one["users"] for one in groups)
    assert mean == pytest.approx(by_model["ease"].results["ndcg@10"].value)
    text = repro_("beyond", "toy", "--table", "1").stdout
    assert "coverage" in text
    assert "long tail" in text


def test_kept_lists_hold_no_item_of_the_history_and_fit_the_hits() -> None:
    repro_(*RUN, "--keep", "lists")
    jobs = plan.plan(asked_for("toy", "1", views="split", rows="EASE")).jobs
    split = execute.split_of(jobs[0])
    (record,) = (one for one in known() if one.experiment.model.name == "ease")
    assert record.holds(Need.of("lists"))
    items, hits = record.lists().items, record.hits()[0]
    for user in range(0, len(items), 17):
        one = np.array([user])
        history = set(split.test.queries.history.rows(one).item.tolist())
        targets = set(split.test.targets.rows(one).item.tolist())
        shown = [item for item in items[user].tolist() if item >= 0]
        assert not history & set(shown)
        assert len(set(shown)) == len(shown)
        assert [item in targets for item in shown] == hits[user, : len(shown)].tolist()


def test_a_run_that_is_forced_keeps_what_was_kept() -> None:
    repro_(*RUN, "--keep", "lists")
    repro_(*RUN, "--force")
    assert all(record.keeps_lists for record in known())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("run", "toy", "--keep", "list"), "did you mean lists?"),
        (("beyond", "toy", "--table", "1", "--k", "0"), "--k is 0"),
        (("beyond", "toy", "--table", "9"), "no table"),
    ],
)
def test_what_makes_no_sense_is_refused(command: tuple[str, ...], said: str) -> None:
    assert said in repro_(*command, code=1).stderr
