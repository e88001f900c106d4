"""Parts of the Markdown pages that stand next to what they list: models, datasets, results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from repro.data import manifest
from repro.errors import EXIT_CODES
from repro.papers import library
from repro.plugins import MODELS, PROTOCOLS
from repro.report import lists
from repro.report.claims import summary
from repro.report.picture import LOOKS
from repro.results.claims.judge import judge
from repro.results.claims.judgement import CLAIM_VERDICTS
from repro.results.frozen import RowName
from repro.results.summary import Lead, Summary, summaries
from repro.text import in_cell, in_markdown


def models() -> str:
    """Return the models and the protocols, each with its file, what it is, and its paper."""
    parts = []
    for catalogue, folder, heads in (
        (MODELS, "", ["model", "what it is", "paper"]),
        (PROTOCOLS, "../protocols/", ["protocol", "what it holds out", "name and task"]),
    ):
        rows = []
        for entry in map(catalogue.entry, catalogue.names()):
            link = f"[`{entry.name}`]({folder}{entry.path.name})"
            rows.append(
                [link, *(in_cell(_first_line(doc)) for doc in (entry.class_doc, entry.doc))]
            )
        parts.append(f"## {catalogue.kind.capitalize()}\n\n{grid(heads, rows)}")
    return "\n".join(parts)


def datasets() -> str:
    """Return the datasets, whatever is in the cache."""
    rows = []
    for line in lists.datasets():
        found = manifest.load(line.dataset)
        serves = [f"{paper} {', '.join(numbers)}" for paper, numbers in line.serves.items()]
        link = f"[`{line.dataset}`]({found.path.name})"
        size = manifest.size_text(found)
        serving = "; ".join(serves) or "no table"
        rows.append([link, size, line.obtained, in_cell(serving), in_cell(line.licence)])
    return grid(["dataset", "size", "obtained", "serves", "terms"], rows)


def results() -> str:
    """Return each paper's frozen results: how many, how they compare, and who is ahead."""
    found: dict[str, list[Summary]] = defaultdict(list)
    for one in summaries(map(library.load, library.papers())):
        found[one.paper].append(one)
    parts = []
    for paper, groups in found.items():
        about = library.load(paper).about
        rows = [_summary(one) for one in groups]
        columns = [column for column in rows[0] if any(row[column] for row in rows)]
        table = grid(columns, [[in_cell(row[column]) for column in columns] for row in rows])
        claims = _claims(paper)
        title = in_markdown(about.title)
        title = f"[{title}]({about.url})" if about.url else title
        parts.append(
            f"### {paper}\n\n{title}. Venue: {in_markdown(about.venue)}.\n\n{table}{claims}"
        )
    return "\n".join(parts)


def claim_verdicts() -> str:
    """Return the verdicts on a claim, and what they mean."""
    return grid(["verdict on a claim", "means"], map(list, CLAIM_VERDICTS.items()))


def _claims(paper: str) -> str:
    """Return how many of a paper's claims have which verdict, on the printed numbers and ours."""
    judged = judge([library.load(paper)], [])
    return f"\n{summary(judged)}\n" if judged else ""


def exit_codes() -> str:
    """Return the exit codes of the command line, and what they mean."""
    return grid(["code", "means"], [[str(code), means] for code, means in EXIT_CODES.items()])


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, [":--"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _summary(found: Summary) -> dict[str, str]:
    view = found.data.removesuffix(", ours")
    judged = {verdict: n for verdict, n in found.verdicts.items() if verdict in LOOKS}
    of = f" of {found.rows_printed}" if found.rows_printed else ""
    in_part = found.ahead_here and found.ahead_found < found.ahead_rows
    some = f" ({found.ahead_found} of {found.ahead_rows} rows)" if in_part else ""
    return {
        "table": found.table,
        "data": f"{view} (added)" if found.added_view else view,
        "marks": " ".join(f"[{mark}]" for mark in found.marks),
        "rows": f"{found.rows}{of}" if found.rows else "",
        "further rows": str(found.added_rows or ""),
        "seeds": f"{found.seeds} of {found.seeds_planned}",
        "verdicts": ", ".join(f"{verdict} {n}" for verdict, n in judged.items()),
        "ahead as printed": _leads(found.ahead_printed),
        "ahead in our runs": _leads(found.ahead_here) + some,
        "ahead with further rows": _leads(found.ahead_with_added),
    }


def _leads(leads: list[Lead]) -> str:
    return ", ".join(f"{_row(lead.name)} {lead.columns}" for lead in leads)


def _row(name: RowName) -> str:
    return name.row + ("" if name.origin == "paper" else " (added)")


def _first_line(doc: str) -> str:
    return doc.partition("\n")[0]
