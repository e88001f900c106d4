from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from repro.errors import ReproError, UnsupportedError
from repro.interactions import Interactions
from repro.model import Model, Run
from repro.models.mult_vae import MultVAE
from repro.models.neumf import NeuMF
from repro.models.popularity import Popularity
from repro.split import Cases, Queries, Split
from repro.training import checkpoints
from repro.training.checkpoints import Place, reached
from repro.training.fit import fit, untrained
from repro.training.outcome import Outcome
from repro.training.progress import Progress

Build = Callable[..., Interactions]
Lists = list[list[int]]

CPU = torch.device("cpu")
N_ITEMS = 20
TARGET = 15
VALID, TEST = 0, 1
"""One user is asked in validation, the other in test; both look for the target."""


@dataclass(frozen=True)
class Placed:
    """Puts the target at a known rank, another for each user."""

    ranks: dict[int, int]

    def score(self, queries: Queries) -> Tensor:
        scores = -torch.arange(float(N_ITEMS)).repeat(len(queries), 1)
        for row, user in enumerate(queries.user):
            scores[row, TARGET] = 1.5 - self.ranks[int(user)]
        return scores


@dataclass(frozen=True)
class Scripted:
    """The target's ranks, epoch by epoch."""

    test: Sequence[int]
    valid: Sequence[int] = ()

    def epochs(self, train: Interactions, run: Run) -> Iterator[Placed]:
        for epoch in run.epochs(len(self.test)):
            run.log(loss=float(epoch))
            run.log(loss=torch.tensor(epoch + 1.0, requires_grad=True), kl=3)
            ranks = {TEST: self.test[epoch]}
            yield Placed(ranks | {VALID: self.valid[epoch]} if self.valid else ranks)


@dataclass(frozen=True)
class Staged:
    """One scripted phase after the other."""

    stages: dict[str, Scripted]

    def epochs(self, train: Interactions, run: Run) -> Iterator[Placed]:
        for name, stage in self.stages.items():
            run.phase(name)
            yield from stage.epochs(train, run)


class Uncounted:
    """A model that knows no epochs."""

    def epochs(self, train: Interactions, run: Run) -> Iterator[Placed]:
        run.log(loss=7.0)
        yield Placed({TEST: 2})


class Untrainable:
    """A model that must not be asked to train."""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator[Placed]:
        raise AssertionError("trained in vain")


@pytest.fixture
def split(build: Build) -> Split:
    def cases(user: int) -> Cases:
        asked_twice = np.array([user, user])
        return Cases.of(asked_twice, build([[], []], N_ITEMS), build([[TARGET]] * 2, N_ITEMS))

    return Split(build([[0], [1], [TARGET]], N_ITEMS), cases(VALID), cases(TEST))


def fitted(model: Model, split: Split, progress: Progress | None = None, **how: Any) -> Outcome:
    asked: dict[str, Any] = {"name": "toy", "metrics": ("mrr@10", "hit_rate@3"), **how}
    return fit(model, split, progress or Progress(0, CPU), **asked)


def without_validation(split: Split) -> Split:
    return replace(split, valid=None)


RANKS = Scripted(test=[1, 3, 2, 4], valid=[5, 2, 4, 2])


@pytest.mark.parametrize(
    ("select", "epoch", "rank", "selected"),
    [
        ("last", 4, 4, -np.inf),
        ("valid:mrr@10", 2, 3, 1 / 2),
        ("valid:ndcg@4", 2, 3, 1 / np.log2(3)),
        ("test:mrr@10", 1, 1, 1.0),
    ],
)
def test_the_epoch_that_counts_is_the_one_that_select_names(
    split: Split, select: str, epoch: int, rank: int, selected: float
) -> None:
    outcome = fitted(RANKS, split, select=select)
    assert outcome.epoch == epoch
    assert outcome.selected == pytest.approx(selected)
    assert {name: result.value for name, result in outcome.results.items()} == {
        "mrr@10": pytest.approx(1 / rank),
        "hit_rate@3": float(rank <= 3),
    }
    assert {result.epoch for result in outcome.results.values()} == {epoch}
    assert outcome.ranking is not None
    assert np.flatnonzero(outcome.ranking.hits[0]).tolist() == [rank - 1]


