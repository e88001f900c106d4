"""Every setting of every shipped row and model says where it comes from."""

from __future__ import annotations

import pytest

from repro.papers import library
from repro.papers.settings import settings
from repro.plugins import MODELS

PAPERS = [paper for paper in library.papers() if paper != "toy"]


@pytest.mark.parametrize("model", MODELS.names())
def test_every_default_of_a_model_has_a_source(model: str) -> None:
    fields = MODELS.entry(model).fields
    assert not [field.name for field in fields if not field.sources.stated]
    names = {field.name for field in fields}
    conditions = [one for field in fields if (one := field.sources.used_if)]
    assert not [one for one in conditions if one.name not in names]
    for one in conditions:
        choices = next(field for field in fields if field.name == one.name).choices()
        assert set(one.values) <= {str(choice).lower() for choice in choices}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_setting_of_a_row_has_a_source(paper: str) -> None:
    found = library.load(paper)
    missing = {
        f"table {number}, {entry.row}, {entry.group}: {one.name}"
        for number, table in found.tables.items()
        if table.kind == "results"
        for entry in found.entries[number]
        for one in settings(found, entry)
        if not one.sources
    }
    assert not missing
