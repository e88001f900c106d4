"""The JSON that commands print, as types; and these types described in Markdown.

Where a command prints a dataclass, its type stands in `FORMS`. `repro show` prints parts of a file
and what else is known: the types below describe that.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import abc
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from repro.auditing.audit import Audited
from repro.data import schema
from repro.data.cache import Receipt
from repro.data.prepared import Prepared
from repro.doors.export import SplitFile
from repro.hyperparameters import Field
from repro.papers.claims import Claim
from repro.papers.schema import About, Figure, Table, View
from repro.report.lists import DatasetLine, MetricLine, PaperLine, PluginLine
from repro.report.pairs import PairedCell
from repro.report.scored import ScoredFile
from repro.results.beyond import Beyond
from repro.results.checking import Checked
from repro.results.claims.judge import JudgedClaim
from repro.results.explanation import Explanation
from repro.results.ledger import Reading
from repro.results.run_list import Run
from repro.results.summary import Summary
from repro.results.verdicts import ComparedCell
from repro.runs.dry_run import DryRun
from repro.runs.status import State
from repro.split import SplitSummary


@dataclass(frozen=True)
class ShownPaper:
    """A paper's file, with all defaults filled in."""

    paper: About
    views: dict[str, View]
    """By key."""
    tables: dict[str, Table]
    """By printed number."""
    figures: dict[str, Figure]
    """By printed number; empty where one table is asked for."""
    splits: dict[str, SplitSummary]
    """By key of a view: what it trains on and what it asks, as far as records tell."""
    claims: list[Claim]
    """Those that rest on the table, where one is asked for."""


class ShownView(schema.View):
    """A view as its manifest has it, and as it was built."""

    prepared: Prepared | None
    """Null until it is built."""


@dataclass(frozen=True)
class ShownDataset:
    """A manifest, and what is in the cache."""

    archive: schema.Archive
    unconfirmed: list[str]
    """What no real file has confirmed yet."""
    receipts: dict[str, Receipt]
    """The files in the cache, by name."""
    views: dict[str, ShownView]
    """By name."""


@dataclass(frozen=True)
class ShownPlugin:
    """A model or a protocol."""

    name: str
    doc: str
    """The docstring of its file."""
    what: str
    """The docstring of its class."""
    parameters: list[Field]


FORMS: dict[str, Any] = {
    "list papers": list[PaperLine],
    "list datasets": list[DatasetLine],
    "list models": list[PluginLine],
    "list protocols": list[PluginLine],
    "list metrics": list[MetricLine],
    "list results": list[Summary],
    "show PAPER": ShownPaper,
    "show DATASET": ShownDataset,
    "show MODEL": ShownPlugin,
    "show PROTOCOL": ShownPlugin,
    "status": list[State],
    "runs": list[Run],
    "compare": list[ComparedCell],
    "compare PAPER --against ROW": list[PairedCell],
    "claims": list[JudgedClaim],
    "audit": list[Audited],
    "explain PAPER --table NUMBER --row LABEL": list[Explanation],
    "ledger": list[Reading],
    "beyond PAPER --table NUMBER": list[Beyond],
    "run PAPER --dry-run": DryRun,
    "check": list[Checked],
    "export PAPER --table NUMBER --to FOLDER": SplitFile,
    "score PAPER --table NUMBER --name NAME FILE": ScoredFile,
}
"""What each command prints with ``--json``."""


def markdown() -> str:
    """Return every form in Markdown: a heading for the commands, a table for each type."""
    commands: dict[str, list[str]] = {}
    for command, form in FORMS.items():
        commands.setdefault(str(form), []).append(f"`repro {command} --json`")
    parts = []
    for form in {str(form): form for form in FORMS.values()}.values():
        parts.append(f"### {', '.join(commands[str(form)])}\n")
        parts += [f"A {words(form)}.\n"] if get_origin(form) else []
        parts += [_table(kind) for kind in types_in(form)]
    return "\n".join(parts)


def _table(kind: type) -> str:
    said = (inspect.getdoc(kind) or "").partition("\n")[0]
    lines = [f"**{kind.__name__}**: {said}\n", "| field | type | meaning |", "|:--|:--|:--|"]
    docs = docs_of(kind)
    for name, of in _fields(kind).items():
        meaning = docs.get(name, "").replace("``", "`").replace("|", "\\|")
        lines.append(f"| `{name}` | {words(of)} | {meaning} |")
    return "\n".join(lines) + "\n"


def types_in(form: Any) -> list[type]:
    """Return the classes with fields in a form, outer ones first, each once."""
    found: list[type] = []
    waiting = [form]
    while waiting:
        one = waiting.pop(0)
        if get_origin(one):
            waiting = [*get_args(one), *waiting]
        elif (is_dataclass(one) or _is_model(one)) and one not in found:
            found.append(one)
            waiting += _fields(one).values()
    return found


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _fields(kind: Any) -> dict[str, Any]:
    """Return the types of a class's fields, by name."""
    hints = get_type_hints(kind)
    names = kind.model_fields if _is_model(kind) else [one.name for one in fields(kind)]
    return {name: hints[name] for name in names}


def docs_of(kind: type) -> dict[str, str]:
    """Return the docstrings below a class's fields, by field."""
    found = {}
    for one in reversed([one for one in kind.__mro__ if one.__module__.startswith("repro.")]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for node, after in pairwise(body):
            if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr):
                doc = ast.literal_eval(after.value)
                found[ast.unparse(node.target)] = " ".join(doc.split())
    return found


_WORDS: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "true or false",
    NoneType: "null",
    Any: "any value",
}


def words(of: Any) -> str:
    """Return a type in words, as JSON has it."""
    origin, inside = get_origin(of), get_args(of)
    if of in _WORDS:
        return _WORDS[of]
    if origin in (Union, UnionType):
        return " or ".join(map(words, inside))
    if origin is Literal:
        return " or ".join(f'`"{one}"`' for one in inside)
    if origin in (list, tuple):
        return f"list of {words(inside[0])}"
    if origin in (dict, abc.Mapping):
        return f"object of {words(inside[1])}"
    return f"**{of.__name__}**"
