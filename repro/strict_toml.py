"""Read a TOML file, check it against a schema, and report all its faults at once."""

import difflib
import re
import tomllib
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from repro import paths
from repro.errors import DamagedError, ReproError
from repro.files import finite, reading, text

MOST_CHARACTERS = 1 << 20
"""Of a file; the largest of ours has 60,000."""
MOST_PARTS = 16
"""Of a dotted key, which tomllib reads in a time that grows with their square; ours have five."""

Document = TypeVar("Document", bound=BaseModel)
Content = TypeVar("Content")


def _name(text: str) -> str:
    if not paths.is_name(text):
        raise ValueError(f"{text[:100]!r} cannot be a file's name; allowed: {paths.NAME_WORDS}")
    return text


def _inside(text: str) -> str:
    if not paths.is_inside(text):
        raise ValueError(
            f"{text[:100]!r} is not the path of a file inside a folder; allowed: names, with '/' "
            f"between them; in a name, {paths.NAME_WORDS}"
        )
    return text


Name = Annotated[str, AfterValidator(_name)]
"""A name that becomes a part of a path."""

Inside = Annotated[str, AfterValidator(_inside)]
"""The path of a file below a folder."""


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
    if not paths.is_name(path.stem):
        raise ReproError(f"{path}: rename it; in its name only {paths.NAME_WORDS} are allowed")
    with reading(f"{path}: not a TOML file"):
        content = parsed(text(path, MOST_CHARACTERS + 1))
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        faults = [_fault(schema, dict(fault)) for fault in error.errors()]
        raise faulty(path, faults) from error


def parsed(toml: str) -> dict[str, Any]:
    """Return the content of a text in TOML; ValueError or RecursionError if it is none."""
    if len(toml) > MOST_CHARACTERS:
        raise ValueError(f"it has more than {MOST_CHARACTERS:,} characters")
    if found := _LONG_KEY.search(toml):
        line = toml.count("\n", 0, found.start()) + 1
        raise ValueError(f"a key has more than {MOST_PARTS} parts (at line {line})")
    content = tomllib.loads(toml, parse_float=finite)
    left: list[tuple[Any, int]] = [(content, 0)]
    while left:
        one, depth = left.pop()
        if depth > MOST_PARTS * 4:
            raise RecursionError
        if isinstance(one, dict | list):
            inside = one.values() if isinstance(one, dict) else one
            left += [(value, depth + 1) for value in inside]
        elif isinstance(one, int) and not -(2**63) <= one < 2**63:
            raise ValueError("an integer has more than 64 bits")
    return content


_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(
    rf"(?:^|[\[{{,])[ \t]*+{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_PARTS}}}", re.MULTILINE
)
"""A key where one can stand: at the beginning of a line, or in an inline table."""


def checked(content: Any, kind: TypeAdapter[Content], failure: str, hint: str = "") -> Content:
    """Return what a file of our own holds, JSON for example, if it has the form that it must have.

    Raises
    ------
    DamagedError
        If not: the text in `failure`, then the first fault.
    """
    try:
        return kind.validate_python(content)
    except ValidationError as error:
        fault = error.errors()[0]
        where = "".join(f"{part}: " for part in fault["loc"] if part != "[key]")
        raise DamagedError(f"{failure}: {where}{fault['msg']}", hint) from error


def faulty(path: Path, faults: list[str]) -> ReproError:
    """Return the one error that lists all faults of a file."""
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return ReproError(f"{path}: {count}", "\n  ".join(faults))


def _fault(schema: type[BaseModel], fault: dict[str, Any]) -> str:
    *parents, last = fault["loc"] or ("",)
    where = ".".join(str(part) for part in fault["loc"] if part != "[key]")
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
