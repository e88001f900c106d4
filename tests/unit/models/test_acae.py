from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.models.acae import ACAE, AutoEncoder, cross_entropy
from repro.nn.batches import Rows, UserRows, rows_of
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9], [10, 11]]
TINY = ACAE(
    hidden_dim=3,
    epsilon=0.5,
    decoder_adversarial_weight=1.0,
    l2=0.01,
    optimizer="adam",
    learning_rate=0.01,
    finetune_learning_rate=0.01,
    batch_size=2,
    n_pretrain_epochs=2,
    n_epochs=2,
)
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]


def test_each_phase_has_its_epochs(phases: Any) -> None:
    found = phases(replace(TINY, n_pretrain_epochs=1, n_epochs=3), LISTS)
    assert found == {"pretrain": 1, "train": 3}


def net(build: Build, model: ACAE = TINY) -> AutoEncoder:
    """Return a network of weights at which no gradient is like another."""
    torch.manual_seed(0)
    made = AutoEncoder(build(LISTS), model)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


def written_out(x: Tensor, user: Tensor, w1: Tensor, w2: Tensor, b1: Tensor, b2: Tensor) -> Tensor:
    """Return the loss of dense rows, as the authors write it."""
    logits = (x @ w1 + b1 + user).sigmoid() @ w2.T + b2
    return binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


def parameters(made: AutoEncoder) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return made.w1, made.w2, made.b1, made.b2


def test_the_loss_is_summed_over_items_and_averaged_over_users(build: Build) -> None:
    made, history = net(build), build(LISTS)
    x = rows_of(history, CPU)
    assert_close(made.loss(x), written_out(x.dense(), made.user, *parameters(made)))


def test_the_loss_by_hand(build: Build) -> None:
    x = rows_of(build([[0], [0, 1]], n_items=2), CPU)
    logits = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    by_hand = np.log1p(np.exp(-1)) + np.log1p(np.exp(-2)) + np.log(2) + np.log1p(np.exp(-3))
    assert cross_entropy(logits, x).item() == pytest.approx(by_hand / 2)


def test_users_of_a_batch_get_their_own_vector(build: Build) -> None:
    made, history = net(build), build(LISTS)
    order = torch.tensor([3, 0])
    x = UserRows(history, 2, CPU).of(order)
    expected = written_out(x.dense(), made.user[order], *parameters(made))
    assert x.dense().nonzero().tolist() == [[0, 9], [1, 0], [1, 1], [1, 2]]
    assert_close(made.loss(x), expected)


@pytest.mark.parametrize("which", ["w1", "w2"])
def test_a_perturbation_is_the_gradient_over_the_norm_of_the_whole_matrix(
    build: Build, which: Literal["w1", "w2"]
) -> None:
    made, x = net(build), rows_of(build(LISTS), CPU)
    weight: Tensor = getattr(made, which)
    loss = written_out(x.dense(), made.user, *parameters(made))
    (gradient,) = torch.autograd.grad(loss, weight)
    difference = made.perturbed(weight, made.loss(x)) - weight
    assert_close(difference, 0.5 * gradient / gradient.norm())
    assert gradient.norm() > 0.51
    assert_close(difference.norm(), torch.tensor(0.5))


@pytest.mark.parametrize(("lambda_1", "lambda_2"), [(0.0, 0.0), (0.0, 1.0), (3.0, 0.0), (2.0, 5.0)])
def test_the_adversarial_loss_and_its_gradients_treat_the_perturbation_as_a_constant(
    build: Build, lambda_1: float, lambda_2: float
) -> None:
    model = replace(TINY, encoder_adversarial_weight=lambda_1, decoder_adversarial_weight=lambda_2)
    made, x = net(build, model), rows_of(build(LISTS), CPU)
    dense, (w1, w2, b1, b2) = x.dense(), parameters(made)
    loss = written_out(dense, made.user, w1, w2, b1, b2)
    g1, g2 = torch.autograd.grad(loss, [w1, w2], retain_graph=True)
    d1, d2 = 0.5 * g1 / g1.norm(), 0.5 * g2 / g2.norm()
    expected = (
        loss
        + lambda_1 * written_out(dense, made.user, w1 + d1, w2, b1, b2)
        + lambda_2 * written_out(dense, made.user, w1, w2 + d2, b1, b2)
    )
    every = list(made.parameters())
    total = made.adversarial_loss(x)
    assert_close(total, expected)
    assert_close(torch.autograd.grad(total, every), torch.autograd.grad(expected, every))
    assert lambda_1 + lambda_2 == 0 or total > (1 + lambda_1 + lambda_2) * loss


def test_a_loss_without_slope_perturbs_nothing(build: Build) -> None:
    made = net(build)
    assert_close(made.perturbed(made.w1, 0.0 * made.w1.sum()), made.w1)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "adam"])
