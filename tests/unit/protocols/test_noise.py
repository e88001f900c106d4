"""Noise in interaction vectors: how much of it, and where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.interactions import Interactions, from_rows
from repro.protocols._noise import Kind, corrupted, smallest

N_COLUMNS = 40


def rows(lists: list[list[int]]) -> Interactions:
    user = np.repeat(np.arange(len(lists)), [len(row) for row in lists])
    item = np.array([column for row in lists for column in row])
    return from_rows(user, item, len(lists), N_COLUMNS, ordered=False)


def dense(of: Interactions) -> np.ndarray:
    return of.matrix().toarray() > 0


LISTS = st.lists(
    st.lists(st.integers(0, N_COLUMNS - 1), unique=True, max_size=N_COLUMNS), min_size=1, max_size=8
)


@settings(deadline=None, max_examples=60)
@given(lists=LISTS, share=st.floats(0.0, 1.0), seed=st.integers(0, 9))
def test_so_many_positions_are_flipped_as_the_share_of_the_interactions(
    lists: list[list[int]], share: float, seed: int
) -> None:
    clean = rows(lists)
    noisy = corrupted(clean, share, "interactions", np.random.default_rng(seed))
    flipped = (dense(clean) != dense(noisy)).sum(axis=1)
    assert flipped.tolist() == np.rint(share * clean.counts).astype(int).tolist()


@settings(deadline=None, max_examples=60)
@given(lists=LISTS, share=st.floats(0.0, 0.5), seed=st.integers(0, 9))
def test_replacing_keeps_the_length_while_there_is_room(
    lists: list[list[int]], share: float, seed: int
) -> None:
    clean = rows([row[: N_COLUMNS // 2] for row in lists])
    noisy = corrupted(clean, share, "replace", np.random.default_rng(seed))
    assert noisy.counts.tolist() == clean.counts.tolist()
    lost = (dense(clean) & ~dense(noisy)).sum(axis=1)
    assert lost.tolist() == np.rint(share * clean.counts).astype(int).tolist()


def test_entries_are_flipped_with_the_probability_of_the_share() -> None:
    clean = rows([[0, 1, 2]] * 500)
    noisy = corrupted(clean, 0.3, "entries", np.random.default_rng(0))
    flipped = dense(clean) != dense(noisy)
    error = 4 * np.sqrt(0.3 * 0.7 / 500)
    assert np.abs(flipped.mean(axis=0) - 0.3).max() < error


@pytest.mark.parametrize("kind", ["interactions", "entries", "replace"])
def test_no_noise_changes_nothing_and_a_draw_can_be_repeated(kind: Kind) -> None:
    clean = rows([[3, 1], [], [0, 5, 6, 39]])
    assert (dense(corrupted(clean, 0.0, kind, np.random.default_rng(0))) == dense(clean)).all()
    twice = [dense(corrupted(clean, 0.7, kind, np.random.default_rng(1))) for _ in range(2)]
    assert (twice[0] == twice[1]).all()
    assert not (twice[0] == dense(clean)).all()


@settings(deadline=None, max_examples=60)
@given(
    keys=st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=4),
    count=st.integers(0, 7),
)
def test_of_equal_keys_the_first_are_taken(keys: list[list[int]], count: int) -> None:
    order = np.argsort(keys, axis=1, kind="stable")[:, :count]
    expected = [[column in row for column in range(5)] for row in order.tolist()]
    counts = np.full(len(keys), count)
    assert smallest(np.array(keys, np.float32), counts).tolist() == expected
