from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models.apr import APR, Embeddings, Factors, bpr
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]
Triples = tuple[Tensor, Tensor, Tensor]

CPU = torch.device("cpu")
TINY = APR(embedding_dim=4, batch_size=8, n_pretrain_epochs=2, n_epochs=2)
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9], [1, 2, 3, 4, 5, 6]]  # 16 pairs
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]


def net(build: Build, model: APR = TINY, scale: float = 30.0) -> Factors:
    """Return factors of a size at which no gradient is like another."""
    torch.manual_seed(0)
    made = Factors(build(LISTS), model)
    made.forget_gradients()
    for table in (made.user, made.item):
        table.weight.mul_(scale)
    return made


def test_each_phase_has_its_epochs_and_only_the_second_is_adversarial(
    build: Build, phases: Any
) -> None:
    model = replace(TINY, n_pretrain_epochs=1, n_epochs=3)
    assert phases(model, LISTS) == {"pretrain": 1, "train": 3}

    def trained(**change: Any) -> Tensor:
        *_, scorer = replace(TINY, **change).epochs(build(LISTS), Progress(0, CPU))
        return scorer.score(Queries(np.arange(5), build(LISTS)))

    assert not torch.equal(trained(), trained(adversarial_weight=0.0))
    alone: dict[str, Any] = {"n_epochs": 0}
    assert torch.equal(trained(**alone), trained(**alone, adversarial_weight=0.0))


def triples(n: int = 6) -> Triples:
    """Return triples in which users and items occur again, also on both sides."""
    u, i, j = torch.tensor([[0, 0, 1, 4, 4, 4], [1, 2, 3, 1, 5, 3], [5, 5, 1, 9, 9, 3]])
    return u[:n], i[:n], j[:n]


def loss_of(tables: list[Tensor], batch: Triples) -> Tensor:
    """Return BPR's loss as its paper writes it, summed."""
    (user, item), (u, i, j) = tables, batch
    return -logsigmoid((user[u] * item[i]).sum(dim=1) - (user[u] * item[j]).sum(dim=1)).sum()


def copies(made: Factors) -> list[Tensor]:
    return [t.weight.detach().clone().requires_grad_() for t in (made.user, made.item)]


def perturbations(made: Factors, batch: Triples, epsilon: float) -> list[Tensor]:
    """Return epsilon times the gradient of whole tables, each row over its norm: the definition."""
    tables = copies(made)
    gradients = torch.autograd.grad(loss_of(tables, batch), tables)
    return [
        torch.stack(
            [epsilon * g / g.norm() if g.norm() > 0 else torch.zeros_like(g) for g in whole]
        )
        for whole in gradients
    ]


def test_loss_and_gradients_are_those_of_autograd(build: Build) -> None:
    made, (u, i, j) = net(build), triples()
    p = made.user.weight[u].clone().requires_grad_()
    q = made.item.weight[torch.cat([i, j])].clone().requires_grad_()
    better, worse = q.chunk(2)
    expected = -logsigmoid((p * better).sum(dim=1) - (p * worse).sum(dim=1)).sum()
    loss, *gradients = bpr(p.detach(), q.detach())
    assert_close(loss, expected.detach())
    assert_close(gradients, list(torch.autograd.grad(expected, (p, q))))


def test_the_loss_of_one_triple_by_hand() -> None:
    p, q = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.25], [1.0, -1.0]])
    x = (0.5 + 0.5) - (1.0 - 2.0)
    slope = -1 / (1 + np.exp(x))
    loss, of_p, of_q = bpr(p, q)
    assert loss.item() == pytest.approx(np.log1p(np.exp(-x)))
    assert of_p.tolist() == [pytest.approx([slope * -0.5, slope * 1.25])]
    assert of_q.tolist() == [pytest.approx([slope, 2 * slope]), pytest.approx([-slope, -2 * slope])]


