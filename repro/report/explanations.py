"""Explanations and the ledger as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from textwrap import fill, indent
from typing import Any

from tabulate import tabulate

from repro.hyperparameters import Source
from repro.papers.printed import number_in
from repro.papers.settings import Setting
from repro.report.runs import duration
from repro.report.tables import WIDTH, bullets
from repro.results.explanation import ExplainedCell, Explanation
from repro.results.ledger import Reading, Variation
from repro.results.measured import Effect
from repro.results.origins import Data, Ran
from repro.results.variants import Variant
from repro.results.verdicts import MARKS
from repro.text import one_line

SHOWN = 8
"""Readings of a cell that are printed; JSON has all."""


def _table(rows: Iterable[Sequence[object]], *about: Any, **more: Any) -> str:
    """Return rows as text, each in a line of its own whatever its cells hold."""
    return tabulate([list(map(one_line, row)) for row in rows], *about, **more)


def source(sources: Sequence[Source]) -> str:
    """Return who states a setting, in words: "paper 4.1.4; the code says otherwise"."""
    said = []
    for one in sources:
        named = {"ours": "our choice", "technical": "changes no result"}.get(one.kind, one.kind)
        named = one.place if one.kind == "other" else f"{named} {one.place}".strip()
        said.append(f"{named} says otherwise" if one.disagrees else named)
    return "; ".join(said) or "not stated"


def as_json(found: Sequence[Explanation] | Sequence[Reading]) -> str:
    """Return explanations, or a ledger, as JSON."""
    return json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False)


def text(found: Iterable[Explanation]) -> str:
    """Return explanations as text, section by section."""
    return "\n\n\n".join("\n".join(_explanation(one)) for one in found)


def _explanation(one: Explanation) -> list[str]:
    head = f"{one.row} on {one.group}: {one.paper}, Table {one.table}"
    lines = [head, "=" * min(len(head), WIDTH), one.caption]
    if one.added:
        lines.append(f"Not in the paper: a {' and '.join(one.added)} of ours.")
    if one.quoted_from:
        lines.append(f"The paper took these numbers from {one.quoted_from}.")
    lines += _section("Number" if len(one.cells) == 1 else "Numbers", _numbers(one))
    lines += _section("Command", [one.command or f"none: {one.obstacle}"])
    stated = [s for s in one.settings if s.name == "dataset"]
    lines += _section("Data", _data(one.data, stated) if one.data else ["there is no manifest"])
    for title, parts in [("Split", ("split",)), ("Selection and seeds", ("selection", "seeds"))]:
        lines += _section(title, _settings([s for s in one.settings if s.part in parts]))
    model = [s for s in one.settings if s.part == "model"]
    if model:
        lines += _section("Model", _settings(model))
    lines += _section("Runs", _runs(one))
    for cell in one.cells:
        if cell.epochs or cell.readings:
            lines += _section(f"Other readings of {cell.label}", _readings(cell, one))
    label = one.cells[0].label if len(one.cells) == 1 else ""
    lines += _section("Open readings", _of_row(one.ledger, label)) if one.ledger else []
    lines += _section("Notes", bullets([*one.notes, *(c.note for c in one.cells if c.note)]))
    lines += _section("What needs a run", bullets(one.missing))
    return lines


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, "-" * len(title), *lines] if lines else []


def _numbers(one: Explanation) -> list[str]:
    """Return the numbers of a row: one cell in words, several as a table."""
    if len(one.cells) == 1:
        lines = _number(one.cells[0], one)
    else:
        head = ["", "printed", "ours", "standard error", "z", "verdict"]
        rows = [[cell.label, *_row_of(cell)] for cell in one.cells]
        aligned = ("left", "right", "right", "right", "right", "left")
        grid = _table(rows, head, tablefmt="simple", disable_numparse=True, colalign=aligned)
        lines = grid.splitlines()
    if one.shortened:
        lines.append(f"a shorter run: {one.shortened}")
    marks = dict.fromkeys("".join(cell.marks for cell in one.cells))
    return [*lines, *(f"[{mark}] {MARKS[mark]}" for mark in marks)]


def _row_of(cell: ExplainedCell) -> list[str]:
    if cell.ours is None:
        return [cell.published, "", "", "", cell.verdict]
    error = "" if not cell.ours.standard_error else f"{cell.ours.standard_error:.4f}"
    z = "" if cell.z is None else f"{cell.z:+.1f}"
    marks = f" [{cell.marks}]" if cell.marks else ""
    return [cell.published, f"{cell.ours.value:.4f}{marks}", error, z, cell.verdict]


def _number(cell: ExplainedCell, one: Explanation) -> list[str]:
    printed = f"printed {cell.published}" if cell.published else "nothing printed"
    marks = f" [{cell.marks}]" if cell.marks else ""
    if cell.ours is None:
        return [f"{cell.label}: {printed}, no number of ours ({cell.verdict})"]
    about = [f"{len(one.runs)} seed{'s' * (len(one.runs) > 1)}"]
    if cell.ours.standard_error:
        about.append(f"standard error {cell.ours.standard_error:.4f}")
    if cell.spread is not None:
        about.append(f"{cell.spread:.4f} between seeds")
    lines = [f"{cell.label}: {printed}, ours {cell.ours.value:.4f}{marks} ({', '.join(about)})"]
    if cell.published:
        size = "" if cell.z is None else f"; z = {cell.z:+.1f}, counting {', '.join(cell.chance)}"
        lines.append(difference(cell.ours, cell.published) + size)
        reason = f" ({cell.reason})" if cell.reason and cell.verdict == "close" else ""
        lines.append(f"verdict: {cell.verdict}{reason}")
    return lines


def difference(ours: Variant, published: str) -> str:
    """Return how far our number is from the printed one, in words."""
    if ours.prints:
        return "ours rounds to the printed digits"
    gap = ours.value - float(number_in(published))
    share = f" ({abs(gap) / (ours.value - gap):.1%})" if ours.value != gap else ""
    side = "above" if gap > 0 else "below"
    return f"ours is {abs(gap):.4f}{share} {side} the printed number"


def _data(data: Data, stated: list[Setting]) -> list[str]:
    rows = []
    for file in data.files:
        hashes = [f"{kind} {value[:12]}…" for kind, value in file.hashes.items()]
        unknown = "" if file.state == "generated" else "no hash is known"
        rows.append(["file", f"{file.name}: {file.state}", ", ".join(hashes) or unknown])
    lines = _table(rows, tablefmt="plain").splitlines()
    steps = "; ".join(data.steps) or "none"
    if data.variants:
        steps += f"; then the first of {len(data.variants)} readings that gives the expected counts"
    about = [("data", data.title), ("view", data.dataset), ("as", data.source), ("steps", steps)]
    about += [("stated", _who(one)) for one in stated]
    about += [("digest", data.digest or "not in the cache")]
    return [*_pairs(about), *lines]


def _pairs(about: Iterable[tuple[str, str]]) -> list[str]:
    lines = []
    for name, said in about:
        first = f"{name:<8}"
        lines += fill(first + said, WIDTH, subsequent_indent=" " * 8).splitlines()
    return lines


def _settings(settings: list[Setting]) -> list[str]:
    rows = [
        [
            s.name.removeprefix("protocol.") if s.part == "split" else s.name,
            value(s.value),
            _who(s),
            "" if s.used else "unused",
        ]
        for s in settings
    ]
    return _table(rows, tablefmt="plain", disable_numparse=True).splitlines()


def _who(setting: Setting) -> str:
    said = source(setting.sources)
    of_model = setting.stated_in == "model" and setting.sources
    return f"{said} (of the model)" if of_model and setting.sources[0].kind != "ours" else said


def value(one: Any) -> str:
    """Return a setting's value as a table file has it."""
    if one is None:
        return "none"
    return str(one).lower() if isinstance(one, bool) else str(one)


