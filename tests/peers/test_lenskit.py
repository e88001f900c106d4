"""LensKit's EASE and item-kNN, outside on exported splits and inside as a model.

LensKit 2025.8 wants pandas below 3: `pip install ".[test,peers]"` into an environment of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import Write
from builders.commands import known, repro_
from builders.peers import ML_100K, ML_LATEST, Place, code_of, exported, furthest, ours, theirs
from repro.models.ease import EASE
from repro.models.item_knn import ItemKNN

pytest.importorskip("lenskit", exc_type=ImportError)
pytestmark = pytest.mark.filterwarnings("ignore")

EVERY = 10_000
"""More neighbours than there are items: LensKit cuts the neighbours in a user's history, ours
those of the scored item, and without a cut both are one method."""


def written(place: Place, scorer: Any, folder: Path) -> Path:
    """Train on an export, and write the scores of what is to be ranked."""
    from lenskit.data import ItemList, RecQuery, from_interactions_df

    train = pd.read_csv(folder / "train.csv", dtype=str)
    every = pd.read_csv(folder / "items.csv", dtype=str)["item"].to_numpy()
    data = from_interactions_df(train, user_col="user", item_col="item", items=every)
    scorer.train(data)
    history = pd.read_csv(folder / "test_history.csv", dtype=str).groupby("user")["item"]
    asked = folder / "test_candidates.csv"
    candidates = pd.read_csv(asked, dtype=str).groupby("user")["item"] if asked.exists() else None
    rows = []
    for user, seen in history:
        items = every[~np.isin(every, seen)]
        if candidates is not None:
            items = candidates.get_group(user).to_numpy()
        query = RecQuery(history_items=ItemList(item_ids=seen.to_numpy()))
        scores = np.nan_to_num(scorer(query, ItemList(item_ids=items)).scores())  # no neighbour: 0
        rows.append(pd.DataFrame({"user": user, "item": items, "score": scores}))
    pd.concat(rows).to_parquet(folder / "scores.parquet")
    return folder / "scores.parquet"


@pytest.mark.slow
@pytest.mark.data
def test_ease_on_an_exported_split_scores_as_ours(tmp_path: Path) -> None:
    from lenskit.knn import EASEScorer

    folder = exported(ML_100K, tmp_path, "csv")
    file = written(ML_100K, EASEScorer(regularization=500.0), folder)
    found = theirs(ML_100K, file, "LensKit EASE")
    assert furthest(found, ours(ML_100K, EASE(l2=500.0))) < 2e-3


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("place", [ML_100K, ML_LATEST])
def test_item_knn_on_an_exported_split_scores_as_ours(place: Place, tmp_path: Path) -> None:
    from lenskit.knn import ItemKNNScorer

    folder = exported(place, tmp_path, "csv")
    scorer = ItemKNNScorer(feedback="implicit", max_nbrs=EVERY)
    found = theirs(place, written(place, scorer, folder), "LensKit item-kNN")
    assert furthest(found, ours(place, ItemKNN(n_neighbors=EVERY))) < 2e-3


def test_the_page_wraps_item_knn_as_a_model(write: Write) -> None:
    write("models/lenskit_knn.py", code_of("lenskit"))
    repro_("run", "toy", "--table", "1", "--model", "lenskit_knn", "--view", "users")
    repro_("run", "toy", "--table", "2", "--model", "lenskit_knn")
    values = {name: one.value for record in known() for name, one in record.results.items()}
    assert values["ndcg@10"] > 0.1
    assert values["hit_rate@10"] > 0.25  # chance: 0.1
