"""`import repro`: a notebook's way to data, models, papers and results."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import repro
from builders import Write
from repro.errors import ReproError
from repro.interactions import Dataset, Interactions
from repro.model import Run
from repro.split import Queries, Split

FRAME = pd.DataFrame(
    {
        "who": ["cy", "ann", "bob", "ann", "cy", "ann"],
        "what": [30, 10, 20, 30, 20, 10],
        "when": [5, 3, 1, 2, 4, 1],
    }
)


def frame(**changed: Any) -> Dataset:
    return repro.dataset(FRAME.assign(**changed), user="who", item="what", time="when")


@pytest.fixture
def split() -> Split:
    data = repro.dataset("toy/ratings")
    split: Split = repro.protocols.StrongGeneralization(heldout_users=40).split(data)
    return split


def test_importing_is_cheap_and_every_name_is_there() -> None:
    program = (
        "import sys, repro; loaded = {'torch', 'pandas', 'numpy'} & set(sys.modules); "
        "assert not loaded, loaded; [getattr(repro, name) for name in repro.__all__]; "
        "assert 'torch' not in sys.modules and set(repro.__all__) <= set(dir(repro))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", repro.__all__)
def test_every_name_says_what_it_is(name: str) -> None:
    assert (getattr(repro, name).__doc__ or "").strip()


def test_a_frame_is_numbered_by_sorted_identifiers_and_ordered_by_time() -> None:
    data = frame()
    assert data.user_ids.tolist() == ["ann", "bob", "cy"]
    assert data.item_ids.tolist() == [10, 20, 30]
    # Ann had item 10 at time 1, and again at 3, which counts once.
    assert [data.interactions[user].tolist() for user in range(3)] == [[0, 2], [1], [1, 2]]
    assert data.interactions.ordered
    assert not repro.dataset(FRAME, user="who", item="what").interactions.ordered


def test_a_dataset_gives_its_interactions_back_under_their_identifiers() -> None:
    back = frame().to_frame()
    assert set(zip(back["user"], back["item"], strict=True)) == set(
        zip(FRAME["who"], FRAME["what"], strict=True)
    )
    again = repro.dataset(back)
    assert (again.user_ids.tolist(), again.item_ids.tolist()) == (
        ["ann", "bob", "cy"],
        [10, 20, 30],
    )


def test_identifiers_of_several_types_are_kept_as_they_are() -> None:
    data = frame(what=["b", 7, 7, "b", "a", 7])
    assert data.item_ids.tolist() == [7, "a", "b"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"who": [None, "ann", "bob", "ann", None, "ann"]}, "2 of 6 rows have no who.*position 0"),
        ({"when": [5, 3, np.nan, 2, 4, 1]}, "1 of 6 rows have no when, the first at position 2"),
    ],
)
def test_a_missing_identifier_or_time_is_an_error_that_says_where(
    changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ReproError, match=message):
        frame(**changed)


def test_a_misspelt_column_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ReproError, match=r"(?s)no column of plays is called 'users'.*did you mean"):
        repro.dataset(FRAME.rename(columns={"who": "user"}), user="users", name="plays")


def test_an_archive_without_a_view_is_an_error_that_lists_them() -> None:
    with pytest.raises(ReproError, match=r"(?s)'toy' is an archive.*toy/ratings"):
        repro.dataset("toy")


def test_the_digest_of_a_frame_is_of_its_content() -> None:
    assert frame().digest == frame().digest
    assert frame().digest != frame(what=[30, 10, 20, 30, 20, 20]).digest


class Shifting:
    """A scorer that is the training's own, and ranks by popularity in the second epoch alone."""

    def __init__(self, n_items: int) -> None:
        self.popular = False
        self.counts = torch.arange(n_items, 0, -1, dtype=torch.float32)

    def score(self, queries: Queries) -> torch.Tensor:
        return (self.counts if self.popular else -self.counts).repeat(len(queries), 1)


class ShiftingModel:
    """Trains a `Shifting` for four epochs."""

    def epochs(self, train: Interactions, run: Run) -> Iterator[Shifting]:
        scorer = Shifting(train.n_items)
        scorer.counts = torch.from_numpy(np.bincount(train.item, minlength=train.n_items)).float()
        for epoch in run.epochs(4):
            scorer.popular = epoch == 1
            yield scorer


def test_the_scorer_of_the_best_epoch_is_kept(split: Split) -> None:
    fitted = repro.fit(ShiftingModel(), split, "ndcg@10", select="valid:ndcg@10", device="cpu")
    assert fitted.epoch == 2
    assert fitted.scorer is not None
    again = repro.evaluate(fitted.scorer, split.test, "ndcg@10")
    assert again["ndcg@10"] == fitted.results["ndcg@10"].value
    curve = fitted.curve_frame()
    assert curve["valid:ndcg@10"].idxmax() == 1
    assert len(curve) == 4


def test_without_being_asked_no_scorer_is_kept_and_nothing_is_written(split: Split) -> None:
    fitted = repro.fit(repro.models.Popularity(), split, ["recall@20"], keep_scorer=False)
    assert fitted.scorer is None
    assert fitted.to_frame()["metric"].tolist() == ["recall@20"]
    assert len(repro.records()) == 0


def test_a_metric_that_does_not_exist_is_an_error_before_training(split: Split) -> None:
    with pytest.raises(ReproError, match="no metric is called 'ndgc'"):
        repro.fit(repro.models.EASE(), split, ["ndgc@10"])


def test_a_class_that_does_not_exist_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(AttributeError, match="did you mean MultVAE"):
        _ = repro.models.MulVAE


