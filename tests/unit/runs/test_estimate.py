"""How long a run will take, on a clock that a model with known costs moves on by itself."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
import torch

from builders import Write
from repro import paths
from repro.data import prepare
from repro.experiment import Experiment, model_spec, protocol_spec
from repro.runs import estimate, execute
from repro.runs.estimate import Estimate
from repro.runs.plan import Job
from repro.runs.settings import Settings
from repro.training.fit import fit
from repro.training.progress import Progress

COUNTED = '''
"""A model whose every act takes known seconds."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Take some time for everything; a phase of its own comes before, where it has epochs."""

    per_run: float = 0.0
    per_run_and_user: float = 0.0
    per_loop: float = 0.0
    per_epoch: float = 0.0
    per_step: float = 0.0
    per_step_and_user: float = 0.0
    per_user: float = 0.0
    per_query: float = 0.0
    least_users: int = 1
    SIZE: int = 1000
    n_epochs: int = 20
    n_pretrain_epochs: int = 0
    slower_pretrain: float = 1.0
    late: int = 1000
    warmup_epochs: int = 50  # of the others; it is no loop

    def epochs(self, train, run):
        if train.n_users < self.least_users:
            raise ValueError("too few users")
        time.sleep(self.per_run + self.per_run_and_user * train.n_users)
        scorer = Scorer(self, train.n_users)
        for _ in self.loop("pretrain", self.n_pretrain_epochs, self.slower_pretrain, train, run):
            pass
        for _ in self.loop("train", self.n_epochs, 1.0, train, run):
            yield scorer
        if not self.n_epochs:
            yield scorer

    def loop(self, name, n, slower, train, run):
        run.phase(name)
        loaded = False
        for epoch in run.epochs(n):
            time.sleep(self.per_epoch + (not loaded) * self.per_loop)
            loaded = True
            for first in range(0, train.n_users, self.SIZE):
                users = min(self.SIZE, train.n_users - first)
                cost = self.per_step + self.per_step_and_user * train.n_users
                time.sleep((1 + (epoch >= self.late)) * slower * (cost + self.per_user * users))
                run.log(loss=1.0)
            yield epoch


@dataclass(frozen=True)
class Scorer:
    model: Counted
    n_users: int

    def score(self, queries):
        import torch

        assert queries.user.max() < self.n_users, "a user that it was not trained on"
        time.sleep(self.model.per_query * len(queries))
        n = queries.history.n_items
        if queries.candidates is not None:
            n = queries.candidates.shape[1]
        return torch.arange(float(n)).repeat(len(queries), 1)


