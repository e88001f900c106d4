"""An epoch of RecVAE at ML-20M's number of items, against its matrix products alone.

Run by itself, in a process of its own for its peak of memory; about half a minute::

    pytest -o addopts= tests/benchmarks/test_recvae.py -s

2,000 of ML-20M's 116,677 training users are generated with its 73 items each, so an epoch is 4 of
234 batches, three times through the encoder and once through the decoder. The products are those
that no way of computing this epoch can leave out; the first layer, which is sparse, has none. As
little can Adam's pass over the weights in each of the 16 updates. What is measured is the process's
own time, so that other work on the machine counts for little. On one core of a Xeon with AVX-512 an
epoch of all users takes 3.2 minutes, 2.0 times its products and 1.7 times products and updates.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from repro.interactions import Interactions, from_rows
from repro.models.recvae import RecVAE
from repro.training.progress import Progress

N_USERS, N_ITEMS, PER_USER = 2_000, 20_108, 73
ALL_USERS = 116_677
MODEL = RecVAE()


def generated() -> Interactions:
    rng = np.random.default_rng(0)
    item = (N_ITEMS * rng.random(N_USERS * PER_USER) ** 3).astype(np.int64)  # few are popular
    user = np.repeat(np.arange(N_USERS), PER_USER)
    return from_rows(user, item, N_USERS, N_ITEMS, ordered=True).distinct()


def products() -> None:
    """Multiply what an epoch must: forward, gradients of inputs, gradients of weights."""
    b, h, d = MODEL.batch_size, MODEL.hidden_dim, MODEL.latent_dim
    layer, head, decoder = torch.randn(h, h), torch.randn(2 * d, h), torch.randn(N_ITEMS, d)
    x, to_head, z = torch.randn(b, h), torch.randn(b, 2 * d), torch.randn(b, d)
    to_logits = torch.randn(b, N_ITEMS)

    def encoder() -> None:
        for _ in range(4):
            x @ layer.T
        x @ head.T

    for _ in range(N_USERS // b):
        for _ in range(MODEL.n_encoder_passes):
            encoder()
            z @ decoder.T
            to_logits @ decoder  # to the sample; the decoder's weights are not trained here
            to_head @ head
            to_head.T @ x
            for _ in range(4):
                x @ layer
                x.T @ x
        encoder()  # the old posterior
        for _ in range(MODEL.n_decoder_passes):
            encoder()
            z @ decoder.T
            to_logits.T @ z


def seconds(task: Callable[[], Any], rounds: int) -> float:
    """Return the best of some times."""
    best = np.inf
    for _ in range(rounds):
        began = time.process_time()
        task()
        best = min(best, time.process_time() - began)
    return float(best)


def updates(net: Any) -> Callable[[], object]:
    encoder = torch.optim.Adam(net.encoder.parameters(), 5e-4, fused=True)
    decoder = torch.optim.Adam(net.decoder.parameters(), 5e-4, fused=True)
    for weight in net.parameters():
        weight.grad = torch.randn_like(weight)
    n = N_USERS // MODEL.batch_size

    def all_of_them() -> None:
        for _ in range(n * MODEL.n_encoder_passes):
            encoder.step()
        for _ in range(n * MODEL.n_decoder_passes):
            decoder.step()

    return all_of_them


@pytest.mark.parametrize("old_posterior", ["stored", "copy"])
def test_an_epoch_against_its_matrix_products(old_posterior: Any) -> None:
    model = RecVAE(n_epochs=3, old_posterior=old_posterior)
    trained = model.epochs(generated(), Progress(0, torch.device("cpu")))
    ours, alone = seconds(lambda: next(trained), rounds=2), seconds(products, rounds=2)
    both = alone + seconds(updates(next(trained)), rounds=2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(  # noqa: T201
        f"\nold posterior {old_posterior}: {N_USERS:,} users {ours:.2f} s, their products "
        f"{alone:.2f} s: {ours / alone:.2f} times, with the updates {both:.2f} s: "
        f"{ours / both:.2f} times; {ours * ALL_USERS / N_USERS:.0f} s an epoch of all "
        f"{ALL_USERS:,}; peak {peak:.1f} GB"
    )
