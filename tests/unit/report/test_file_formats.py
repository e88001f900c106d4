"""The reference of the two file formats, and the schemas for editors: they say what is accepted."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from builders.manifests import box
from builders.papers import paper, row, table, view
from repro import paths
from repro.data.steps import STEPS
from repro.report import file_formats
from repro.report.json_forms import docs_of, types_in

SHIPPED = [
    *(pytest.param("paper", path, id=path.stem) for path in paths.files("tables").values()),
    *(pytest.param("dataset", p, id=p.stem) for p in paths.files("data_manifests").values()),
]


def faults(kind: str, text: str) -> list[str]:
    schema: dict[str, Any] = json.loads(file_formats.json_schema(kind))
    return [one.message for one in Draft202012Validator(schema).iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize(("kind", "path"), SHIPPED)
def test_a_schema_for_editors_accepts_every_shipped_file(kind: str, path: Path) -> None:
    assert faults(kind, path.read_text(encoding="utf-8")) == []


PAPER = paper(view(), table(), row("POP", "popularity"))
BOX = box(steps=[{"core": 5}, {"order": "time"}, {"since": "2018-01-01"}])


@pytest.mark.parametrize(
    ("kind", "text", "old", "new"),
    [
        ("paper", PAPER, "caption", "capton"),
        ("paper", PAPER, '["0.5"]', "[0.5]"),
        ("paper", PAPER, 'caption = "Numbers"', ""),
        ("dataset", BOX, "core = 5", 'core = "5"'),
        ("dataset", BOX, "core", "cor"),
        ("dataset", BOX, '"time"', '"newest"'),
        ("dataset", BOX, "2018-01-01", "1.1.2018"),
        ("dataset", BOX, "license", "licence"),
    ],
)
def test_a_schema_for_editors_refuses_what_the_reader_refuses(
    kind: str, text: str, old: str, new: str
) -> None:
    assert old in text
    assert faults(kind, text) == []
    assert faults(kind, text.replace(old, new, 1))


@pytest.mark.parametrize("kind", file_formats.FORMATS)
def test_every_key_has_a_meaning_in_reference_and_schema(kind: str) -> None:
    page, schema = file_formats.markdown(kind), file_formats.json_schema(kind)
    for one in types_in(file_formats.FORMATS[kind]):
        assert f"### {one.__name__}" in page
        docs = docs_of(one)
        for name in file_formats.keys(one):
            assert docs.get(name), f"{one.__name__}.{name} has no docstring"
            assert f"| `{name}` |" in page
            assert f'"{name}": ' in schema


def test_the_reference_has_every_step_with_its_argument() -> None:
    page = file_formats.markdown("dataset")
    for step in STEPS:
        assert f"| `{step}` | " in page
    assert '`"first"` or `"last"`' in page
