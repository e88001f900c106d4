"""The checks of `repro.testing`: a broken model fails those of its fault, and no other."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repro.errors import ReproError, UnsupportedError
from repro.interactions import Interactions
from repro.model import Run
from repro.models.popularity import Popularity
from repro.nn.scoring import picked, scoring
from repro.split import Queries
from repro.testing import (
    Check,
    check_model,
    model_checks,
    protocol_checks,
)


def failed(checks: list[Check[Any]], plugin: Any) -> set[str]:
    """Return the names of the checks that a plug-in fails."""
    found = set()
    for check in checks:
        try:
            check(plugin)
        except AssertionError:
            found.add(check.name)
    return found


class Net(nn.Module):
    """Items from items, with half of the history dropped in training."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.layer = nn.Linear(n_items, n_items)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.drop(x))

    @scoring
    def score(self, queries: Queries) -> Tensor:
        x = torch.from_numpy(queries.history.matrix().toarray())
        return picked(self(x), queries)


@dataclass(frozen=True, kw_only=True)
class Good:
    """A model without a fault; each below has one."""

    n_epochs: int = 60
    learning_rate: float = 0.01

    net: ClassVar[Callable[[int], Net]] = Net
    named: ClassVar[tuple[str, ...]] = ("net", "optimizer")

    def epochs(self, train: Interactions, run: Run) -> Iterator[Any]:
        net = type(self).net(train.n_items)
        optimizer = torch.optim.Adam(net.parameters(), self.learning_rate)
        changes: dict[str, Any] = {"net": net, "optimizer": optimizer}
        x = torch.from_numpy(train.matrix().toarray())
        for _ in run.epochs(self.n_epochs, **{name: changes[name] for name in self.named}):
            for users in np.split(run.rng.permutation(len(x)), 4):
                loss = nn.functional.cross_entropy(net(x[users]), x[users])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(loss=loss)
            yield net


class Forgetful(Good):
    named = ("net",)


class Unsavable(Good):
    def epochs(self, train: Interactions, run: Run) -> Iterator[Any]:
        class Rate:
            def state_dict(self) -> dict[str, Any]:
                return {"rate": np.float64(0.1)}  # torch loads no numpy object

            def load_state_dict(self, state: dict[str, Any], /) -> None:
                raise NotImplementedError

        class Also:
            def epochs(self, n: int, **state: Any) -> Iterator[int]:
                return run.epochs(n, rate=Rate(), **state)

            def __getattr__(self, name: str) -> Any:
                return getattr(run, name)

        return super().epochs(train, Also())


class Unseeded(Good):
    def epochs(self, train: Interactions, run: Run) -> Iterator[Any]:
        run.rng = np.random.default_rng()
        return super().epochs(train, run)


class Spoiler(Good):
    def epochs(self, train: Interactions, run: Run) -> Iterator[Any]:
        yield from super().epochs(train, run)
        train.item[::2] = 0


class Untrained(Good):
    def epochs(self, train: Interactions, run: Run) -> Iterator[Any]:
        net = Net(train.n_items)
        for _ in run.epochs(2, net=net):
            yield net


class Scoreless(Good):
    def epochs(self, train: Interactions, run: Run) -> Iterator[Any]:
        yield from ()


class Impatient(Good):
    def epochs(self, train: Interactions, run: Run) -> Iterator[Any]:
        if not train.ordered:
            raise UnsupportedError("no, thank you")
        return super().epochs(train, run)


def broken(net: type[Net]) -> type[Good]:
    """Return the model with another network."""
    return type(net.__name__, (Good,), {"net": net, "__module__": __name__})


class Infinite(Net):
    def score(self, queries: Queries) -> Tensor:
        scores = super().score(queries)
        if queries.candidates is None:
            scores[:, -1] = -torch.inf
        return scores


class Whole(Net):
    def score(self, queries: Queries) -> Tensor:
        return super().score(replace(queries, candidates=None))


class Batched(Net):
    def score(self, queries: Queries) -> Tensor:
        scores = super().score(replace(queries, candidates=None))
        return picked(scores - scores.mean(dim=0), queries)


class Training(Net):
    def score(self, queries: Queries) -> Tensor:
        self.eval()
        with torch.no_grad():
            x = torch.from_numpy(queries.history.matrix().toarray())
            return picked(self(x), queries)


class Selfish(Net):
    def score(self, queries: Queries) -> Tensor:
        if not hasattr(self, "kept"):
            self.kept = super().score(replace(queries, candidates=None))
        if len(queries) == len(self.kept) and queries.candidates is None:
            return self.kept
        return super().score(queries)


class Locked(Net):
    def __init__(self, n_items: int) -> None:
        super().__init__(n_items)
        self.lock = threading.Lock()


