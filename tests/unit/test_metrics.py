from __future__ import annotations

from collections.abc import Iterable

import ir_measures
import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from repro import metrics
from repro.errors import ReproError
from repro.metrics import Counts, Hits, Values

N_ITEMS = 40

ACVAE = [({2}, 2), ({1, 4}, 40)]  # (ranks of the hits, targets): users A and B
MVAE = [({1}, 1), ({2, 5}, 4)]
UNREACHABLE: tuple[set[int], int] = (set(), 1)  # the only target stands in training


def found(users: Iterable[tuple[set[int], int]], depth: int = 5) -> tuple[Hits, Counts]:
    ranks = np.arange(1, depth + 1)
    return (
        np.array([np.isin(ranks, sorted(hit)) for hit, _ in users]),
        np.array([n_targets for _, n_targets in users]),
    )


def values(name: str, users: Iterable[tuple[set[int], int]]) -> Values:
    return metrics.per_user(name, *found(list(users)))


def drawn(seed: int, n_users: int = 30) -> tuple[np.ndarray, np.ndarray, Hits, Counts]:
    """Return random scores and relevance, (U, I), and what a full ranking makes of them."""
    rng = np.random.default_rng(seed)
    scores = rng.permuted(np.tile(np.arange(N_ITEMS), (n_users, 1)), axis=1)
    relevant = rng.random((n_users, N_ITEMS)) < rng.uniform(0.02, 0.6, (n_users, 1))
    relevant[np.arange(n_users), rng.integers(N_ITEMS, size=n_users)] = True
    hits = np.take_along_axis(relevant, np.argsort(-scores, axis=1), axis=1)
    return scores, relevant, hits, relevant.sum(axis=1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("recall@5", [0.5, 0.05]),
        ("capped_recall@5", [0.5, 0.4]),
        ("ndcg@5", [0.3869, 0.4852]),
        ("mrr@5", [0.5, 1.0]),
        ("mrr@1", [0.0, 1.0]),
        ("hit_rate@1", [0.0, 1.0]),
        ("precision@5", [0.2, 0.4]),
    ],
)
def test_the_worked_example_of_acvae(name: str, expected: list[float]) -> None:
    assert values(name, ACVAE) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "two", "three"),
    [
        ("precision@5", 0.3, 0.2),
        ("recall@5", 0.75, 0.5),
        ("f1_of_means@5", 0.4286, 0.2857),
        ("f1@5", 0.3889, 0.2593),
        ("ndcg@5", 0.6987, 0.4658),
    ],
)
def test_the_worked_example_of_mvae(name: str, two: float, three: float) -> None:
    assert values(name, MVAE).mean() == pytest.approx(two, abs=5e-5)
    assert values(name, [*MVAE, UNREACHABLE]).mean() == pytest.approx(three, abs=5e-5)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_those_of_ir_measures(seed: int) -> None:
    scores, relevant, hits, n_targets = drawn(seed)
    pairs = list(np.ndindex(scores.shape))
    qrels = [ir_measures.Qrel(str(u), str(i), int(relevant[u, i])) for u, i in pairs]
    run = [ir_measures.ScoredDoc(str(u), str(i), float(scores[u, i])) for u, i in pairs]
    theirs = {"ndcg": "nDCG", "recall": "R", "precision": "P", "mrr": "RR"}
    asked = {
        ir_measures.parse_measure(f"{name}@{k}"): f"{our}@{k}"
        for our, name in theirs.items()
        for k in (1, 5, 20)
    }
    for their in ir_measures.iter_calc(list(asked), qrels, run):
        ours = metrics.per_user(asked[their.measure], hits, n_targets)
        assert ours[int(their.query_id)] == pytest.approx(their.value, abs=1e-9), their


@pytest.mark.parametrize("k", [1, 10, N_ITEMS])
def test_ndcg_equals_that_of_scikit_learn(k: int) -> None:
    scores, relevant, hits, n_targets = drawn(seed=3)
    ours = metrics.per_user(f"ndcg@{k}", hits, n_targets).mean()
    assert ours == pytest.approx(ndcg_score(relevant, scores, k=k))


