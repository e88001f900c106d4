"""RecBole's EASE on exported splits, in an interpreter of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from builders.peers import ML_100K, ML_LATEST, Place, exported, furthest, ours, theirs
from repro.doors.recbole import METRICS
from repro.models.ease import EASE

RECBOLE = os.environ.get("REPRO_RECBOLE", "")
SCRIPT = Path(__file__).with_name("recbole_ease.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.skipif(not RECBOLE, reason="REPRO_RECBOLE names no interpreter with RecBole"),
]


@pytest.mark.parametrize("place", [ML_100K, ML_LATEST])
def test_its_own_evaluation_and_ours_of_its_scores_agree_with_our_ease(
    place: Place, tmp_path: Path
) -> None:
    folder = exported(place, tmp_path, "recbole")
    subprocess.run([RECBOLE, str(SCRIPT), str(folder), "500"], check=True, capture_output=True)
    outside = theirs(place, folder / "scores.csv", "RecBole EASE")
    assert furthest(outside, ours(place, EASE(l2=500.0))) < 2e-3
    own = json.loads((folder / "recbole.json").read_text())
    names = {
        f"{name}@{k}": f"{METRICS[name].lower()}@{k}"
        for name, k in (metric.split("@") for metric in outside)
    }
    assert furthest(outside, {ours_: own[their] for ours_, their in names.items()}) < 1e-6
