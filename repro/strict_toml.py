"""Read a TOML file, check it against a schema, and report all its faults at once."""

import difflib
import json
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
        raise faulty(path, faults_in(schema, content, error)) from error


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
        raise DamagedError(f"{failure}: {first_fault(error)}", hint) from error


def faulty(path: Path, faults: list[str]) -> ReproError:
    """Return the one error that lists all faults of a file."""
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return ReproError(f"{path}: {count}", "\n  ".join(faults))


def first_fault(error: ValidationError) -> str:
    """Return the first fault of what was checked, with its place, in our words."""
    fault: dict[str, Any] = dict(error.errors()[0])
    where = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    return f"{where}: {_told(fault)}" if where else _told(fault)


_WANTED = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number that is finite",
    "bool_type": "true or false",
    "list_type": "a list in square brackets",
    "tuple_type": "a list in square brackets",
    "dict_type": "a table of keys and values",
    "model_type": "a table of keys and values",
    "dataclass_type": "a table of keys and values",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "too_short": "{min_length} entries or more",
    "too_long": "{max_length} entries or fewer",
    "string_too_short": "a text of {min_length} characters or more",
    "string_pattern_mismatch": "a text of the form {pattern}",
}
"""What a value must be, by pydantic's name of the fault: its own sentences speak of Python."""

MOST_SHOWN = 100
"""Characters of a value in a message."""


def _told(fault: dict[str, Any], wanted: str = "") -> str:
    """Return a fault in our words, without its place."""
    if fault["type"] in ("missing", "extra_forbidden"):
        return "missing" if fault["type"] == "missing" else "unknown key"
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    wanted = wanted or _wanted(fault)
    got = json.dumps(fault["input"], ensure_ascii=False, default=str)
    got = got if len(got) <= MOST_SHOWN else f"{got[:MOST_SHOWN]} …"
    return f"must be {wanted}, got {got}"


def _wanted(fault: dict[str, Any]) -> str:
    return _WANTED.get(fault["type"], "of another form").format(**fault.get("ctx", {}))


def faults_in(
    schema: type[BaseModel], content: Any, error: ValidationError, at: str = ""
) -> list[str]:
    """Return the faults of what a schema refused, each once, in our words.

    Where a value may have several forms, pydantic reports each of them that does not fit, with the
    form's name as a part of the place, which the file does not have.
    """
    by_place: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for found in error.errors():
        fault = dict(found)
        by_place.setdefault(_place(content, fault), []).append(fault)
    told = []
    for place, faults in by_place.items():
        where = ".".join(map(str, [at, *place] if at else place))
        where = f"{where}: " if where else ""
        is_form = len(place) < len([part for part in faults[0]["loc"] if part != "[key]"])
        inside = [other for other in by_place if len(other) > len(place)]
        if is_form and any(other[: len(place)] == place for other in inside):
            continue  # it has the other form, in which there is a fault
        if faults[0]["type"] == "extra_forbidden":
            told.append(f"{where}{_unknown_key(schema, place)}")
            continue
        wanted = list(dict.fromkeys(map(_wanted, faults)))
        if "a number" in wanted and "a whole number" in wanted:
            wanted.remove("a whole number")
        told.append(f"{where}{_told(faults[0], ' or '.join(wanted))}")
    return told


def _place(content: Any, fault: dict[str, Any]) -> tuple[Any, ...]:
    """Return the place of a fault in the file."""
    place: list[Any] = []
    for part in fault["loc"]:
        if isinstance(content, dict | list) and _has(content, part):
            content = content[part]
        elif fault["type"] != "missing" or part != fault["loc"][-1]:
            continue
        place.append(part)
    return tuple(place)


def _has(content: dict[str, Any] | list[Any], part: Any) -> bool:
    if isinstance(content, dict):
        return part in content
    return isinstance(part, int) and part < len(content)


def _unknown_key(schema: type[BaseModel], place: tuple[Any, ...]) -> str:
    *parents, last = place
    known = _keys_at(schema, parents)
    near = difflib.get_close_matches(str(last), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
    return f"unknown key; {hint}"


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
    """Return the type inside an optional or annotated one; of several, the one with keys."""
    if get_origin(schema) is Annotated:
        return _unwrapped(get_args(schema)[0])
    if get_origin(schema) in (Union, UnionType):
        options = [option for option in get_args(schema) if option is not type(None)]
        keyed = [one for one in options if isinstance(one, type) and issubclass(one, BaseModel)]
        return (keyed or options or [None])[0]
    return schema
