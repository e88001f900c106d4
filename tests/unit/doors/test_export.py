from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import load_npz

import repro
from builders import Write
from builders.commands import repro_
from repro.data import views
from repro.errors import ReproError
from repro.interactions import Dataset
from repro.protocols.strong_generalization import StrongGeneralization

LEAVE_ONE_OUT, STRANGERS = ("2", ""), ("1", "users")


def export(tmp_path: Path, form: str, table: str = "2", view: str = "") -> Path:
    return repro.export("toy", table, tmp_path / form, form, view=view).folder


def pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(frame.astype(str).itertuples(index=False, name=None))


def read(file: Path) -> list[tuple[str, str]]:
    return pairs(pd.read_csv(file, dtype=str))


def toy_dataset() -> Dataset:
    return repro.dataset("toy/ratings")


def test_a_split_knows_the_original_users_of_strong_generalization() -> None:
    data = toy_dataset()
    split = StrongGeneralization(heldout_users=40).split(data)
    whole = data.interactions
    for cases in (split.test, split.valid):
        assert cases is not None
        assert (cases.queries.user == -1).all()
        for row, user in enumerate(cases.queries.original):
            shown = {*cases.queries.history[row], *cases.targets[row]}
            assert {split.items[item] for item in shown} <= {*whole[user]}
        assert not {*cases.queries.original} & {*split.users}
    for row, user in enumerate(split.users):
        assert split.items[split.train[row]].tolist() == whole[user].tolist()


def test_a_batch_knows_the_numbers_of_its_cases() -> None:
    test = StrongGeneralization(heldout_users=40).split(toy_dataset()).test
    batch = test.queries.rows(np.array([5, 2])).rows(np.array([1]))
    assert batch.case.tolist() == [2]
    assert batch.original.tolist() == [test.queries.original[2]]


def test_csv_has_each_part_under_original_ids(tmp_path: Path) -> None:
    folder = export(tmp_path, "csv", *STRANGERS)
    data = toy_dataset()
    split = repro.protocols.StrongGeneralization(heldout_users=40).split(data)
    train = read(folder / "train.csv")
    assert len(train) == len(split.train)
    known = {*read(folder / "test.csv"), *read(folder / "test_history.csv"), *train}
    assert known <= set(pairs(data.to_frame()))
    assert not {user for user, _ in read(folder / "test.csv")} & {user for user, _ in train}
    numbers = pd.read_csv(folder / "items.csv", dtype={"item": str})
    assert numbers["item"].tolist() == data.item_ids[split.items].astype(str).tolist()
    both = read(folder / "train_valid.csv")
    assert {*both} == {*train, *read(folder / "valid.csv"), *read(folder / "valid_history.csv")}
    assert len(both) == len(set(both))


def test_parquet_has_what_csv_has(tmp_path: Path) -> None:
    csv, parquet = export(tmp_path, "csv"), export(tmp_path, "parquet")
    names = {file.stem for file in csv.glob("*.csv")}
    assert names == {file.stem for file in parquet.glob("*.parquet")}
    for name in names:
        frame = pd.read_parquet(parquet / f"{name}.parquet").astype(str)
        assert pairs(frame) == read(csv / f"{name}.csv")


def test_npz_has_a_row_for_each_test_user_and_its_place_in_training(tmp_path: Path) -> None:
    csv, npz = export(tmp_path, "csv"), export(tmp_path, "npz")
    ids = np.load(npz / "ids.npz")
    for name in ("train", "test", "test_history", "train_valid"):
        matrix = load_npz(npz / f"{name}.npz").tocoo()
        users = ids[f"{name.removesuffix('_history')}_users"]
        found = zip(users[matrix.row], ids["items"][matrix.col], strict=True)
        assert {*map(tuple, np.array([*found]).astype(str))} == {*read(csv / f"{name}.csv")}
    assert (ids["train_users"][ids["test_rows"]] == ids["test_users"]).all()
    listed = np.load(npz / "test_candidates.npz")["candidates"]
    row, place = np.nonzero(listed >= 0)
    found = zip(ids["test_users"][row], ids["items"][listed[row, place]], strict=True)
    assert {(str(u), str(i)) for u, i in found} == {*read(csv / "test_candidates.csv")}