def test_the_perturbation_is_the_normalised_gradient_of_the_whole_row(build: Build) -> None:
    made, batch = net(build), triples()
    u, ij = batch[0], torch.cat(batch[1:])
    _, of_p, of_q = bpr(made.user.weight[u], made.item.weight[ij])
    expected = perturbations(made, batch, 0.5)
    found = made.user.perturbation(u, of_p), made.item.perturbation(ij, of_q)
    assert_close(found, (expected[0][u], expected[1][ij]))
    # item 3 is on both sides of the last triple, where its gradient is zero; on the third it is not
    assert_close(found[1].norm(dim=1), torch.full((12,), 0.5))


def test_rows_that_are_not_in_the_batch_are_not_perturbed(build: Build) -> None:
    made, batch = net(build), triples()
    for whole, rows in zip(
        perturbations(made, batch, 0.5), (batch[0], torch.cat(batch[1:])), strict=True
    ):
        others = sorted(set(range(len(whole))) - set(rows.tolist()))
        assert others
        assert not whole[others].any()


@pytest.mark.parametrize(("length", "expected"), [(1e-3, 0.5), (1e-6, 0.5), (1e-8, 0.005), (0, 0)])
def test_a_gradient_of_almost_no_length_is_not_blown_up(length: float, expected: float) -> None:
    table = Embeddings(3, TINY)
    gradient = torch.tensor([[0.0, length, 0.0, 0.0]])
    assert_close(
        table.perturbation(torch.tensor([1]), gradient), torch.tensor([[0.0, expected, 0.0, 0.0]])
    )


@pytest.mark.parametrize("adversarial", [False, True])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_updates_by_rows_are_those_of_adagrad_on_the_whole_tables(
    build: Build, adversarial: bool, weight: float
) -> None:
    made = net(build, replace(TINY, adversarial_weight=weight, epsilon=0.7))
    tables = copies(made)
    adagrad = torch.optim.Adagrad(tables, 0.05, initial_accumulator_value=0.1, eps=0.0)
    for n in (6, 3, 5):
        batch = triples(n)
        loss = loss_of(tables, batch)
        if adversarial:
            user, item = perturbations(made, batch, 0.7)
            loss = loss + weight * loss_of([tables[0] + user, tables[1] + item], batch)
        adagrad.zero_grad()
        loss.backward()
        adagrad.step()
        assert_close(made.update(*batch, adversarial), loss.detach())
        assert_close([made.user.weight.data, made.item.weight.data], [t.data for t in tables])


def test_an_update_reads_and_writes_nothing_but_the_rows_of_its_batch(build: Build) -> None:
    made, batch = net(build), triples()
    for table, rows in ((made.user, batch[0]), (made.item, torch.cat(batch[1:]))):
        others = [row for row in range(len(table.weight)) if row not in rows.tolist()]
        for tensor in (table.weight, table.squares, table.scratch):
            tensor[others] = torch.nan
    made.update(*batch, adversarial=True)
    for table, rows in ((made.user, batch[0]), (made.item, torch.cat(batch[1:]))):
        for tensor in (table.weight, table.squares):
            finite = tensor.isfinite().all(dim=1).nonzero()[:, 0]
            assert finite.tolist() == sorted(set(rows.tolist()))


def test_embeddings_begin_as_a_normal_cut_at_two_deviations() -> None:
    torch.manual_seed(0)
    weight = Embeddings(500, APR()).weight
    assert weight.shape == (500, 64)
    assert 0.0199 < weight.abs().max() <= 0.02
    assert weight.std().item() == pytest.approx(0.0088, abs=1e-4)  # of a normal cut there


class Watching(Progress):
    """Notes the phases, the state as each epoch begins, and the batches."""

    def __init__(self) -> None:
        super().__init__(0, CPU)
        self.began: list[tuple[str, dict[str, Tensor]]] = []
        self.n_batches = 0

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        for epoch in super().epochs(n, **state):
            whole = state["net"].state_dict()
            self.began.append((self._phase, {k: v.clone() for k, v in whole.items()}))
            self.ended = whole
            yield epoch

    def log(self, **losses: Any) -> None:
        self.n_batches += 1
        super().log(**losses)


