"""Generated pages are current, README's notebook runs, and the JSON is what the pages say of it.

`python tests/test_generated.py` writes the generated parts, which stand between comments such as
``<!-- models -->`` and ``<!-- /models -->``, and the picture of README.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from html import unescape
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import ConfigDict, TypeAdapter

from builders.commands import json_of, repro_
from repro.api import export
from repro.auditing import page as audit_page
from repro.cli import GROUPS
from repro.report import file_formats, json_forms, pages, picture
from repro.results.judgement import VERDICTS
from repro.results.verdicts import MARKS

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / ".github" / "verdicts.svg"
MOST_BYTES = 8_000
"""Of README."""


def commands() -> str:
    """Return every command's help, as a terminal of 100 columns shows it."""
    program = (
        "import sys; from repro.cli import app; "
        "app(sys.argv[1:], prog_name='repro', terminal_width=100)"
    )
    parts = []
    for command in ["", *(name for names in GROUPS.values() for name in names)]:
        asked = [sys.executable, "-c", program, *command.split(), "--help"]
        shown = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        lines = [line.rstrip() for line in shown.strip().splitlines()]
        parts.append(f"### repro {command}".rstrip() + "\n\n```\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(parts)


def drawn() -> str:
    """Return README's picture."""
    return picture.verdicts("acvae", "2", "ML-latest", ["Recall@10", "NDCG@10", "MRR@10"])


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "repro/cli/README.md": {
        "exit_codes": pages.exit_codes,
        "commands": commands,
        "json": json_forms.markdown,
    },
    "repro/models/README.md": {"models": pages.models},
    "data_manifests/README.md": {"datasets": pages.datasets},
    "tables/README.md": {"claim_verdicts": pages.claim_verdicts, "results": pages.results},
    "repro/starting/README.md": {
        kind: partial(file_formats.markdown, kind) for kind in file_formats.FORMATS
    },
    "repro/auditing/README.md": {"severities": audit_page.severities, "rules": audit_page.rules},
}
"""The generated parts of each page."""