def test_trec_has_qrels_and_candidates(tmp_path: Path) -> None:
    csv, trec = export(tmp_path, "csv"), export(tmp_path, "trec")
    qrels = [line.split() for line in (trec / "test.qrels").read_text().splitlines()]
    assert [(u, i) for u, _, i, _ in qrels] == read(csv / "test.csv")
    assert {(zero, one) for _, zero, _, one in qrels} == {("0", "1")}
    run = [line.split() for line in (trec / "test_candidates.run").read_text().splitlines()]
    assert [(line[0], line[2]) for line in run] == read(csv / "test_candidates.csv")
    assert {len(line) for line in run} == {6}


def test_recbole_has_given_parts_and_every_item(tmp_path: Path) -> None:
    csv, recbole = export(tmp_path, "csv"), export(tmp_path, "recbole")
    for part in ("train", "valid", "test"):
        frame = pd.read_csv(recbole / f"split/split.{part}.inter", sep="\t", dtype=str)
        assert list(frame.columns) == ["user_id:token", "item_id:token", "timestamp:float"]
        assert pairs(frame.iloc[:, :2]) == read(csv / f"{part}.csv")
    items = (recbole / "split/split.item").read_text().split()[1:]
    assert items == [item for _, item in read(csv / "items.csv")]
    text = (recbole / "recbole.yaml").read_text()
    assert "benchmark_filename: [train, valid, test]" in text
    assert "metrics: [Hit, NDCG]" in text


def test_recbole_refuses_users_that_training_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="are not in training, and RecBole knows no others"):
        export(tmp_path, "recbole", *STRANGERS)
    assert list(tmp_path.iterdir()) == []


def test_an_export_names_its_split(tmp_path: Path) -> None:
    about = json.loads((export(tmp_path, "csv") / "split.json").read_text())
    assert about["dataset"] == "toy/leave_one_out"
    assert about["dataset_digest"] == toy_digest("toy/leave_one_out")
    assert about["protocol"]["name"] == "leave_one_out"
    assert about["seed"] == 0
    other = json.loads((export(tmp_path, "npz") / "split.json").read_text())
    assert (about["digest"], about["counts"]) == (other["digest"], other["counts"])
    text = (tmp_path / "csv" / "README.md").read_text()
    for told in (about["digest"], about["dataset"], "leave_one_out(test=given", "seed=0"):
        assert told in text


def toy_digest(dataset: str) -> str:
    return repro.dataset(dataset).digest


def test_a_table_of_several_views_wants_one_named(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="several views") as caught:
        export(tmp_path, "csv", "1")
    assert "split; users" in caught.value.hint


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    done = repro_("export", "toy", "--table", "2", "--to", str(tmp_path), code=1)
    assert "is not an empty folder" in done.stderr
    assert (tmp_path / "mine").read_text() == "precious"


def test_ids_with_spaces_are_refused_where_a_space_separates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = views.load

    def spaced(dataset: str, *_: object) -> Dataset:
        data = load(dataset)
        return replace(data, item_ids=np.char.add(data.item_ids.astype(str), " the second"))

    monkeypatch.setattr(views, "load", spaced)
    for form in ("trec", "recbole"):
        with pytest.raises(ReproError, match="has a character that separates columns"):
            export(tmp_path, form)
    assert read(export(tmp_path, "csv") / "test.csv")[0][1].endswith(" the second")


def test_export_needs_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from repro.cli import app; "
        f"app(['export', 'toy', '--table', '2', '--to', {str(tmp_path / 'out')!r}], "
        "standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_a_protocol_that_hides_its_users_is_told_of(write: Write, tmp_path: Path) -> None:
    write(
        "protocols/hidden.py",
        '''"""Hidden users."""
from dataclasses import dataclass
import numpy as np
from repro.split import Cases, Split
@dataclass(frozen=True)
class Hidden:
    """Hidden users."""
    def split(self, dataset):
        rows = dataset.interactions
        last = rows.position == rows.counts[rows.user] - 1
        cases = Cases.of(np.full(rows.n_users, -1), rows.where(~last), rows.where(last))
        return Split(rows.where(~last), None, cases)
PROTOCOL = Hidden
''',
    )
    write(
        "tables/mine.toml",
        """
[paper]
title = "Mine"
authors = "me"
venue = "here"
url = ""
[views.v]
label = "V"
dataset = "toy/ratings"
protocol = { name = "hidden" }
[tables.1]
caption = "One"
groups = ["v"]
metrics = { "N" = "ndcg@10" }
[[tables.1.rows]]
label = "POP"
model = "popularity"
at.v = { published = ["0.1"] }
""",
    )
    with pytest.raises(ReproError, match="does not say which users") as caught:
        repro.export("mine", "1", tmp_path / "out")
    assert "`original`" in caught.value.hint