def watched(model: APR, train: Interactions) -> Watching:
    watching = Watching()
    for _ in model.epochs(train, watching):
        pass
    return watching


def test_adversarial_training_goes_on_from_bprs_weights_with_new_accumulators(
    build: Build,
) -> None:
    train = build(LISTS)
    watching = watched(TINY, train)
    assert [phase for phase, _ in watching.began] == ["pretrain"] * 2 + ["train"] * 2
    bpr_alone = watched(replace(TINY, n_epochs=0), train).ended
    begins = watching.began[2][1]
    for side in ("user", "item"):
        assert_close(begins[f"{side}.weight"], bpr_alone[f"{side}.weight"], rtol=0, atol=0)
        squares = [state[f"{side}.squares"] for _, state in watching.began]
        assert [bool((each == torch.tensor(0.1)).all()) for each in squares] == [
            *(True, False),
            *(True, False),
        ]


def test_without_weight_or_length_the_perturbation_changes_nothing(build: Build) -> None:
    made, other = net(build), net(build, replace(TINY, adversarial_weight=0.0))
    made.update(*triples(), adversarial=False)
    other.update(*triples(), adversarial=True)
    assert_close(made.state_dict(), other.state_dict(), rtol=0, atol=0)
    doubled = net(build, replace(TINY, epsilon=0.0))
    loss = net(build).update(*triples(), adversarial=False)
    assert_close(doubled.update(*triples(), adversarial=True), 2 * loss)


@pytest.mark.parametrize(
    ("batch_size", "drop_last", "n_batches"),
    [(5, True, 3), (5, False, 4), (8, True, 2), (8, False, 2), (20, True, 1), (20, False, 1)],
)
def test_the_batch_that_is_not_full_is_left_out_unless_it_is_the_only_one(
    build: Build, batch_size: int, drop_last: bool, n_batches: int
) -> None:
    model = replace(TINY, batch_size=batch_size, drop_last=drop_last, n_epochs=0)
    assert watched(model, build(LISTS)).n_batches == 2 * n_batches


@pytest.mark.parametrize(("phase", "epoch"), [("pretrain", 2), ("train", 1), ("train", 2)])
def test_a_run_that_was_cut_off_in_either_phase_ends_with_the_same_weights(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, epoch: int
) -> None:
    monkeypatch.setattr("repro.training.progress.CHECKPOINT_SECONDS", -1.0)

    def cut_off(now: str, done: int, n: int) -> None:
        if (now, done) == (phase, epoch):
            raise KeyboardInterrupt

    def weights(progress: Progress) -> dict[str, Tensor]:
        *_, made = replace(TINY, n_pretrain_epochs=3, n_epochs=3).epochs(build(LISTS), progress)
        return made.state_dict()

    with contextlib.suppress(KeyboardInterrupt):
        weights(Progress(3, CPU, tmp_path, cut_off))
    assert_close(weights(Progress(3, CPU, tmp_path)), weights(Progress(3, CPU)), rtol=0, atol=0)


def test_it_learns_two_tastes(build: Build) -> None:
    train = build(TWO_TASTES)
    model = replace(TINY, embedding_dim=8, n_pretrain_epochs=40, n_epochs=20)
    *_, scorer = model.epochs(train, Progress(0, CPU))
    scores = scorer.score(Queries(np.arange(24), train))
    assert_close(scores, scorer.user.weight @ scorer.item.weight.T)
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9


def test_adversarial_training_makes_the_factors_robust(build: Build) -> None:
    batch, perturbed = triples(5), []
    for adversarial in (False, True):
        made = net(build, scale=1.0)
        for step in range(400):
            made.update(*batch, adversarial=adversarial and step >= 100)
        tables = copies(made)
        moves = perturbations(made, batch, 0.5)
        moved = [table + move for table, move in zip(tables, moves, strict=True)]
        perturbed.append(loss_of(moved, batch).item())
    assert perturbed[1] < 0.7 * perturbed[0]