def test_the_l2_term_is_half_the_squared_norm_of_every_parameter(
    build: Build, optimizer: Literal["sgd", "adagrad", "adam"]
) -> None:
    x = rows_of(build(LISTS), CPU)
    model = replace(TINY, optimizer=optimizer, l2=0.3)
    made, other = net(build, model), net(build, model)
    step = model._optimizer(made, 0.1)
    made.loss(x).backward()
    step.step()
    step = replace(model, l2=0.0)._optimizer(other, 0.1)
    size = sum((p.square().sum() for p in other.parameters()), torch.tensor(0.0))
    (other.loss(x) + 0.3 * 0.5 * size).backward()
    step.step()
    assert_close(made.state_dict(), other.state_dict())


def test_adagrads_first_step_is_tensorflows() -> None:
    weight = torch.nn.Linear(1, 1, bias=False)
    step = replace(TINY, optimizer="adagrad", l2=0.0)._optimizer(weight, 0.02)
    before = weight.weight.item()
    weight(torch.tensor([[2.0]])).sum().backward()
    step.step()
    assert weight.weight.item() == pytest.approx(before - 0.02 * 2 / (0.1 + 4) ** 0.5)


class Watching(Progress):
    """Notes the phase, the rate and the weights as each epoch begins."""

    def __init__(self) -> None:
        super().__init__(0, CPU)
        self.began: list[tuple[str, float, dict[str, Tensor]]] = []

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        for epoch in super().epochs(n, **state):
            optimizer, net = state["optimizer"], state["net"].state_dict()
            assert epoch > 0 or not optimizer.state, "moments of the phase before"
            rate = optimizer.param_groups[0]["lr"]
            self.began.append((self._phase, rate, {k: v.clone() for k, v in net.items()}))
            self.ended = net
            yield epoch


def watched(model: ACAE, train: Interactions) -> Watching:
    watching = Watching()
    for _ in model.epochs(train, watching):
        pass
    return watching


def test_adversarial_training_goes_on_from_the_auto_encoder(build: Build) -> None:
    train, model = build(LISTS), replace(TINY, finetune_learning_rate=0.003)
    watching = watched(model, train)
    assert [entry[:2] for entry in watching.began] == [
        *[("pretrain", 0.01)] * 2,
        *[("train", 0.003)] * 2,
    ]
    alone = watched(replace(model, n_epochs=0), train).ended
    assert_close(watching.began[2][2], alone, rtol=0, atol=0)


def test_the_first_phase_knows_no_perturbation(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    watching = Watching()

    def noting(self: AutoEncoder, x: Rows) -> Tensor:
        seen.append(watching.began[-1][0])
        return self.loss(x)

    monkeypatch.setattr(AutoEncoder, "adversarial_loss", noting)
    for _ in TINY.epochs(build(LISTS), watching):
        pass
    assert seen == ["train"] * 2 * 3  # two epochs of three batches


def test_weights_begin_as_a_normal_cut_at_two_deviations_and_biases_at_zero(build: Build) -> None:
    torch.manual_seed(0)
    made = AutoEncoder(build([[0]] * 400, n_items=500), ACAE())
    for weight in (made.w1, made.w2, made.user):
        assert 0.0199 < weight.abs().max() <= 0.02
        assert weight.std().item() == pytest.approx(0.0088, abs=1e-4)
    assert not made.b1.any()
    assert not made.b2.any()
    assert sum(p.numel() for p in made.parameters()) == 200 * (500 + 500 + 400 + 1) + 500


def test_scores_are_the_logits_of_the_history_with_the_users_own_vector(build: Build) -> None:
    made = net(build)
    history = build([[0, 5], []])
    users = np.array([4, 1])
    x = rows_of(history, CPU).dense()
    expected = (x @ made.w1 + made.b1 + made.user[[4, 1]]).sigmoid() @ made.w2.T + made.b2
    assert_close(made.score(Queries(users, history)), expected.detach())


def test_users_without_a_vector_are_refused(build: Build) -> None:
    assert ACAE.KNOWN_USERS_ONLY
    with pytest.raises(UnsupportedError, match="ACAE knows only users of its training data"):
        net(build).score(Queries(np.array([0, -1]), build([[0], [1]])))


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


@pytest.mark.parametrize(("lambda_1", "lambda_2"), [(0.0, 1.0), (1.0, 1.0)])
def test_it_learns_two_tastes(build: Build, lambda_1: float, lambda_2: float) -> None:
    train = build(TWO_TASTES)
    model = replace(
        TINY,
        hidden_dim=8,
        batch_size=8,
        l2=0.0,
        encoder_adversarial_weight=lambda_1,
        decoder_adversarial_weight=lambda_2,
        n_pretrain_epochs=60,
        n_epochs=20,
    )
    *_, scorer = model.epochs(train, Progress(0, CPU))
    scores = scorer.score(Queries(np.arange(24), train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9
