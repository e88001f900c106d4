"""Plug-ins: found by folder, described without import, in agreement with what is imported."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders import Write
from repro.errors import ReproError
from repro.hyperparameters import resolved
from repro.plugins import MODELS, PROTOCOLS, Catalogue, Plugin

SHIPPED = [
    pytest.param(catalogue, name, id=name)
    for catalogue in (MODELS, PROTOCOLS)
    for name in catalogue.names()
]

PLUGIN = '''
"""Mine: a model of my own."""

from dataclasses import dataclass
from typing import ClassVar, Literal

IMPORTED = []


@dataclass(frozen=True, kw_only=True)
class Mine:
    """Do as I say."""

    size: int
    rate: float = 0.5
    """How fast,
    and why."""
    limit: float | None = None
    hidden_dims: tuple[int, ...] = (8, 4)
    how: Literal["well", "badly"] = "well"
    loud: bool = False
    name: str = "x"

    SMOKE: ClassVar[dict[str, int]] = {"size": 1}

    def twice(self) -> int:
        return 2 * self.size


MODEL = Mine
'''

Own = Callable[..., Catalogue]


@pytest.fixture
def own(write: Write) -> Own:
    """Return what writes a model of one's own and gives the catalogue of models."""

    def load(text: str = PLUGIN, name: str = "mine") -> Catalogue:
        write(f"models/{name}.py", text)
        return Catalogue("models", "MODEL")

    return load


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("catalogue", "name"), SHIPPED)
def test_what_is_read_from_the_source_is_what_the_class_says(
    catalogue: Catalogue, name: str
) -> None:
    entry, loaded = catalogue.entry(name), catalogue.load(name)
    assert inspect.cleandoc(loaded.__doc__ or "") == entry.class_doc
    fields = dataclasses.fields(loaded)
    assert [field.name for field in entry.fields] == [field.name for field in fields]
    for read, field in zip(entry.fields, fields, strict=True):
        assert read.required == (field.default is dataclasses.MISSING)
        assert read.required or read.default == field.default
    assert entry.smoke == getattr(loaded, "SMOKE", {})


@pytest.mark.parametrize(("catalogue", "name"), SHIPPED)
def test_every_default_has_the_type_that_its_field_says(catalogue: Catalogue, name: str) -> None:
    entry = catalogue.entry(name)
    given = {field.name: plain(field.default) for field in entry.fields if not field.required}
    assert {k: plain(v) for k, v in entry.complete(given, "here").items()} == given


@pytest.mark.parametrize(("catalogue", "name"), SHIPPED)
def test_every_plugin_says_what_it_is(catalogue: Catalogue, name: str) -> None:
    entry = catalogue.entry(name)
    assert entry.doc
    assert entry.class_doc


@pytest.mark.parametrize(("catalogue", "name"), SHIPPED)
def test_every_hyper_parameter_says_what_it_is(catalogue: Catalogue, name: str) -> None:
    assert not [field.name for field in catalogue.entry(name).fields if not field.doc]


def sourced(sources: str) -> str:
    return PLUGIN.replace("and why.", f"and why. {sources}")


def test_the_brackets_at_the_end_of_a_field_are_its_sources(own: Own) -> None:
    text = sourced("[paper 4.3; not code; if size]")
    rate = own(text).entry("mine").fields[1]
    assert rate.doc == "How fast, and why."
    assert [(one.kind, one.place, one.disagrees) for one in rate.sources.stated] == [
        ("paper", "4.3", False),
        ("code", "", True),
    ]
    assert rate.sources.open
    assert rate.sources.used_if is not None
    assert rate.sources.used_if.holds({"size": 2})
    assert not rate.sources.used_if.holds({"size": 0})


def test_other_brackets_are_no_sources(own: Own) -> None:
    rate = own(sourced("[0, 1]")).entry("mine").fields[1]
    assert rate.doc == "How fast, and why. [0, 1]"
    assert not rate.sources.stated


def test_a_slip_in_a_source_names_the_line(own: Own) -> None:
    with pytest.raises(ReproError, match=r"mine\.py, line \d+: rate: 'papers 4' is no source"):
        own(sourced("[ours; papers 4]")).entry("mine")


