"""Text from outside, as commands print it: on a terminal, in a pipe, from a server, an archive."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from rich.progress import TextColumn

from builders import Write, manifests
from builders.archives import packed
from builders.commands import repro_
from builders.foreign import NASTY, check_harmless, texts
from builders.models import breaking
from builders.papers import paper, row, table, view
from builders.records import EASE
from builders.server import Handler, Serving
from repro.cli import progress
from repro.errors import ReproError
from repro.runs.plan import Job
from repro.text import LONGEST, one_line

WORD = "\x1b[31m[red]a\nerror: b|c`\x9b\u202e"


class Screen(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self) -> bool:
        return True


def job(label: str) -> Job:
    return Job(EASE, (), label)


@given(texts)
def test_on_a_terminal_labels_and_messages_are_text(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", screen := Screen())
        for name, value in {"TERM": "dumb", "COLUMNS": "500"}.items():  # no colours, no cursor
            patch.setenv(name, value)
        with progress.Runs(2) as shown:
            shown.begin(text)(text, 1, 2)
            (column, *_), tasks = shown._bar.columns, shown._bar.tasks
            assert isinstance(column, TextColumn)
            assert str(column.render(tasks[-1])) == one_line(f"{text} ({text})")
            shown.say(f"first {text}\n  second")
            shown.end(job(text), ReproError(text, "do this"))
        with progress.Files() as files:
            files.bytes(text, 1, 2)
            files.say(text)
    sent = screen.getvalue()
    check_harmless(sent)
    lines = sent.split("\n")
    assert lines[0].rstrip() == one_line(f"first {text}".split("\n")[0]).rstrip()
    assert "  second" in lines
    assert f"[1/2] {one_line(text)}: FAILED: {one_line(text)}" in lines


def test_in_a_pipe_labels_and_messages_are_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.Runs(2) as shown:
        shown.begin(WORD)(WORD, 1, 2)
        shown.end(job(WORD), ReproError(WORD, WORD))
    with progress.Files() as files:
        files.bytes(WORD, 1, 2)
    progress.Terminal().say(WORD)
    said = capsys.readouterr()
    check_harmless(said.err)
    assert "\nerror:" not in said.err


COMMANDS = (
    ("show", "mine"),
    ("show", "mine", "--json"),
    ("show", "mine", "--table", "1"),
    ("compare", "mine"),
    ("compare", "mine", "--format", "text"),
    ("compare", "mine", "--format", "csv"),
    ("compare", "mine", "--json"),
    ("status", "mine"),
    ("status", "mine", "--json"),
)


def check_printed(*command: str, code: int = 0) -> str:
    """Run a command, and check that nothing it prints steers a terminal; return its messages."""
    result = repro_(*command, code=code)
    check_harmless(result.stdout)
    check_harmless(result.stderr)
    assert sum(line.startswith("error: ") for line in result.stderr.split("\n")) == (code == 1)
    return result.stderr


def test_a_table_file_cannot_steer_the_terminal(write: Write) -> None:
    text = paper(
        view(label=WORD, note=WORD),
        table(caption=WORD, note=WORD, metrics={WORD: "ndcg@10"}),
        row(WORD, "popularity", note=WORD),
        row(f"{WORD}2", "breaking", note=WORD),
    )
    write("tables/mine.toml", text.replace("\x7f", ""))
    raising = f"raise ReproError({WORD!r} * 9000, {WORD!r})"
    write("models/breaking.py", breaking(raising).replace('"politely"\n', '"rudely"\n'))
    for command in COMMANDS:
        check_printed(*command)
    said = check_printed("run", "mine", code=4)
    assert max(map(len, said.split("\n"))) < LONGEST + 500
    for command in (*COMMANDS, ("freeze", "mine")):
        check_printed(*command)
    faulty = text.replace("ndcg@10", WORD.encode("unicode_escape").decode().replace("\\x", "\\u00"))
    write("tables/mine.toml", faulty)
    check_printed("show", "mine", code=1)


def test_a_server_cannot_steer_the_terminal(server: Serving, write: Write, hurried: None) -> None:
    def rude(handler: Handler) -> None:
        handler.send_response(404, "\x1b[31mgone\x9b" + "a" * 60_000)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    lines = f'url = "{server.at("/rows.csv", rude)}"\n{manifests.stating(b"1,2")}'
    write("data_manifests/box.toml", manifests.box(lines))
    said = check_printed("fetch", "box", code=1)
    assert r"404 \x1b[31mgone\x9baaa" in said
    assert len(said) < 2 * LONGEST


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_in_an_archive_and_of_files_cannot_steer_the_terminal(
    write: Write, tmp_path: Path, kind: str
) -> None:
    content = packed(kind, {f"{n}{text}".replace("\0", ""): b"" for n, text in enumerate(NASTY)})
    member = f'path = "rows.csv"\ncontainer = "box.{kind}"\n{manifests.sha256(b"1,2")}'
    write("data_manifests/box.toml", manifests.box(member, manifests.BY_HAND))
    folder = tmp_path / f"{WORD}"
    folder.mkdir()
    (folder / f"box.{kind}").write_bytes(content)
    said = check_printed("fetch", "box", "--from", str(folder), code=1)
    assert "does not hold rows.csv" in said


def test_a_file_name_that_is_no_unicode_can_be_printed(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = write("tables/mine.toml", "not TOML").parent.parent
    folder = at.with_name("caf\udce9\x1b[31m")
    at.rename(folder)
    monkeypatch.setenv("REPRO_PATH", str(folder))
    assert r"caf\udce9\x1b[31m" in check_printed("show", "mine", code=1)
