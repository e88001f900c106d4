from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import repro
from builders import Write
from builders.commands import content, json_of, known, repro_
from repro import paths
from repro.doors.place import Asked, asked_at, place_of
from repro.errors import ReproError
from repro.papers import library
from repro.runs import records

CANDIDATES, FULL, STRANGERS = ("2", "negatives"), ("1", "split"), ("1", "users")
PLACES = [CANDIDATES, FULL, STRANGERS]


def asked(table: str, view: str) -> Asked:
    return asked_at(place_of(library.load("toy"), table, view))


def table_of(found: Asked, scores: np.ndarray) -> pd.DataFrame:
    """Return scores of shape (test users, items) as rows, of all that can be ranked."""
    queries = found.split.test.queries
    able = np.ones(scores.shape, dtype=bool)
    able[queries.history.user, queries.history.item] = False
    if queries.candidates is not None:
        able = np.zeros(scores.shape, dtype=bool)
        row, place = np.nonzero(queries.candidates >= 0)
        able[row, queries.candidates[row, place]] = True
    row, item = np.nonzero(able)
    return pd.DataFrame(
        {
            "user": found.data.user_ids[queries.original[row]].astype(str),
            "item": found.data.item_ids[found.split.items[item]].astype(str),
            "score": scores[row, item],
        }
    )


def drawn(found: Asked, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(len(found.split.test), found.split.train.n_items))


def scored(place: tuple[str, str], file: Any, **more: Any) -> Any:
    return repro.score("toy", place[0], file, **{"name": "Mine", "view": place[1]} | more)


def values(found: Any) -> dict[str, float]:
    return {name: one.value for name, one in found.record.results.items()}


