from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.testing import assert_close

from repro.errors import UnsupportedError
from repro.interactions import Interactions
from repro.model import Scorer
from repro.models import cfgan
from repro.models.cfgan import CFGAN, CFGANNet, Perceptron, sampled_zeros
from repro.nn.batches import Rows, UserRows, rows_of
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [11]]
N_ZEROS = [9, 10, 12, 0, 11]
TINY = CFGAN(
    mode="user",
    zr_share=0.3,
    pm_share=0.5,
    generator_hidden_dims=(6,),
    generator_batch_size=3,
    generator_learning_rate=0.01,
    discriminator_hidden_dims=(4,),
    discriminator_batch_size=2,
    discriminator_learning_rate=0.02,
    n_epochs=2,
)
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]


def net(model: CFGAN = TINY, n_items: int = 12) -> CFGANNet:
    torch.manual_seed(0)
    return CFGANNet(n_items, model)


def forced(mask: list[list[int]]) -> Callable[[Rows, float], Tensor]:
    """Return a `sampled_zeros` that draws what it is told."""
    return lambda x, share: torch.tensor(mask).bool()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.7, 0.9, 1.0])
def test_the_share_of_each_rows_zeros_is_drawn_and_no_positive(build: Build, share: float) -> None:
    x = rows_of(build(LISTS), CPU)
    drawn = sampled_zeros(x, share)
    assert drawn.dtype == torch.bool
    assert drawn.shape == (5, 12)
    assert drawn.sum(dim=1).tolist() == [int(share * n) for n in N_ZEROS]
    assert not (drawn & (x.dense() == 1)).any()


def test_every_zero_is_drawn_as_often_as_another(build: Build) -> None:
    torch.manual_seed(0)
    x = rows_of(build(LISTS * 2000), CPU)
    often = sampled_zeros(x, 0.5).double().view(2000, 5, 12).mean(dim=0)
    share = torch.tensor([4 / 9, 5 / 10, 6 / 12, 0.0, 5 / 11])
    assert_close(often, (share[:, None] * (1 - x.dense()[:5])).double(), rtol=0, atol=0.05)


def test_zeros_are_drawn_anew_every_time_and_for_either_mask(build: Build) -> None:
    x = rows_of(build([[0]] * 3, n_items=200), CPU)
    gan = net(n_items=200)
    masks = [gan.seen(x), gan.zeroed(x), gan.seen(x), gan.zeroed(x)]
    zeros = [mask & (x.dense() == 0) for mask in masks]
    assert [int(mask.sum()) for mask in zeros] == [3 * 99, 3 * 59] * 2  # of 199, half and 30 %
    for i, one in enumerate(zeros):
        assert not any(torch.equal(one, other) for other in zeros[:i])
        assert not torch.equal(one[0], one[1])


@pytest.mark.parametrize(
    ("change", "seen", "zeroed"),
    [
        ({"scheme": "zp"}, [1, 1, 1, 0], [0, 0, 1, 0]),
        ({"scheme": "zr"}, [1, 1, 0, 0], [0, 0, 1, 0]),
        ({"scheme": "pm"}, [1, 1, 1, 0], None),
        ({"scheme": "zp", "zr_positives": True}, [1, 1, 1, 0], [1, 1, 1, 0]),
    ],
    ids=["zp", "zr", "pm", "positives, too"],
)
@pytest.mark.parametrize("objective", ["non_saturating", "minimax"])
def test_losses_follow_their_definition_on_one_vector(
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    seen: list[int],
    zeroed: list[int] | None,
    objective: Literal["non_saturating", "minimax"],
) -> None:
    model = replace(TINY, objective=objective, zr_weight=0.1, **change)
    gan = net(model, n_items=4)
    x = rows_of(build([[0, 1]], n_items=4), CPU)
    monkeypatch.setattr(
        cfgan,
        "sampled_zeros",
        lambda x, share: torch.tensor([[0, 0, 1, 0]]).bool() & (share > 0),
    )
    c = torch.tensor([1.0, 1.0, 0.0, 0.0])
    g, d = gan.generator, gan.discriminator
    made = linear((c @ g.weights[0] + g.bias).sigmoid(), g.output.weight, g.output.bias)

    def probability(vector: Tensor) -> Tensor:
        both = torch.cat([c, vector]) @ torch.cat([*d.weights])  # one layer of 2 I inputs
        return linear((both + d.bias).sigmoid(), d.output.weight, d.output.bias).sigmoid()

    real, fake = probability(c), probability(made * torch.tensor(seen))
    assert_close(gan.discriminator_loss(x), -(real.log() + (1 - fake).log())[0])
    expected = -fake.log() if objective == "non_saturating" else (1 - fake).log()
    if zeroed is not None:
        expected = expected + 0.1 * sum(made[i] ** 2 for i in range(4) if zeroed[i])
    assert_close(gan.generator_loss(x), expected[0])