def entry_of(own: Own) -> Plugin:
    return own().entry("mine")


def test_a_plugin_of_ones_own_stands_beside_ours(own: Own) -> None:
    catalogue = own()
    assert {"mine", "ease"} <= set(catalogue.names())
    assert catalogue.load("mine")(size=3).twice() == 6


def test_a_description_needs_no_import(own: Own) -> None:
    entry = own(PLUGIN + "\nraise RuntimeError\n", "stubborn").entry("stubborn")
    assert entry.class_doc == "Do as I say."
    assert [field.name for field in entry.fields][:2] == ["size", "rate"]
    assert entry.fields[1].doc == "How fast, and why."
    assert entry.smoke == {"size": 1}
    assert "repro.models.stubborn" not in sys.modules


def test_ours_wins_over_one_of_the_same_name(own: Own) -> None:
    assert own(name="ease").load("ease").__name__ == "EASE"


def test_a_file_that_begins_with_an_underscore_is_no_plugin(own: Own) -> None:
    assert "_helper" not in own(name="_helper").names()


def test_a_changed_file_is_read_again(own: Own) -> None:
    assert own(PLUGIN, "changing").entry("changing").fields[1].default == 0.5
    entry = own(PLUGIN.replace("0.5", "0.25"), "changing").entry("changing")
    os.utime(entry.path, ns=(0, 0))  # as if it had been written at another time
    assert MODELS.entry("changing").fields[1].default == 0.25


def test_what_is_not_given_is_the_default(own: Own) -> None:
    assert entry_of(own).complete({"size": 3}, "here") == {
        "size": 3,
        "rate": 0.5,
        "limit": None,
        "hidden_dims": [8, 4],
        "how": "well",
        "loud": False,
        "name": "x",
    }


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"rate": 1}, 1.0),
        ({"limit": 2}, 2.0),
        ({"limit": None}, None),
        ({"hidden_dims": [1, 2, 3]}, [1, 2, 3]),
        ({"hidden_dims": (1,)}, [1]),
        ({"how": "badly"}, "badly"),
        ({"loud": True}, True),
        ({"name": "y"}, "y"),
    ],
)
def test_a_value_that_fits_is_kept_in_its_one_form(
    own: Own, given: dict[str, Any], kept: Any
) -> None:
    (name,) = given
    value = entry_of(own).complete({"size": 3, **given}, "here")[name]
    assert value == kept
    assert type(value) is type(kept)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 1.0),
        ("size", True),
        ("size", "1"),
        ("size", None),
        ("rate", "fast"),
        ("rate", float("inf")),
        ("limit", float("nan")),
        ("rate", True),
        ("rate", None),
        ("hidden_dims", 8),
        ("how", "so so"),
        ("loud", 1),
        ("name", 1),
    ],
)
def test_a_value_of_another_type_is_an_error(own: Own, name: str, value: Any) -> None:
    with pytest.raises(ReproError, match=rf"row 1: {name} of mine must be .*, got "):
        entry_of(own).complete({"size": 3, name: value}, "row 1")


@pytest.mark.parametrize(
    ("model", "name", "value", "said"),
    [
        ("mult_vae", "dropout", 1.0, "at least 0 and below 1"),
        ("mvae", "mask_share", 1.5, "from 0 to 1"),
        ("bert4rec", "mask_rate", -0.1, "from 0 to 1"),
        ("mult_vae", "batch_size", 0, "at least 1"),
        ("mult_vae", "hidden_dims", [600, 0], "at least 1"),
        ("mult_vae", "hidden_dims", [], "at least one number"),
        ("cfgan", "discriminator_hidden_dims", [], "at least one number"),
        ("mult_vae", "n_epochs", -1, "at least 0"),
        ("acvae", "g_learning_rate", -1.0, "at least 0"),
        ("ease", "l2", -1, "at least 0"),
        ("acvae", "alpha", -1.0, "at least 0"),
        ("acvae", "filter_height", 0, "at least 1"),
        ("se_vae", "temperature", 0, "above 0"),
        ("recvae", "prior_weights", [0.9, 0.0, 0.1], "above 0"),
        ("avb", "adam_beta1", 1.0, "at least 0 and below 1"),
        ("acvae", "encoder", "rnn", "'cnn' or 'fc'"),
    ],
)
def test_a_number_out_of_its_range_is_an_error(
    model: str, name: str, value: Any, said: str
) -> None:
    entry = MODELS.entry(model)
    with pytest.raises(ReproError, match=rf"row 1: {name} of {model} must be {said}, got "):
        entry.complete({name: value}, "row 1")


