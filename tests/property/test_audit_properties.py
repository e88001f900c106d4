"""An honest table is never accused; one with a planted fault of a rule's kind is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.printed import ONE, audited, digits, measured
from repro.auditing.audit import Audited
from repro.auditing.gains import gain

CUTS = (1, 5, 10, 20)
MANY = [f"{name}@{k}" for name in ("ndcg", "recall", "capped_recall", "precision", "f1",
                                   "f1_of_means", "hit_rate", "mrr") for k in CUTS]  # fmt: skip


def ranked(rng: np.random.Generator, users: int, one: bool, candidates: int) -> tuple[Any, Any]:
    """Return hits and numbers of targets of a random model, better or worse."""
    skill = rng.uniform(0.2, 3)
    if one:
        rank = (candidates * rng.uniform(size=users) ** skill).astype(int)
        return rank[:, None] == np.arange(max(CUTS)), np.ones(users, dtype=np.int64)
    likely = np.clip(rng.uniform(0, 1, (users, 1)) / np.arange(1, 21) ** rng.uniform(0, 1), 0, 1)
    hits = rng.uniform(size=(users, 20)) < likely
    more = rng.poisson(rng.uniform(0, 10), users)
    return hits, np.maximum(hits.sum(axis=1) + more, 1)


def table(
    seed: int, *, one: bool, runs: int, epochs: int, decimals: int, per_cent: bool
) -> tuple[list[list[str]], int, float]:
    """Return the rows of a table, the number of users, and the mean number of targets."""
    rng = np.random.default_rng(seed)
    users = int(rng.integers(2, 60))
    candidates = int(rng.choice([21, 100, 1000]))
    mean = 0.0
    rows = []
    for _ in range(3):
        of_runs = []
        for _ in range(runs):
            evaluations = [ranked(rng, users, one, candidates) for _ in range(epochs)]
            targets = evaluations[0][1]
            most = np.maximum(
                targets, np.max([hits.sum(axis=1) for hits, _ in evaluations], axis=0)
            )
            mean = max(mean, float(most.mean()))
            of_runs.append(np.max([measured(MANY, hits, most) for hits, _ in evaluations], axis=0))
        rows.append([digits(x, decimals, per_cent) for x in np.mean(of_runs, axis=0)])
    return rows, users, mean


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    one=st.booleans(),
    runs=st.integers(1, 3),
    epochs=st.integers(1, 3),
    decimals=st.integers(1, 5),
    per_cent=st.booleans(),
)
def test_an_honest_table_is_never_accused(
    seed: int, one: bool, runs: int, epochs: int, decimals: int, per_cent: bool
) -> None:
    rows, users, mean = table(
        seed, one=one, runs=runs, epochs=epochs, decimals=decimals, per_cent=per_cent
    )
    cases: dict[str, Any] = {"users": users, "source": "it"}
    cases |= {"most_targets": 1} if one else {"mean_targets": f"{mean + 0.005:.2f}"}
    found = audited(
        MANY,
        {f"row {n}": row for n, row in enumerate(rows)},
        view={"cases": cases},
        select="test:each" if epochs > 1 else "last",
        runs=runs if epochs == 1 else None,
    )
    assert found.hard == []
    assert {one.rule for one in found.tested} >= ({"S0", "S3"} if one else {"M0", "M1", "M2", "M4"})


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), decimals=st.integers(3, 5))
def test_an_honest_improvement_is_never_accused(seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.01, 1, 2)
    published = {"A": [digits(a, decimals)], "B": [digits(b, decimals)]}
    gains = [{"of": "A", "over": "B", "at": {"v": [f"{(a / b - 1) * 100:.2f}%"]}}]
    assert audited(["ndcg@10"], published, improvements=gains).hard == []


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), rounded=st.booleans(), decimals=st.integers(0, 4))
def test_honest_statistics_are_never_accused(seed: int, rounded: bool, decimals: int) -> None:
    users, items, interactions = counts_of(seed)
    a, b, c = (letters(n) if rounded else f"{n:,}" for n in (users, items, interactions))
    sparsity = digits(1 - interactions / (users * items), decimals, per_cent=True)
    found = of_statistics(a, b, c, sparsity, f"{interactions / users:.{decimals}f}")
    assert [one.rule for one in found.findings] == []
    assert {one.rule for one in found.tested} >= {"D1", "D3"}


@pytest.mark.parametrize("per_cent", [-0.02, 0.02])
def test_a_wrong_sparsity_is_found(per_cent: float) -> None:
    users, items, interactions = counts_of(1)
    sparsity = f"{(1 - interactions / (users * items)) * 100 + per_cent:.2f}%"
    length = f"{interactions / users + 0.5:.1f}"
    found = of_statistics(str(users), str(items), str(interactions), sparsity, length)
    assert {one.rule for one in found.findings} == {"D1", "D2"}


def counts_of(seed: int) -> tuple[int, int, int]:
    rng = np.random.default_rng(seed)
    users, items = rng.integers(100, 200_000, 2)
    return int(users), int(items), int(rng.integers(users, users * items))


def letters(number: int) -> str:
    """Return a count with two or three digits and a letter, as papers print it."""
    scale, letter = (1_000_000, "M") if number >= 1_000_000 else (1000, "K")
    return f"{number / scale:.1f}{letter}"


def of_statistics(users: str, items: str, interactions: str, sparsity: str, length: str) -> Audited:
    names = ["users", "items", "interactions", "sparsity", "mean_length"]
    numbers = {"V": [users, items, interactions, sparsity, length]}
    return audited(names, numbers, kind="statistics")


ROW = {
    "hit_rate@5": "0.4995", "hit_rate@10": "0.6723", "hit_rate@20": "0.8293",
    "ndcg@5": "0.3415", "ndcg@10": "0.3971", "ndcg@20": "0.4369",
    "mrr@5": "0.2900", "mrr@10": "0.3130", "mrr@20": "0.3240",
}  # fmt: skip
"""Numbers that one target a user can give."""

HITS = {
    "precision@1": "0.300", "ndcg@1": "0.300", "recall@1": "0.060", "f1@1": "0.100",
    "f1_of_means@1": "0.100", "precision@10": "0.200", "recall@10": "0.250",
    "capped_recall@10": "0.300", "f1@10": "0.200", "f1_of_means@10": "0.222",
    "hit_rate@10": "0.700", "mrr@10": "0.450", "ndcg@10": "0.310", "recall@20": "0.330",
    "precision@20": "0.150", "capped_recall@20": "0.350", "ndcg@20": "0.320",
}  # fmt: skip
"""Numbers that many targets a user can give."""


def test_the_rows_without_a_fault_are_not_accused() -> None:
    assert audited(list(ROW), {"row": list(ROW.values())}, view=ONE).hard == []
    assert audited(list(HITS), {"row": list(HITS.values())}).hard == []


@pytest.mark.parametrize(
    ("rule", "cell", "number", "others"),
    [
        ("S0", "recall@10", 0.6725, "hit_rate@10"),
        ("S2", "hit_rate@20", 0.6723 - 0.0002, "hit_rate@10"),
        ("S3", "ndcg@10", 0.6725, "hit_rate@10"),
        ("S3", "mrr@5", 0.3417, "ndcg@5"),
        ("S4", "ndcg@20", 0.3971 + gain(11) * 0.157 + 0.0003, "ndcg@10 hit_rate@10 hit_rate@20"),
        ("S5", "mrr@20", 0.3130 + 0.157 / 11 + 0.0003, "mrr@10 hit_rate@10 hit_rate@20"),
        ("S6", "mrr@10", 0.2500, "ndcg@10 hit_rate@10"),
    ],
)
def test_a_planted_fault_is_found_with_one_target(
    rule: str, cell: str, number: float, others: str
) -> None:
    row = ROW | {cell: f"{number:.4f}"}
    (one,) = audited(list(row), {"row": list(row.values())}, view=ONE).hard
    assert cell in {at.label for at in one.cells}
    alone = [*others.split(), cell]
    (one,) = audited(alone, {"row": [row[name] for name in alone]}, view=ONE).hard
    assert one.rule == rule
    assert one.left is not None
    assert one.right is not None
    assert one.left > one.right


@pytest.mark.parametrize(
    ("rule", "cell", "number"),
    [
        ("M0", "ndcg@1", "0.302"),
        ("M0", "f1@1", "0.302"),
        ("M1", "recall@20", "0.248"),
        ("M1", "precision@20", "0.098"),
        ("M2", "capped_recall@10", "0.452"),
        ("M2", "mrr@10", "0.702"),
        ("M3", "f1@10", "0.366"),
        ("M3+", "f1@10", "0.147"),
        ("M3b", "f1@10", "0.224"),
        ("M3b", "f1_of_means@10", "0.224"),
        ("M4", "ndcg@10", "0.128"),
        ("M4", "ndcg@10", "0.560"),
    ],
)
def test_a_planted_fault_is_found_with_many_targets(rule: str, cell: str, number: str) -> None:
    row = HITS | {cell: number}
    found = audited(list(row), {"row": list(row.values())})
    assert rule in {one.rule for one in found.hard if cell in {at.label for at in one.cells}}


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_a_share_of_users_that_is_none_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    users = int(rng.integers(10, 900))
    value = (int(rng.integers(0, users)) + 0.5) / users
    found = audited(
        ["hit_rate@10"],
        {"row": [f"{value:.6f}"]},
        view={"cases": {"users": users, "source": "it"}},
        runs=1,
    )
    assert [one.rule for one in found.hard] == ["S1"]