def test_a_table_is_run_compared_and_framed() -> None:
    table = repro.paper("toy").table("1")
    assert {"POP", "EASE"} <= set(table.rows)
    printed = table.to_frame()
    assert set(printed["metric"]) == {"ndcg@10", "capped_recall@20"}
    done = table.run(rows=["POP"], views=["split"])
    (record,) = done.records
    kept = repro.records()
    assert kept.to_frame().loc[0, "id"] == record.id
    cells = table.compare().to_frame()
    own = cells[cells["ours"].notna()]
    assert set(own["row"]) == {"POP"}
    assert own["ours"].tolist() == [record.results[m].value for m in own["metric"]]
    assert {s.kind for s in repro.status("toy") if s.id == record.id} == {"done"}


def test_settings_of_a_notebook_are_those_of_the_command_line() -> None:
    done = repro.run("toy", table="1", rows=["EASE"], views=["split"], settings={"l2": 5})
    assert done.records[0].experiment.model.params == {"l2": 5.0}


def test_a_run_that_fails_is_raised_once_all_have_ended() -> None:
    with pytest.raises(ReproError, match=r"(?s)failed: 1.*diverged"):
        repro.run("toy", table="1", views=["split"], model="bpr", settings={"learning_rate": 1e30})


def test_the_catalogue_has_what_the_command_lists() -> None:
    assert {"sevae", "toy"} <= set(repro.catalogue()["paper"])
    assert "mult_vae" in set(repro.catalogue("models")["name"])
    with pytest.raises(ReproError, match="did you mean models"):
        repro.catalogue("model")


def test_settings_may_be_none_or_numbers_of_numpy_and_rows_a_word() -> None:
    done = repro.run(
        "toy",
        table="1",
        rows="EASE",
        views="split",
        seeds=np.arange(3, 4).tolist(),
        settings={"l2": np.int64(5)},
    )
    (record,) = done.records
    assert (record.experiment.seed, record.experiment.model.params) == (3, {"l2": 5.0})
    plain = repro.run(
        "toy",
        table="1",
        model="mult_vae",
        views="split",
        settings={"gamma_cap": None, "n_epochs": 1},
    )
    assert plain.records[0].experiment.model.params["gamma_cap"] is None


def test_a_negative_seed_is_an_error_before_any_run() -> None:
    with pytest.raises(ReproError, match="does not name seeds"):
        repro.run("toy", rows="POP", seeds=[-1])


def test_an_unknown_device_is_an_error_that_lists_them(split: Split) -> None:
    with pytest.raises(ReproError, match=r"(?s)no device is called 'tpu'.*cuda"):
        repro.fit(repro.models.Popularity(), split, "ndcg@10", device="tpu")


def test_identifiers_may_be_tuples_and_names_of_columns_numbers() -> None:
    frame = pd.DataFrame({0: [("a", 1), ("b", 2), ("a", 1)], 1: [7, 7, 8]})
    data = repro.dataset(frame, user=0, item=1)
    assert data.user_ids.tolist() == [("a", 1), ("b", 2)]
    assert [data.interactions[user].tolist() for user in range(2)] == [[0, 1], [0]]
    with pytest.raises(ReproError, match="no column of frame is called '9'"):
        repro.dataset(frame, user=9, item=1)


def test_times_that_cannot_be_compared_are_an_error_that_names_the_column() -> None:
    with pytest.raises(ReproError, match="the column when cannot be sorted"):
        frame(when=["yesterday", 1, 2, 3, 4, 5])


def test_an_index_named_as_a_column_is_no_matter() -> None:
    indexed = FRAME.set_index("when", drop=False)
    assert repro.dataset(indexed, user="who", item="what", time="when").digest == frame().digest


def test_arguments_of_the_other_kind_of_data_are_errors() -> None:
    with pytest.raises(ReproError, match="time name columns of a DataFrame"):
        repro.dataset("toy/ratings", time="when")  # type: ignore[call-overload]
    with pytest.raises(ReproError, match="a DataFrame has no source"):
        repro.dataset(FRAME, source="here", user="who")  # type: ignore[call-overload]


OWN = '''
"""A model of one's own whose class has the name of one of ours."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EASE:
    """Do nothing."""

    l2: float = 7.0

    def epochs(self, train, run):
        yield None


MODEL = EASE
'''


def test_our_classes_come_before_the_users_of_the_same_name(write: Write) -> None:
    write("models/my_ease.py", OWN)
    assert repro.models.EASE().l2 == 500.0


def test_a_broken_file_of_the_users_breaks_nothing_else(write: Write) -> None:
    write("models/broken.py", "def broken(:")
    assert repro.models.EASE().l2 == 500.0
    assert "MultVAE" in dir(repro.models)
    assert not hasattr(repro.models, "Broken")


def test_a_kept_scorer_is_never_there_three_times(split: Split) -> None:
    alive: list[int] = []

    class Counted:
        there = 0

        def __init__(self) -> None:
            Counted.there += 1

        def __deepcopy__(self, memo: Any) -> Any:
            made = Counted()
            alive.append(Counted.there)
            return made

        def __del__(self) -> None:
            Counted.there -= 1

        def score(self, queries: Any) -> Any:
            import torch

            return torch.rand(len(queries), split.train.n_items)

    class Counting:
        def epochs(self, train: Any, run: Any) -> Any:
            scorer = Counted()
            for _ in run.epochs(20):
                yield scorer

    repro.fit(Counting(), split, "ndcg@10", select="valid:ndcg@10", device="cpu")
    assert max(alive) == 2
    alive.clear()
    assert repro.fit(Counting(), split, "ndcg@10", device="cpu").scorer is not None
    assert alive == []


def test_own_files_that_are_not_read_are_told_in_a_notebook(write: Write) -> None:
    write("data_manifests/toy.toml", "")
    with pytest.warns(UserWarning, match=r"toy\.toml is not read"):
        repro.dataset("toy/ratings")
