"""Write a split as RecBole's atomic files, with a configuration that ranks as the table does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from repro.doors.parts import Part, need_plain, parts_of
from repro.doors.place import Asked
from repro.errors import ReproError

NAME = "split"
"""Of the dataset, for RecBole."""

METRICS = {
    "hit_rate": "Hit",
    "ndcg": "NDCG",
    "recall": "Recall",
    "precision": "Precision",
    "mrr": "MRR",
}
"""RecBole's name of a formula that it has, too."""


def write(asked: Asked, folder: Path) -> str:
    """Write atomic files, configuration and masks; return what README says of them.

    Raises
    ------
    ReproError
        If test users are not in training: RecBole knows no others.
    """
    split = asked.split
    if (split.test.queries.user < 0).any():
        raise ReproError(
            f"test users of {asked.place.label} are not in training, and RecBole knows no others",
            "choose csv, parquet or npz",
        )
    need_plain(asked, "RecBole's")
    own = folder / NAME
    own.mkdir()
    parts = {part.name: part for part in parts_of(split)}
    for name in ("train", "valid", "test"):
        _atomic(_frame(parts.get(name), asked), own / f"{NAME}.{name}.inter")
    items = pd.DataFrame({"item_id:token": asked.data.item_ids[split.items]})
    _atomic(items, own / f"{NAME}.item")
    for name, part in parts.items():
        if name.endswith(("_history", "_candidates")):
            part.frame(asked).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    (folder / "recbole.yaml").write_text(_configuration(asked), encoding="utf-8")
    (folder / "as_asked.py").write_text(_AS_ASKED, encoding="utf-8")
    return _README.format(differences="".join(f"- {one}\n" for one in _differences(asked)))


def _frame(part: Part | None, asked: Asked) -> pd.DataFrame:
    """Return a part as RecBole names its columns; no rows of a part that there is not."""
    if part is None:
        return pd.DataFrame({"user_id:token": [], "item_id:token": []})
    frame = part.frame(asked).set_axis(["user_id:token", "item_id:token"], axis=1)
    if not asked.split.train.ordered:
        return frame
    begin = ("train", "valid", "test").index(part.name) * asked.split.train.longest
    return frame.assign(**{"timestamp:float": begin + part.rows.position})


def _atomic(frame: pd.DataFrame, file: Path) -> None:
    frame.to_csv(file, sep="\t", index=False, lineterminator="\n")


def _differences(asked: Asked) -> Iterator[str]:
    """Yield where RecBole departs from the table, whatever is configured."""
    split = asked.split
    yield "Among equal scores RecBole's order is arbitrary."
    if split.valid is None:
        yield (
            f"The table holds out nothing for validation, so `{NAME}.valid.inter` has no rows: "
            "train for a fixed number of epochs, without `valid_data`."
        )
    others = {one for one in asked.place.metrics.values() if one.split("@")[0] not in METRICS}
    if others:
        yield f"RecBole does not have {', '.join(sorted(others))}: `repro score` computes it."


def _configuration(asked: Asked) -> str:
    """Return the YAML that makes RecBole read the files and measure what the table shows."""
    parsed = [name.split("@") for name in asked.place.metrics.values()]
    names = dict.fromkeys(METRICS[name] for name, _ in parsed if name in METRICS) or ["NDCG"]
    cutoffs = sorted({int(k) for _, k in parsed})
    time = ", timestamp" if asked.split.train.ordered else ""
    return f"""\
# {asked.place.paper}, Table {asked.place.table}, {asked.place.view}: run RecBole in this folder.
data_path: .
dataset: {NAME}
benchmark_filename: [train, valid, test]
USER_ID_FIELD: user_id
ITEM_ID_FIELD: item_id
TIME_FIELD: timestamp
load_col:
  inter: [user_id, item_id{time}]
  item: [item_id]
eval_args:
  split: {{RS: [8, 1, 1]}}   # not used: the split is given
  group_by: user
  order: {"TO" if time else "RO"}
  mode: {{valid: full, test: full}}
metrics: [{", ".join(names)}]
topk: [{", ".join(map(str, cutoffs))}]
valid_metric: {next(iter(names))}@{cutoffs[-1]}
metric_decimal_place: 10
"""


_AS_ASKED = '''\
"""Have RecBole rank what the table ranks: the given candidates, or all but what is known."""

import csv
import pathlib

import torch


def as_asked(loader, cases="test", folder="."):
    """Set the items that an evaluation loader of RecBole leaves out of each user's ranking."""
    dataset, every = loader._dataset, set(range(1, loader._dataset.item_num))
    known, asked = (_items(dataset, pathlib.Path(folder, f"{cases}_{name}.csv"))
                    for name in ("history", "candidates"))
    for user in loader.uid_list.tolist():
        out = every - asked[user] if asked else known.get(user, set())
        loader.uid2history_item[user] = torch.tensor(sorted(out), dtype=torch.int64)


def _items(dataset, file):
    found = {}
    if file.exists():
        with file.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                user = dataset.token2id(dataset.uid_field, row["user"])
                item = dataset.token2id(dataset.iid_field, row["item"])
                found.setdefault(int(user), set()).add(int(item))
    return found
'''

_README = """\
The folder `split` has RecBole's atomic files. Run RecBole in this folder with `recbole.yaml`:

    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from as_asked import as_asked

    config = Config(model="EASE", config_file_list=["recbole.yaml"])
    train_data, valid_data, test_data = data_preparation(config, create_dataset(config))
    as_asked(test_data)

`as_asked` makes the ranking that of the table: only the given candidates, if there are some; else
every item but those of `test_history.csv`. Without it RecBole leaves out the training and
validation items, and never ranks given candidates. Sequential models of RecBole want a column
`item_id_list`, which these files do not have.

What remains different:

{differences}"""
