"""Read a TOML file, check it against a schema, and report all its faults at once."""

import difflib
import tomllib
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from repro.errors import ReproError

Document = TypeVar("Document", bound=BaseModel)


class Strict(BaseModel):
    """Part of a file; an unknown key in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def read(path: Path, schema: type[Document]) -> Document:
    """Return the checked content of a TOML file.

    Raises
    ------
    ReproError
        If it has faults: names the file, the key of each fault, and the nearest known key for an
        unknown one.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ReproError(f"{path}: not a TOML file: {error}") from error
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        faults = [_fault(schema, dict(fault)) for fault in error.errors()]
        raise faulty(path, faults) from error


def faulty(path: Path, faults: list[str]) -> ReproError:
    """Return the one error that lists all faults of a file."""
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return ReproError(f"{path}: {count}", "\n  ".join(faults))


def _fault(schema: type[BaseModel], fault: dict[str, Any]) -> str:
    *parents, last = fault["loc"] or ("",)
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = _keys_at(schema, parents)
        near = difflib.get_close_matches(str(last), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
        return f"{where}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{where}: missing"
    if fault["type"] == "value_error":
        return f"{where}: {fault['ctx']['error']}"
    return f"{where}: {fault['msg']}, got {fault['input']!r}"


def _keys_at(schema: Any, loc: list[Any]) -> list[str]:
    """Return the keys that the schema knows at a place in the file."""
    for part in loc:
        schema = _unwrapped(schema)
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            field = schema.model_fields.get(str(part))
            if field is None:
                return []
            schema = field.annotation
        else:
            schema = get_args(schema)[-1] if get_args(schema) else None
    schema = _unwrapped(schema)
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return list(schema.model_fields)
    return []


def _unwrapped(schema: Any) -> Any:
    """Return the type inside an optional one."""
    if get_origin(schema) in (Union, UnionType):
        options = [option for option in get_args(schema) if option is not type(None)]
        return options[0] if options else None
    return schema
