"""Hyper-parameters: which values a field of a model or protocol may have.

A plug-in's source is read without importing it, so a field's annotation is text here. The names
below state a type together with its range, and stand in annotations as any type does::

    batch_size: Count = 500
    dropout: Dropout = 0.5
    hidden_dims: Layers = (600,)
    patience: Count | None = None

A plain ``int`` or ``float`` takes any number.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args


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
    """What it is, and where the default comes from."""
    required: bool
    """Whether it has no default."""
    range: Range | None = None
    """The numbers that it may have; null: any."""

    def refuses(self, value: Any) -> str:
        """Return what a value must be, if it has another type or lies outside; else ""."""
        if not _fits(value, self.annotation):
            return _kinds(self.annotation)
        return self.range.refuses(value) if self.range and value is not None else ""

    def plain(self, value: Any) -> Any:
        """Return a value in its one JSON form: tuples are lists, a float's 500 is 500.0."""
        if isinstance(value, tuple):
            return list(value)
        if type(value) is int and self.annotation.startswith("float"):
            return float(value)
        return value


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
    """Return what a value may be: "'adam' or 'sgd'" of a Literal, else the annotation."""
    if annotation.startswith("Literal[") and annotation.endswith("]"):
        return " or ".join(map(repr, _choices(annotation)))
    return annotation


@cache  # read for every row of every table
def _choices(literal: str) -> Any:
    return ast.literal_eval(literal.removeprefix("Literal"))