def test_each_metric_may_take_the_epoch_that_is_best_for_it_alone(split: Split) -> None:
    outcome = fitted(Scripted(test=[3, 1, 4]), without_validation(split), select="test:each")
    found = {name: (result.value, result.epoch) for name, result in outcome.results.items()}
    assert found == {"mrr@10": (1.0, 2), "hit_rate@3": (1.0, 1)}


def test_the_curve_holds_phase_epoch_mean_losses_and_the_metrics_of_all_cases(
    split: Split,
) -> None:
    outcome = fitted(RANKS, split, select="valid:ndcg@1", metrics=("mrr@10",))
    assert [entry["epoch"] for entry in outcome.curve] == [1, 2, 3, 4]
    assert {entry["phase"] for entry in outcome.curve} == {"train"}
    assert [entry["losses"] for entry in outcome.curve] == [
        {"loss": epoch + 0.5, "kl": 3.0} for epoch in range(4)
    ]
    assert outcome.curve[1]["test"] == {"mrr@10": pytest.approx(1 / 3), "ndcg@1": 0.0}
    assert outcome.curve[1]["valid"] == {"mrr@10": pytest.approx(1 / 2), "ndcg@1": 0.0}
    assert outcome.seconds == pytest.approx(sum(entry["seconds"] for entry in outcome.curve))


def test_every_looks_after_the_first_epoch_then_every_so_many_and_after_the_last(
    split: Split,
) -> None:
    ranks = [9, 1, 8, 7, 6, 1, 5, 4]
    outcome = fitted(Scripted(ranks), without_validation(split), select="test:mrr@10", every=3)
    assert [entry["epoch"] for entry in outcome.curve if "test" in entry] == [1, 4, 7, 8]
    assert len(outcome.curve) == 8
    assert (outcome.epoch, outcome.selected) == (8, 1 / 4)


@pytest.mark.parametrize(
    ("valid", "every", "seen", "best"),
    [
        ([2, 3, 3, 1], 1, 3, 1),  # two looks that are worse
        ([2, 2, 2, 1], 1, 3, 1),  # no better is worse
        ([4, 5, 3, 4, 4, 1], 1, 5, 3),  # a better look begins anew
        ([2, 1, 3, 1, 3, 1], 2, 5, 1),  # looks are counted, not epochs
    ],
)
def test_patience_stops_after_so_many_looks_that_were_no_better(
    split: Split, valid: list[int], every: int, seen: int, best: int
) -> None:
    model = Scripted(test=[1] * len(valid), valid=valid)
    outcome = fitted(model, split, select="valid:mrr@10", every=every, patience=2)
    assert [entry["epoch"] for entry in outcome.curve] == list(range(1, seen + 1))
    assert outcome.epoch == best


@pytest.mark.parametrize(
    ("patience_from", "every", "seen"),
    [
        (0, 1, 3),  # all looks after the first are worse, and two of them are enough
        (2, 1, 3),
        (3, 1, 4),  # the look after epoch 3 itself is counted
        (5, 1, 6),
        (5, 2, 7),  # of 3, 5 and 7 the last two
        (6, 2, 9),
    ],
)
def test_patience_counts_the_looks_from_the_epoch_that_is_given(
    split: Split, patience_from: int, every: int, seen: int
) -> None:
    model = Scripted(test=[1] * 12, valid=[1] + [2] * 11)
    how: dict[str, Any] = {"patience": 2, "patience_from": patience_from, "every": every}
    outcome = fitted(model, split, select="valid:mrr@10", **how)
    assert [entry["epoch"] for entry in outcome.curve] == list(range(1, seen + 1))
    assert outcome.epoch == 1


