"""Train RecBole's EASE on an export, in RecBole's own interpreter, and write what it gives.

RecBole 1.2.1 needs older libraries than `repro` does:

    python3.11 -m venv recbole
    recbole/bin/pip install -r tests/peers/recbole.txt
    recbole/bin/python tests/peers/recbole_ease.py EXPORT 500

EXPORT is a folder that `repro export --format recbole` wrote. The metrics of RecBole's own
evaluation go into EXPORT/recbole.json, the scores into EXPORT/scores.csv, for `repro score`.
`tests/peers/test_recbole.py` does all of it where REPRO_RECBOLE names that interpreter.
"""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

LISTED = 100  # items that a full ranking lists for each user


def main(export: str, l2: float) -> None:
    """Train, evaluate and write."""
    os.chdir(export)
    sys.path.insert(0, ".")
    from as_asked import _items, as_asked
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    sys.argv = sys.argv[:1]  # RecBole reads it, too
    settings = {"reg_weight": l2, "use_gpu": False, "state": "ERROR", "show_progress": False}
    config = Config(model="EASE", config_file_list=["recbole.yaml"], config_dict=settings)
    init_seed(0, True)
    dataset = create_dataset(config)
    train, _valid, test = data_preparation(config, dataset)
    as_asked(test)
    model = get_model("EASE")(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "EASE")(config, model)
    found = trainer.evaluate(test, load_best_model=False)
    with Path("recbole.json").open("w") as file:
        json.dump({name: float(value) for name, value in found.items()}, file)

    candidates = _items(dataset, Path("test_candidates.csv"))
    with Path("scores.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "score"])
        for user in test.uid_list.tolist():
            asked = {dataset.uid_field: torch.tensor([user])}
            scores = np.asarray(model.full_sort_predict(asked)).reshape(-1).astype(float)
            scores[0] = -np.inf
            scores[test.uid2history_item[user].numpy()] = -np.inf
            order = np.argsort(-scores, kind="stable")[: len(candidates.get(user, ())) or LISTED]
            token = dataset.id2token(dataset.uid_field, user)
            for item in order[np.isfinite(scores[order])]:
                rows.writerow(
                    [token, dataset.id2token(dataset.iid_field, item), repr(scores[item])]
                )


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
