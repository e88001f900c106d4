"""The command behind a number: what to type to make it again."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable

from repro.papers import library
from repro.papers.paper import Paper
from repro.papers.rows import Entry
from repro.plugins import MODELS
from repro.results.comparison import ComparedTable
from repro.results.frozen import RowName


def command_of(paper: Paper, number: str, name: RowName, group: str) -> str:
    """Return the command that runs a row of a table in one column group; "" if nothing can.

    Parameters
    ----------
    paper, number
        The paper, and the table's printed number.
    name : RowName
        The row.
    group : str
        The column group's label; empty in a table that counts the data.
    """
    if paper.table(number).kind == "statistics":
        entry = _entry(paper.entries[number], name.row, "")
        return shlex.join(["repro", "fetch", entry.dataset]) if entry else ""
    entry = _entry(paper.entries[number], name.row if name.origin != "other" else "", group)
    if entry is None or (name.origin != "other" and entry.recipe is None):
        return ""
    options = ["repro", "run", paper.id, "--table", number, "--view", _view(paper, entry)]
    if name.origin == "other":
        of_model = _of_model(name.row)
        if not of_model:
            return ""  # the row of another paper's table
        options += of_model
    else:
        options += ["--row", name.row]
        for setting in filter(None, name.shortened.split(", ")):
            key, _, value = setting.partition(" of ")[0].partition(" = ")
            options += ["--set", f"{key}={value}"]
    rules = [part.partition(" = ") for part in name.apart.split(", ")]
    for rule, _, value in rules:
        if rule in ("select", "every", "patience") and value:
            options += [f"--{rule}", value]
    return shlex.join(options)


def commands_of(table: ComparedTable) -> list[str]:
    """Return the command behind each row of each column group of a table, each once."""
    paper = library.load(table.paper)
    places = dict.fromkeys((cell.name, cell.group) for cell in table.cells)
    found = (command_of(paper, table.number, name, group) for name, group in places)
    return list(dict.fromkeys(filter(None, found)))


def _entry(entries: Iterable[Entry], row: str, group: str) -> Entry | None:
    """Return a row in a column group, by its labels; each one that is empty fits all."""
    for entry in entries:
        if row in ("", entry.row) and group in ("", entry.group_label):
            return entry
    return None


def _view(paper: Paper, entry: Entry) -> str:
    """Return the shortest name of a column group that means no other."""
    table = paper.entries[entry.table]
    same = {one.group for one in table if one.view == entry.view}
    return entry.view if len(same) == 1 else entry.group


def _of_model(label: str) -> list[str]:
    """Return the options that name a model and its settings; none if a label names no model."""
    model, _, inside = label.partition(" [")
    if model not in MODELS:
        return []
    names = "|".join(re.escape(field.name) for field in MODELS.entry(model).fields)
    parts = re.split(rf"(?:^|, )({names})=", inside.removesuffix("]")) if names else [""]
    options = ["--model", model]
    for key, value in zip(parts[1::2], parts[2::2], strict=True):
        options += ["--set", f"{key}={_typed(value)}"]
    return options


def _typed(value: str) -> str:
    """Return a value as `--set` reads it: a tuple as a list."""
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
    return str(list(found)) if isinstance(found, tuple) else value
