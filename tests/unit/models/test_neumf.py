from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.models.neumf import NeuMF, NeuMFNet
from repro.nn.batches import Positives
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9], [1, 2, 3, 4, 5, 6]]  # 16 pairs
TINY = NeuMF(
    gmf_dim=2, mlp_dims=(6, 4), batch_size=10, learning_rate=0.01, n_epochs=2, n_pretrain_epochs=2
)
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]


def net(build: Build, only: str = "", seed: int = 0, model: NeuMF = TINY) -> NeuMFNet:
    torch.manual_seed(seed)
    made = NeuMFNet(build(LISTS), model, only=only)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


def test_each_phase_has_its_epochs(phases: Any) -> None:
    found = phases(replace(TINY, n_pretrain_epochs=1, n_epochs=3), LISTS)
    assert found == {"pretrain gmf": 1, "pretrain mlp": 1, "train": 3}


def row(table: nn.Module, number: int) -> Tensor:
    assert isinstance(table, nn.Embedding)
    return table.weight[number]


def gmf_hidden(made: NeuMFNet, u: int, i: int) -> Tensor:
    return row(made.gmf_user, u) * row(made.gmf_item, i)


def mlp_hidden(made: NeuMFNet, u: int, i: int) -> Tensor:
    h = torch.cat([row(made.mlp_user, u), row(made.mlp_item, i)])
    for layer in made.tower:
        if isinstance(layer, nn.Linear):
            h = torch.clamp(layer.weight @ h + layer.bias, min=0)
    return h


def test_the_logit_of_a_pair_is_that_of_the_paper(build: Build) -> None:
    u, i = 4, 7
    whole, gmf, mlp = (net(build, only) for only in ("", "gmf", "mlp"))
    for made, hidden in (
        (whole, torch.cat([gmf_hidden(whole, u, i), mlp_hidden(whole, u, i)])),
        (gmf, gmf_hidden(gmf, u, i)),
        (mlp, mlp_hidden(mlp, u, i)),
    ):
        expected = made.output.weight[0] @ hidden + made.output.bias[0]
        assert_close(made(torch.tensor([u]), torch.tensor([i]))[0], expected)


def test_gmf_and_mlp_share_no_embedding(build: Build) -> None:
    made, pair = net(build), (torch.tensor([1]), torch.tensor([2]))
    for only, other in (("gmf", "mlp"), ("mlp", "gmf")):
        half = net(build, only)
        half(*pair).sum().backward()
        for name, parameter in half.named_parameters():
            assert (parameter.grad is None) == (
                name.startswith(other) or (only, name[:5]) == ("gmf", "tower")
            )
    assert made.gmf_user.weight.data_ptr() != made.mlp_user.weight.data_ptr()


def test_joined_parts_predict_half_the_sum_of_their_logits(build: Build) -> None:
    whole, gmf, mlp = net(build), net(build, "gmf", 1), net(build, "mlp", 2)
    whole.join(gmf=gmf, mlp=mlp)
    u, i = torch.tensor([0, 3, 4]), torch.tensor([11, 0, 5])
    assert_close(whole(u, i), 0.5 * (gmf(u, i) + mlp(u, i)))
    assert_close(whole.output.weight[0, :2], 0.5 * gmf.output.weight[0])
    assert_close(whole.output.weight[0, 2:], 0.5 * mlp.output.weight[0])
    assert_close(whole.output.bias, 0.5 * (gmf.output.bias + mlp.output.bias))


def test_joined_parts_are_copies(build: Build) -> None:
    whole, gmf, mlp = net(build), net(build, "gmf", 1), net(build, "mlp", 2)
    whole.join(gmf=gmf, mlp=mlp)
    before = {k: v.clone() for k, v in whole.state_dict().items()}
    with torch.no_grad():
        for half in (gmf, mlp):
            for parameter in half.parameters():
                parameter.zero_()
    assert_close(whole.state_dict(), before, rtol=0, atol=0)


class Watching(Progress):
    """Notes what each epoch trains, with what, from which weights, and how many updates."""

    def __init__(self) -> None:
        super().__init__(0, CPU)
        self.began: list[tuple[str, torch.optim.Optimizer]] = []
        self.weights: dict[str, dict[str, Tensor]] = {}
        self.ended: dict[str, dict[str, Tensor]] = {}
        self.n_updates = 0

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        for epoch in super().epochs(n, **state):
            nets = [value.state_dict() for key, value in state.items() if key != "optimizer"]
            self.began.append((self._phase, state["optimizer"]))
            self.weights.setdefault(self._phase, {k: v.clone() for k, v in nets[-1].items()})
            yield epoch
            self.ended[self._phase] = {k: v.clone() for k, v in nets[-1].items()}

    def log(self, **losses: Any) -> None:
        self.n_updates += 1
        super().log(**losses)


def watched(model: NeuMF, train: Interactions) -> Watching:
    watching = Watching()
    for _ in model.epochs(train, watching):
        pass
    return watching