def test_a_phase_forgets_the_best_epoch_and_keeps_the_curve(split: Split) -> None:
    model = Staged({"pretrain": Scripted([1, 1, 5]), "train": Scripted([3, 2, 4])})
    outcome = fitted(model, without_validation(split), select="test:mrr@10", patience=3)
    assert (outcome.epoch, outcome.selected, outcome.stale) == (2, 1 / 2, 1)
    assert outcome.results["mrr@10"].value == 1 / 2
    phases = [(entry["phase"], entry["epoch"]) for entry in outcome.curve]
    assert phases == [(phase, epoch) for phase in ("pretrain", "train") for epoch in (1, 2, 3)]


def test_patience_ends_a_phase_and_not_the_run(split: Split) -> None:
    model = Staged({"pretrain": Scripted([2, 3, 4, 1]), "train": Scripted([3, 2, 4])})
    outcome = fitted(model, without_validation(split), select="test:mrr@10", patience=2)
    phases = [(entry["phase"], entry["epoch"]) for entry in outcome.curve]
    assert phases == [*(("pretrain", n) for n in (1, 2, 3)), *(("train", n) for n in (1, 2, 3))]
    assert (outcome.epoch, outcome.selected) == (2, 1 / 2)


@dataclass(frozen=True)
class Sampling:
    """Draws at random in training and in scoring."""

    def epochs(self, train: Interactions, run: Run) -> Iterator[Sampling]:
        for _ in run.epochs(4):
            run.log(drawn=torch.rand(()))
            yield self

    def score(self, queries: Queries) -> Tensor:
        return torch.rand(len(queries), N_ITEMS)


def test_how_often_one_looks_does_not_change_the_training(split: Split) -> None:
    often, seldom = (fitted(Sampling(), split, every=every) for every in (1, 4))
    assert [e["losses"] for e in often.curve] == [e["losses"] for e in seldom.curve]


def test_a_model_that_counts_no_epochs_has_one(split: Split) -> None:
    outcome = fitted(Uncounted(), without_validation(split))
    assert outcome.epoch == 1
    assert outcome.results["mrr@10"].value == 1 / 2
    assert [(e["epoch"], e["losses"]) for e in outcome.curve] == [(1, {"loss": 7.0})]


def test_every_epoch_is_reported(split: Split) -> None:
    told: list[tuple[str, int, int]] = []
    progress = Progress(0, CPU, report=lambda *epoch: told.append(epoch))
    model = Staged({"pretrain": Scripted([1]), "train": Scripted([1, 1])})
    fitted(model, without_validation(split), progress)
    assert told == [("pretrain", 1, 1), ("train", 1, 2), ("train", 2, 2)]


def test_the_seed_decides_what_is_drawn() -> None:
    def drawn(seed: int) -> tuple[float, float]:
        rng = Progress(seed, CPU).rng
        return rng.random(), torch.rand(()).item()

    assert drawn(3) == drawn(3)
    assert all(one != other for one, other in zip(drawn(3), drawn(4), strict=True))


def test_selection_on_validation_needs_validation_cases_before_training(split: Split) -> None:
    with pytest.raises(ReproError, match="this protocol holds out none") as error:
        fitted(Untrainable(), without_validation(split), select="valid:ndcg@10")
    assert "select = 'last'" in error.value.hint


def test_a_model_of_known_users_is_refused_before_training(split: Split) -> None:
    stranger = replace(split.test.queries, user=np.array([0, -1]))
    with pytest.raises(UnsupportedError, match="toy knows only the users of its training data"):
        fitted(Untrainable(), replace(split, test=replace(split.test, queries=stranger)))


def given(build: Build, train: Lists, history: Lists, targets: Lists, users: list[int]) -> Split:
    cases = Cases.of(np.array(users), build(history, N_ITEMS), build(targets, N_ITEMS))
    return Split(build(train, N_ITEMS), cases, cases)