MODEL = Counted
'''

PARTS = """

    def parts(self):
        return {"half": self}


MODEL"""

N_USERS = 240  # of the toy data; all of them have cases
ALLOWED = 10.0  # seconds


class Clock:
    """A clock that only sleep moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, write: Write) -> Clock:
    """Stop the real clock, and write models: with batches of users, without, and with a part."""
    write("models/batched.py", COUNTED.replace("SIZE", "batch_size"))
    write("models/plain.py", COUNTED.replace("SIZE", "chunk"))
    write("models/composite.py", COUNTED.replace("SIZE", "chunk").replace("\n\nMODEL", PARTS))
    prepare.prepare("toy/ratings")
    clock = Clock()
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    return clock


RANDOM = {"name": "random_split"}


def job(model: str, params: dict[str, float], protocol: dict[str, Any] = RANDOM) -> Job:
    experiment = Experiment(
        dataset="toy/ratings",
        protocol=protocol_spec(protocol, "here"),
        model=model_spec(model, params, "here"),
        every=3,
    )
    return Job(experiment, ("ndcg@10",), "a job")


def measured(job: Job, seconds: float = ALLOWED, reached: tuple[int, int] = (0, 0)) -> Estimate:
    found = estimate.measure(job, Settings(paths.runs(), "cpu"), seconds, reached)
    assert isinstance(found, Estimate), found
    return found


def taken(clock: Clock, job: Job) -> float:
    """Return how long all epochs and looks of the run itself take."""
    split = execute.split_of(job)
    began = clock.now
    progress = Progress(0, torch.device("cpu"))
    model, every = execute.model_of(job), job.experiment.every
    fit(model, split, progress, name="it", metrics=job.metrics, every=every)
    return clock.now - began


COSTS: dict[str, tuple[str, dict[str, float]]] = {
    "an epoch that can be watched": ("plain", {"per_epoch": 0.1, "per_user": 0.001}),
    "two loops": (
        "plain",
        {"per_epoch": 0.1, "n_pretrain_epochs": 7, "slower_pretrain": 5.0, "per_user": 0.001},
    ),
    "two loops on some of the users": (
        "plain",
        {"per_epoch": 0.1, "n_pretrain_epochs": 7, "slower_pretrain": 5.0, "per_user": 0.01},
    ),
    "what is loaded once": ("plain", {"per_run": 1.0, "per_loop": 0.5, "per_epoch": 0.01}),
    "a single epoch": ("plain", {"per_epoch": 0.5, "n_epochs": 1}),
    "what grows with the users, and what does not": (
        "plain",
        {"per_epoch": 0.1, "per_user": 0.05},
    ),
    "whole batches": ("batched", {"batch_size": 30, "per_step": 1.0}),
    "a short last batch": ("batched", {"batch_size": 100, "per_step": 1.0}),
    "one batch, longer than allowed": ("batched", {"batch_size": 8, "per_step": 12.0}),
    "a batch, and its users": (
        "batched",
        {"batch_size": 30, "per_step": 1.0, "per_user": 0.01},
    ),
    "tables that each step goes through": (
        "batched",
        {"batch_size": 8, "per_step_and_user": 0.01},
    ),
    "a fit without epochs": ("plain", {"n_epochs": 0, "per_run_and_user": 0.01}),
    "a long fit without epochs": (
        "plain",
        {"n_epochs": 0, "per_run": 1.0, "per_run_and_user": 0.1},
    ),
    "looks": ("plain", {"per_query": 0.001}),
    "long looks": ("plain", {"per_query": 0.1, "per_epoch": 0.1}),
    "looks, of which some users are known": (
        "plain",
        {"per_query": 0.005, "per_user": 0.05},
    ),
    "more users than a share has": ("plain", {"least_users": 20, "per_user": 0.001}),
}


@pytest.mark.parametrize(("model", "params"), COSTS.values(), ids=COSTS)
def test_what_is_told_is_what_the_run_takes(
    clock: Clock, model: str, params: dict[str, float]
) -> None:
    asked = job(model, params)
    told = measured(asked)
    assert told.seconds == pytest.approx(taken(clock, asked))
    assert told.ended


def test_the_same_cases_under_noise_are_looked_at_as_well(clock: Clock) -> None:
    asked = job(
        "plain",
        {"per_query": 0.001},
        {"name": "leave_one_out", "noise": [0.1], "noise_draws": 2},
    )
    assert measured(asked).seconds == pytest.approx(taken(clock, asked))


def test_parts_are_looked_at_where_the_epoch_may_count(clock: Clock) -> None:
    of_last, look = job("composite", {"per_query": 0.001}), N_USERS * 0.001
    of_best = replace(of_last, experiment=replace(of_last.experiment, select="valid:ndcg@10"))
    assert measured(of_last).seconds == pytest.approx(8 * (2 + 1) * look)
    assert measured(of_last).seconds == pytest.approx(taken(clock, of_last))
    assert measured(of_best).seconds == pytest.approx(8 * (2 + estimate.BETTER) * look)


def test_an_epoch_from_the_middle_stands_for_all(clock: Clock) -> None:
    early, late = (job("plain", {"per_user": 0.001, "late": n}) for n in (5, 15))
    assert measured(early).seconds == pytest.approx(20 * 2 * 0.24)
    assert measured(late).seconds == pytest.approx(20 * 0.24)


LEAST: dict[str, tuple[str, dict[str, float], float]] = {
    "no second share": ("plain", {"per_epoch": 12.0}, 20 * 12.0),
    "no whole batch": ("batched", {"batch_size": 30, "per_step": 12.0}, 20 * 8 * 12.0),
    "no epochs": ("plain", {"n_epochs": 0, "per_run": 12.0}, 12.0),
}


@pytest.mark.parametrize(("model", "params", "least"), LEAST.values(), ids=LEAST)
def test_where_too_little_can_be_seen_the_run_takes_longer_than_what_is_told(
    clock: Clock, model: str, params: dict[str, float], least: float
) -> None:
    told = measured(job(model, params))
    assert told.seconds == pytest.approx(least)
    assert not told.ended


@pytest.mark.parametrize("per_user", [0.001, 0.02, 0.1, 1.0])
@pytest.mark.parametrize("size", [1, 30, 100])
def test_a_model_is_watched_until_the_time_is_up_and_for_a_step_more(
    clock: Clock, per_user: float, size: int
) -> None:
    measured(job("batched", {"batch_size": size, "per_user": per_user, "per_query": 0.001}))
    assert clock.now <= ALLOWED + size * per_user


def test_what_lies_behind_a_checkpoint_is_not_told(clock: Clock) -> None:
    asked = job(
        "plain", {"n_pretrain_epochs": 6, "per_user": 0.001, "per_run": 1.0, "per_query": 0.001}
    )
    look, epoch = (N_USERS + N_USERS) * 0.001, 0.24  # validation and test

    def left(*reached: int) -> float:
        return measured(asked, reached=(reached[0], reached[1])).seconds

    assert left(0, 0) == pytest.approx(1 + 26 * epoch + 8 * look)  # 1, 4, 7, …, 19 and 20
    assert left(0, 4) == pytest.approx(1 + 22 * epoch + 8 * look)
    assert left(1, 9) == pytest.approx(1 + 11 * epoch + 5 * look)  # 10, 13, 16, 19 and 20
    assert left(1, 20) == pytest.approx(1)


def test_a_model_that_cannot_run_says_why(clock: Clock) -> None:
    asked = job("plain", {"least_users": 1000})
    found = estimate.measure(asked, Settings(paths.runs(), "cpu"), ALLOWED)
    assert found == "ValueError: too few users"


def test_a_model_that_cannot_serve_the_users_is_not_tried(clock: Clock) -> None:
    asked = job("bpr", {}, {"name": "strong_generalization", "heldout_users": 40})
    found = estimate.measure(asked, Settings(paths.runs(), "cpu"), ALLOWED)
    assert isinstance(found, str)
    assert "knows only the users of its training data" in found


def test_a_checkpoint_is_as_large_as_the_model_and_its_optimizer(clock: Clock) -> None:
    asked = job("bpr", {"embedding_dim": 4})
    train = execute.split_of(asked).train
    table = 4 * 4 * (train.n_users + train.n_items)
    found = measured(asked).checkpoint
    assert 3 * table <= found <= 3.6 * table  # parameters, two moments, item biases


@pytest.mark.parametrize("model", ["popularity", "ease", "random", "slim", "pure_svd"])
def test_models_in_closed_form_can_be_told(model: str) -> None:
    prepare.prepare("toy/ratings")
    assert measured(job(model, {})).seconds > 0


def test_measuring_leaves_nothing_behind() -> None:
    prepare.prepare("toy/ratings")
    measured(job("bpr", {}))
    assert not paths.runs().exists()
