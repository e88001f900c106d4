"""An epoch of ACVAE at ML-latest's shape: ours, and the form that pads everything to M = 200.

Run by itself; two epochs of each take about two minutes::

    pytest -o addopts= tests/benchmarks/test_acvae.py -s

The sequences are generated, so no data is needed. Both forms train the same networks with the same
losses and optimizers, on one core. The padded form runs encoder, T, G and the softmax over all
items at every one of 200 steps, as the authors' code does, and masks what does not count; their
one-hot targets, dense and of 64-bit integers, are left out. What is measured is the process's own
time, so that other work on the machine counts for little. On one core of an AMD EPYC beside two
trainings an epoch of ours took 10.7 s and a padded one 29.7 s, 2.8 times as much.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu, log_softmax, softplus

from repro.interactions import Interactions, from_rows
from repro.models.acvae import ACVAE, ACVAENet, Adversary, Discriminator, padded
from repro.training.progress import Progress

CPU = torch.device("cpu")
N_USERS, N_ITEMS, M = 604, 7_363, 200
LEAST_GAIN = 2.0
"""How many times as fast as the padded form an epoch must at least be."""


def ml_latest() -> Interactions:
    """Return training sequences: of 5 to 201 items per user, 75 in the mean, the first 80 %."""
    rng = np.random.default_rng(0)
    n_items = np.clip(rng.lognormal(4.02, 1.15, N_USERS).astype(int), 5, 201)
    counts = n_items - n_items // 5
    item = (N_ITEMS * rng.random(counts.sum()) ** 3).astype(np.int64)  # few are popular
    return from_rows(np.repeat(np.arange(N_USERS), counts), item, N_USERS, N_ITEMS, ordered=True)


def ours(train: Interactions) -> Callable[[], object]:
    epochs = ACVAE().epochs(train, Progress(0, CPU))
    return lambda: next(epochs)


def all_padded(train: Interactions) -> Callable[[], object]:
    torch.manual_seed(0)
    model = ACVAE()
    net, T, G = ACVAENet(N_ITEMS, model), Adversary(model), Discriminator(model)
    by_vae, by_g, by_t = model.optimizers(net, T, G)
    sequences = torch.full((N_USERS, M + 1), N_ITEMS)
    known = padded(train, CPU)
    sequences[:, : known.shape[1]] = known

    def g(e: Tensor, z: Tensor) -> Tensor:
        h, _ = G.gru(torch.cat([e, z], dim=2).transpose(0, 1))  # (M, B, W)
        return G.output(gelu(h))[:, :, 0].T

    def t(e: Tensor, z: Tensor) -> Tensor:
        return T(e.flatten(0, 1), z.flatten(0, 1)).view_as(z)

    def update(s: Tensor) -> None:
        y = s[:, 1:]
        mask = (y != N_ITEMS).float()  # (B, M)
        x = s[:, :-1].masked_fill(y == N_ITEMS, N_ITEMS)
        e, z, _ = net(x)
        nll = -log_softmax(net.decoder(z), dim=2).gather(2, y[:, :, None])[:, :, 0]
        contrast = softplus(-g(e, z)) + softplus(g(e, torch.cat([z[1:], z[:1]])))
        terms = nll + model.alpha * t(e, z).mean(dim=2) + model.beta * contrast
        by_vae.zero_grad()
        by_g.zero_grad()
        ((mask * terms).sum() / len(s)).backward()
        by_vae.step()
        by_g.step()
        e, z = e.detach(), z.detach()
        drawn, prior = t(e, z).sigmoid(), t(e, torch.randn_like(z)).sigmoid()
        t_terms = -((drawn + 1e-9).log() + (1.0 - prior + 1e-9).log()).mean(dim=2)
        by_t.zero_grad()
        ((mask * t_terms).sum() / len(s)).backward()
        by_t.step()

    def epoch() -> None:
        for users in torch.randperm(N_USERS).split(model.batch_size):
            update(sequences[users])

    return epoch


def seconds(epoch: Callable[[], object]) -> float:
    """Return the process's own time of the faster of two epochs."""
    used = []
    for _ in range(2):
        began = time.process_time()
        epoch()
        used.append(time.process_time() - began)
    return min(used)


def test_an_epoch_is_at_least_twice_as_fast_as_the_padded_form() -> None:
    train = ml_latest()
    packed, reference = seconds(ours(train)), seconds(all_padded(train))
    print(  # noqa: T201
        f"\n{len(train):,} interactions: {packed:.1f} s an epoch, {reference:.1f} s padded, "
        f"{reference / packed:.1f} times as much"
    )
    assert reference >= LEAST_GAIN * packed
