"""A table computed from its own truth: a claim that is true of it is never said to fail."""

from __future__ import annotations

import tomllib
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from builders import papers
from repro.papers.claims import Claim
from repro.papers.paper import Paper
from repro.papers.schema import PaperFile
from repro.results.claims.contrasts import contrasts
from repro.results.claims.on_print import Print, on_print

VALUES = st.lists(st.decimals("0.01", "0.99", places=6), min_size=2, max_size=6)
DIGITS = st.integers(2, 5)


def shown(value: Decimal, digits: int) -> str:
    return str(value.quantize(Decimal(1).scaleb(-digits)))


def verdict(values: list[Decimal], digits: int, **claimed: object) -> str:
    """Return the verdict on a claim about rows "0", "1", ... with these values, printed."""
    rows = "".join(
        papers.row(str(n), "ease", [shown(value, digits)]) for n, value in enumerate(values)
    )
    text = papers.paper(papers.view(), papers.table(), rows)
    content = PaperFile.model_validate(tomllib.loads(text))
    paper = Paper.of("mine", __file__, content)  # type: ignore[arg-type]
    about = {"id": "a", "section": "1", "says": "It is so.", "tables": ["1"]}
    claim = Claim.model_validate(about | claimed)
    return on_print(claim, contrasts(paper, claim), Print(paper)).verdict


@given(VALUES, DIGITS)
def test_who_is_best_is_never_said_not_to_be(values: list[Decimal], digits: int) -> None:
    best = max(range(len(values)), key=values.__getitem__)
    assume(values.count(values[best]) == 1)
    assert verdict(values, digits, kind="best", rows=[str(best)]) != "fails"
    fine = verdict(values, 6, kind="best", rows=[str(best)])  # every digit is printed
    assert fine == "holds"


@given(VALUES, DIGITS)
def test_a_rank_is_never_said_to_be_another(values: list[Decimal], digits: int) -> None:
    assume(len(set(values)) == len(values))
    rank = 1 + sum(value > values[0] for value in values)
    claimed = {"kind": "best", "rows": ["0"], "ranks": [rank, rank]}
    assert verdict(values, digits, **claimed) != "fails"
    assert verdict(values, 6, **claimed) == "holds"


@given(VALUES, DIGITS, st.integers(0, 3))
def test_a_gain_that_is_rounded_from_the_truth_holds(
    values: list[Decimal], digits: int, places: int
) -> None:
    a, b = values[:2]
    assume(b > Decimal(10) ** -digits)
    percent = {"NDCG@10": f"{shown(100 * (a / b - 1), places)}%"}
    pairs = [["0", "1"]]
    assert verdict(values, digits, kind="margin", pairs=pairs, percent=percent) == "holds"


@given(VALUES, DIGITS)
def test_above_and_level_follow_the_truth(values: list[Decimal], digits: int) -> None:
    a, b = values[:2]
    assume(a != b)
    pairs = [["0", "1"] if a > b else ["1", "0"]]
    assert verdict(values, digits, kind="above", pairs=pairs) != "fails"
    claimed = {"kind": "level", "pairs": pairs, "within": str(abs(a - b))}
    assert verdict(values, digits, **claimed) != "fails"
