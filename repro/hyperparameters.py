"""Hyper-parameters: which values a field of a model or protocol may have.

A plug-in's source is read without importing it, so a field's annotation is text here. The names
below state a type together with its range, and stand in annotations as any type does::

    batch_size: Count = 500
    dropout: Dropout = 0.5
    hidden_dims: Layers = (600,)
    patience: Count | None = None

A plain ``int`` or ``float`` takes any number.

The docstring below a field ends with the source of its default in square brackets, such as
[paper 4.3; code], [code; not paper Eq. 8] or [ours; if optimizer=sgd]; see `sources_in`.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args

from repro.errors import ReproError


@dataclass(frozen=True)
class Range:
    """The numbers that a hyper-parameter may have, both ends included."""

    least: float
    """The least number."""
    most: float | None
    """The largest number."""
    words: str
    """The range in words, for messages: "at least 1"."""
    filled: bool = False
    """Whether a tuple needs at least one number."""

    def _holds(self, value: Any) -> bool:
        if not isinstance(value, int | float):  # another type: refused by the annotation
            return True
        return self.least <= value and (self.most is None or value <= self.most)

    def refuses(self, value: Any) -> str:
        """Return what a value must be, if it lies outside; else an empty string."""
        numbers = value if isinstance(value, list | tuple) else [value]
        if self.filled and not numbers:
            return "at least one number"
        fits = all(map(self._holds, numbers))
        return "" if fits else self.words


Count = Annotated[int, Range(1, None, "at least 1")]
"""A batch size, a dimension, a number of heads."""

Natural = Annotated[int, Range(0, None, "at least 0")]
"""A number of epochs, steps or negatives."""

NonNegative = Annotated[float, Range(0, None, "at least 0")]
"""A learning rate, a penalty, the weight of a loss term."""

Dropout = Annotated[float, Range(0, math.nextafter(1, 0), "at least 0 and below 1")]
"""The share of units that is dropped."""

Positive = Annotated[float, Range(math.nextafter(0, 1), None, "above 0")]
"""A temperature, a scale, a standard deviation."""

Momentum = Annotated[float, Range(0, math.nextafter(1, 0), "at least 0 and below 1")]
"""The weight of the past in a moving average, such as Adam's beta1."""

Share = Annotated[float, Range(0, 1, "from 0 to 1")]
"""A share of users, items or interactions."""

Layers = Annotated[tuple[int, ...], Range(1, None, "at least 1", filled=True)]
"""The sizes of one hidden layer or more."""

_RANGES = {
    "Count": Count,
    "Natural": Natural,
    "NonNegative": NonNegative,
    "Dropout": Dropout,
    "Positive": Positive,
    "Momentum": Momentum,
    "Share": Share,
    "Layers": Layers,
}


SourceKind = Literal["paper", "code", "other", "ours", "technical"]

KINDS: dict[str, str] = {
    "paper": "the paper says so; of a model's default, the model's own paper",
    "code": "the authors' code, or that of the model's authors",
    "other": "another paper or program, which is named",
    "ours": "our choice: nobody says",
    "technical": "how it is computed or logged; changes no result",
}
"""Where a setting can come from."""


@dataclass(frozen=True)
class Source:
    """Who states a setting."""

    kind: SourceKind
    """A key of `KINDS`."""
    place: str = ""
    """Where it is stated: "4.3" for a section, "Eq. 11", "Rendle et al. 2022"."""
    disagrees: bool = False
    """Whether it states another value than ours."""