def test_losses_are_means_over_the_vectors(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    gan, lists = net(), [[0, 1, 2], [5]]
    monkeypatch.setattr(cfgan, "sampled_zeros", lambda x, share: x.dense() == 0)
    for loss in (gan.generator_loss, gan.discriminator_loss):
        single = [loss(rows_of(build([items]), CPU)) for items in lists]
        assert_close(loss(rows_of(build(lists), CPU)), torch.stack(single).mean())


def test_sparse_and_dense_inputs_give_the_same_numbers(build: Build) -> None:
    torch.manual_seed(0)
    x = rows_of(build(LISTS), CPU)
    made = Perceptron(2, 12, 5, 3, 2)
    assert_close(made(x, x), made(x.dense(), x.dense()))
    assert made.encode(x, x).shape == (5, 3)
    assert made(x, x).shape == (5, 2)


def test_adversarial_gradients_reach_the_generator_at_seen_entries_only(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    gan = net(replace(TINY, scheme="pm"))
    x = rows_of(build([[0], [1]]), CPU)
    monkeypatch.setattr(cfgan, "sampled_zeros", forced([[0, 0, 1] + [0] * 9] * 2))
    gan.generator_loss(x).backward()
    bias = gan.generator.output.bias.grad
    assert bias is not None
    assert bias.nonzero()[:, 0].tolist() == [0, 1, 2]


def test_zero_reconstruction_alone_reaches_what_the_discriminator_does_not_see(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    gan = net(replace(TINY, scheme="zr"))
    x = rows_of(build([[0], [1]]), CPU)
    monkeypatch.setattr(
        cfgan,
        "sampled_zeros",
        lambda x, share: torch.tensor([[0, 0, 1] + [0] * 9] * 2).bool() & (share > 0),
    )
    made = gan.generator(x).detach()
    gan.generator_loss(x).backward()
    bias = gan.generator.output.bias.grad
    assert bias is not None
    assert_close(bias[2], 2 * TINY.zr_weight * made[:, 2].mean())


def test_the_discriminators_loss_does_not_touch_the_generator(build: Build) -> None:
    gan = net()
    gan.discriminator_loss(rows_of(build(LISTS), CPU)).backward()
    assert all(parameter.grad is None for parameter in gan.generator.parameters())
    assert all(parameter.grad is not None for parameter in gan.discriminator.parameters())


class Watching(Progress):
    """Notes at every update whose parameters have changed since the one before."""

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.net: CFGANNet = state["net"]
        self.before = self._copy()
        self.updates: list[tuple[str, str]] = []
        yield from super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        after = self._copy()
        for part in ("generator", "discriminator"):
            changed = [
                not torch.equal(after[k], self.before[k]) for k in after if k.startswith(part)
            ]
            if any(changed):
                assert all(changed)
                self.updates.append((next(iter(losses)), part))
        self.before = after
        super().log(**losses)

    def _copy(self) -> dict[str, Tensor]:
        return {k: v.detach().clone() for k, v in self.net.named_parameters()}


def test_a_round_updates_the_discriminator_then_the_generator_and_neither_the_other(
    build: Build,
) -> None:
    watching = Watching(0, CPU)
    model = replace(TINY, discriminator_steps=2, generator_steps=3)
    lists = [[0, 1, 2], [3, 4], [5], [6, 7], [8]]  # 3 batches of the discriminator, 2 of the other
    for _ in model.epochs(build(lists), watching):
        pass
    d, g = ("discriminator", "discriminator"), ("generator", "generator")
    assert watching.updates == ([d] * (2 * 3) + [g] * (3 * 2)) * 2


def test_each_network_has_its_own_rate_and_l2(build: Build) -> None:
    noted: dict[str, tuple[float, float]] = {}

    class Noting(Progress):
        def epochs(self, n: int, **state: Any) -> Iterator[int]:
            for name in ("g_adam", "d_adam"):
                (group,) = state[name].param_groups
                noted[name] = (group["lr"], group["weight_decay"])
            yield from super().epochs(n, **state)

    model = replace(TINY, generator_l2=0.3, discriminator_l2=0.4)
    next(iter(model.epochs(build(LISTS), Noting(0, CPU))))
    assert noted == {"g_adam": (0.01, 0.3), "d_adam": (0.02, 0.4)}


def test_the_l2_term_is_half_the_squared_norm_in_the_loss(build: Build) -> None:
    x = rows_of(build(LISTS), CPU)
    gan = net(replace(TINY, scheme="pm", pm_share=0.0))
    parts = list(gan.generator.parameters())
    loss = gan.generator_loss(x) + 0.5 * sum(p.square().sum() for p in parts)
    expected = torch.autograd.grad(loss, parts)
    adam = cfgan.adam(gan.generator, 0.0, 1.0)
    gan.generator_loss(x).backward()
    adam.step()
    for parameter, gradient in zip(parts, expected, strict=True):
        assert_close(adam.state[parameter]["exp_avg"], 0.1 * gradient)  # beta_1 is 0.9


def last(model: CFGAN, train: Interactions, seed: int = 0) -> Scorer:
    *_, scorer = model.epochs(train, Progress(seed, CPU))
    return scorer


def queries(history: Interactions) -> Queries:
    return Queries(np.arange(history.n_users), history)


def test_both_modes_agree_where_users_and_items_are_symmetric(build: Build) -> None:
    train = build([[0, 1, 3], [0, 2], [1, 2, 3], [0, 2, 3]], n_items=4)
    by_user = last(TINY, train).score(queries(train))
    by_item = last(replace(TINY, mode="item"), train).score(queries(train))
    assert_close(by_item, by_user.T)


def test_item_mode_scores_a_user_by_the_column_of_every_items_vector(build: Build) -> None:
    train, watching = build(LISTS), Watching(0, CPU)
    *_, scorer = replace(TINY, mode="item").epochs(train, watching)
    items = build([[u for u in range(5) if i in LISTS[u]] for i in range(12)], n_items=5)
    vectors = watching.net.generator(rows_of(items, CPU)).detach()  # (I, U)
    asked = queries(train).rows(np.array([3, 0]))
    assert_close(scorer.score(asked), vectors[:, [3, 0]].T)


def test_training_reads_the_training_pairs_and_nothing_else(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[set[tuple[int, int]]] = []

    class Noting(UserRows):
        def __iter__(self) -> Iterator[Rows]:
            read.append(set())
            for x in super().__iter__():
                of = x.user[x.row].tolist()
                read[-1] |= set(zip(of, x.item.tolist(), strict=True))
                yield x

    monkeypatch.setattr(cfgan, "UserRows", Noting)
    train = build([[0, 1], [2, 3], [4]])
    pairs = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    last(TINY, train)
    assert read == [pairs] * 4
    read.clear()
    scorer = last(replace(TINY, mode="item"), train)
    assert read == [{(item, user) for user, item in pairs}] * 4
    more = build([[0, 1, 7, 8], [2, 3, 9], [4, 10, 11]])  # a history with what validation holds
    assert_close(scorer.score(queries(more)), scorer.score(queries(train)), rtol=0, atol=0)


def test_only_user_mode_serves_users_that_training_does_not_know(build: Build) -> None:
    train = build(TWO_TASTES)
    strangers = Queries(np.array([-1, -1]), build([[0, 2], []]))
    item_mode = replace(TINY, mode="item")
    assert (item_mode.KNOWN_USERS_ONLY, TINY.KNOWN_USERS_ONLY) == (True, False)
    assert last(TINY, train).score(strangers).shape == (2, 12)
    with pytest.raises(UnsupportedError, match="knows only users of its training data"):
        last(item_mode, train).score(strangers)


LEARNING = replace(
    TINY,
    zr_share=0.9,
    pm_share=0.9,
    zr_weight=0.1,
    generator_hidden_dims=(16,),
    generator_batch_size=8,
    generator_steps=2,
    discriminator_hidden_dims=(16,),
    discriminator_batch_size=8,
    discriminator_learning_rate=0.003,
    n_epochs=40,
)


@pytest.mark.parametrize(("mode", "scheme"), [("user", "zp"), ("item", "zp"), ("user", "zr")])
def test_it_learns_two_tastes(
    build: Build, mode: Literal["user", "item"], scheme: Literal["zp", "zr"]
) -> None:
    train = build(TWO_TASTES)
    scores = last(replace(LEARNING, mode=mode, scheme=scheme), train).score(queries(train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9


def test_initial_weights_and_biases_are_the_references() -> None:
    gan = net(CFGAN(generator_hidden_dims=(40,), discriminator_hidden_dims=(30, 20)), n_items=100)
    widths = {
        "generator.weights.0": 100 + 40,
        "generator.output.weight": 40 + 100,
        "discriminator.weights.0": 200 + 30,
        "discriminator.weights.1": 200 + 30,
        "discriminator.hidden.0.weight": 30 + 20,
        "discriminator.output.weight": 20 + 1,
    }
    for name, parameter in gan.named_parameters():
        bound = 0.01 if name.endswith("bias") else (6 / widths.pop(name)) ** 0.5
        assert parameter.abs().max() <= bound, name
        assert parameter.numel() < 20 or parameter.abs().max() > 0.8 * bound, name
    assert not widths


def test_networks_have_the_sizes_of_the_settings(build: Build) -> None:
    def parameters(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    with torch.device("meta"):
        gan = CFGANNet(
            943, CFGAN(generator_hidden_dims=(300,), discriminator_hidden_dims=(50,) * 4)
        )
    assert parameters(gan.generator) == 943 * 300 + 300 + 300 * 943 + 943  # 0.57 million
    assert parameters(gan.discriminator) == 2 * 943 * 50 + 50 + 3 * (50 * 50 + 50) + 50 + 1
