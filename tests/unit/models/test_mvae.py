from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, linear
from torch.testing import assert_close

from repro.interactions import Interactions
from repro.models._mvae.masks import Keys, hashed
from repro.models.mvae import MVAE, Batch, Half, Joint
from repro.nn.batches import rows_of
from repro.nn.two_sided import SideVAE
from repro.split import Queries
from repro.training.progress import Progress

Build = Callable[..., Interactions]

CPU = torch.device("cpu")
LISTS = [[0, 1, 2], [3, 4], [], [5, 6, 7, 8], list(range(12)), [9], [0, 1], [3, 4, 5]]
N_USERS, N_ITEMS = 8, 12
TINY = MVAE(rank=3, hidden_dim=6, latent_dim=3, block_size=5, n_epochs=2)
TWO_TASTES = [[i for i in range(12) if i % 2 == u % 2 and i // 2 != u // 2 % 6] for u in range(24)]


class Watching(Progress):
    """Keeps the network, and notes every update's loss and rate."""

    def epochs(self, n: int, **state: Any) -> Iterator[int]:
        self.uvae: Half = state["net"]["user"]
        self.ivae: Half = state["net"]["item"]
        self.optimizer: torch.optim.Adam = state["optimizer"]
        self.losses: list[float] = []
        self.rates: list[float] = []
        yield from super().epochs(n, **state)

    def log(self, **losses: Any) -> None:
        self.losses.append(losses["loss"].item())
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        super().log(**losses)


def trained(model: MVAE, train: Interactions) -> tuple[Joint, Watching]:
    watching = Watching(0, CPU)
    *_, scorer = model.epochs(train, watching)
    assert isinstance(scorer, Joint)
    return scorer, watching


def asked(train: Interactions) -> Queries:
    return Queries(np.arange(train.n_users), train)


def pseudo(train: Interactions, rank: int = 3, clip: bool = True, keep: bool = True) -> Tensor:
    """Return R' whole, by its definition."""
    r = train.matrix().toarray().astype(np.float64)
    u, s, v = np.linalg.svd(r, full_matrices=False)
    full = (u[:, :rank] * s[:rank]) @ v[:rank]
    full = np.clip(full, 0, 1) if clip else full
    return torch.from_numpy(np.where((r == 1) & keep, 1, full)).float()


def halves(model: MVAE, train: Interactions) -> tuple[Half, Half]:
    """Return untrained sides."""
    return tuple(
        getattr(trained(replace(model, n_epochs=1, learning_rate=0.0), train)[1], name)
        for name in ("uvae", "ivae")
    )


def keys(train: Interactions, seed: int = 0) -> Keys:
    torch.manual_seed(seed)
    return Keys.drawn(train, CPU, shared=True)


def as_dense(x: Batch, n: int) -> Tensor:
    """Return an input as a matrix: its product with the unit matrix."""
    return x.input.times(torch.eye(n))


# --- the three score rules


def test_uvae_ivae_and_mvae_are_one_training_with_three_score_rules(build: Build) -> None:
    train = build(LISTS)
    runs = {alpha: trained(replace(TINY, alpha=alpha), train) for alpha in (1.0, 0.0, 0.5)}
    states = [[*w.uvae.parameters(), *w.ivae.parameters()] for _, w in runs.values()]
    assert_close(states[1:], [states[0]] * 2, rtol=0, atol=0)
    assert runs[1.0][1].losses == runs[0.0][1].losses == runs[0.5][1].losses
    by_user, by_item, both = (scorer.score(asked(train)) for scorer, _ in runs.values())
    assert_close(both, 0.5 * by_user + 0.5 * by_item)
    assert not torch.allclose(by_user, by_item)
    parts = {name: part.score(asked(train)) for name, part in runs[0.5][0].parts().items()}
    assert list(parts) == ["uVAE", "iVAE"]
    assert_close(list(parts.values()), [by_user, by_item], rtol=0, atol=0)


def at_the_mean(side: SideVAE, x: Tensor) -> Tensor:
    """Return the outputs of dense rows at the mean of z, layer by layer."""
    h = torch.tanh(side.hidden(torch.tanh(x @ side.weight + side.bias)))
    for layer in (side.mean, side.decoder[0], torch.tanh, side.decoder[2], torch.tanh):
        h = layer(h)
    return side.output(h).sigmoid().detach()


@pytest.mark.parametrize(
    ("change", "seen"),
    [({}, pseudo), ({"test_input": "observed"}, lambda train: pseudo(train) == 1)],
    ids=["R'", "R"],
)
def test_each_rule_scores_by_the_network_on_the_unmasked_matrix(
    build: Build, change: dict[str, Any], seen: Callable[[Interactions], Tensor]
) -> None:
    train = build(LISTS)
    x = seen(train).float()
    for alpha, name in ((1.0, "uvae"), (0.0, "ivae")):
        scorer, watching = trained(replace(TINY, alpha=alpha, **change), train)
        side = getattr(watching, name).side
        expected = at_the_mean(side, x) if alpha else at_the_mean(side, x.T).T
        assert_close(scorer.score(asked(train)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("change", [{"test_latent": "sample"}, {"test_input": "masked"}])
def test_a_sampled_z_or_a_mask_moves_the_scores(build: Build, change: dict[str, Any]) -> None:
    train = build(LISTS)
    model = replace(TINY, mask_share=0.5)
    one, other = (
        trained(m, train)[0].score(asked(train)) for m in (model, replace(model, **change))
    )
    assert not torch.allclose(one, other)


# --- the input


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("cells", ["all", "observed", "filled"])
@pytest.mark.parametrize("mode", ["zero", "keep"])
def test_inputs_are_the_rows_and_columns_of_the_whole_masked_matrix(
    build: Build, clip: bool, keep: bool, share: float, cells: Any, mode: Any
) -> None:
    train = build(LISTS)
    model = replace(
        TINY, clip=clip, keep_observed=keep, mask_share=share, mask_cells=cells, mask_mode=mode
    )
    user, item = halves(model, train)
    drawn = keys(train)
    r = torch.from_numpy(train.matrix().toarray()) == 1
    hit = hashed(drawn.user[0][:, None], drawn.user[1], share)
    hit = ~hit if mode == "keep" else hit
    hit &= {"all": torch.ones_like(r), "observed": r, "filled": ~r}[cells]
    whole = pseudo(train, clip=clip, keep=keep).masked_fill(hit, 0.0)
    columns = rows_of(
        build([[u for u in range(N_USERS) if i in LISTS[u]] for i in range(N_ITEMS)], N_USERS), CPU
    )
    by_user = user.batch(rows_of(train, CPU), drawn.user)
    by_item = item.batch(columns, drawn.item)
    assert_close(as_dense(by_user, N_ITEMS), whole, rtol=0, atol=2e-5)
    assert_close(as_dense(by_item, N_USERS), whole.T, rtol=0, atol=2e-5)
    assert (by_user.input.factors is not None) == (not clip and mode == "zero")


def test_the_low_rank_first_layer_has_the_output_and_the_gradient_of_the_dense_one(
    build: Build,
) -> None:
    train, drawn = build(LISTS), keys(build(LISTS))
    user, _ = halves(replace(TINY, clip=False, mask_share=0.2), train)
    x = user.batch(rows_of(train, CPU), drawn.user)
    hit = hashed(drawn.user[0][:, None], drawn.user[1], 0.2)
    dense = pseudo(train, clip=False).masked_fill(hit, 0.0)
    weight, slope = torch.randn(N_ITEMS, 6, requires_grad=True), torch.randn(N_USERS, 6)
    assert x.input.dense is None
    product = x.input.times(weight)
    assert_close(product, dense @ weight, rtol=1e-4, atol=1e-5)
    (grad,) = torch.autograd.grad(product, weight, slope)
    assert_close(grad, dense.T @ slope, rtol=1e-4, atol=1e-5)


def test_without_completion_the_input_is_the_observed_matrix_and_stays_sparse(
    build: Build,
) -> None:
    train, drawn = build(LISTS), keys(build(LISTS))
    user, _ = halves(replace(TINY, completion="none", mask_share=0.4), train)
    x = user.batch(rows_of(train, CPU), drawn.user)
    hit = hashed(drawn.user[0][:, None], drawn.user[1], 0.4)
    expected = torch.from_numpy(train.matrix().toarray()).masked_fill(hit, 0.0)
    assert x.input.dense is None
    assert x.masked is None
    assert_close(as_dense(x, N_ITEMS), expected)
    assert 0 < expected.sum() < len(train)


# --- the loss


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"target": "pseudo"},
        {"target": "masked", "mask_share": 0.4},
        {"target": "masked", "mask_share": 0.4, "completion": "none"},
        {"target": "pseudo", "clip": False},
        {"likelihood": "gaussian"},
        {"positive_weight": 5.0},
        {"reduction": "sum"},
        {"second_activation": "sigmoid"},
    ],
    ids=str,
)
def test_the_loss_of_each_reading_is_its_definition(build: Build, change: dict[str, Any]) -> None:
    train, drawn = build(LISTS), keys(build(LISTS))
    model = replace(TINY, **change)
    user, _ = halves(model, train)
    x, side = user.batch(rows_of(train, CPU), drawn.user), user.side
    torch.manual_seed(3)
    ours = user.loss(x, 0.15)
    torch.manual_seed(3)
    act = torch.tanh if model.second_activation == "tanh" else torch.sigmoid
    h = act(side.hidden(torch.tanh(linear(as_dense(x, N_ITEMS), side.weight.T, side.bias))))
    mean, logvar = side.mean(h), side.logvar(h)
    z = mean + torch.randn_like(mean) * (0.5 * logvar).exp()
    logits = side.output(torch.tanh(side.decoder[2](torch.tanh(side.decoder[0](z)))))
    r = torch.from_numpy(train.matrix().toarray())
    target = pseudo(train) if model.target != "observed" and model.completion == "svd" else r
    terms = binary_cross_entropy_with_logits(
        logits, target, reduction="none", pos_weight=torch.tensor(model.positive_weight)
    )
    if model.likelihood == "gaussian":
        terms = 0.5 * (logits.sigmoid() - target) ** 2
    if model.target == "masked":
        terms = terms * hashed(drawn.user[0][:, None], drawn.user[1], 0.4)
    kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum()
    expected = terms.sum() + 0.15 * kl
    assert_close(ours, expected if model.reduction == "sum" else expected / N_USERS)


# --- blocks, masks and schedules


@pytest.mark.parametrize(
    ("change", "updates"),
    [
        ({}, 2 * 3),
        ({"block": "literal"}, 2 * 3),
        ({"block": "once"}, 3),
        ({"skip_last_block": True}, 2 * 2),
        ({"skip_last_block": True, "block": "once"}, 2),
    ],
    ids=str,
)
def test_an_epoch_has_an_update_for_every_block_of_its_kind(
    build: Build, change: dict[str, Any], updates: int
) -> None:
    assert len(trained(replace(TINY, **change), build(LISTS))[1].losses) == 2 * updates


def spied(
    model: MVAE, train: Interactions, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[int, Batch, Tensor]]:
    """Return what either side sees: the length of its rows, the batch, and the input, dense."""
    seen: list[tuple[int, Batch, Tensor]] = []
    loss = Half.loss

    def noting(self: Half, x: Batch, beta: float) -> Tensor:
        n = x.rows.n_items
        seen.append((len(self.side.weight), x, as_dense(x, n)))
        return loss(self, x, beta)

    monkeypatch.setattr(Half, "loss", noting)
    trained(model, train)
    return seen


def test_a_side_sees_whole_rows_or_in_a_literal_block_the_submatrix_alone(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = build(LISTS)
    r, model = pseudo(train), replace(TINY, mask_share=0.0, n_epochs=1)
    for block in ("full", "literal"):
        seen = spied(replace(model, block=block), train, monkeypatch)
        monkeypatch.undo()
        cells = []
        for length, x, dense in seen:
            whole = r if length == N_ITEMS else r.T
            columns = torch.arange(length) if x.columns is None else x.columns
            assert_close(dense, whole[x.rows.user][:, columns], rtol=0, atol=2e-5)
            if length == N_ITEMS:
                cells += [(u, i) for u in x.rows.user.tolist() for i in columns.tolist()]
        times = 1 if block == "literal" else 3  # a row enters with every block of items
        assert sorted(cells) == sorted(
            [(u, i) for u in range(N_USERS) for i in range(N_ITEMS)] * times
        )


def test_a_literal_block_leaves_all_other_inputs_and_outputs_alone(build: Build) -> None:
    train = build(LISTS)
    user, _ = halves(TINY, train)
    columns, drawn = torch.tensor([7, 2, 3]), keys(train)
    user.zero_grad()
    part = rows_of(build([[0], [1, 2], []] + [[]] * 5, n_items=3), CPU)
    user.loss(user.batch(part, drawn.user, columns), 0.15).backward()
    for parameter in (user.side.weight, user.side.output.weight, user.side.output.bias):
        assert parameter.grad is not None
        touched = parameter.grad.reshape(N_ITEMS, -1).abs().sum(dim=1).nonzero()[:, 0]
        assert touched.tolist() == [2, 3, 7]


@pytest.mark.parametrize(("refresh", "n_masks"), [("epoch", 2), ("step", 12)])
@pytest.mark.parametrize("shared", [True, False])
def test_masks_are_drawn_anew_when_they_should_be_and_are_shared_if_they_should_be(
    build: Build, monkeypatch: pytest.MonkeyPatch, refresh: Any, n_masks: int, shared: bool
) -> None:
    train = build(LISTS)
    model = replace(TINY, mask_refresh=refresh, mask_shared=shared, mask_share=0.5)
    drawn: list[Keys] = []
    made = Keys.drawn

    def noting(*given: Any) -> Keys:
        drawn.append(made(*given))
        return drawn[-1]

    monkeypatch.setattr(Keys, "drawn", noting)
    seen = spied(model, train, monkeypatch)
    assert len(drawn) == n_masks
    for k, (length, x, _) in enumerate(seen):
        now = drawn[k // 2] if refresh == "step" else drawn[k // 12]
        a, b = now.user if length == N_ITEMS else now.item
        assert x.masked is not None
        assert torch.equal(x.masked, hashed(a[x.rows.user][:, None], b, 0.5))
    assert all((one.user[0] is one.item[1]) == shared for one in drawn)


def test_the_kl_weight_and_the_rate_follow_their_schedules(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, noted = build(LISTS), list[float]()
    loss = Half.loss

    def noting(self: Half, x: Batch, beta: float) -> Tensor:
        noted.append(beta)
        return loss(self, x, beta)

    monkeypatch.setattr(Half, "loss", noting)
    _, watching = trained(replace(TINY, anneal_steps=4, decay=0.5, n_epochs=18), train)
    ramp = [0.15 * min(1.0, step / 4) for step in range(108) for _ in range(2)]
    assert noted == pytest.approx(ramp)
    assert watching.rates == pytest.approx([0.003] * 100 + [0.0015] * 8)  # 50 * ceil(8 / 5)
    assert set(trained(TINY, train)[1].rates) == {0.003}


@pytest.mark.parametrize(
    ("n_users", "n_items", "of_users", "of_items"),
    [(6_027, 3_062, 2.25, 4.15), (12_704, 9_244, 6.21, 8.43), (55_187, 9_911, 6.64, 35.66)],
)
def test_networks_have_the_size_of_the_fact_sheets(
    n_users: int, n_items: int, of_users: float, of_items: float
) -> None:
    with torch.device("meta"):
        sides = [Half(MVAE(), n, None, None) for n in (n_items, n_users)]
    millions = [round(sum(p.numel() for p in side.parameters()) / 1e6, 2) for side in sides]
    assert millions == [of_users, of_items]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"completion": "none", "mask_share": 0.0},
        {"completion": "als_observed"},
        {"completion": "wals"},
        {"clip": False},
        {"block": "literal", "block_size": 12},
        {"target": "pseudo"},
    ],
    ids=str,
)
def test_it_learns_two_tastes(build: Build, change: dict[str, Any]) -> None:
    train = build(TWO_TASTES)
    model = MVAE(rank=2, hidden_dim=16, latent_dim=4, block_size=6, learning_rate=0.01, n_epochs=20)
    scores = trained(replace(model, **change), train)[0].score(asked(train))
    scores[train.user, train.item] = -torch.inf
    best = scores.argmax(dim=1)  # among an own item, withheld, and six of the other taste
    assert (best % 2 == torch.arange(24) % 2).float().mean() > 0.9
