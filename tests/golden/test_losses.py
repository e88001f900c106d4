"""What an epoch of every model logs, and what it scores then, on a toy and one CPU thread.

They are no published numbers: a change of one says that the model, its initial weights or the
order of its random draws has changed, or a default that neither `SMALL` nor `OWN` replaces. They
replace rates, widths, batches and epochs, to be quick; test_recipes.py pins what the tables run
with. torch may change its random streams between versions, too.
`python tests/golden/test_losses.py` pins them anew, in losses.json.

All is computed in float64, so that the numbers are those of every CPU. A CPU's instructions decide
in which order it adds, and so the last digits. In float32 they grow: RMSprop's first update moves a
weight by ten rates, however small its gradient, and DAVE's `d_loss` was 1e-3 apart after an epoch.
test_cpus.py measures what is left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from repro.interactions import Interactions, from_rows
from repro.plugins import MODELS
from repro.split import Queries
from repro.training.progress import Progress

LOSSES = Path(__file__).with_name("losses.json")
PIN = "`python tests/golden/test_losses.py` pins every model anew"
CHANGED = f"if this was meant to change, {PIN}"
TOLERANCE = 1e-8
"""How far apart two numbers may be, see `apart`.

It is 100,000 times the most that test_cpus.py measures between CPUs. One hyper-parameter that is
1 % higher makes 70 times as much of a difference or more, where it makes one.
"""

SMALL: dict[str, Any] = {
    "batch_size": 16,
    "block_size": 25,
    "discriminator_batch_size": 12,
    "generator_batch_size": 20,
    "embedding_dim": 8,
    "hidden_dim": 16,
    "hidden_dims": (16,),
    "latent_dim": 6,
    "rank": 6,
    "n_pseudo_inputs": 20,
    "learning_rate": 0.01,
    "discriminator_learning_rate": 0.02,
    "generator_learning_rate": 0.005,
    "finetune_learning_rate": 0.02,
    "anneal_steps": 10,
}
"""By name, for the models that have them: quick, and enough to move weights in a few updates.

No two rates or batches of one model are equal, so that one in the other's place is noticed.
"""

OWN: dict[str, dict[str, Any]] = {
    "acae": {"l2": 1.0},
    "apr": {"learning_rate": 0.5},
    "avb": {"anneal_steps": 2},
    "bert4rec": {"warmup_steps": 2},
    "cfgan": {"generator_l2": 0.5, "discriminator_l2": 0.2},
    "dave": {"regularizer_weight": 0.5, "prediction_weight": 2.0},
    "ease": {"l2": 10.0},
    "item_knn": {"n_neighbors": 5},
    "ract": {"critic_learning_rate": 0.02, "joint_learning_rate": 0.005, "cutoff": 10},
    "vaegan": {"anneal_steps": 2},
    "wmf": {"l2": 1.0, "precision": "float64"},
}
"""What one model needs otherwise, for its numbers to depend on it."""

MULTI = {"family": "multi_vae", "gated": False, "n_layers": 1}
GATED = {"family": "multi_vae"}
SE, MOE = {"expert": "stochastic"}, {"expert": "mixture"}
SE_VAE_ROWS: dict[str, dict[str, Any]] = {
    "Multi-VAE": MULTI,
    "Multi-VAE (SE)": MULTI | SE,
    "Multi-VAE with MoE": MULTI | MOE,
    "Multi-VAE, three times the K": MULTI | {"latent_dim": 18},
    "Multi-VAE (Gated)": GATED,
    "Multi-VAE (Gated, SE)": GATED | SE,
    "Multi-VAE (Gated) with MoE": GATED | MOE,
    "Multi-VAE (Gated, SE), an expert per user": GATED | SE | {"select": "user"},
    "H+Vamp (Gated), Bernoulli": {"likelihood": "bernoulli"},
    "H+Vamp (Gated, SE)": SE,
    "H+Vamp (Gated, SE), an encoder for every expert": SE | {"individual_encoders": True},
    "H+Vamp (Gated) with MoE": MOE,
}
"""The tables' other rows of the model whose defaults are H+Vamp (Gated)."""

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in MODELS.names()},
    **{f"se_vae: {row}": ("se_vae", params) for row, params in SE_VAE_ROWS.items()},
}
"""The model, and what is given beside `SMALL` and `OWN`, by what it is pinned as."""

