"""Whatever value stands where in a file of one's own: the fault is told in our words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from repro.data.schema import ManifestFile
from repro.papers.schema import PaperFile
from repro.strict_toml import faults_in

PYDANTIC = re.compile(
    r"Input should|[Vv]alid (dictionary|string|list|integer|number)|instance of|should (have|match)"
    r"|Extra inputs|Field required|Value error|NoneType|type=|validation error|RowAt|\.str\b"
)
PAPER: dict[str, Any] = {
    "paper": {"title": "T", "authors": "A", "venue": "V", "url": "", "notes": ["n"]},
    "views": {
        "v": {
            "label": "V",
            "dataset": "toy/split",
            "protocol": {"name": "given_split"},
            "params": {"ease": {"l2": 1.0}},
            "cases": {"users": 3, "source": "s"},
        }
    },
    "tables": {
        "1": {
            "caption": "C",
            "groups": ["v"],
            "metrics": {"N": "ndcg@10"},
            "seeds": [0],
            "tolerance": [{"within": "0.1", "source": "s"}],
            "bold_among": "column",
            "rows": [
                {"label": "R", "model": "ease", "at": {"v": {"published": ["0.1"], "bold": ["N"]}}}
            ],
        }
    },
    "figures": {
        "1": {
            "caption": "C",
            "kind": "sweep",
            "groups": ["v"],
            "metrics": {"N": "ndcg@10"},
            "x": {"label": "x", "param": "l2", "values": [1, 2.5]},
            "lines": [{"label": "L", "model": "ease", "at": {"v": {}}}],
        }
    },
    "claims": [
        {
            "id": "a",
            "section": "1",
            "says": "s",
            "kind": "above",
            "tables": ["1"],
            "rows": ["R", {"row": "R", "table": "1"}],
            "pairs": [["R", {"row": "R"}]],
            "x": [1, 2.0],
            "ranks": [1, 1],
        }
    ],
}
MANIFEST: dict[str, Any] = {
    "archive": {"title": "T", "license": "L", "source": "S", "url": "http://x/y.zip", "bytes": 3},
    "members": {"a.csv": {"path": "a/b.csv", "confirmed": True}},
    "read": {"rows": {"member": "a.csv", "columns": ["user", "item"], "header": True}},
    "views": {
        "all": {
            "source": "s",
            "steps": [{"core": 5, "expect": {"users": 3}}],
            "variants": {"x": [{"core": 2}]},
            "expect": {"users": 5, "parts": {"rows": 9}},
        }
    },
    "generate": {"users": 5, "items": 20, "clusters": 2, "per_user": 6, "seed": 1},
}
VALUES = st.one_of(
    st.integers(-3, 3), st.booleans(), st.floats(), st.text(max_size=3), st.just([]),
    st.just({}), st.lists(st.integers(), max_size=2), st.just({"rw": 1}), st.just([{"row": 1}]),
)  # fmt: skip


def places(content: Any) -> list[tuple[Any, Any]]:
    """Return every container with a key of it."""
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    found = [(content, key) for key in keys]
    inside = [content[key] for key in keys if isinstance(content[key], dict | list)]
    return found + [place for one in inside for place in places(one)]


def copied(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: copied(value) for key, value in content.items()}
    return [copied(value) for value in content] if isinstance(content, list) else content


@pytest.mark.parametrize(("schema", "content"), [(PaperFile, PAPER), (ManifestFile, MANIFEST)])
def test_the_files_that_are_changed_below_have_no_faults(
    schema: type[BaseModel], content: Any
) -> None:
    schema.model_validate(content)


@pytest.mark.parametrize(("schema", "content"), [(PaperFile, PAPER), (ManifestFile, MANIFEST)])
@settings(max_examples=300)
@given(data=st.data())
def test_a_fault_is_told_in_our_words_at_its_place(
    schema: type[BaseModel], content: Any, data: st.DataObject
) -> None:
    changed = copied(content)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(changed)))
        if isinstance(container, dict) and data.draw(st.booleans()):
            container[data.draw(st.sampled_from(["rw", "x", "titel"]))] = copied(data.draw(VALUES))
        else:
            container[key] = copied(data.draw(VALUES))
    try:
        schema.model_validate(changed)
    except ValidationError as error:
        faults = faults_in(schema, changed, error)
        assert faults
        assert len(faults) == len(set(faults))
        for fault in faults:
            told = re.sub(r", got .*", "", fault, flags=re.DOTALL)
            assert not PYDANTIC.search(told), fault
            assert "of another form" not in told, fault
            place = fault.partition(": ")[0].split(".")
            _is_a_place(changed, place, fault)


def _is_a_place(content: Any, place: list[str], fault: str) -> None:
    """Require that a place leads through the file; the last part may be what is missing."""
    while place:
        if isinstance(content, list):
            content, place = content[int(place[0])], place[1:]
            continue
        assert isinstance(content, dict), fault
        for length in range(len(place), 0, -1):  # a key may hold dots: "a.csv"
            key = ".".join(place[:length])
            if key in content:
                content, place = content[key], place[length:]
                break
        else:
            assert len(place) == 1, fault
            assert fault.endswith(": missing"), fault
            return


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": [1]}, "claims.0.rows.0: must be a text in quotes or a table of keys and values"),
        ({"rows": [{"rw": "R"}]}, "claims.0.rows.0.rw: unknown key; did you mean row?"),
        ({"rows": [{"row": 1}]}, "claims.0.rows.0.row: must be a text in quotes, got 1"),
        ({"pairs": [["R"]]}, "claims.0.pairs.0: must be 2 entries or more"),
        ({"x": ["a"]}, 'claims.0.x.0: must be a number, got "a"'),
    ],
)
def test_where_a_value_has_several_forms_all_are_told(change: dict[str, Any], said: str) -> None:
    changed = copied(PAPER)
    changed["claims"][0] |= change
    with pytest.raises(ValidationError) as caught:
        PaperFile.model_validate(changed)
    assert any(one.startswith(said) for one in faults_in(PaperFile, changed, caught.value))
