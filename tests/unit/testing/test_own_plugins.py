"""What `repro.testing` takes: instances, classes, and the names of plug-ins of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from builders import Write
from repro.errors import ReproError
from repro.protocols.leave_one_out import LeaveOneOut
from repro.testing import check_model, check_protocol, quick_model, quick_protocol


@dataclass(frozen=True, kw_only=True)
class Sized:
    size: int
    latent_dim: int = 200
    n_epochs: int = 100

    SMOKE: ClassVar[dict[str, int]] = {"size": 3, "latent_dim": 2}


@dataclass(frozen=True)
class Sizeless:
    size: int


def test_a_class_gets_small_hyper_parameters_where_ours_have_them() -> None:
    assert quick_model(Sized) == Sized(size=3, latent_dim=16, n_epochs=10)
    assert quick_model(Sized, size=1, n_epochs=5) == Sized(size=1, latent_dim=16, n_epochs=5)


def test_a_class_without_a_default_cannot_be_checked_as_such() -> None:
    with pytest.raises(ReproError, match=r"(?s)Sizeless has no default for size.*an instance"):
        check_model(Sizeless)


def test_a_protocol_is_as_in_a_smoke_run() -> None:
    assert quick_protocol("strong_generalization").heldout_users == 40
    assert quick_protocol(LeaveOneOut, negatives=5) == LeaveOneOut(negatives=5)


OWN_MODEL = '''
"""Mine: items that occur together."""

from dataclasses import dataclass

import torch

from repro.nn.scoring import picked


@dataclass(frozen=True, kw_only=True)
class Mine:
    """Count how often two items have a user in common."""

    def epochs(self, train, run):
        x = torch.from_numpy(train.matrix().toarray())
        yield Counts(x.T @ x)


class Counts:
    def __init__(self, counts):
        self.counts = counts

    def score(self, queries):
        x = torch.from_numpy(queries.history.matrix().toarray())
        return picked(x @ self.counts, queries)


MODEL = Mine
'''

OWN_PROTOCOL = '''
"""Mine: a random split."""

from dataclasses import dataclass

from repro.protocols.random_split import RandomSplit


@dataclass(frozen=True, kw_only=True)
class Mine:
    """Hold out a third."""

    def split(self, dataset):
        return RandomSplit(test_share=0.33).split(dataset)


PROTOCOL = Mine
'''


def test_a_good_plugin_of_ones_own_passes_by_name(write: Write) -> None:
    write("models/mine.py", OWN_MODEL)
    write("protocols/mine.py", OWN_PROTOCOL)
    check_model("mine")
    check_protocol("mine")
    with pytest.raises(ReproError, match=r"(?s)no model is called 'mime'.*mean mine\?"):
        check_model("mime")