def written(folder: Path, form: str, frame: pd.DataFrame) -> Path:
    """Write scores in a format; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    if form == "trec":
        lines = [f"{u} Q0 {i} 0 {s!r} mine" for u, i, s in frame.itertuples(index=False)]
        (folder / "scores.run").write_text("\n".join(lines) + "\n")
        return folder / "scores.run"
    file = folder / f"scores.{form}"
    if form == "csv":
        frame.to_csv(file, index=False)
    elif form == "parquet":
        frame.to_parquet(file)
    else:
        user, item = (frame[name].to_numpy().astype(str) for name in ("user", "item"))
        np.savez(file, user=user, item=item, score=frame["score"].to_numpy())
    return file


@pytest.mark.parametrize("place", PLACES)
def test_every_format_gives_what_our_own_ranking_of_the_same_scores_gives(
    place: tuple[str, str], tmp_path: Path
) -> None:
    import torch

    from repro.split import Queries

    found = asked(*place)
    scores = drawn(found)

    class Known:
        def score(self, queries: Queries) -> torch.Tensor:
            own = torch.from_numpy(scores[queries.case])
            if queries.candidates is None:
                return own
            return own.gather(1, torch.from_numpy(queries.candidates).long())

    expected = repro.evaluate(Known(), found.split.test, [*found.place.metrics.values()])
    frame = table_of(found, scores)
    for form in ("csv", "parquet", "trec", "npz"):
        file = written(tmp_path / form, form, frame.sample(frac=1, random_state=0))
        assert values(scored(place, file, force=True)) == expected, form
    assert values(scored(place, frame, force=True)) == expected
    np.savez(tmp_path / "matrix.npz", scores=scores)
    assert values(scored(place, tmp_path / "matrix.npz", force=True)) == expected
    record = known()[0]
    n_targets = record.hits()[1]
    assert (n_targets == found.split.test.targets.counts).all()
    assert record.cases == found.split.test.digest()


def test_scores_of_candidates_alone_fit_their_list(tmp_path: Path) -> None:
    found = asked(*CANDIDATES)
    scores, candidates = drawn(found), found.split.test.queries.candidates
    assert candidates is not None
    own = np.take_along_axis(scores, np.maximum(candidates, 0), axis=1)
    np.savez(tmp_path / "some.npz", scores=own)
    np.savez(tmp_path / "all.npz", scores=scores)
    one = scored(CANDIDATES, tmp_path / "some.npz", name="A")
    assert values(one) == values(scored(CANDIDATES, tmp_path / "all.npz", name="B"))


def test_the_files_of_an_export_fit_again(tmp_path: Path) -> None:
    for table, view in PLACES:
        folder = repro.export("toy", table, tmp_path / view, "csv", view=view).folder
        found = asked(table, view)
        written(folder, "csv", table_of(found, drawn(found)))
        again = repro.score("toy", table, folder / "scores.csv", name="Mine")  # it names the view
        assert again.is_digest_checked
        assert again.record.experiment.dataset == found.data.id


def break_(frame: pd.DataFrame, how: str, found: Asked) -> pd.DataFrame:
    """Return scores with one fault, in their fourth row or of its user."""
    user = frame["user"][3]
    queries = found.split.test.queries
    case = found.data.user_ids[queries.original].astype(str).tolist().index(user)
    seen = str(found.data.item_ids[found.split.items[queries.history[case][0]]])
    changed: dict[str, tuple[str, Any]] = {
        "user": ("user", "nobody"),
        "item": ("item", "nothing"),
        "nan": ("score", np.nan),
    }
    frame = frame.copy()
    if how in changed:
        column, value = changed[how]
        frame[column] = frame[column].where(frame.index != 3, value)
    elif how == "seen":
        frame.loc[3, "item"] = seen
    elif how == "again":
        frame.loc[3, "item"] = frame["item"][2]
    elif how == "candidate":
        shown = {*frame["item"][frame["user"] == user], seen}
        history = {str(found.data.item_ids[found.split.items[i]]) for i in queries.history[case]}
        free = [i for i in found.data.item_ids.astype(str) if i not in shown | history]
        frame.loc[3, "item"] = free[0]
    elif how == "missing":
        frame = frame[frame["user"] != user]
    elif how == "short":
        frame = frame[(frame["user"] != user) | (frame.index < 5)]
    return frame


FAULTS = [
    ("user", FULL, "line 5: no user of toy/split has the id 'nobody'"),
    ("item", FULL, "line 5: user '1': no item of toy/split has the id 'nothing'"),
    ("nan", FULL, "line 5: user '1', item '.*' has a score that is not a finite number"),
    ("seen", FULL, "line 5: user '1', item '.*' is in the user's history"),
    ("again", FULL, "line 5: user '1', item '.*' is listed a second time"),
    ("candidate", CANDIDATES, "line 5: user '0', item '.*' is none of the user's candidates"),
    ("missing", FULL, "lacks 1 of the 240 test users: '1'"),
    ("short", FULL, "fewer than 20 items for 1 of the 240 test users, as for '1', with 5"),
]


@pytest.mark.parametrize(("how", "place", "says"), FAULTS, ids=[how for how, *_ in FAULTS])
def test_a_fault_is_named_with_line_and_user_and_nothing_is_recorded(
    how: str, place: tuple[str, str], says: str, tmp_path: Path
) -> None:
    found = asked(*place)
    file = written(tmp_path, "csv", break_(table_of(found, drawn(found)), how, found))
    file.write_text(file.read_text().replace(",\n", ",nan\n"))
    with pytest.raises(ReproError, match=says) as caught:
        scored(place, file)
    assert "scores.csv" in caught.value.message
    assert caught.value.hint
    assert not paths.runs().exists()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "user,item,score\n1,2,3\n1,2\n", "line 3: expected 3 values, got 2"),
        ("a.csv", "user,item,score\n0,2,high\n", "line 2: the score 'high' is not a number"),
        ("a.csv", "user,thing,score\n0,2,1\n", "the header has no column item"),
        ("a.csv", 'user,item,score\n0,"2,1\n', "line 2: "),
        ("a.csv", "", "has no scores"),
        ("a.run", "0 Q0 2 1 0.5 tag\n0 Q0 3 2 0.4\n", "line 2: expected the 6 values"),
        ("a.npz", "no", "is no NPZ file"),
        ("a.parquet", "no", "is no Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    name: str, text: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ReproError, match=says):
        scored(FULL, tmp_path / name)
    with pytest.raises(ReproError, match="cannot be read"):
        scored(FULL, tmp_path)
    assert not paths.runs().exists()


def test_a_matrix_has_the_shape_of_the_split_and_no_nan_where_it_is_ranked(tmp_path: Path) -> None:
    found = asked(*FULL)
    scores, history = drawn(found), found.split.test.queries.history
    np.savez(tmp_path / "wide.npz", scores=scores[:, 1:])
    with pytest.raises(ReproError, match=r"shape \(240, 159\), not \(240, 160\)"):
        scored(FULL, tmp_path / "wide.npz")
    scores[history.user, history.item] = np.nan  # nobody asks
    np.savez(tmp_path / "good.npz", scores=scores)
    scored(FULL, tmp_path / "good.npz")
    free = next(i for i in range(160) if i not in history[7])
    scores[7, free] = np.nan
    np.savez(tmp_path / "bad.npz", scores=scores)
    with pytest.raises(ReproError, match=r"row 7 of `scores`: the score of user '.*' .* is nan"):
        scored(FULL, tmp_path / "bad.npz", name="Bad")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.filterwarnings("ignore")
def test_what_is_missing_counts_as_misses_if_asked(place: tuple[str, str]) -> None:
    found = asked(*place)
    frame = table_of(found, drawn(found))
    first = frame["user"][0]
    whole = scored(place, frame, name="Whole").record
    part = scored(place, frame[frame["user"] != first], name="Part", missing="zero")
    assert part.missing == (first,)
    assert part.record.constant == 0
    hits, _ = part.record.hits()
    assert not hits[0].any()
    assert (hits[1:] == whole.hits()[0][1:]).all()


def test_an_item_without_a_score_is_no_hit_however_few_there_are() -> None:
    found = asked(*CANDIDATES)
    frame = table_of(found, drawn(found))
    targets = {
        (str(found.data.user_ids[user]), str(found.data.item_ids[items[0]]))
        for user, items in enumerate(found.split.test.targets[u] for u in range(240))
    }
    is_target = [pair in targets for pair in zip(frame["user"], frame["item"], strict=True)]
    short = frame[~np.array(is_target)].groupby("user").head(3)
    made = scored(CANDIDATES, short, missing="zero")
    assert set(values(made).values()) == {0.0}


@pytest.mark.parametrize("place", PLACES)
def test_ties_are_told_with_their_range(place: tuple[str, str]) -> None:
    found = asked(*place)
    frame = table_of(found, drawn(found))
    assert scored(place, frame, name="Distinct").ties == {}
    frame["score"] = frame["score"].round()
    made = scored(place, frame, name="Tied")
    assert made.ties.keys() == values(made).keys()
    targets = {
        (str(found.data.user_ids[user]), str(found.data.item_ids[found.split.items[item]]))
        for row, user in enumerate(found.split.test.queries.original)
        for item in found.split.test.targets[row]
    }
    wanted = np.array([p in targets for p in zip(frame["user"], frame["item"], strict=True)])
    for place_in, sign in enumerate((-1, 1)):
        untied = frame.assign(score=frame["score"] + sign * 0.01 * wanted)
        end = values(scored(place, untied, name=f"Untied {sign}"))
        for metric, (worst, best) in made.ties.items():
            assert (worst, best)[place_in] == pytest.approx(end[metric], abs=1e-12)
            assert worst <= values(made)[metric] <= best


def test_users_who_are_no_test_users_are_ignored_and_counted() -> None:
    found = asked(*STRANGERS)
    frame = table_of(found, drawn(found))
    stranger = str(found.data.user_ids[found.split.users[0]])
    more = pd.DataFrame({"user": [stranger], "item": [frame["item"][0]], "score": [1.0]})
    both = scored(STRANGERS, pd.concat([frame, more]))
    assert both.n_ignored == 1
    assert values(both) == values(scored(STRANGERS, frame, name="Without"))


def test_another_split_is_refused(tmp_path: Path) -> None:
    folder = repro.export("toy", "1", tmp_path / "users", "csv", view="users").folder
    found = asked(*FULL)
    file = written(tmp_path, "csv", table_of(found, drawn(found)))
    with pytest.raises(ReproError, match=r"of another split.*dataset is toy/ratings, not toy/spl"):
        scored(FULL, file, export=folder)
    arrays = {"scores": drawn(found), "digest": "0" * 64}
    np.savez(tmp_path / "other.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(ReproError, match="of another split: its digest is 0000"):
        scored(FULL, tmp_path / "other.npz")
    with pytest.raises(ReproError, match="there is no"):
        scored(FULL, file, export=tmp_path)
    np.savez(tmp_path / "same.npz", **arrays | {"digest": found.digest})  # type: ignore[arg-type]
    assert scored(FULL, tmp_path / "same.npz").is_digest_checked
    assert not scored(FULL, file, force=True).is_digest_checked


def test_a_name_is_of_one_file_unless_it_is_replaced(tmp_path: Path) -> None:
    found = asked(*FULL)
    one, other = (
        written(tmp_path / str(s), "csv", table_of(found, drawn(found, s))) for s in (0, 1)
    )
    first = scored(FULL, one).record
    before = content(paths.runs())
    with pytest.raises(ReproError, match="'Mine' is recorded here from another file"):
        scored(FULL, other)
    assert content(paths.runs()) == before
    assert scored(FULL, one).record.id == first.id  # the same file again
    assert scored(FULL, other, force=True).record.id == first.id
    assert len(known()) == 1
    assert scored(FULL, other, seed=1).record.id != first.id
    for name in ("", " ", "a\nb", "x" * 101):
        with pytest.raises(ReproError, match="--name"):
            scored(FULL, one, name=name)


def test_compare_shows_it_with_mark_and_hash_and_against_pairs_it(tmp_path: Path) -> None:
    found = asked(*FULL)
    file = written(tmp_path, "csv", table_of(found, drawn(found)))
    repro_("run", "toy", "--table", "1", "--row", "POP", "--view", "split")
    done = repro_("score", "toy", str(file), "--table", "1", "--view", "split", "--name", "Mine")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert sha256 in done.stdout
    assert "not checked" in done.stdout
    shown = repro_("compare", "toy", "--table", "1", "--against", "Mine").stdout
    assert "Mine (external)" in shown
    assert "[e] scores of another program" in shown
    assert f"scored from scores.csv (sha256 {sha256})" in shown
    assert "POP minus Mine (external), user by user (240 users, seed 0)" in shown
    cells = [cell for cell in json_of("compare", "toy", "--table", "1") if cell["row"] == "Mine"]
    assert {cell["group"] for cell in cells} == {"Toy, given split"}
    assert {cell["origin"] for cell in cells} == {"external"}
    assert all("e" in cell["marks"] and sha256 in cell["source"] for cell in cells)
    pop = [cell for cell in json_of("compare", "toy", "--table", "1") if cell["row"] == "POP"]
    assert all(cell["source"] == "" and "e" not in cell["marks"] for cell in pop)


def test_other_commands_take_the_record_as_it_is(tmp_path: Path) -> None:
    found = asked(*FULL)
    file = written(tmp_path, "csv", table_of(found, drawn(found)))
    record = scored(FULL, file).record
    assert records.load(record.path) == record
    checked = json_of("check", record.id)
    assert [one["damaged"] for one in checked] == [False]
    repro_("explain", "toy", "--table", "1", "--row", "EASE")
    repro_("ledger", "toy")
    repro_("status", "toy")
    repro_("clean")
    assert [one.id for one in known()] == [record.id]
    assert known()[0].external["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


MINE = """
[paper]
title = "Mine"
authors = "me"
venue = "here"
url = ""
[views.v]
label = "V"
dataset = "toy/split"
protocol = { name = "given_split" }
[tables.1]
caption = "One"
groups = ["v"]
metrics = { "NDCG@10" = "ndcg@10" }
[[tables.1.rows]]
label = "Random"
model = "random"
at.v = { published = ["0.06"] }
[[tables.1.rows]]
label = "Their model"
quoted_from = "another paper"
at.v = { published = ["0.44"] }
[[claims]]
id = "better"
section = "1"
says = "their model is above chance"
kind = "above"
tables = ["1"]
pairs = [["Their model", "Random"]]
"""


def test_scores_of_a_row_without_a_model_are_its_number_and_decide_its_claims(
    write: Write, tmp_path: Path
) -> None:
    write("tables/mine.toml", MINE)
    repro_("run", "mine")
    before = json_of("claims", "mine")[0]
    assert before["ours"]["verdict"] == "not run"
    found = asked_at(place_of(library.load("mine"), "1"))
    fitted = repro.fit(repro.models.EASE(l2=50.0), found.split, ["ndcg@10"])
    assert fitted.scorer is not None
    scores = fitted.scorer.score(found.split.test.queries).numpy()
    repro.score("mine", "1", table_of(found, scores), name="Their model")
    assert json_of("claims", "mine")[0]["ours"]["verdict"] == "holds"
    (cell,) = [c for c in json_of("compare", "mine") if c["row"] == "Their model"]
    assert cell["ours"] == fitted.results["ndcg@10"].value
    assert cell["origin"] == "paper"
    assert "e" in cell["marks"]


def test_records_of_runs_do_not_speak_of_files() -> None:
    repro_("run", "toy", "--table", "1", "--row", "POP", "--view", "split")
    (record,) = known()
    told = json.loads((record.path / records.FILE).read_text())
    assert "external" not in told
    assert "external" not in told["experiment"]


def test_scores_of_files_are_not_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "is_installed", lambda path: False)
    found = asked(*FULL)
    scored(FULL, table_of(found, drawn(found)))
    from repro.results.freezing import freeze

    with pytest.raises(ReproError, match="there is no record for toy"):
        freeze(library.load("toy"), known())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(PLACES), st.integers(0, 2))
def test_order_of_lines_and_growing_scores_change_nothing(
    seed: int, place: tuple[str, str], digits: int
) -> None:
    found = asked(*place)
    frame = table_of(found, drawn(found, seed).round(digits))
    first = scored(place, frame, force=True)
    mixed = frame.sample(frac=1, random_state=seed)
    again = scored(place, mixed.assign(score=np.exp(mixed["score"])), force=True)
    assert values(again) == values(first)
    assert again.ties == first.ties