@pytest.mark.parametrize(
    ("finetune", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)]
)
def test_gmf_then_the_mlp_then_both_are_trained_in_the_papers_order(
    build: Build, finetune: Literal["sgd", "adam"], kind: type[torch.optim.Optimizer]
) -> None:
    model = replace(TINY, finetune=finetune, finetune_learning_rate=0.02)
    watching = watched(model, build(LISTS))
    phases = ["pretrain gmf", "pretrain mlp", "train"]
    assert [phase for phase, _ in watching.began] == [p for p in phases for _ in range(2)]
    by_phase = dict(watching.began)
    kinds: list[type[torch.optim.Optimizer]] = [torch.optim.Adam, torch.optim.Adam, kind]
    for phase, expected, rate in zip(phases, kinds, (0.01, 0.01, 0.02), strict=True):
        assert isinstance(by_phase[phase], expected)
        (group,) = by_phase[phase].param_groups
        assert group["lr"] == rate
        assert group["weight_decay"] == 0
        assert group.get("momentum", 0) == 0
    assert watching.n_updates == 6 * 8  # 16 pairs with four negatives each, ten at a time


def test_the_fusion_begins_with_what_the_parts_have_learned(build: Build) -> None:
    watching = watched(TINY, build(LISTS))
    gmf, mlp = watching.ended["pretrain gmf"], watching.ended["pretrain mlp"]
    begins = watching.weights["train"]
    for name, value in begins.items():
        if not name.startswith("output"):
            assert_close(value, (gmf if name.startswith("gmf") else mlp)[name], rtol=0, atol=0)
    side_by_side = torch.cat([gmf["output.weight"], mlp["output.weight"]], dim=1)
    assert_close(begins["output.weight"], 0.5 * side_by_side, rtol=0, atol=0)


def test_without_pre_training_there_is_one_phase_with_adam(build: Build) -> None:
    watching = watched(replace(TINY, n_pretrain_epochs=0), build(LISTS))
    assert [phase for phase, _ in watching.began] == ["train"] * 2
    assert isinstance(watching.began[0][1], torch.optim.Adam)


def test_every_pair_stands_beside_as_many_new_negatives_in_every_epoch(build: Build) -> None:
    train = build(LISTS)
    torch.manual_seed(0)
    positives = Positives(train, 10, CPU)
    have = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    drawn = []
    for _ in range(2):
        u, i, label = (torch.cat(part) for part in zip(*positives.labelled(4), strict=True))
        pairs = list(zip(u.tolist(), i.tolist(), strict=True))
        assert sorted(p for p, one in zip(pairs, label, strict=True) if one) == sorted(have)
        negatives = [p for p, one in zip(pairs, label, strict=True) if not one]
        assert not have & set(negatives)
        for user in range(5):
            assert sum(p[0] == user for p in negatives) == 4 * len(LISTS[user])
        drawn.append(sorted(negatives))
    assert drawn[0] != drawn[1]


def test_the_loss_is_binary_cross_entropy_of_the_sigmoid(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[Tensor] = []
    expected: list[Tensor] = []
    forward = NeuMFNet.forward

    def noting(self: NeuMFNet, u: Tensor, i: Tensor) -> Tensor:
        logits = forward(self, u, i)
        expected.append(binary_cross_entropy(logits.sigmoid(), ((u + i) % 2).float()).detach())
        return logits

    class Told(Progress):
        def log(self, **given: Tensor) -> None:
            losses.append(given["loss"].detach())

    def parity(self: Positives, n: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        u, i = torch.tensor([0, 1, 4, 2]), torch.tensor([1, 9, 4, 3])
        yield u, i, ((u + i) % 2).float()

    monkeypatch.setattr(NeuMFNet, "forward", noting)
    monkeypatch.setattr(Positives, "labelled", parity)
    for _ in replace(TINY, n_pretrain_epochs=0).epochs(build(LISTS), Told(0, CPU)):
        pass
    assert_close(losses, expected)


def test_embeddings_begin_normal_and_the_output_as_keras_has_it(build: Build) -> None:
    torch.manual_seed(0)
    train = build([[0]] * 300, n_items=300)
    made = NeuMFNet(train, NeuMF(gmf_dim=16, mlp_dims=(64, 32, 16)))
    for table in (made.gmf_user, made.gmf_item, made.mlp_user, made.mlp_item):
        assert table.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert made.gmf_user.weight.shape == (300, 16)
    assert made.mlp_user.weight.shape == (300, 32)
    assert made.output.in_features == 16 + 16
    assert made.output.weight.abs().max() <= (3 / 32) ** 0.5
    assert not made.output.bias.any()


def test_scores_are_the_logits_of_all_items_or_of_the_candidates(build: Build) -> None:
    made, history = net(build), build(LISTS)
    users = np.array([3, 0])
    every = torch.stack([made(torch.full((12,), int(u)), torch.arange(12)) for u in users])
    assert_close(made.score(Queries(users, history.rows(users))), every.detach())
    candidates = np.array([[0, 5], [3, 11]], dtype=np.int32)
    picked = every.gather(1, torch.from_numpy(candidates).long())
    assert_close(made.score(Queries(users, history.rows(users), candidates)), picked.detach())
    with pytest.raises(UnsupportedError, match="NeuMF knows only users of its training data"):
        made.score(Queries(np.array([-1]), history.rows(np.array([0]))))


@pytest.mark.parametrize("n_pretrain_epochs", [0, 30])
def test_it_learns_two_tastes(build: Build, n_pretrain_epochs: int) -> None:
    train = build(TWO_TASTES)
    model = replace(
        TINY,
        gmf_dim=4,
        mlp_dims=(8, 4),
        batch_size=64,
        learning_rate=0.02,
        n_pretrain_epochs=n_pretrain_epochs,
        n_epochs=5 if n_pretrain_epochs else 30,
    )
    *_, scorer = model.epochs(train, Progress(1, CPU))
    scores = scorer.score(Queries(np.arange(24), train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9