class Averaging(Net):
    @scoring
    def score(self, queries: Queries) -> Tensor:
        x = torch.from_numpy(queries.history.matrix().toarray())
        return picked(self(9 * x / x.sum(dim=1, keepdim=True)), queries)


class Known(Net):
    def score(self, queries: Queries) -> Tensor:
        if (queries.user < 0).any():
            raise UnsupportedError("who are these users?")
        return super().score(queries)


class Sorting(Net):
    def score(self, queries: Queries) -> Tensor:
        queries.history.item.sort()
        return super().score(queries)


MODELS = [
    (Good, set()),
    (Forgetful, {"resumes_with_the_same_scores"}),
    (Unsavable, {"resumes_with_the_same_scores"}),
    (
        Unseeded,
        {
            "repeats_with_the_same_scores",
            "resumes_with_the_same_scores",
            "trains_the_same_when_scored_between_epochs",
        },
    ),
    (Spoiler, {"leaves_its_data_as_they_were"}),
    (Untrained, {"learns_more_than_chance", "tells_one_taste_from_the_other"}),
    (Scoreless, {check.name for check in model_checks()}),
    (Impatient, {"trains_on_unordered_rows_or_refuses_them"}),
    (
        broken(Infinite),
        {
            "scores_every_item_with_a_finite_number",
            "scores_a_user_without_history",
            "scores_candidates_as_among_all_items",
            "scores_unknown_users_or_refuses_them",
            "trains_on_unordered_rows_or_refuses_them",
        },
    ),
    (broken(Whole), {"scores_candidates_as_among_all_items"}),
    (broken(Batched), {"scores_each_query_by_itself", "scores_a_user_without_history"}),
    (
        broken(Training),
        {"scoring_changes_nothing", "trains_the_same_when_scored_between_epochs"},
    ),
    (broken(Locked), {"survives_a_deep_copy"}),
    (broken(Averaging), {"scores_a_user_without_history"}),
    (broken(Known), {"scores_unknown_users_or_refuses_them"}),
]


@pytest.mark.parametrize(("model", "names"), MODELS, ids=[m.__name__ for m, _ in MODELS])
def test_a_model_fails_the_checks_of_its_fault_and_no_other(
    model: type[Good], names: set[str]
) -> None:
    assert failed(model_checks(), model()) == names


@pytest.mark.parametrize(
    ("net", "name"), [(Selfish, "gives_its_scores_away"), (Sorting, "scoring_changes_nothing")]
)
def test_a_scorer_that_shares_what_it_should_not_is_caught(net: type[Net], name: str) -> None:
    assert name in failed(model_checks(), broken(net)())


@dataclass(frozen=True, kw_only=True)
class Declaring(Good):
    KNOWN_USERS_ONLY: ClassVar[bool] = True


def test_a_model_that_declares_that_it_knows_its_users_only_must_refuse_others() -> None:
    assert failed(model_checks(), Declaring()) == {"scores_unknown_users_or_refuses_them"}


def test_all_failures_are_listed_with_their_sentences() -> None:
    with pytest.raises(AssertionError) as caught:
        check_model(Untrained)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"Untrained fails 2 of {len(model_checks())} checks:"
    ours = [line.strip() for line in lines[1:] if not line.startswith("    ")]
    assert ours == [f"{check.name}: {check.sentence}" for check in model_checks()[:2]]
    assert "check an instance that has them" in str(caught.value)


def test_a_check_can_be_skipped_by_name() -> None:
    check_model(Popularity, skip=["tells_one_taste_from_the_other"])
    with pytest.raises(ReproError, match=r"(?s)no check is called 'tells_one_taste'.*mean"):
        check_model(Popularity, skip=["tells_one_taste"])


def test_an_error_of_a_plugin_is_a_failure_with_its_cause() -> None:
    @dataclass(frozen=True)
    class Failing(Good):
        def epochs(self, train: Interactions, run: Run) -> Iterator[Any]:
            raise ValueError("no idea")

    with pytest.raises(AssertionError, match="ValueError: no idea") as caught:
        model_checks()[0](Failing())
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_model_that_cannot_be_hashed_is_checked_all_the_same() -> None:
    @dataclass(kw_only=True)
    class Unhashable:
        n_epochs: int = 60

        def epochs(self, train: Interactions, run: Run) -> Iterator[Any]:
            return Good(n_epochs=self.n_epochs).epochs(train, run)

    check_model(Unhashable(), skip=[])


def test_checks_leave_torchs_random_numbers_and_threads_alone() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        check_model(Popularity, skip=["tells_one_taste_from_the_other"])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), before)


def test_names_are_distinct_and_every_check_has_a_sentence() -> None:
    for checks in (model_checks(), protocol_checks()):
        assert len(set(map(str, checks))) == len(checks)
        assert all(check.sentence.endswith(".") for check in checks)


def test_the_package_needs_no_pytest() -> None:
    program = "import sys, repro.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
