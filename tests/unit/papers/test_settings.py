"""Where a row's settings come from: the nearest part of the table file that says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from builders import Write
from builders.papers import NDCG, row, table, view
from builders.toml import section
from repro.errors import ReproError
from repro.papers import library
from repro.papers.settings import Setting, settings

Stated = Callable[..., dict[str, Setting]]


@pytest.fixture
def stated(write: Write) -> Stated:
    """Return what loads a paper with these sources, and gives the settings of a row by name."""

    def load(
        paper: dict[str, list[str]] | None = None,
        of_row: dict[str, list[str]] | None = None,
        of_view: dict[str, list[str]] | None = None,
        label: str = "EASE",
        model: str = "ease",
        **more: Any,
    ) -> dict[str, Setting]:
        head = section(
            "paper", title="Mine", authors="me", venue="here", url="", sources=paper or {}
        )
        text = head + view(sources=of_view or {}) + table(metrics=NDCG)
        write("tables/mine.toml", text + row(label, model, sources=of_row or {}, **more))
        found = library.load("mine")
        return {one.name: one for one in settings(found, found.entries["1"][0])}

    return load


def said(setting: Setting) -> tuple[list[str], str]:
    return [one.kind for one in setting.sources], setting.stated_in


def test_a_file_that_says_nothing_is_not_accused(stated: Stated) -> None:
    found = stated(params={"l2": 5})
    assert said(found["l2"]) == ([], "")
    assert not found["l2"].open
    assert said(found["dataset"]) == ([], "")


def test_a_default_has_the_source_of_the_model(stated: Stated) -> None:
    assert said(stated()["l2"]) == (["paper"], "model")


def test_the_nearest_part_decides(stated: Stated) -> None:
    far = {"ours": ["l2", "seeds"], "code": ["dataset", "protocol"]}
    near = {"paper 4.1": ["l2"]}
    found = stated(far, near, {"other us": ["protocol.leaked"]}, params={"l2": 5})
    assert said(found["l2"]) == (["paper"], "row")
    assert found["l2"].sources[0].place == "4.1"
    assert said(found["seeds"]) == (["ours"], "paper")
    assert said(found["dataset"]) == (["code"], "paper")
    assert said(found["protocol.leaked"]) == (["other"], "view")
    assert said(found["protocol.holdout_valid"]) == (["code"], "paper")


def test_a_model_or_a_label_comes_before_the_plain_name(stated: Stated) -> None:
    both = {"ours": ["l2"], "code": ["ease.l2"]}
    assert said(stated(both, params={"l2": 5})["l2"]) == (["code"], "paper")
    of_label = both | {"other us": ["EASE.l2"]}
    assert said(stated(of_label, params={"l2": 5})["l2"]) == (["other"], "paper")


def test_the_rule_of_selection_is_not_the_parameter_of_that_name(stated: Stated) -> None:
    found = stated({"ours": ["select"]}, model="se_vae", label="SE")
    rules = [one for one in found.values() if one.name == "select"]
    assert [one.part for one in rules] == ["model"]  # the later one of two, in `found`
    assert said(rules[0]) == (["paper", "paper"], "model")


def test_an_unused_setting_is_no_open_reading(stated: Stated) -> None:
    plain = stated(model="mult_vae", label="VAE")
    assert not plain["cycle_cap"].used
    assert not plain["cycle_cap"].open
    cyclical = stated(model="mult_vae", label="VAE", params={"schedule": "cyclical"})
    assert cyclical["cycle_cap"].open


def test_a_row_of_ours_is_ours(stated: Stated) -> None:
    found = stated(added=True, published=[], params={"l2": 5})
    assert said(found["l2"]) == (["ours"], "row")


@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        ({"hearsay": ["l2"]}, "paper.sources: 'hearsay' is no source of a setting"),
        ({"ours": ["l3"]}, "paper.sources: no setting is called 'l3'"),
        ({"ours": ["ease.l3"]}, "paper.sources: no setting of ease is called 'l3'"),
    ],
)
def test_a_slip_is_one_clear_sentence(
    stated: Stated, sources: dict[str, list[str]], fault: str
) -> None:
    with pytest.raises(ReproError) as error:
        stated(sources)
    assert fault in str(error.value)
