"""Noise in interaction vectors: flipped positions, to test a trained model under noise.

DAVE's Figure 2 adds a "noise ratio" to the vectors of users and items, and says neither what it is
a ratio of nor what noise is. Three readings:

    vector        1 1 0 1 0 0 0 0 1 0          four ones in ten entries, share 0.5
    interactions  1 0 0 1 0 0 1 0 1 0          round(0.5 * 4) positions, drawn from all, flipped
    entries       0 1 0 1 1 0 1 1 0 1          each entry flipped with probability 0.5
    replace       0 1 1 0 0 0 1 0 1 0          round(0.5 * 4) ones deleted, as many zeros filled

Shape letters: U rows, I columns.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from repro.interactions import Interactions

Kind = Literal["interactions", "entries", "replace"]

BATCH = 1024  # rows that are drawn together; bounds the memory, not the result


def corrupted(
    clean: Interactions, share: float, kind: Kind, rng: np.random.Generator
) -> Interactions:
    """Return the rows with noise; within a row items are in ascending order.

    Parameters
    ----------
    clean : Interactions
        U rows over I columns; a repeated pair counts once.
    share : float
        Share of the ones or of the entries, by kind.
    kind : "interactions", "entries" or "replace"
        The reading, as above.
    rng : numpy Generator
        For the draws.
    """
    n_columns = clean.n_items
    pairs = clean.pairs()
    flipped = []
    for start in range(0, clean.n_users, BATCH):
        end = min(start + BATCH, clean.n_users)
        begin, stop = np.searchsorted(pairs, [start * n_columns, end * n_columns])
        one = np.zeros((end - start, n_columns), dtype=bool)
        one.reshape(-1)[pairs[begin:stop] - start * n_columns] = True
        keys = rng.random(one.shape, dtype=np.float32)
        if kind == "entries":
            flip = keys < share
        else:
            n_flips = np.rint(share * one.sum(axis=1)).astype(np.int64)
            if kind == "interactions":
                flip = smallest(keys, n_flips)
            else:
                flip = smallest(np.where(one, keys, 2.0), n_flips)
                n_zeros = np.minimum(n_flips, n_columns - one.sum(axis=1))
                flip |= smallest(np.where(one, 2.0, keys), n_zeros)
        row, column = np.nonzero(flip)
        flipped.append((row + start) * n_columns + column)
    noisy = np.setxor1d(pairs, np.concatenate([*flipped, pairs[:0]]), assume_unique=True)
    return Interactions(
        (noisy // n_columns).astype(np.int32),
        (noisy % n_columns).astype(np.int32),
        clean.n_users,
        n_columns,
        ordered=False,
    )


def smallest(keys: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return which keys are among the `count` smallest of their row; bool, shape (U, I)."""
    ordered = np.sort(keys, axis=1)
    at = (count - 1).clip(0, keys.shape[1] - 1)
    last = np.take_along_axis(ordered, at[:, None], axis=1)
    below, equal = keys < last, keys == last
    missing = count[:, None] - below.sum(axis=1, keepdims=True)  # of equal keys, take the first
    return below | (equal & (equal.cumsum(axis=1) <= missing))
