"""The two formats of files of one's own, as a reference in Markdown and as JSON schemas.

Both are made from the schemas that check the files, so they say what is accepted.
"""

from __future__ import annotations

import inspect
import json
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from repro.data.schema import Counts, ManifestFile
from repro.data.steps import STEPS
from repro.papers.schema import PaperFile
from repro.report.json_forms import docs_of, types_in, words
from repro.text import in_cell

FORMATS: dict[str, type[BaseModel]] = {"paper": PaperFile, "dataset": ManifestFile}
"""The schema of each kind of file, as `repro new` names it."""


def markdown(kind: str) -> str:
    """Return the sections and keys of a kind of file: type, default, meaning."""
    parts = [_section(one) for one in types_in(FORMATS[kind])]
    return "\n".join([*parts, *([_steps()] if kind == "dataset" else [])])


def _section(kind: Any) -> str:
    said = (inspect.getdoc(kind) or "").partition("\n")[0]
    lines = [f"### {kind.__name__}\n", f"{said}\n", "| key | value | default | meaning |"]
    lines.append("|:--|:--|:--|:--|")
    docs, hints = docs_of(kind), get_type_hints(kind)
    for name, field in keys(kind).items():
        default = "needed" if field.is_required() else _default(field.get_default())
        meaning = docs.get(name, "").replace("``", "`").replace("|", "\\|")
        of = words(hints[name]).replace("object of", "table of").replace("string", "text")
        lines.append(f"| `{name}` | {of.removesuffix(' or null')} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def keys(kind: Any) -> dict[str, Any]:
    """Return the fields of a section by key."""
    return dict(kind.model_fields)


def _default(value: Any) -> str:
    """Return a default as the file would have it; nothing for what is empty."""
    if value is None or value in ("", [], {}) or isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value)}`"


def _steps() -> str:
    """Return the steps of a view, with their arguments."""
    lines = ["### Steps\n", "One of these in each entry of `steps`, and `expect` beside it.\n"]
    lines += ["| step | argument | what it does |", "|:--|:--|:--|"]
    for name, step in STEPS.items():
        of = list(get_type_hints(step).values())[1]
        said = (inspect.getdoc(step) or "").partition("\n\n")[0]
        lines.append(f"| `{name}` | {_argument(of)} | {in_cell(' '.join(said.split()))} |")
    return "\n".join(lines) + "\n"


def _argument(of: Any) -> str:
    return 'date, as in `"2018-01-01"`' if of is str else words(of)


def json_schema(kind: str) -> str:
    """Return the JSON schema of a kind of file, with the meaning of each key, for editors."""
    made = FORMATS[kind].model_json_schema()
    made |= {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    for one in types_in(FORMATS[kind]):
        there = made if one is FORMATS[kind] else made["$defs"][one.__name__]
        for name, meaning in docs_of(one).items():
            if name in there.get("properties", {}):
                there["properties"][name]["description"] = meaning
    if kind == "dataset":
        made["$defs"]["Counts"] = Counts.model_json_schema()
        steps = {name: _step_schema(step) for name, step in STEPS.items()}
        entry = {
            "type": "object",
            "properties": steps | {"expect": {"$ref": "#/$defs/Counts"}},
            "additionalProperties": False,
        }
        made["$defs"]["View"]["properties"]["steps"]["items"] = entry
        made["$defs"]["View"]["properties"]["variants"]["additionalProperties"]["items"] = entry
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _step_schema(step: Any) -> dict[str, Any]:
    of = list(get_type_hints(step).values())[1]
    said = {"description": (inspect.getdoc(step) or "").partition("\n")[0]}
    if get_origin(of) is Literal:
        return said | {"enum": list(get_args(of))}
    if of is str:
        return said | {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
    return said | ({"type": "integer", "minimum": 1} if of is int else {"type": "number"})
