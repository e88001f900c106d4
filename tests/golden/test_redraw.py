"""How much results vary when the test cases of DAVE's Table 4 are drawn again, for the same users.

Its split of MovieLens 100K was never published: who is the latest of several ratings in one second,
the negatives and the validation items are drawn. The table file states by how much such a draw
moves a result; here it is measured.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import repro
from repro.data import archive, cache, manifest
from repro.papers import library

METRICS = ("hit_rate@10", "ndcg@10")
DRAWS = 12


@pytest.mark.slow
def test_a_redraw_moves_results_as_the_table_file_says(mirror: Path) -> None:
    archive.fetch(manifest.load("ml-100k"), mirror)
    columns = ["user", "item", "rating", "time"]
    ratings = pd.read_csv(cache.raw_folder("ml-100k") / "u.data", sep="\t", names=columns)
    ratios = []
    for model in (repro.models.EASE(l2=200.0), repro.models.ItemKNN()):
        seen: dict[str, list[tuple[float, float]]] = {metric: [] for metric in METRICS}
        for draw in range(DRAWS):
            shuffled = ratings.sample(frac=1, random_state=draw)  # equal times keep this order
            data = repro.dataset(shuffled, user="user", item="item", time="time")
            split = repro.protocols.LeaveOneOut(test="latest", seed=draw).split(data)
            for metric, found in repro.fit(model, split, metrics=METRICS).results.items():
                assert found.standard_error is not None
                seen[metric].append((found.value, found.standard_error))
        for pairs in seen.values():
            values, errors = zip(*pairs, strict=True)
            ratios.append(statistics.stdev(values) / statistics.fmean(errors))
    stated = library.load("dave").views["ml100k"].redraw
    assert np.mean(ratios) == pytest.approx(stated, abs=0.2)  # 4 x 11 degrees of freedom: +-0.13
