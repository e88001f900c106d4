"""An experiment and its id: all that can change a number changes it, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from repro.errors import ReproError
from repro.experiment import (
    Experiment,
    Selection,
    Spec,
    canonical,
    model_spec,
    protocol_spec,
)
from repro.plugins import MODELS, PROTOCOLS

EASE = Experiment(
    dataset="toy/split",
    protocol=protocol_spec({"name": "given_split"}, "here"),
    model=model_spec("ease", {"l2": 500.0}, "here"),
)
DIGEST = "0" * 64


def completed(content: dict[str, Any]) -> dict[str, Any]:
    """Return a record's experiment as it is read back."""
    return Experiment.from_json(content).as_json()


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset": "toy/ratings"},
        {"protocol": protocol_spec({"name": "random_split"}, "here")},
        {"protocol": protocol_spec({"name": "given_split", "leaked": "drop"}, "here")},
        {"model": model_spec("popularity", {}, "here")},
        {"model": model_spec("ease", {"l2": 400.0}, "here")},
        {"select": "valid:ndcg@100"},
        {"every": 2},
        {"patience": 5},
        {"seed": 1},
        {"smoke": True},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_id_changes_with_every_field(changed: dict[str, Any]) -> None:
    assert replace(EASE, **changed).id(DIGEST) != EASE.id(DIGEST)


def test_no_field_is_left_out_of_the_id() -> None:
    names = {field.name for field in fields(EASE)}
    later: dict[str, Any] = {"patience_from": 100, "external": "Mine"}
    assert replace(EASE, **later).as_json().keys() == names
    assert EASE.as_json().keys() == names - later.keys()  # ids from before them stay
    for name, value in later.items():
        assert replace(EASE, **{name: value}).id(DIGEST) != EASE.id(DIGEST)


def test_the_id_changes_with_the_data() -> None:
    assert EASE.id("1" + DIGEST[1:]) != EASE.id(DIGEST)


def test_the_id_is_twelve_digits_and_the_same_in_every_process() -> None:
    assert EASE.id(DIGEST) == EASE.id(DIGEST)
    assert len(EASE.id(DIGEST)) == 12
    assert int(EASE.id(DIGEST), 16)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("ease", {}),
        ("ease", {"l2": 500}),
        ("mult_vae", {}),
        ("mult_vae", {"dropout": 0.5, "hidden_dims": [600]}),
        ("mult_vae", {"hidden_dims": (600,), "beta": 0.2}),
    ],
)
def test_how_a_value_is_written_does_not_change_the_id(name: str, given: dict[str, Any]) -> None:
    plain = replace(EASE, model=model_spec(name, {}, "here"))
    assert replace(EASE, model=model_spec(name, given, "here")).id(DIGEST) == plain.id(DIGEST)


def test_the_order_of_parameters_does_not_change_the_id() -> None:
    backwards = Spec("bpr", dict(sorted(model_spec("bpr", {}, "here").params.items())[::-1]))
    forwards = replace(EASE, model=model_spec("bpr", {}, "here"))
    assert replace(EASE, model=backwards).id(DIGEST) == forwards.id(DIGEST)


def test_an_experiment_survives_json() -> None:
    assert json.loads(EASE.key()) == EASE.as_json()
    assert canonical(json.loads(EASE.key())) == EASE.key()


@pytest.mark.parametrize("select", ["last", "test:each", "valid:ndcg@100", "test:hit_rate@5"])
def test_a_selection_rule_is_kept(select: str) -> None:
    assert Selection.of(select, "here").each is (select == "test:each")


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("lst", r"here: no selection rule is called 'lst'\n  did you mean last\?"),
        ("valid", "no selection rule"),
        ("train:ndcg@10", "no selection rule"),
        ("valid:ndgc@10", r"here: no metric is called 'ndgc'\n  did you mean ndcg\?"),
        ("valid:ndcg", "metric 'ndcg' has no cut-off"),
        ("test:ndcg@0", "metric 'ndcg@0' has no cut-off"),
    ],
)
def test_another_selection_rule_is_an_error(select: str, said: str) -> None:
    with pytest.raises(ReproError, match=said):
        Selection.of(select, "here")


@pytest.mark.parametrize("given", [{}, {"name": 3}, {"leaked": "keep"}])
def test_a_protocol_needs_a_name(given: dict[str, Any]) -> None:
    with pytest.raises(ReproError, match="here: a protocol needs a name"):
        protocol_spec(given, "here")


def test_a_title_tells_every_parameter() -> None:
    assert EASE.model.title() == "ease(l2=500.0)"


@pytest.mark.parametrize("name", MODELS.names())
def test_a_smoke_run_has_two_epochs_of_each_phase_and_is_no_real_run(name: str) -> None:
    real = replace(EASE, model=model_spec(name, {}, "here"))
    smoked = real.smoked()
    assert smoked.smoke
    assert smoked.dataset.startswith("toy/")
    assert smoked.id(DIGEST) != real.id(DIGEST)
    for parameter, value in smoked.model.params.items():
        before = real.model.params[parameter]
        assert value == (min(before, 2) if parameter.endswith("epochs") else before)


@pytest.mark.parametrize("name", PROTOCOLS.names())
def test_a_smoke_run_of_every_protocol_has_a_view_and_known_parameters(name: str) -> None:
    protocol = protocol_spec({"name": name}, "here")
    smoked = replace(EASE, protocol=protocol).smoked()
    assert smoked.dataset in ("toy/ratings", "toy/split", "toy/leave_one_out")
    assert smoked.protocol.params.keys() == protocol.params.keys()
    PROTOCOLS.entry(name).complete(smoked.protocol.params, "here")


def test_an_older_experiment_gets_the_parameters_that_its_protocol_has_had_since() -> None:
    full = EASE.as_json()
    older = full | {"protocol": {"name": "given_split", "params": {"leaked": "keep"}}}
    assert completed(older) == full
    oldest = full | {"protocol": {"name": "given_split", "params": {}}}
    assert completed(oldest) == full
    assert oldest["protocol"] == {"name": "given_split", "params": {}}  # what was given stays


@pytest.mark.parametrize("name", PROTOCOLS.names())
def test_every_protocol_can_be_completed_from_nothing_but_its_name(name: str) -> None:
    full = replace(EASE, protocol=protocol_spec({"name": name}, "here")).as_json()
    assert completed(full | {"protocol": {"name": name, "params": {}}}) == full


def test_what_an_older_experiment_says_of_its_protocol_stands() -> None:
    older = EASE.as_json() | {"protocol": {"name": "given_split", "params": {"leaked": "drop"}}}
    dropped = protocol_spec({"name": "given_split", "leaked": "drop"}, "here")
    assert completed(older) == replace(EASE, protocol=dropped).as_json()


def test_an_experiment_with_plug_ins_that_are_gone_stays_as_it_is() -> None:
    gone = EASE.as_json() | {
        "protocol": {"name": "of_the_past", "params": {"k": 1}},
        "model": {"name": "forgotten", "params": {}},
    }
    assert completed(gone) == gone