def _runs(one: Explanation) -> list[str]:
    rows = [
        [
            f"seed {run.seed}",
            run.kind,
            run.id,
            "epoch of each metric" if run.epoch is None else f"epoch {run.epoch}",
            duration(run.seconds),
            run.began[:10],
            _code(run),
        ]
        for run in one.runs
    ]
    lines = _table(rows, tablefmt="plain", disable_numparse=True).splitlines()
    machines = dict.fromkeys(
        f"{run.device}, {run.cpu}" + (f", threads: {run.threads}" if run.threads else "")
        for run in one.runs
    )
    lines += [f"on {machine}" for machine in machines]
    if one.runs:
        verified = all(run.verified for run in one.runs)
        if not verified and one.data and {file.state for file in one.data.files} == {"own"}:
            lines.append("data of your own: its manifest states no hash")
        else:
            lines.append(f"data {'' if verified else 'NOT '}verified against the manifest's hashes")
    if one.n_users is not None:
        lines.append(f"{one.n_users:,} test users")
    if one.tie_size is not None:
        lines.append(_ties(one))
    return lines or ["none"]


def _code(run: Ran) -> str:
    commit = f" {run.commit[:7]}" if run.commit else ""
    return f"version {run.version}{commit}{' (changed)' if run.dirty else ''}"


def _ties(one: Explanation) -> str:
    names = {s.name for s in one.settings}
    rule = "the lower item number comes first"
    if "protocol.negatives" in names:
        rule = "a target comes after every other candidate with its score"
    size = one.tie_size or 0.0
    said = f"ties: {rule}; "
    said += (
        "none decide a rank" if size == 0 else f"{size:.2f} other items share the deciding score"
    )
    if one.constant:
        said += f"; all scores are equal for {one.constant:.1%} of the users"
    return said