def test_targets_that_are_all_unknown_to_training_are_refused_before_training(
    build: Build,
) -> None:
    split = given(build, [[0], [1]], [[0], [1]], [[5], [6, 7]], [0, 1])
    with pytest.raises(ReproError, match="all 3 targets of the test are items that no training"):
        fitted(Untrainable(), split)
    one_known = given(build, [[0], [1, 6]], [[0], [1]], [[5], [6, 7]], [0, 1])
    assert fitted(Vectors(), one_known).epoch == 1


@pytest.mark.parametrize("user", [-1, 2])
def test_users_who_are_all_unknown_to_training_are_refused_before_training(
    build: Build, user: int
) -> None:
    split = given(build, [[0], [1, 5], []], [[], []], [[5], [5]], [user, user])
    with pytest.raises(ReproError, match="none of the 2 test users has a training row, or a hist"):
        fitted(Untrainable(), split)


def test_a_test_that_asks_nobody_is_refused_with_the_reasons(build: Build) -> None:
    split = given(build, [[0], [1]], [[0], [1]], [[], []], [0, 1])
    with pytest.raises(
        ReproError, match=r"no user has a target; test users who are not asked: 2 \(no target\)"
    ):
        fitted(Untrainable(), split)


def test_validation_that_tells_nothing_is_refused_only_where_it_selects(build: Build) -> None:
    good = given(build, [[0], [1, TARGET]], [[0], [1]], [[TARGET]] * 2, [0, 1])
    bad = given(build, [[0], [1]], [[0], [1]], [[5], [6]], [0, 1])
    split = Split(good.train, bad.test, good.test)
    with pytest.raises(ReproError, match="all 2 targets of the validation are items that no"):
        fitted(Untrainable(), split, select="valid:ndcg@10")
    placed = Scripted(test=[1], valid=[1])
    assert fitted(placed, split).epoch == 1


@dataclass(frozen=True)
class Vectors:
    """A model that may have vectors of users."""

    KNOWN_USERS_ONLY: bool = False
    USER_VECTORS: bool = False

    def epochs(self, train: Interactions, run: Run) -> Iterator[Placed]:
        for _ in run.epochs(1):
            yield Placed({0: 1, 1: 1, -1: 1})


@pytest.mark.parametrize("model", [Vectors(True), Vectors(False, True), Vectors()])
def test_users_without_training_rows_are_counted_where_a_model_has_vectors_of_users(
    build: Build, model: Vectors
) -> None:
    train: Lists = [[0, TARGET], []]
    own = model.KNOWN_USERS_ONLY or model.USER_VECTORS
    some = given(build, train, [[0], []], [[TARGET]] * 2, [0, 1])
    assert untrained(model, some) == own
    assert fitted(model, some).epoch == 1
    every = given(build, train, [[0], [0]], [[TARGET]] * 2, [1, 1])
    if own:
        with pytest.raises(UnsupportedError, match="toy has a vector for each user, and no test"):
            fitted(model, every)
    else:
        assert fitted(model, every).epoch == 1


def test_a_deep_cut_off_is_measured_and_leaves_the_others_as_they_are(build: Build) -> None:
    n_items = 400
    rng = np.random.default_rng(0)
    train = build([rng.choice(n_items, 30, replace=False).tolist() for _ in range(20)], n_items)
    targets = build([[int(item)] for item in rng.integers(n_items, size=20)], n_items)
    cases = Cases.of(np.arange(20), train, targets)
    split, model = Split(train, None, cases), Popularity()
    shallow = fitted(model, split, metrics=("recall@100", "ndcg@10"))
    deep = fitted(model, split, metrics=("recall@100", "ndcg@10", "recall@250", "recall@400"))
    assert shallow.ranking is not None
    assert deep.ranking is not None
    assert deep.ranking.hits.shape[1] == 400
    np.testing.assert_array_equal(deep.ranking.hits[:, :100], shallow.ranking.hits)
    values = {name: one.value for name, one in deep.results.items()}
    assert {name: values[name] for name in shallow.results} == {
        name: one.value for name, one in shallow.results.items()
    }
    assert values["recall@100"] < values["recall@250"] < values["recall@400"]
    with pytest.raises(ReproError, match="recall@250 needs more than the 100 ranks"):
        shallow.ranking.value("recall@250")


