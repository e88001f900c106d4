from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models import bert4rec
from repro.models.bert4rec import BERT4Rec, BERT4RecNet, Cloze, Masked, schedule
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
MASK = 12
LISTS = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [4, 5], [], [6, 7, 8], [9], [1, 3, 5, 7, 9]]
TINY = BERT4Rec(
    embedding_dim=8, n_heads=2, inner_dim=16, max_len=20, batch_size=16, n_copies=2, n_epochs=1
)


def net(**given: Any) -> BERT4RecNet:
    torch.manual_seed(0)
    model = replace(TINY, **given)
    made = BERT4RecNet(12, model.max_len, model)
    for parameter in made.parameters():  # as large as after training
        parameter.data.normal_(std=0.5)
    return made.eval()


def pieces(train: Interactions, **given: Any) -> list[Masked]:
    torch.manual_seed(0)
    return [x for batch in Cloze(train, replace(TINY, **given), CPU) for x in batch]


def rows(x: Masked) -> list[tuple[list[int], list[int], list[int]]]:
    """Return of each sequence what stands there, which places are hidden, and the items there."""
    width = x.there.shape[1]
    masks = sorted(zip(x.hidden.tolist(), x.target.tolist(), strict=True))
    assert len({place for place, _ in masks}) == len(masks)
    return [
        (
            x.item[b][x.there[b]].tolist(),
            [place % width for place, _ in masks if place // width == b],
            [target for place, target in masks if place // width == b],
        )
        for b in range(len(x.there))
    ]


def test_targets_are_the_items_under_the_masks_and_all_others_stay(build: Build) -> None:
    found = []
    for x in pieces(build(LISTS)):
        for seen, hidden, target in rows(x):
            assert [place for place, i in enumerate(seen) if i == MASK] == hidden
            for place, i in zip(hidden, target, strict=True):
                seen[place] = i
            found.append(seen)
    assert sorted(found) == sorted(3 * [s for s in LISTS if s])  # two copies, one with the last


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(0.2, {10: 2, 5: 1, 3: 1, 2: 1, 1: 1}), (0.5, {10: 5, 5: 3, 3: 2, 2: 1, 1: 1})],
)
def test_a_share_of_each_sequence_is_masked_and_at_least_one_item(
    build: Build, rate: float, expected: dict[int, int]
) -> None:
    made = [row for x in pieces(build(LISTS), mask_rate=rate, mask_last=False) for row in rows(x)]
    assert {len(seen): len(hidden) for seen, hidden, _ in made} == expected
    assert len(made) == 10


def test_every_place_is_masked_equally_often_and_anew_in_every_epoch(build: Build) -> None:
    torch.manual_seed(0)
    batches = Cloze(build(LISTS[:1]), replace(TINY, mask_last=False, n_copies=500), CPU)
    epochs = [[row for batch in batches for x in batch for row in rows(x)] for _ in range(2)]
    hidden = [place for epoch in epochs for row in epoch for place in row[1]]
    share = np.bincount(hidden) / 1000
    assert share == pytest.approx(np.full(10, 0.2), abs=0.04)  # three standard deviations
    assert epochs[0] != epochs[1]


def test_one_copy_of_every_sequence_has_only_its_last_item_masked(build: Build) -> None:
    made = [row for x in pieces(build(LISTS), n_copies=0) for row in rows(x)]
    assert sorted((hidden, target) for _, hidden, target in made) == sorted(
        ([len(s) - 1], [s[-1]]) for s in LISTS if s
    )


def test_a_long_sequence_is_cut_into_overlapping_windows_from_its_end(build: Build) -> None:
    lists = [list(range(11)), [3, 4], list(range(4)), list(range(5))]
    batches = Cloze(build(lists), replace(TINY, max_len=4, window_step=0.5), CPU)
    windows = [
        window[:n].tolist()
        for window, n in zip(batches.window, batches.length.tolist(), strict=True)
    ]
    assert windows == [
        [7, 8, 9, 10],
        [5, 6, 7, 8],
        [3, 4, 5, 6],
        [1, 2, 3, 4],
        [0, 1, 2, 3],
        [3, 4],
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [0, 1, 2, 3],
    ]
    assert len(batches) == 2  # 27 copies in mini-batches of 16


@pytest.mark.parametrize("average", ["batch", "sequence"])
def test_the_loss_is_the_mean_negative_log_likelihood_of_the_hidden_items_alone(
    build: Build, average: Literal["batch", "sequence"]
) -> None:
    model = net()
    (x,) = pieces(build(LISTS), average=average, mask_rate=0.4)
    log_p = torch.stack([model.logits(h) for h in model(x.item, x.there)]).log_softmax(dim=2)
    terms = [
        [-log_p[b, place, i].item() for place, i in zip(hidden, target, strict=True)]
        for b, (_, hidden, target) in enumerate(rows(x))
    ]
    by_batch = float(np.mean([term for row in terms for term in row]))
    by_sequence = float(np.mean([np.mean(row) for row in terms]))
    assert by_batch != pytest.approx(by_sequence)
    expected = by_batch if average == "batch" else by_sequence
    assert model.loss(x).item() == pytest.approx(expected, rel=1e-5)


def test_what_stands_behind_a_sequence_is_neither_attended_to_nor_in_the_loss(
    build: Build,
) -> None:
    model = net()
    (x,) = pieces(build(LISTS))
    other = torch.where(x.there, x.item, 11 - x.item.clamp(max=11))
    assert not torch.equal(other, x.item)
    assert_close(model.loss(replace(x, item=other)), model.loss(x), rtol=0, atol=0)
    before, after = model(x.item, x.there), model(other, x.there)
    assert_close(after[x.there], before[x.there], rtol=0, atol=0)