def _readings(cell: ExplainedCell, one: Explanation) -> list[str]:
    lines = []
    shown = [*cell.epochs, *cell.readings[:SHOWN]]
    rows = [_row(v, cell.published) for v in ([cell.ours] if cell.ours else []) + shown]
    head = ["reading", "value", "standard error", "gap / error", ""]
    aligned = ("left", "right", "right", "right", "left")
    grid = _table(rows, head, tablefmt="simple", disable_numparse=True, colalign=aligned)
    lines += grid.splitlines()
    if len(cell.readings) > SHOWN:
        lines.append(f"{len(cell.readings) - SHOWN} more are farther away; --json has them")
    if cell.same:
        lines.append(f"the same for every user here: {', '.join(cell.same)}")
    exact = [v.name for v in shown if v.prints]
    if cell.published and not (cell.ours and cell.ours.prints):
        said = f"The printed {cell.published} is what {' and '.join(exact)} give" if exact else ""
        said = said or f"No other reading here gives the printed {cell.published}"
        lines += ["", f"{said}{'s' * (len(exact) == 1)}."]
    return lines


def _row(one: Variant, published: str) -> list[str]:
    name = f"{one.name} (our reading)" if one.kind == "own" else one.name
    error = "" if not one.standard_error else f"{one.standard_error:.4f}"
    z = "" if one.z is None else f"{one.z:+.1f}"
    return [name, f"{one.value:.4f}", error, z, f"gives {published}" if one.prints else ""]


def _of_row(readings: list[Reading], label: str) -> list[str]:
    """Return a row's open readings, with their effects on one metric if it has a label."""
    found = measured(readings, label)
    rest = [one for one in readings if not one.variations]
    if rest:
        names = ", ".join(" and ".join(one.names) for one in rest)
        found += fill(f"not measured: {names}", WIDTH, subsequent_indent="  ").splitlines()
        commands = [one.command for one in rest if one.command]
        found += [f"  for example: {commands[0]}"] if commands else []
    return found


def measured(readings: Iterable[Reading], label: str = "") -> list[str]:
    """Return the measured readings, each with what another reading changes."""
    return [line for one in readings for v in one.variations for line in _variation(v, label)]


def _variation(found: Variation, label: str) -> list[str]:
    changes = ", ".join(
        f"{name} {value(found.own[name])} → {value(found.values[name])}" for name in found.values
    )
    also = f" (with {', '.join(found.together)})" if found.together else ""
    where = f"{found.base} → {found.row}" if found.base != found.row else found.row
    epochs = f", {found.epochs}" if found.epochs else ""
    shown = next((e for e in found.effects if e.label == label), found.effects[0])
    lines = fill(f"{changes}{also}: {effect(shown)}", WIDTH - 2, subsequent_indent="  ")
    return [*lines.splitlines(), f"  {where}, on {found.group}{epochs}"]


def effect(one: Effect) -> str:
    """Return an effect in words: "NDCG@10 +0.0198 ± 0.0040 (5.0 standard errors, unpaired)"."""
    error = "" if not one.standard_error else f" ± {one.standard_error:.4f}"
    size = "error unknown" if one.z is None else f"{abs(one.z):.1f} standard errors"
    how = "paired" if one.paired else "unpaired"
    seeds = f"{one.seeds} seed{'s' * (one.seeds != 1)}"
    return f"{one.label} {one.value:+.4f}{error} ({size}, {how}, {seeds})"


def ledger(readings: Sequence[Reading]) -> str:
    """Return a ledger: what is measured, by its effect; then what is not, by row."""
    lines: list[str] = []
    done = [one for one in readings if one.variations]
    if done:
        of = f"{len(done)} of {len(readings)} open readings"
        lines += [f"Measured: {of}, the largest effect first.", ""]
    for one in done:
        lines.append(f"{one.paper} | {_whose(one)} | {source(one.sources[0])}")
        lines += [f"  {line}" for line in measured([one])]
    rest: dict[tuple[str, str], list[Reading]] = {}
    for one in readings:
        if not one.variations:
            rest.setdefault((one.paper, _whose(one)), []).append(one)
    if rest:
        lines += ["", f"Not measured: {len(readings) - len(done)}.", ""]
    for (paper, whose), own in rest.items():
        pairs = [pair for one in own for pair in zip(one.names, one.values, strict=True)]
        said = ", ".join(f"{name} = {value(ours)}" for name, ours in pairs)
        lines += [f"{paper} | {whose}", indent(fill(said, WIDTH - 2), "  ")]
        commands = [one.command for one in own if one.command]
        lines.append(f"  {commands[0]}" if commands else "  only another view can measure it")
    return "\n".join(lines) or "there is no open reading"


def _whose(one: Reading) -> str:
    tables = dict.fromkeys(place.table for place in one.places)
    of = f"Table{'s' * (len(tables) > 1)} {', '.join(tables)}"
    if one.row:
        return f"{one.row}, {of}"
    groups = dict.fromkeys(place.group for place in one.places)
    return f"every row on {', '.join(groups)}, {of}"