class CutError(Exception):
    """The program ends here."""


class Interrupted:
    """Lets so many epochs be reported, then cuts the run off."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, phase: str, epoch: int, n: int) -> None:
        self.left -= 1
        if not self.left:
            raise CutError


def plain(outcome: Outcome) -> dict[str, Any]:
    """Return all of an outcome but the seconds, as values that == compares."""
    found = {name: value for name, value in vars(outcome).items() if name != "seconds"}
    ranking = outcome.ranking
    assert ranking is not None
    hits = ranking.hits.tolist(), ranking.n_targets.tolist()
    found["ranking"] = (*hits, ranking.tie_size, ranking.constant)
    found["hits_at"] = {at: each.tolist() for at, each in outcome.hits_at.items()}
    found["curve"] = [{k: v for k, v in e.items() if k != "seconds"} for e in outcome.curve]
    return found


def resumed(model: Model, split: Split, folder: Path, cut: int, **how: Any) -> Outcome:
    """Return the outcome of a run that was cut off as that many epochs were over."""
    with pytest.raises(CutError):
        fitted(model, split, Progress(5, CPU, folder, Interrupted(cut)), **how)
    return fitted(model, split, Progress(5, CPU, folder), **how)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where checkpoints go, now after every epoch."""
    monkeypatch.setattr("repro.training.progress.CHECKPOINT_SECONDS", -1.0)
    return tmp_path / "run"


@pytest.fixture
def clusters(build: Build) -> Split:
    rng = np.random.default_rng(0)
    liked = [rng.permutation(np.arange(user % 2, N_ITEMS, 2)).tolist() for user in range(16)]
    train, valid, test = (
        build([items[part] for items in liked], N_ITEMS)
        for part in (slice(6), slice(6, 8), slice(8, None))
    )
    users = np.arange(16)
    return Split(train, Cases.of(users, train, valid), Cases.of(users, train, test))


MULT_VAE = MultVAE(
    hidden_dims=(8,), latent_dim=4, anneal_steps=10, batch_size=5, learning_rate=0.01, n_epochs=7
)
NEUMF = NeuMF(
    gmf_dim=4, mlp_dims=(8, 4), batch_size=50, n_epochs=3, n_pretrain_epochs=2, finetune="adam"
)


@pytest.mark.parametrize("cut", range(1, 8))
@pytest.mark.parametrize(
    "model",
    [
        MULT_VAE,
        replace(MULT_VAE, optimizer="sgd", momentum=0.9),
        NEUMF,
    ],
    ids=["adam", "momentum", "pretrained"],
)
def test_a_run_that_was_cut_off_ends_with_the_same_numbers_to_the_bit(
    clusters: Split, checkpoint: Path, model: Model, cut: int
) -> None:
    how = {"select": "valid:ndcg@5", "every": 2}
    whole = fitted(model, clusters, Progress(5, CPU), **how)
    assert plain(resumed(model, clusters, checkpoint, cut, **how)) == plain(whole)


@pytest.mark.parametrize("cut", range(1, 6))
@pytest.mark.parametrize("select", ["last", "valid:mrr@10", "test:mrr@10", "test:each"])
def test_what_was_best_so_far_survives_a_cut(
    split: Split, checkpoint: Path, select: str, cut: int
) -> None:
    stage = Scripted(test=[2, 1, 3, 4, 5], valid=[4, 3, 2, 2, 3])
    model = Staged({"pretrain": Scripted(test=[1, 2], valid=[1, 2]), "train": stage})
    how: dict[str, Any] = {"select": select, "patience": 2}
    whole = fitted(model, split, Progress(5, CPU), **how)
    assert plain(resumed(model, split, checkpoint, cut, **how)) == plain(whole)


