"""Plans: which runs there are, how each stands, and how long those to come will take."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import Write
from builders.checkpoints import PLACE
from builders.commands import content
from builders.models import level
from builders.papers import BOTH, OBSTACLES, blocked, paper, row, table, view
from builders.processes import dead_process, lock_file, until
from builders.records import record
from repro import paths
from repro.data import prepare, views
from repro.data.prepared import Prepared
from repro.errors import ReproError
from repro.experiment import Experiment, Spec
from repro.locks import processes
from repro.metrics import Result
from repro.runs import locks, plan, records, sealed, status
from repro.runs.asked import Asked, asked_for
from repro.runs.plan import Job, Plan
from repro.runs.records import Failure, Record
from repro.runs.settings import Settings
from repro.runs.status import State
from repro.training import checkpoints

RATINGS = ("toy/ratings", "random_split")

N_USERS = 240  # of the toy data

Own = Callable[..., Plan]


@pytest.fixture
def own(write: Write) -> Own:
    """Return what writes the paper, with some lines more, and plans all of its runs."""

    def load(
        model: str = "popularity",
        params: dict[str, object] | None = None,
        more: str = "",
        **of_table: Any,
    ) -> Plan:
        groups = table("1", BOTH, groups=["toy", "gone"], **of_table)
        mine = row("Mine", model, ["0.5", "0.5"], params=params)
        text = paper(view("toy", *RATINGS), blocked("gone", *RATINGS), groups, mine, more)
        write("tables/mine.toml", text)
        return plan.plan(Asked(("mine",)))

    return load


def settings() -> Settings:
    return Settings(paths.runs(), "cpu")


def saved(
    job: Job, seconds: float = 1.0, *, experiment: Experiment | None = None, **changed: Any
) -> Record:
    """Save a record of a job as if it had run."""
    known = views.prepared(job.experiment.dataset)
    assert known is not None
    results = {metric: Result(0.5, 0.1, 1) for metric in job.metrics}
    about: dict[str, Any] = {"digest": known.digest, "results": results, "n_users": 2}
    made = record(experiment or job.experiment, seconds=seconds, **(about | changed))
    records.save(paths.runs(), made, np.zeros((2, 10), dtype=bool), np.array([1, 1]))
    return made


def folder(job: Job) -> Path:
    return paths.runs() / job.id


def finished(job: Job) -> str | None:
    jobs = Plan([job]).located()
    return status.finished(jobs, records.load_all(paths.runs())).get(job.label)


def state(plan: Plan) -> State:
    """Return how the only run of a plan stands."""
    (found,) = status.states(plan, paths.runs())
    return found


@contextmanager
def at_it(job: Job, monkeypatch: pytest.MonkeyPatch, *told: tuple[str, int, int]) -> Iterator[None]:
    """Hold the lock on a job in this process, and tell how far it is."""
    monkeypatch.setattr("repro.locks.BEAT_SECONDS", 0.01)
    with locks.held(folder(job), job.label) as holder:
        for phase, epoch, n in told:
            time.sleep(0.05)
            holder.tell(phase, epoch, n)
        until(lambda: locks.read(folder(job)) == holder.lock, seconds=10)
        yield


def test_the_seeds_of_a_table_are_planned(own: Own) -> None:
    plan = own(seeds=[0, 3, 5])
    assert [job.experiment.seed for job in plan.jobs] == [0, 3, 5]
    assert [job.label for job in plan.jobs] == [
        f"mine 1 | Mine | Toy | seed {s}" for s in (0, 3, 5)
    ]


def test_seeds_that_are_asked_for_go_before_those_of_the_table(own: Own) -> None:
    assert [job.experiment.seed for job in own(seeds=[0, 3, 5]).jobs] == [0, 3, 5]
    asked = plan.plan(Asked(("mine",), seeds=(7, 8)))
    assert [job.experiment.seed for job in asked.jobs] == [7, 8]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["mask_share=0.04,0.1"], {(0.04, 0.5), (0.1, 0.5)}),
        (["mask_share = [0, 0.2]"], {(0.0, 0.5), (0.2, 0.5)}),
        (["mask_share=0,0.2", "alpha=0.25,1"], {(m, a) for m in (0, 0.2) for a in (0.25, 1)}),
        (["mask_share=0.2,0.2"], {(0.2, 0.5)}),
    ],
)
def test_several_values_of_a_setting_run_each(
    settings: list[str], expected: set[tuple[float, float]]
) -> None:
    asked = asked_for("mvae", "II", rows="MVAE", views="jca-ml-1m", settings=settings)
    found = [job.experiment.model.params for job in plan.plan(asked).jobs]
    assert {(params["mask_share"], params["alpha"]) for params in found} == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("hidden_dims=300,100", {(300, 100)}), ("hidden_dims=[300],[300,100]", {(300,), (300, 100)})],
)
def test_a_list_is_one_value_of_what_takes_a_list(
    setting: str, expected: set[tuple[int, ...]]
) -> None:
    asked = asked_for("toy", "1", model="mult_vae", settings=[setting])
    found = {tuple(job.experiment.model.params["hidden_dims"]) for job in plan.plan(asked).jobs}
    assert found == expected


def test_a_list_with_a_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ReproError, match="mask_share"):
        plan.plan(asked_for("mvae", "II", rows="MVAE", settings=["mask_share=0.1,two"]))


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"select": "valid:ndcg@20"}, ("valid:ndcg@20", 1, 10)),
        ({"every": 5}, ("valid:ndcg@10", 5, 10)),
        ({"patience": 4}, ("valid:ndcg@10", 1, 4)),
        ({"patience": 0}, ("valid:ndcg@10", 1, None)),
    ],
)
def test_rules_of_evaluation_can_be_asked_for(
    rules: dict[str, Any], expected: tuple[str, int, int | None]
) -> None:
    asked = asked_for("dave", "4", rows="DAVE", views="ml-100k", seeds="0", **rules)
    (job,) = plan.plan(asked).jobs
    made = job.experiment
    assert (made.select, made.every, made.patience) == expected
    ((name, value),) = rules.items()
    assert f"{name} = {value}" in job.label


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"select": "best"}, "selection rule"),
        ({"select": "valid:ndgc@10"}, "ndcg"),
        ({"every": 0}, "--every is 0"),
        ({"select": "last", "patience": 3}, "--patience needs a metric"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ReproError, match=message):
        plan.plan(asked_for("dave", "4", rows="DAVE", **rules))


@pytest.mark.parametrize(
    ("paper", "table", "view", "added", "labels"),
    [
        ("dave", "4", "ml-100k", False, {"MovieLens 100K"}),
        ("dave", "4", "ML-100K/dave", False, {"MovieLens 100K"}),
        (
            "dave",
            "4",
            "ml-100k",
            True,
            {"MovieLens 100K", "MovieLens 100K, ties as in the file, ours"},
        ),
        ("multvae_ablation", "I", "ml-1m/liang2018", False, {"MovieLens-1M, ours"}),
        ("mvae", "II", "jca-yelp", False, {"Yelp"}),
    ],
)
def test_a_view_can_be_named_by_its_data(
    paper: str, table: str, view: str, added: bool, labels: set[str]
) -> None:
    found = plan.plan(Asked((paper,), table=table, views=(view,), added=added))
    assert {job.label.split(" | ")[2] for job in found.jobs} == labels


def test_a_run_without_data_is_not_finished(own: Own) -> None:
    (job,) = own().jobs
    assert finished(job) is None


def test_a_run_with_a_record_is_finished(own: Own) -> None:
    (job,) = own().jobs
    prepare.prepare("toy/ratings")
    assert finished(job) is None
    made = saved(job)
    assert finished(job) == made.id


def test_a_record_from_before_a_parameter_existed_finishes_a_run(own: Own, write: Write) -> None:
    write("models/level.py", level())
    (older,) = own("level").jobs
    prepare.prepare("toy/ratings")
    made = saved(older)
    write("models/level.py", level("tilt: float = 0.0"))
    (newer,) = own("level").jobs
    assert newer.id != made.id
    assert finished(newer) == made.id
    (tilted,) = own("level", {"tilt": 1}).jobs
    assert finished(tilted) is None
    (other,) = own("level", {"value": 2}).jobs
    assert finished(other) is None


def test_a_record_that_did_not_follow_a_metric_finishes_nothing(own: Own) -> None:
    (job,) = own(select="test:each").jobs
    prepare.prepare("toy/ratings")
    saved(job, results={"ndcg@10": Result(0.5, 0.1, 1)}, epoch=2)
    assert finished(job) is None


def test_a_record_of_one_epoch_finishes_a_run_whatever_it_followed(own: Own) -> None:
    (job,) = own(select="test:each").jobs
    prepare.prepare("toy/ratings")
    made = saved(job, results={"ndcg@10": Result(0.5, 0.1, 1)}, epoch=1)
    assert finished(job) == made.id


def test_data_that_is_generated_is_said_to_be(own: Own) -> None:
    assert plan.lacking(own()) == {"toy/ratings": "generated"}
    prepare.prepare("toy/ratings")
    assert plan.lacking(own()) == {}


def test_a_run_without_data_says_which_command_brings_it(own: Own) -> None:
    plan = own()
    found = state(plan)
    assert (found.kind, found.detail, found.left) == ("no data", "repro fetch toy/ratings", None)


def test_a_run_that_was_never_begun_is_missing(own: Own) -> None:
    plan = own()
    prepare.prepare("toy/ratings")
    found, (job,) = state(plan), plan.jobs
    assert found == State(
        "mine 1 | Mine | Toy | seed 0", "missing", "mine", "1", "Mine", "Toy", 0, job.id
    )


def test_a_run_that_is_done_names_its_record(own: Own) -> None:
    plan = own()
    prepare.prepare("toy/ratings")
    made = saved(plan.jobs[0])
    records.save_failure(folder(plan.jobs[0]), Failure("an attempt to run it again", "today", {}))
    found = state(plan)
    assert (found.label, found.kind) == ("mine 1 | Mine | Toy | seed 0", "done")
    assert found.id == found.detail == made.id


def test_a_run_that_was_cut_off_goes_on_from_its_checkpoint(own: Own) -> None:
    plan = own()
    prepare.prepare("toy/ratings")
    checkpoints.save(folder(plan.jobs[0]), b"half way", PLACE)
    found = state(plan)
    assert found.kind == "missing"
    assert "interrupted" in found.detail


def test_a_run_that_failed_says_why_and_when(own: Own) -> None:
    plan = own()
    prepare.prepare("toy/ratings")
    checkpoints.save(folder(plan.jobs[0]), b"half way", PLACE)
    records.save_failure(folder(plan.jobs[0]), Failure("the wheels came off", "last night", {}))
    found = state(plan)
    assert found.kind == "failed"
    assert "the wheels came off" in found.detail
    assert "last night" in found.detail


def test_a_run_in_progress_tells_phase_epoch_process_and_time_left(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = own()
    (job,) = plan.jobs
    prepare.prepare("toy/ratings")
    records.save_failure(folder(job), Failure("an earlier attempt", "last night", {}))
    with at_it(job, monkeypatch, ("pretrain", 1, 9), ("train", 1, 10), ("train", 3, 10)):
        found = state(plan)
    assert found.kind == "running"
    assert f"train 3/10, process {os.getpid()} on {socket.gethostname()}" in found.detail
    assert found.left is not None
    assert 0.05 / 2 * 7 <= found.left < 10
    assert state(plan).kind == "failed"  # the lock was released


def test_a_run_that_has_only_begun_is_running(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = own()
    prepare.prepare("toy/ratings")
    with at_it(plan.jobs[0], monkeypatch):
        found = state(plan)
    assert (found.kind, found.left) == ("running", None)
    assert "begun" in found.detail


@pytest.mark.parametrize(
    ("host", "alive", "silent", "kind"),
    [
        ("here", True, 0, "running"),
        ("here", False, 0, "missing"),
        ("another container", False, 0, "running"),
        ("another container", False, 1000, "missing"),
        ("elsewhere", False, 0, "running"),
        ("elsewhere", False, 1000, "missing"),
    ],
)
def test_a_lock_counts_while_its_process_is_there(
    own: Own, host: str, alive: bool, silent: int, kind: str
) -> None:
    plan = own()
    prepare.prepare("toy/ratings")
    where = "another-machine" if host == "elsewhere" else socket.gethostname()
    seen = processes() if host == "here" else "others"
    pid = os.getpid() if alive else dead_process()
    far = {"phase": "train", "epoch": 2, "n_epochs": 5, "left": 60.0}
    lock_file(folder(plan.jobs[0]), silent, host=where, pid=pid, processes=seen, **far)
    found = state(plan)
    assert found.kind == kind
    if kind == "running":
        assert f"train 2/5, process {pid} on {where}" in found.detail
        assert found.left == 60.0


def test_rows_that_give_no_run_come_with_their_reasons(own: Own) -> None:
    plan = own(more=OBSTACLES)
    prepare.prepare("toy/ratings")
    found = status.states(plan, paths.runs())
    assert [(s.label, s.kind, s.reason) for s in found] == [
        ("mine 1 | Mine | Toy | seed 0", "missing", ""),
        ("mine 1 | Mine | Gone", "blocked", "the owner withdrew it"),
        ("mine 1 | Future | Toy", "unrun", "there is no model of_the_future yet"),
        ("mine 1 | Old | Toy", "quoted", "quoted from an older paper, without a recipe"),
    ]


def test_the_time_left_is_the_median_of_records_of_the_same_model_and_data(own: Own) -> None:
    plan = own(seeds=[0, 1, 2, 3, 4])
    prepare.prepare("toy/ratings")
    assert {s.left for s in status.states(plan, paths.runs())} == {None}
    for job, seconds in zip(plan.jobs, (10.0, 1000.0, 40.0), strict=False):
        saved(job, seconds)
    records.save_failure(folder(plan.jobs[3]), Failure("the wheels came off", "", {}))
    found = status.states(plan, paths.runs())
    assert [s.kind for s in found] == ["done", "done", "done", "failed", "missing"]
    assert [s.left for s in found] == [None, None, None, 40.0, 40.0]


def test_the_time_left_is_of_as_many_epochs(own: Own) -> None:
    (short,) = own(model="mult_vae", params={"n_epochs": 5}).jobs
    prepare.prepare("toy/ratings")
    saved(short, 10.0)
    assert state(own(model="mult_vae", params={"n_epochs": 200})).left == 400.0


def test_the_time_left_is_of_the_same_settings_where_they_ran(own: Own) -> None:
    small, large = (own(model="mult_vae", params={"latent_dim": n}).jobs[0] for n in (10, 900))
    prepare.prepare("toy/ratings")
    saved(small, 10.0)
    assert state(own(model="mult_vae", params={"latent_dim": 900})).left == 10.0
    saved(large, 1000.0)
    again = own(model="mult_vae", params={"latent_dim": 900}, seeds=[0, 1])
    assert [s.left for s in status.states(again, paths.runs())] == [None, 1000.0]


@pytest.mark.parametrize("other", ["model", "dataset"])
def test_records_of_another_model_or_data_say_nothing_of_the_time_left(
    own: Own, other: str
) -> None:
    plan = own()
    (job,) = plan.jobs
    prepare.prepare("toy/ratings")
    changed = {"model": Spec("ease", {})} if other == "model" else {"dataset": "a/b"}
    made = replace(job.experiment, **changed)
    saved(job, 10.0, experiment=made)
    assert state(plan).left is None


def test_a_smoke_run_says_nothing_of_the_time_that_a_real_one_takes(own: Own) -> None:
    plan = own()
    (job,) = plan.jobs
    prepare.prepare("toy/ratings")
    saved(replace(job, experiment=job.experiment.smoked()), 0.1)
    assert state(plan).left is None


@pytest.mark.parametrize("file", [records.FAILURE, locks.FILE])
def test_a_damaged_file_of_a_run_is_named(own: Own, file: str) -> None:
    plan = own()
    prepare.prepare("toy/ratings")
    damaged = folder(plan.jobs[0]) / file
    damaged.parent.mkdir(parents=True)
    damaged.write_text('{"mes')
    (found,) = (one for one in status.states(plan, paths.runs()) if one.kind == "damaged")
    assert str(damaged) in found.reason


def test_looking_at_how_runs_stand_changes_nothing(own: Own) -> None:
    plan = own(seeds=[0, 1, 2, 3], more=OBSTACLES)
    prepare.prepare("toy/ratings")
    saved(plan.jobs[0])
    records.save_failure(folder(plan.jobs[1]), Failure("the wheels came off", "", {}))
    checkpoints.save(folder(plan.jobs[2]), b"half way", PLACE)
    lock_file(folder(plan.jobs[3]))

    before = content(paths.runs())
    kinds = {s.kind for s in status.states(plan, paths.runs())}
    assert {"done", "failed", "missing", "running", "blocked"} <= kinds
    assert content(paths.runs()) == before


def test_each_record_and_view_is_read_once_however_many_runs_there_are(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = own(seeds=list(range(40)))
    prepare.prepare("toy/ratings")
    made = [saved(job).id for job in plan.jobs[::2]]
    read: list[str] = []
    opened, prepared = sealed.opened, views.prepared

    def noted(file: Path) -> tuple[dict[str, Any], str]:
        read.append(file.parent.name)
        return opened(file)

    def noted_view(dataset: str) -> Prepared | None:
        read.append(dataset)
        return prepared(dataset)

    monkeypatch.setattr("repro.runs.records.opened", noted)
    monkeypatch.setattr(views, "prepared", noted_view)
    found = status.states(plan, paths.runs())
    assert [s.kind for s in found] == ["done", "missing"] * 20
    assert sorted(set(read)) == sorted({*made, "toy/ratings"})
    assert len(read) <= len(made) + 2


@pytest.mark.parametrize(
    ("asked", "label"),
    [
        ({}, "mine 1 | Mine | Toy | seed 0"),
        ({"settings": (("n_epochs", 3),)}, "mine 1 | Mine | Toy | n_epochs = 3 | seed 0"),
        ({"settings": (("n_epochs", 5),)}, "mine 1 | Mine | Toy | seed 0"),  # as the row has it
        ({"smoke": True}, "mine 1 | Mine | Toy | smoke | seed 0"),
    ],
)
def test_a_run_that_is_not_the_rows_is_not_called_so(
    own: Own, asked: dict[str, Any], label: str
) -> None:
    own(model="mult_vae", params={"n_epochs": 5})
    (job,) = plan.plan(Asked(("mine",), **asked)).jobs
    assert job.label == label