Numbers = dict[str, dict[str, float]]


def toy() -> Interactions:
    """Return 60 users of 40 items; each goes through 5 to 10 of them in steps of 3 or of 11."""
    user, place = np.divmod(np.arange(60 * 10), 10)
    item = (user * (user + 1) // 2 + np.where(user % 2, 3, 11) * place) % 40
    taken = place < 5 + user % 6
    return from_rows(user[taken], item[taken], 60, 40, ordered=True)


class Float64(TorchFunctionMode):
    """Where this is on, a function that is given a tensor returns float64 for float32."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        func = Tensor.double if func is Tensor.float else func
        result = func(*args, **(kwargs or {}))
        single = isinstance(result, Tensor) and result.dtype is torch.float32
        return result.double() if single and args and isinstance(args[0], Tensor) else result


@contextmanager
def in_float64() -> Iterator[None]:
    """Have torch compute in float64: new tensors, those of numpy, and where a model asks not to."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with Float64():
            yield
    finally:
        torch.set_default_dtype(before)


@in_float64()
def numbers(case: str) -> Numbers:
    """Return the mean losses of every phase's epoch by name, and some scores after the last."""
    name, given = CASES[case]
    known = [field.name for field in MODELS.entry(name).fields]
    once = {key: 1 for key in known if key.endswith("epochs")}
    params = SMALL | once | OWN.get(name, {}) | given
    model = MODELS.load(name)(**{key: params[key] for key in known if key in params})
    train, progress = toy(), Progress(0, torch.device("cpu"))
    *_, scorer = model.epochs(train, progress)
    curve = {f"{look['phase']} {look['epoch']}": look["losses"] for look in progress.outcome.curve}
    scores = scorer.score(Queries(np.arange(5), train.rows(np.arange(5))))
    assert scores.dtype is torch.float64
    some = {f"user {n}, item {7 * n}": float(scores[n, 7 * n]) for n in (1, 2, 3)}
    return {**curve, "scores": {"deviation": float(scores.std()), **some}}


def apart(found: Numbers, expected: Numbers) -> dict[str, float]:
    """Return how far each number lies from what it should be, relative to its size.

    A score may lie next to zero: its size is at least the scores' standard deviation.
    """
    far = {}
    for part, losses in expected.items():
        least = expected["scores"]["deviation"] if part == "scores" else 0.0
        for name, value in losses.items():
            size = max(abs(value), least) or 1.0
            far[f"{part}: {name}"] = abs(found[part][name] - value) / size
    return far


def draws() -> list[float]:
    """Return some random numbers of torch, of the kinds that differ between its versions."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        some = torch.empty(100, dtype=torch.float64)
        kinds = [some.bernoulli_(0.5).clone(), some.exponential_().clone()]
        kinds.append(torch.nn.init.trunc_normal_(some).clone())
    return [float(f"{float(one.mean()):.10g}") for one in kinds]


DRAWN = [0.53, 1.006549126, 0.06785670624]
"""`draws` of the versions of torch that draw as the one did with which all this was pinned."""


@pytest.mark.parametrize("case", CASES)
def test_an_epochs_losses_and_scores_are_what_they_were(case: str) -> None:
    if draws() != DRAWN:
        pytest.skip(f"torch {torch.__version__} draws other random numbers than those pinned here")
    pinned = json.loads(LOSSES.read_text())
    assert case in pinned, f"nothing is pinned of {case}: {PIN}"
    expected, found = pinned[case], numbers(case)
    names = [{part: [*losses] for part, losses in one.items()} for one in (found, expected)]
    assert names[0] == names[1], CHANGED
    far = {name: by for name, by in apart(found, expected).items() if not by < TOLERANCE}
    assert far == {}, CHANGED


def test_nothing_is_pinned_of_models_that_are_gone() -> None:
    assert json.loads(LOSSES.read_text()).keys() <= CASES.keys(), PIN


def pin() -> None:
    """Write every case's numbers, with ten digits, a case a line."""
    lines = []
    for case in CASES:
        rounded = {
            part: {key: float(f"{value:.10g}") for key, value in found.items()}
            for part, found in numbers(case).items()
        }
        lines.append(f"{json.dumps(case)}: {json.dumps(rounded)}")
    LOSSES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    pin()