@dataclass
class Moving:
    """One scorer whose scores move on with the training, and are noisy."""

    test: Sequence[int]
    rank: int = 0

    def epochs(self, train: Interactions, run: Run) -> Iterator[Moving]:
        for epoch in run.epochs(len(self.test)):
            self.rank = self.test[epoch]
            yield self

    def score(self, queries: Queries) -> Tensor:
        placed = Placed(dict.fromkeys(queries.user.tolist(), self.rank)).score(queries)
        return placed + 0.6 * torch.rand(len(queries), N_ITEMS)


def with_others(split: Split) -> Split:
    return replace(split, others={"noise 0.5": (split.test, split.test)})


def test_further_cases_are_ranked_at_the_epoch_that_counts_alone(split: Split) -> None:
    model = Scripted(test=[4, 1, 3, 2], valid=[3, 4, 2, 5])
    outcome = fitted(model, with_others(split), select="valid:mrr@10")
    found = {entry["epoch"]: entry.get("noise 0.5") for entry in outcome.curve}
    test = {"mrr@10": pytest.approx(1 / 3), "hit_rate@3": 1.0}
    assert found == {1: None, 2: None, 3: test, 4: None}


@pytest.mark.parametrize("cut", range(1, 6))
def test_further_cases_see_the_scorer_as_it_was_and_the_same_chance_after_a_cut(
    split: Split, checkpoint: Path, cut: int
) -> None:
    model, how = Moving([6, 4, 9, 2, 8]), {"select": "test:mrr@10"}
    whole = fitted(model, with_others(split), Progress(5, CPU), **how)
    assert whole.curve[3]["noise 0.5"]["hit_rate@3"] == 1.0
    assert plain(resumed(model, with_others(split), checkpoint, cut, **how)) == plain(whole)


@pytest.mark.parametrize("cut", [2, 3, 4])
def test_further_cases_are_drawn_alike_whenever_they_are_ranked(
    split: Split, checkpoint: Path, cut: int
) -> None:
    how: dict[str, Any] = {"select": "valid:mrr@10", "metrics": ("mrr@20",)}
    whole = fitted(Sampling(), with_others(split), Progress(5, CPU), **how)
    assert whole.epoch < 4  # without a checkpoint they are ranked only after the last
    assert "noise 0.5" in whole.curve[whole.epoch - 1]
    assert plain(resumed(Sampling(), with_others(split), checkpoint, cut, **how)) == plain(whole)


class Located(Placed):
    """Says that a user is where the target is."""

    def embeddings(self) -> dict[str, Tensor]:
        return {"users": torch.tensor([[float(self.ranks[TEST])]])}


class Locating(Scripted):
    """Its scorers have vectors."""

    def epochs(self, train: Interactions, run: Run) -> Iterator[Located]:
        for placed in super().epochs(train, run):
            yield Located(placed.ranks)


def test_vectors_of_the_epoch_that_counts_survive_a_cut(split: Split, checkpoint: Path) -> None:
    model, asked = Locating([4, 2, 3, 5]), without_validation(split)
    outcome = resumed(model, asked, checkpoint, 4, select="test:mrr@10")
    assert outcome.epoch == 2
    assert {name: rows.tolist() for name, rows in outcome.embeddings.items()} == {"users": [[2.0]]}


def test_a_run_that_was_over_is_not_trained_again(clusters: Split, checkpoint: Path) -> None:
    whole = fitted(MULT_VAE, clusters, Progress(5, CPU, checkpoint))
    told: list[int] = []
    again = Progress(5, CPU, checkpoint, report=lambda phase, epoch, n: told.append(epoch))
    assert plain(fitted(MULT_VAE, clusters, again)) == plain(whole)
    assert again.outcome.seconds == whole.seconds
    assert told == []


