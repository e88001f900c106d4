"""The table of rules, made from their docstrings."""

from __future__ import annotations

import re

from repro.auditing import audit  # noqa: F401 - it enters every rule
from repro.auditing.findings import SEVERITIES
from repro.auditing.rules import DOCS


def rules() -> str:
    """Return the rules in Markdown: what each says, what it demands, why, and when it holds."""
    lines = ["| rule | says | demands | why | assumes |", "|:--|:--|:--|:--|:--|"]
    for key in sorted(DOCS):
        says, demands, source, assumes = described(key)
        cells = [key, says, demands, source, assumes]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def severities() -> str:
    """Return what each severity means, in Markdown."""
    lines = [f"| `{severity}` | {meaning} |" for severity, meaning in SEVERITIES.items()]
    return "\n".join(["| severity | means |", "|:--|:--|", *lines]) + "\n"


def described(key: str) -> tuple[str, str, str, str]:
    """Return what a rule says, demands, rests on and assumes."""
    text = DOCS[key]
    first = (
        text.partition("\n")[0]
        .removeprefix("Yield that ")
        .removeprefix("Return for each row whether ")
    )
    parts = [
        " ".join(found[1].split()) if (found := re.search(pattern, text, re.DOTALL)) else ""
        for pattern in (r"Demands: (.*?)\nSource:", r"Source: (.*?)\nAssumes:", r"Assumes: (.*)")
    ]
    demands, source, assumes = parts
    return first[:1].upper() + first[1:], demands, source, assumes
