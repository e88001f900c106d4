"""The claims of the five papers: whole, in words of our own, and judged without data or runs."""

from __future__ import annotations

import re
from functools import cache

import pytest

from repro.papers import library
from repro.report.claims import found
from repro.results.claims.judge import JudgedClaim, judge

COUNTS = {"sevae": 23, "multvae_ablation": 26, "dave": 32, "mvae": 19, "acvae": 29}

ON_PRINT = [
    ("sevae", "statistics", "fails", "3.4 is stated, and it is 3.18587"),
    ("sevae", "as-many-parameters", "fails", "1.0 is stated, and it is 1.95"),
    ("sevae", "mixture-alone-is-level", "fails", ""),
    ("multvae_ablation", "summary-repeats-the-tables", "fails", "12 of 24 comparisons hold"),
    ("dave", "gain-over-apr-ml100k", "holds", ""),
    ("dave", "gain-over-apr-music", "fails", "1.5% is stated, and it is 2.51% to 2.56%"),
    ("dave", "gain-over-apr-music", "fails", "2.8% is cut, not rounded"),
    ("dave", "above-its-variants", "fails", "HR@10, MovieLens 100K"),
    ("dave", "statistics", "holds", "93.69% is cut, not rounded"),
    ("mvae", "gains-on-pinterest", "fails", "F1-score@1"),
    ("mvae", "above-the-best-baseline", "fails", "JoVA minus FAWMF"),
    ("mvae", "best-beyond-one-on-yelp", "undecided", "F1-score@5"),
    ("acvae", "ndcg-formula", "fails", "POP"),
    ("acvae", "predicts-the-next-item", "fails", ""),
    ("acvae", "fpmc-with-few-users", "undecided", "Recall@20"),
]
"""What judging the printed numbers finds, without a word about it in the files."""

DECIDED = {"holds", "fails", "undecided"}


@cache
def judged() -> list[JudgedClaim]:
    return judge(map(library.load, COUNTS), [])


@pytest.mark.parametrize("paper", COUNTS)
def test_every_claim_is_there(paper: str) -> None:
    assert len(library.load(paper).claims) == COUNTS[paper]


def test_enough_is_judged_without_data_and_without_a_run() -> None:
    assert sum(one.printed.verdict in DECIDED | {"unsupported"} for one in judged()) >= 100
    assert sum(one.ours.verdict in DECIDED for one in judged()) >= 50


@pytest.mark.parametrize(("paper", "id", "verdict", "said"), ON_PRINT)
def test_faults_of_the_prose_are_found_by_judging(
    paper: str, id: str, verdict: str, said: str
) -> None:
    (one,) = (one for one in judged() if (one.paper, one.id) == (paper, id))
    assert one.printed.verdict == verdict
    assert said in found(one)
    assert not re.search(r"\b(holds|fails|cut)\b", one.note)


def test_a_verdict_that_is_missing_has_a_reason() -> None:
    for one in judged():
        for side in (one.printed, one.ours):
            assert side.verdict in DECIDED or side.reason, one.id


def test_claims_are_sentences_in_plain_words() -> None:
    for one in judged():
        assert one.says.endswith("."), one.id
        assert len(one.says) <= 130, one.id
        assert one.section