@pytest.mark.parametrize("average", ["batch", "sequence"])
def test_the_pieces_of_a_mini_batch_are_of_like_length_and_weigh_one_together(
    build: Build, monkeypatch: pytest.MonkeyPatch, average: Literal["batch", "sequence"]
) -> None:
    monkeypatch.setattr(bert4rec, "CPU_PIECE", 4)
    for batch in Cloze(build(LISTS), replace(TINY, average=average), CPU):
        assert sum(len(x.there) for x in batch) == 15
        lengths = [n for x in batch for n in x.there.sum(dim=1).tolist()]
        assert lengths == sorted(lengths)
        assert all(x.there.shape[1] == int(x.there.sum(dim=1).max()) for x in batch)
        assert sum(float(x.weight.sum()) for x in batch) == pytest.approx(1.0)


def test_a_longer_sequence_beside_it_does_not_change_a_sequences_states() -> None:
    model, s = net(), torch.tensor([[3, 1, MASK, 1], [5, 2, 0, 0]])
    there = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    alone = model(s[1:, :2], there[1:, :2])
    assert_close(model(s, there)[1:, :2], alone)


def test_a_later_item_changes_what_stands_before_it() -> None:
    model, s = net(), torch.tensor([[3, 1, MASK, 1, 5]])
    changed = s.clone()
    changed[0, 4] = 7
    there = torch.ones(1, 5, dtype=torch.bool)
    moved = (model(s, there) - model(changed, there))[0].abs().amax(dim=1)
    assert bool((moved > 1e-4).all())


def test_the_order_of_the_other_items_matters() -> None:
    model, there = net(), torch.ones(1, 3, dtype=torch.bool)
    one, other = (model(torch.tensor([s]), there)[0, 2] for s in ([3, 1, MASK], [1, 3, MASK]))
    assert not torch.allclose(one, other)


def test_at_test_a_mask_stands_behind_the_newest_item_of_what_fits(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[int]] = []
    forward = BERT4RecNet.forward

    def noting(self: BERT4RecNet, item: Tensor, there: Tensor) -> Tensor:
        read.extend(row[keep].tolist() for row, keep in zip(item, there, strict=True))
        return forward(self, item, there)

    monkeypatch.setattr(BERT4RecNet, "forward", noting)
    histories = [[0, 1, 2, 3, 4, 5, 6], [4, 5], [], [6, 7, 8], [1, 2, 3, 4]]
    model = net(max_len=4)
    scores = model.score(Queries(np.full(5, -1), build(histories)))
    expected = [[*s[-3:], MASK] for s in histories]
    assert read == expected
    for row, s in zip(scores, expected, strict=True):
        h = forward(model, torch.tensor([s]), torch.ones(1, len(s), dtype=torch.bool))[:, -1]
        assert_close(row[None], model.logits(h).detach())


def test_the_mask_stands_on_no_position_that_training_did_not_reach(build: Build) -> None:
    train = build([[0, 1, 2, 3], [4, 5], [6, 7, 8]])  # none fills the 20 places of TINY
    *_, model = TINY.epochs(train, Progress(0, CPU))
    assert model.position.num_embeddings == 4
    longer, newest = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [2, 1, 0]
    scores = model.score(Queries(np.full(2, -1), build([longer, newest])))
    assert_close(scores[0], scores[1])


def test_many_histories_are_scored_as_few(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = net(), Queries(np.full(6, -1), build(LISTS))
    expected = model.score(asked)
    monkeypatch.setattr(bert4rec, "SCORED_USERS", 2)
    assert_close(model.score(asked), expected)


def test_the_learning_rate_rises_over_the_warm_up_and_then_falls_to_zero() -> None:
    assert [schedule(step, 200, 4) for step in (0, 1, 3)] == [0.0, 0.25, 0.75]
    assert [schedule(step, 200, 4) for step in (4, 50, 199)] == [0.98, 0.75, pytest.approx(0.005)]


def test_only_tables_and_weight_matrices_decay(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cloze, "__iter__", lambda self: iter([[]] * 3))  # no loss: decay alone
    monkeypatch.setattr(bert4rec, "schedule", lambda *_: 1.0)
    monkeypatch.setattr(torch.optim.AdamW, "zero_grad", zero_gradients)
    torch.manual_seed(0)
    before = dict(BERT4RecNet(12, 10, TINY).named_parameters())
    model = replace(TINY, weight_decay=0.5, learning_rate=0.1)
    *_, trained = model.epochs(build(LISTS), Progress(0, CPU))
    for name, parameter in trained.named_parameters():
        share = 0.95**3 if parameter.dim() > 1 else 1.0
        assert_close(parameter, share * before[name], msg=name)


def zero_gradients(self: torch.optim.AdamW) -> None:
    for group in self.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)


@pytest.mark.parametrize("average", ["batch", "sequence"])
def test_it_learns_what_follows_what(build: Build, average: Literal["batch", "sequence"]) -> None:
    rng = np.random.default_rng(0)
    lists = [[(i + t) % 12 for t in range(n)] for i, n in rng.integers((0, 3), (12, 9), (60, 2))]
    model = replace(TINY, embedding_dim=32, dropout=0.0, n_epochs=30, average=average)
    model = replace(model, learning_rate=0.003, warmup_steps=10)
    *_, scorer = model.epochs(build(lists), Progress(0, CPU))
    asked = build([[(i - 3 + t) % 12 for t in range(4)] for i in range(12)])
    scores = scorer.score(Queries(np.full(12, -1), asked))
    assert (scores.argmax(dim=1) == (torch.arange(12) + 1) % 12).float().mean() > 0.6