def renewed(page: str) -> str:
    """Return a page with its generated parts as they should be."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, content in PARTS[page].items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        assert text.count(begin) == text.count(end) == 1, f"{page} needs {begin}{end} once"
        before, _, rest = text.partition(begin)
        text = before + begin + content() + end + rest.partition(end)[2]
    return text


SCHEMAS = {
    ROOT / f"repro/starting/{kind}.schema.json": partial(file_formats.json_schema, kind)
    for kind in file_formats.FORMATS
}
"""For editors."""


def words(svg: str) -> list[str]:
    """Return the texts of a picture; its looks may differ between versions of rich."""
    return [unescape(one).strip() for one in re.findall(r"<text[^>]*>([^<]*)<", svg)]


@pytest.mark.parametrize("page", PARTS)
def test_page_is_current(page: str) -> None:
    stale = f"{page} is stale: run python tests/test_generated.py"
    assert renewed(page) == (ROOT / page).read_text(encoding="utf-8"), stale


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_schema_for_editors_is_current(path: Path) -> None:
    stale = f"{path} is stale: run python tests/test_generated.py"
    assert SCHEMAS[path]() == path.read_text(encoding="utf-8"), stale


def test_picture_is_current() -> None:
    shown = PICTURE.read_text(encoding="utf-8")
    assert words(drawn()) == words(shown), "stale: run python tests/test_generated.py"
    assert "…" not in shown  # nothing is cut off


@pytest.mark.parametrize(
    "page",
    ["README.md", *PARTS, "tables/OWN.md", ".github/CONTRIBUTING.md", "repro/doors/README.md"],
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_readme_is_short_and_begins_with_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    assert re.findall(r"```sh\n(.*?)\n```", text, re.DOTALL) == [
        "pip install . && repro run toy && repro compare toy",
        'pip install ".[test]" && pytest',
    ]


def test_every_verdict_and_mark_is_explained() -> None:
    text = (ROOT / "tables" / "README.md").read_text(encoding="utf-8")
    first = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    explained = [name for cell in first for name in re.findall(r"`(\S+)`", cell)]
    assert sorted(explained) == sorted([*VERDICTS, *(f"[{mark}]" for mark in MARKS)])


def run(examples: doctest.DocTest) -> None:
    """Run the examples of a text."""
    output: list[str] = []
    done = doctest.DocTestRunner(verbose=False).run(examples, out=output.append)
    assert done.attempted, f"{examples.name} has no examples"
    assert not done.failed, "".join(output)


def test_notebook_in_readme_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    run(doctest.DocTestParser().get_doctest(blocks, {}, "README.md", "README.md", 0))


@pytest.mark.parametrize(
    "name",
    [
        "repro",
        *(f"repro.api.{n}" for n in ("data", "doors", "papers", "runs")),
        "repro.hyperparameters",
    ],
)
def test_examples_in_docstrings_run(name: str) -> None:
    found = [one for one in doctest.DocTestFinder().find(import_module(name)) if one.examples]
    assert found
    for examples in found:
        run(examples)


COMMANDS = {
    "list papers": ["list papers"],
    "list datasets": ["list datasets"],
    "list models": ["list models"],
    "list protocols": ["list protocols"],
    "list metrics": ["list metrics"],
    "list results": ["list results"],
    "show PAPER": ["show toy --kind paper", "show acvae", "show dave --table 2"],
    "show DATASET": ["show toy --kind dataset", "show netflix", "show ml-1m"],
    "show MODEL": [f"show {name} --kind model" for name in ("ease", "mult_vae", "mvae")],
    "show PROTOCOL": ["show leave_one_out", "show strong_generalization"],
    "status": ["status toy acvae --added"],
    "runs": ["runs", "runs toy --row EASE"],
    "compare": ["compare toy", "compare acvae dave sevae", "compare toy --row EASE --mine"],
    "compare PAPER --against ROW": ["compare toy --table 1 --against POP"],
    "check": ["check toy", "check"],
    "claims": ["claims", "claims dave --table 4"],
    "audit": ["audit", "audit dave --table 4"],
    "explain PAPER --table NUMBER --row LABEL": [
        "explain toy --table 1 --row EASE",
        "explain dave --table 4 --row DAVE",
        "explain acvae --table 2 --row ACVAE --metric NDCG@10",
    ],
    "ledger": ["ledger dave mvae"],
    "beyond PAPER --table NUMBER": ["beyond toy --table 1"],
    "export PAPER --table NUMBER --to FOLDER": ["export toy --table 2 --to $OUT"],
    "score PAPER --table NUMBER --name NAME FILE": [
        "score toy --table 1 --view split --name Mine --missing zero $OUT.csv"
    ],
    "run PAPER --dry-run": ["run toy --dry-run --table 1", "run sevae --dry-run --table 2"],
}
"""What is asked, by the form of its answer."""


def test_json_is_as_described(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    split = export("toy", "1", tmp_path / "split", view="split").folder
    first, second, *_ = (split / "test.csv").read_text().splitlines()
    Path(f"{out}.csv").write_text(f"{first},score\n{second},1\n")
    repro_("run", "toy", "--table", "1", "--row", "EASE", "--keep", "lists")
    repro_("run", "toy", "--table", "1", "--row", "POP")
    assert COMMANDS.keys() == json_forms.FORMS.keys()
    for name, form in json_forms.FORMS.items():
        strict = TypeAdapter(list[form], config=ConfigDict(extra="forbid"))  # type: ignore[valid-type]
        for command in COMMANDS[name]:
            found = json_of(*command.replace("$OUT", out).split())
            known = strict.validate_json(json.dumps([found]), strict=True)
            assert strict.dump_python(known, mode="json") == [found], command  # no field is missing


if __name__ == "__main__":
    os.environ.pop("REPRO_PATH", None)  # the pages list what is here
    for page in PARTS:
        (ROOT / page).write_text(renewed(page), encoding="utf-8")
    for path, made in SCHEMAS.items():
        path.write_text(made(), encoding="utf-8")
    PICTURE.write_text(drawn(), encoding="utf-8")
