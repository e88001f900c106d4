"""implicit's alternating least squares, outside on exported splits and inside as a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import load_npz

from builders import Write
from builders.commands import known, repro_
from builders.peers import ML_100K, ML_LATEST, Place, code_of, exported, furthest, ours, theirs
from repro.models.wmf import WMF, WMFNet

implicit = pytest.importorskip("implicit.cpu.als")
pytestmark = pytest.mark.filterwarnings("ignore")  # of BLAS threads

MODEL = WMF(latent_dim=16, positive_weight=10.0, l2=5.0, n_epochs=5, precision="float64")


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("place", [ML_100K, ML_LATEST])
def test_als_on_an_exported_split_scores_as_our_wmf(place: Place, tmp_path: Path) -> None:
    folder = exported(place, tmp_path, "npz")
    train, history = load_npz(folder / "train.npz"), load_npz(folder / "test_history.npz")
    als = implicit.AlternatingLeastSquares(
        factors=MODEL.latent_dim,
        regularization=MODEL.l2,
        alpha=MODEL.positive_weight,
        iterations=MODEL.n_epochs,
        use_cg=False,
        dtype=np.float64,
        num_threads=1,
    )
    torch.manual_seed(0)
    als.item_factors = WMFNet(train.shape[1], MODEL).y.numpy().copy()
    als.user_factors = np.zeros((train.shape[0], MODEL.latent_dim))
    als.fit(train.astype(np.float64), show_progress=False)
    users = als.recalculate_user(np.arange(history.shape[0]), history.astype(np.float64))
    np.savez(folder / "scores.npz", scores=users @ als.item_factors.T)
    assert furthest(theirs(place, folder / "scores.npz", "implicit"), ours(place, MODEL)) < 2e-3


def test_the_page_wraps_als_as_a_model(write: Write) -> None:
    write("models/implicit_als.py", code_of("implicit"))
    for table in ("1", "2"):  # unknown users, and candidates
        repro_("run", "toy", "--table", table, "--model", "implicit_als", "--view", "users") if (
            table == "1"
        ) else repro_("run", "toy", "--table", table, "--model", "implicit_als")
    values = {name: one.value for record in known() for name, one in record.results.items()}
    assert values["ndcg@10"] > 0.1
    assert values["hit_rate@10"] > 0.25  # chance: 0.1