def test_a_short_run_writes_its_checkpoint_only_at_the_end(split: Split, tmp_path: Path) -> None:
    seen: list[int] = []
    report = lambda *_: seen.append(len(checkpoints.present(tmp_path)))  # noqa: E731
    fitted(RANKS, split, Progress(0, CPU, tmp_path, report))
    assert seen == [0] * 4
    assert len(checkpoints.present(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "not one"])
def test_a_damaged_checkpoint_is_named_and_the_older_gone_on_from(
    clusters: Split, checkpoint: Path, damage: str
) -> None:
    whole = fitted(MULT_VAE, clusters, Progress(5, CPU))
    with pytest.raises(CutError):
        fitted(MULT_VAE, clusters, Progress(5, CPU, checkpoint, Interrupted(5)))
    newest, older = checkpoints.present(checkpoint)
    content = newest.read_bytes()
    half = len(content) // 2
    newest.write_bytes(
        {
            "empty": b"",
            "cut": content[:half],
            "flipped": content[:40] + bytes([content[40] ^ 255]) + content[41:],
            "not one": b"not a checkpoint",
        }[damage]
    )
    said: list[str] = []
    progress = Progress(5, CPU, checkpoint, say=said.append)
    assert plain(fitted(MULT_VAE, clusters, progress)) == plain(whole)
    assert len(said) == 1
    assert str(newest) in said[0]
    assert older in checkpoints.present(checkpoint) or len(checkpoints.present(checkpoint)) == 2


def test_with_no_checkpoint_that_can_be_read_training_begins_anew_and_says_so(
    clusters: Split, checkpoint: Path
) -> None:
    checkpoint.mkdir()
    (checkpoint / "checkpoint-000001.pt").write_bytes(b"")
    (checkpoint / "checkpoint-000002.pt").write_bytes(b"not a checkpoint")
    said: list[str] = []
    outcome = fitted(MULT_VAE, clusters, Progress(5, CPU, checkpoint, say=said.append))
    assert plain(outcome) == plain(fitted(MULT_VAE, clusters, Progress(5, CPU)))
    assert [text.count("cannot be used") for text in said] == [1, 1]


def test_a_checkpoint_tells_how_many_epochs_lie_behind_it(
    clusters: Split, checkpoint: Path
) -> None:
    assert reached(checkpoint) is None
    with pytest.raises(CutError):
        fitted(MULT_VAE, clusters, Progress(5, CPU, checkpoint, Interrupted(4)))
    assert reached(checkpoint) == Place(0, 3, 7)  # it is written after the report
    checkpoints.present(checkpoint)[0].write_bytes(b"damaged")
    assert reached(checkpoint) == Place(0, 2, 7)
    assert len(checkpoints.present(checkpoint)) == 2


def cut_and_resumed(split: Split, folder: Path, select: str) -> Outcome:
    """Return the outcome of a run that was cut off with one metric, and goes on with another."""
    progress = Progress(5, CPU, folder, Interrupted(4), attempt={"start": 1})
    with pytest.raises(CutError):
        fit(MULT_VAE, split, progress, name="a", metrics=("recall@5",), select=select)
    again = Progress(5, CPU, folder, attempt={"start": 2})
    return fit(MULT_VAE, split, again, name="a", metrics=("mrr@5",), select=select)


def test_a_run_that_goes_on_with_another_metric_begins_anew_where_its_best_epoch_is_lost(
    clusters: Split, checkpoint: Path
) -> None:
    resumed = cut_and_resumed(clusters, checkpoint, "test:each")
    progress = Progress(5, CPU)
    whole = fit(MULT_VAE, clusters, progress, name="a", metrics=("mrr@5",), select="test:each")
    assert resumed.results["mrr@5"] == whole.results["mrr@5"]
    assert len(resumed.curve) == len(whole.curve)
    assert resumed.attempts == [{"start": 2}]  # nothing is left of the first


