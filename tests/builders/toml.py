"""TOML as the files of papers and manifests write it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence


def toml(value: object) -> str:
    """Return a value in one line."""
    if isinstance(value, Mapping):
        pairs = (
            f"{k if k.isidentifier() else json.dumps(k)} = {toml(v)}" for k, v in value.items()
        )
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def section(name: str, **values: object) -> str:
    """Return a section with its values, line by line; those that are None are left out."""
    lines = (f"{key} = {toml(value)}\n" for key, value in values.items() if value is not None)
    return f"[{name}]\n{''.join(lines)}"