@pytest.mark.parametrize(
    ("model", "name"), [("avb", "decoder_dims"), ("dave", "decoder_hidden_dims")]
)
def test_a_model_may_do_without_some_hidden_layers(model: str, name: str) -> None:
    assert MODELS.entry(model).complete({name: []}, "row 1")[name] == []


@pytest.mark.parametrize(("catalogue", "name"), SHIPPED)
def test_every_default_is_in_its_range(catalogue: Catalogue, name: str) -> None:
    entry = catalogue.entry(name)
    required = {field.name: 1 for field in entry.fields if field.required}
    entry.complete({**entry.defaults(), **required}, "defaults")


def test_a_name_without_a_range_takes_every_number(own: Own) -> None:
    assert entry_of(own).complete({"size": -3, "rate": -1}, "here")["rate"] == -1


def test_an_unknown_parameter_is_an_error_with_a_suggestion(own: Own) -> None:
    message = r"(?s)row 1: no parameter of mine is called 'hiden_dims'.*did you mean hidden_dims\?"
    with pytest.raises(ReproError, match=message):
        entry_of(own).complete({"size": 3, "hiden_dims": [1]}, "row 1")


def test_a_parameter_without_default_must_be_given(own: Own) -> None:
    with pytest.raises(ReproError, match="row 1: mine needs size"):
        entry_of(own).complete({}, "row 1")


def test_an_unknown_plugin_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ReproError, match=r"(?s)no model is called 'multvae'.*mean mult_vae\?"):
        MODELS.entry("multvae")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLUGIN.replace("MODEL = Mine", ""), r"(?s)does not name its class.*MODEL = <class>"),
        (PLUGIN.replace("MODEL = Mine", "MODEL = Other"), "does not name its class"),
        (PLUGIN.replace("= 0.5", "= 1 / 2"), r"line \d+: the default of rate is not a literal"),
        (PLUGIN.replace("class Mine:", "class Mine"), r"faulty\.py, line \d+"),
    ],
)
def test_a_file_that_cannot_be_a_plugin_is_an_error(own: Own, text: str, said: str) -> None:
    with pytest.raises(ReproError, match=said):
        own(text, "faulty").entry("faulty")


def test_a_file_that_is_no_text_is_named(own: Own, own_folders: Path) -> None:
    catalogue = own()
    (own_folders / "user" / "models" / "mine.py").write_bytes(b"# caf\xe9\n" + PLUGIN.encode())
    with pytest.raises(ReproError, match=r"mine\.py cannot be read: 'utf-8' codec can't decode"):
        catalogue.entry("mine")


def test_a_class_that_inherits_hyper_parameters_is_refused(own: Own) -> None:
    text = PLUGIN.replace("class Mine:", "class Mine(EASE):")
    with pytest.raises(ReproError, match=r"mine\.py, line \d+: Mine inherits from EASE"):
        own(text).entry("mine")


@pytest.mark.parametrize(
    ("annotation", "plain", "least"),
    [
        ("Count | None", "int | None", 1),
        ("tuple[Count, ...]", "tuple[int, ...]", 1),
        ("hp.Count", "int", 1),
        ("Layers", "tuple[int, ...]", 1),
        ("int", "int", None),
        ("Literal['Share', 'other']", "Literal['Share', 'other']", None),
    ],
)
def test_the_name_of_a_range_is_a_type_with_a_range(
    annotation: str, plain: str, least: int | None
) -> None:
    text, limits = resolved(annotation)
    assert text == plain
    assert (limits.least if limits else None) == least