def test_a_curve_that_a_figure_needs_has_every_look_though_the_run_was_cut_without_it(
    clusters: Split, checkpoint: Path
) -> None:
    how: dict[str, Any] = {"name": "a", "metrics": ("recall@5",), "select": "last"}
    with pytest.raises(CutError):
        fit(MULT_VAE, clusters, Progress(5, CPU, checkpoint, Interrupted(4)), **how)
    drawn = fit(MULT_VAE, clusters, Progress(5, CPU, checkpoint), **how, curve=("mrr@5",))
    whole = fit(MULT_VAE, clusters, Progress(5, CPU), **how, curve=("mrr@5",))
    seen = [[look["valid"]["mrr@5"] for look in found.curve] for found in (drawn, whole)]
    assert seen[0] == seen[1]
    assert len(seen[0]) == MULT_VAE.n_epochs


@pytest.mark.parametrize("select", ["last", "valid:ndcg@5"])
def test_a_run_that_goes_on_with_another_metric_has_both_where_hits_are_kept(
    clusters: Split, checkpoint: Path, select: str
) -> None:
    resumed = cut_and_resumed(clusters, checkpoint, select)
    both = ("mrr@5", "recall@5")
    whole = fit(MULT_VAE, clusters, Progress(5, CPU), name="a", metrics=both, select=select)
    assert resumed.results == whole.results
    assert resumed.attempts == [{"start": 1}, {"start": 2}]


def test_a_checkpoint_of_another_version_of_a_model_says_what_to_do(
    clusters: Split, checkpoint: Path
) -> None:
    with pytest.raises(CutError):
        fitted(MULT_VAE, clusters, Progress(5, CPU, checkpoint, Interrupted(4)))
    wider = replace(MULT_VAE, latent_dim=5)
    with pytest.raises(ReproError, match=r"(?s)another version of the model.*--force"):
        fitted(wider, clusters, Progress(5, CPU, checkpoint))


def test_a_resumed_run_reports_first_where_it_stands(clusters: Split, checkpoint: Path) -> None:
    with pytest.raises(CutError):
        fitted(MULT_VAE, clusters, Progress(5, CPU, checkpoint, Interrupted(4)))
    told: list[int] = []
    report = lambda phase, epoch, n: told.append(epoch)  # noqa: E731
    fitted(MULT_VAE, clusters, Progress(5, CPU, checkpoint, report))
    assert told == [3, 4, 5, 6, 7]


def test_a_checkpoint_that_links_to_itself_is_set_aside_and_the_older_gone_on_from(
    clusters: Split, checkpoint: Path
) -> None:
    whole = fitted(MULT_VAE, clusters, Progress(5, CPU))
    with pytest.raises(CutError):
        fitted(MULT_VAE, clusters, Progress(5, CPU, checkpoint, Interrupted(5)))
    newest, _ = checkpoints.present(checkpoint)
    newest.unlink()
    newest.symlink_to(newest)
    said: list[str] = []
    progress = Progress(5, CPU, checkpoint, say=said.append)
    assert len(progress.outcome.curve) == 3
    assert plain(fitted(MULT_VAE, clusters, progress)) == plain(whole)
    (text,) = said
    assert f"the checkpoint {newest} cannot be used (it is not a file)" in text


def test_a_checkpoint_that_keeps_too_few_ranks_is_not_used(split: Split, checkpoint: Path) -> None:
    model = Scripted(test=[4, 3, 2, 1, 1])
    split = without_validation(split)
    with pytest.raises(CutError):
        fitted(model, split, Progress(5, CPU, checkpoint, Interrupted(3)), select="test:mrr@10")
    found = fitted(model, split, Progress(5, CPU, checkpoint), metrics=("mrr@150",))
    assert [entry["epoch"] for entry in found.curve] == [1, 2, 3, 4, 5]
    assert all("mrr@150" in entry["test"] for entry in found.curve)