@dataclass(frozen=True)
class Condition:
    """When a setting is used: another one has one of some values, or is not 0, false or none."""

    name: str
    values: tuple[str, ...] = ()

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Return whether the setting is used beside other settings."""
        value = params.get(self.name)
        return str(value).lower() in self.values if self.values else bool(value)


@dataclass(frozen=True)
class Sources:
    """Where a setting comes from, and when it is used."""

    stated: tuple[Source, ...] = ()
    """Empty: not stated."""
    used_if: Condition | None = None
    """None: always."""

    @property
    def open(self) -> bool:
        """Whether it is an open reading: our choice, or one where sources disagree."""
        return any(one.kind == "ours" or one.disagrees for one in self.stated)


_SOURCE = re.compile(rf"(not )?({'|'.join(KINDS)})(?: (.+))?")
_CONDITION = re.compile(r"if (\w+)(?:=([\w|]+))?")


@cache  # the same few for every row of every table
def sources_in(text: str, where: str = "") -> Sources:
    """Read sources: "paper 4.3; code", "ours; not paper Eq. 11", "ours; if optimizer=sgd".

    Parameters
    ----------
    text : str
        The sources.
    where : str
        File and key, for the message.

    Raises
    ------
    ReproError
        If a part is neither a source nor a condition.

    Examples
    --------
    >>> sources_in("code; not paper 4.3").stated[1]
    Source(kind='paper', place='4.3', disagrees=True)
    """
    stated: list[Source] = []
    used_if = None
    for part in text.split("; "):
        if found := _SOURCE.fullmatch(part):
            stated.append(Source(found[2], found[3] or "", bool(found[1])))  # type: ignore[arg-type]
        elif found := _CONDITION.fullmatch(part):
            used_if = Condition(found[1], tuple(found[2].split("|")) if found[2] else ())
        else:
            raise ReproError(
                f"{where and f'{where}: '}'{part}' is no source of a setting",
                f"begin with {', '.join(KINDS)}; as in 'paper 4.3; not code' or 'ours'",
            )
    return Sources(tuple(stated), used_if)


_AT_THE_END = re.compile(r"(.*?) ?\[((?:not )?(?:{}).*)\]".format("|".join(KINDS)))


def split_doc(doc: str, where: str = "") -> tuple[str, Sources]:
    """Return a field's docstring without the sources in brackets at its end, and the sources.

    Parameters
    ----------
    doc : str
        The docstring, in one line.
    where : str
        File and field, for the message.

    Examples
    --------
    >>> doc, sources = split_doc("Of z at each step. [paper 4.3]")
    >>> doc, sources.stated[0].place
    ('Of z at each step.', '4.3')
    """
    found = _AT_THE_END.fullmatch(doc)
    return (found[1], sources_in(found[2], where)) if found else (doc, Sources())


@dataclass(frozen=True)
class Field:
    """One hyper-parameter: its type, range and default, and where the default comes from."""

    name: str
    """As in a table file."""
    annotation: str
    """The type, without the names of ranges: "int | None"."""
    default: Any
    """Null of one that is required."""
    doc: str
    """What it is."""
    required: bool
    """Whether it has no default."""
    range: Range | None = None
    """The numbers that it may have; null: any."""
    sources: Sources = Sources()
    """Where the default comes from."""

    def refuses(self, value: Any) -> str:
        """Return what a value must be, if it has another type or lies outside; else ""."""
        if not _fits(value, self.annotation):
            return _kinds(self.annotation)
        return self.range.refuses(value) if self.range and value is not None else ""

    def choices(self) -> list[Any]:
        """Return the values that it can have, if these are few: of a Literal or a bool."""
        if self.annotation.startswith("Literal["):
            return list(_choices(self.annotation.partition(" | ")[0]))
        return [True, False] if self.annotation == "bool" else []

    def plain(self, value: Any) -> Any:
        """Return a value in its one JSON form: tuples are lists, a float's 500 is 500.0."""
        if isinstance(value, tuple):
            return list(value)
        if type(value) is int and self.annotation.startswith("float"):
            return float(value)
        return value


@cache  # a handful of annotations, of several hundred fields
def resolved(annotation: str) -> tuple[str, Range | None]:
    """Return an annotation with plain types, and the range that it names.

    Examples
    --------
    >>> resolved("Count | None")[0]
    'int | None'
    """
    named = _Named()
    plain = named.visit(ast.parse(annotation, mode="eval"))
    return (ast.unparse(plain), named.limits) if named.limits else (annotation, None)


class _Named(ast.NodeTransformer):
    """Puts plain types in place of the names of ranges, and keeps the range."""

    limits: Range | None = None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._plain(node.id, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._plain(node.attr, node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if ast.unparse(node.value).rpartition(".")[2] == "Literal":  # whose texts may be any
            return node
        return self.generic_visit(node)

    def _plain(self, name: str, node: ast.AST) -> ast.AST:
        if name not in _RANGES:
            return node
        kind, self.limits = get_args(_RANGES[name])
        text = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
        return ast.parse(text, mode="eval").body


def _fits(value: Any, annotation: str) -> bool:
    """Return whether a TOML or JSON value can be what a field's annotation says."""
    for option in annotation.split(" | "):
        kind = option.split("[")[0].strip()
        if kind == "None" and value is None:
            return True
        if kind == "bool" and isinstance(value, bool):
            return True
        if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
            return True
        if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
            return math.isfinite(value)  # JSON, and so a record, has no other
        if kind == "str" and isinstance(value, str):
            return True
        if kind == "tuple" and isinstance(value, list | tuple):
            inner = option.partition("[")[2].partition(",")[0]
            return all(_fits(item, inner) for item in value)
        if kind == "Literal" and value in _choices(option.strip()):
            return True
    return False


def _kinds(annotation: str) -> str:
    """Return in words what a value may be: "'adam' or 'sgd'", "a list of whole numbers"."""
    return " or ".join(_words(option.strip()) for option in annotation.split(" | "))


def _words(option: str) -> str:
    if option.startswith("Literal["):
        return " or ".join(map(repr, _choices(option)))
    if option.startswith("tuple["):
        inner = option.removeprefix("tuple[").partition(",")[0].rstrip("]")
        return f"a list of {_SEVERAL.get(inner, inner)}, as [1, 2]" if inner in _SEVERAL else option
    return IN_WORDS.get(option, option)


IN_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "None": "none",
}
"""Types as messages call them."""

_SEVERAL = {"int": "whole numbers", "float": "numbers", "str": "texts"}


@cache  # read for every row of every table
def _choices(literal: str) -> Any:
    return ast.literal_eval(literal.removeprefix("Literal"))
