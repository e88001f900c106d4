"""Every published table: whole, resolvable, and as printed."""

from __future__ import annotations

import json

import pytest

from repro.experiment import Experiment, protocol_spec
from repro.papers import library
from repro.papers.printed import number_in
from repro.papers.rows import Entry
from repro.plugins import MODELS

PAPERS = library.papers()

CELLS = {
    "sevae": {"1": 60, "2": 36, "3": 9, "4": 9},
    "multvae_ablation": dict.fromkeys(["I", "II", "III", "IV", "V", "VI", "VII", "VIII"], 3)
    | {"IX": 24},
    "dave": {"2": 20, "4": 72, "5": 72, "6": 72, "7": 72, "8": 72},
    "mvae": {"I": 12, "II": 144},
    "acvae": {"1": 20, "2": 324},
}
"""How many numbers each table prints."""

PRINTED = [
    ("sevae", "1", "EASE [21]", "MovieLens20M", "Recall@20", "0.319"),
    ("sevae", "1", "WMF [7]", "Netflix", "NDCG@100", "0.351"),
    ("sevae", "3", "Multi-VAE (Gated)", "K = 600", "NDCG@100", "0.42482"),
    ("sevae", "4", "H+vamp (Gated)", "with MoE", "NDCG@100", "0.43142"),
    ("multvae_ablation", "VIII", "Optimizer: Gradient Descent", "", "Test NDCG@100", "0.27933"),
    ("multvae_ablation", "IX", "Activation Function: ReLU", "", "Test Recall@50", "0.51050"),
    ("dave", "2", "MovieLens 1M", "", "#Interactions", "1,000,209"),
    ("dave", "4", "CFGAN", "MovieLens 100K", "HR@20", "0.632"),
    ("dave", "5", "AVB", "MovieLens 1M", "NDCG@20", "0.4576"),
    ("dave", "6", "DAVE", "Yelp", "HR@20", "0.9015"),
    ("dave", "7", "RecVAE", "Digital Music", "NDCG@5", "0.3190"),
    ("dave", "8", "CVAE-GAN", "Pinterest", "HR@5", "0.1739"),
    ("mvae", "I", "Yelp", "", "#Users", "12,705"),
    ("mvae", "II", "MVAE", "Movielens1M", "F1-score@1", ".063"),
    ("mvae", "II", "FAWMF", "Pinterest", "NDCG@10", ".045"),
    ("acvae", "1", "ML-latest", "", "Records", "46K"),
    ("acvae", "2", "POP", "ML-latest", "Recall@5", "0.028"),
    ("acvae", "2", "ACVAE", "Yelp", "MRR@20", "0.025"),
]
"""Paper, table, row, column group (if it has a label of its own), column, number."""

RELU = {"activation": "relu", "latent_dim": 200}

RECIPES = [
    ("sevae", "1", "EASE [21]", "MovieLens20M", "ml-20m/liang2018", {"l2": 500.0}),
    ("mvae", "II", "BPR", "Yelp", "jca-yelp/authors", {"embedding_dim": 80, "n_epochs": 200}),
    ("multvae_ablation", "VII", "Activation Function: ReLU", "", "ml-20m/liang2018", RELU),
]


def entries(paper: str) -> list[Entry]:
    loaded = library.load(paper)
    return [entry for number in loaded.tables for entry in loaded.entries[number]]


def entry(paper: str, table: str, row: str, group: str) -> Entry:
    (found,) = (
        entry
        for entry in library.load(paper).entries[table]
        if entry.row == row and group in ("", entry.group_label) and not entry.added
    )
    return found


def test_the_five_papers_are_here() -> None:
    assert set(PAPERS) >= CELLS.keys() | {"toy"}


@pytest.mark.parametrize(
    ("paper", "table", "cells"), [(p, t, n) for p in CELLS for t, n in CELLS[p].items()]
)
def test_a_table_has_every_number(paper: str, table: str, cells: int) -> None:
    printed = [entry for entry in library.load(paper).entries[table] if not entry.added]
    assert sum(len(entry.cells) for entry in printed) == cells


@pytest.mark.parametrize("paper", CELLS)
def test_no_table_is_uncounted(paper: str) -> None:
    assert list(library.load(paper).tables) == list(CELLS[paper])


@pytest.mark.parametrize(("paper", "table", "row", "group", "label", "number"), PRINTED)
def test_a_number_is_as_printed(
    paper: str, table: str, row: str, group: str, label: str, number: str
) -> None:
    found = {cell.label: cell.published for cell in entry(paper, table, row, group).cells}
    assert found[label] == number


@pytest.mark.parametrize("paper", PAPERS)
def test_a_paper_says_what_it_is(paper: str) -> None:
    about = library.load(paper).about
    assert about.title
    assert about.authors
    assert about.venue


@pytest.mark.parametrize("paper", PAPERS)
def test_every_protocol_is_known_with_its_parameters(paper: str) -> None:
    loaded = library.load(paper)
    for key, view in loaded.views.items():
        if view.protocol is not None:
            assert protocol_spec(view.protocol, key).params


@pytest.mark.parametrize("paper", PAPERS)
def test_every_recipe_of_a_model_that_exists_gives_an_experiment(paper: str) -> None:
    known = MODELS.names()
    for found in entries(paper):
        made = found.experiment(seed=3)
        statistics = library.load(paper).table(found.table).kind == "statistics"
        assert (made is not None) == (found.model in known and not statistics), found.row
        if isinstance(made, Experiment):
            assert (made.dataset, made.model.name, made.seed) == (found.dataset, found.model, 3)


@pytest.mark.parametrize("paper", PAPERS)
def test_no_two_models_of_one_place_have_one_name_in_other_papers(paper: str) -> None:
    names = library.load(paper).rows_of
    places = [
        (name, json.dumps({k: v for k, v in json.loads(made).items() if k != "model"}))
        for made, name in names.items()
    ]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(("paper", "table", "row", "group", "dataset", "params"), RECIPES)
def test_a_recipe_is_as_stated(
    paper: str, table: str, row: str, group: str, dataset: str, params: dict[str, object]
) -> None:
    made = entry(paper, table, row, group).experiment()
    assert made is not None
    assert made.dataset == dataset
    assert {**made.model.params, **params} == made.model.params


@pytest.mark.parametrize("paper", PAPERS)
def test_every_row_of_results_has_a_recipe_or_a_source(paper: str) -> None:
    for found in entries(paper):
        results = library.load(paper).table(found.table).kind == "results"
        assert not results or found.model or found.quoted_from


@pytest.mark.parametrize("paper", CELLS)
def test_shares_lie_between_zero_and_one(paper: str) -> None:
    for found in entries(paper):
        if library.load(paper).table(found.table).kind == "results":
            printed = [] if found.added else found.cells
            assert all(0 < number_in(cell.published) < 1 for cell in printed)


def test_a_metric_of_one_name_in_two_papers_is_not_the_same() -> None:
    def metric(paper: str, table: str, label: str) -> str:
        return library.load(paper).table(table).metrics[label]

    assert metric("sevae", "1", "Recall@20") == "capped_recall@20"
    assert metric("acvae", "2", "Recall@20") == "recall@20"


def test_two_views_of_one_row_can_have_recipes_of_their_own() -> None:
    here, there = (
        entry("sevae", "1", "EASE [21]", group).experiment()
        for group in ("MovieLens20M", "Netflix")
    )
    assert here is not None
    assert there is not None
    assert here.dataset != there.dataset
    assert here.model != there.model