def test_recall_is_capped_only_for_users_with_more_targets_than_ranks() -> None:
    _, _, hits, n_targets = drawn(seed=4)
    recall, capped = (
        metrics.per_user(f"{n}@10", hits, n_targets) for n in ("recall", "capped_recall")
    )
    few = n_targets <= 10
    assert few.any()
    assert not few.all()
    np.testing.assert_array_equal(recall[few], capped[few])
    np.testing.assert_allclose(capped[~few], hits[~few, :10].mean(axis=1))


def test_ranks_that_no_item_fills_count_as_misses() -> None:
    hits, n_targets = np.array([[True, False]]), np.array([1])
    assert metrics.per_user("precision@10", hits, n_targets) == 0.1
    assert metrics.per_user("ndcg@10", hits, n_targets) == 1.0


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_a_ranking_without_hits_is_worth_nothing(name: str) -> None:
    hits = np.zeros((2, 5), dtype=bool)
    np.testing.assert_array_equal(metrics.per_user(f"{name}@5", hits, np.array([1, 9])), 0.0)


def test_f1_of_means_is_the_mean_of_its_terms_and_they_spread_as_the_bootstrap_does() -> None:
    _, _, hits, n_targets = drawn(seed=5, n_users=300)
    terms, p, r = (
        metrics.per_user(f"{name}@10", hits, n_targets)
        for name in ("f1_of_means", "precision", "recall")
    )
    assert terms.mean() == pytest.approx(2 * p.mean() * r.mean() / (p.mean() + r.mean()))
    again = np.random.default_rng(0).integers(300, size=(2000, 300))
    mean_p, mean_r = p[again].mean(axis=1), r[again].mean(axis=1)
    spread = (2 * mean_p * mean_r / (mean_p + mean_r)).std()
    assert metrics.standard_error(terms) == pytest.approx(spread, rel=0.1)


def test_the_standard_error_divides_by_n_minus_one() -> None:
    # mean 2; squared distances 1, 0, 1; variance 2 / 2; standard error sqrt(1 / 3)
    assert metrics.standard_error(np.array([1.0, 2.0, 3.0])) == pytest.approx(3**-0.5)


def test_one_user_has_no_standard_error() -> None:
    assert metrics.standard_error(np.array([0.5])) is None


def test_a_name_gives_the_function_and_the_cutoff() -> None:
    assert metrics.parse("ndcg@100") == (metrics.ndcg, 100)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("ndgc@10", "toy.toml: no metric is called 'ndgc'", "did you mean ndcg?"),
        ("auc@10", "no metric is called 'auc'", "available: capped_recall, "),
        ("parse@10", "no metric is called 'parse'", ""),
        ("ndcg", "metric 'ndcg' has no cut-off", "write it as ndcg@10"),
        ("ndcg@", "metric 'ndcg@' has no cut-off", "write it as ndcg@10"),
        ("recall@0", "metric 'recall@0' has no cut-off", "write it as recall@10"),
        ("recall@-5", "metric 'recall@-5' has no cut-off", "write it as recall@10"),
        ("recall@5.5", "metric 'recall@5.5' has no cut-off", "write it as recall@10"),
    ],
)
def test_a_name_that_is_no_metric_is_an_error_that_helps(
    name: str, message: str, hint: str
) -> None:
    with pytest.raises(ReproError) as error:
        metrics.parse(name, "toy.toml")
    assert message in error.value.message
    assert error.value.message.startswith("toy.toml: ")
    assert hint in error.value.hint


def test_a_cut_off_may_be_as_deep_as_a_catalogue_and_no_deeper() -> None:
    assert metrics.parse("recall@200")[1] == 200
    assert metrics.parse("recall@10000000")[1] == metrics.DEEPEST
    for beyond in ("10000001", "9" * 5000):
        with pytest.raises(ReproError, match=r"the cut-off of metric 'recall@\d+' is above"):
            metrics.parse(f"recall@{beyond}")


def test_as_many_ranks_are_kept_as_the_deepest_cut_off_needs() -> None:
    assert metrics.depth([]) == metrics.depth(["ndcg@10"]) == metrics.DEPTH
    assert metrics.depth(["ndcg@10", "recall@200", "mrr@150"]) == 200
