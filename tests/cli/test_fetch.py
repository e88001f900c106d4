"""``repro fetch`` as people use it: cut off, killed, twice at once; from a server that is here."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import Write, disk, manifests, papers
from builders.commands import json_of, repro_
from builders.manifests import sha256, stating
from builders.papers import at, row, table, view
from builders.server import Serving, give
from builders.toml import section
from repro import files
from repro.cli import progress
from repro.data import cache, manifest, views
from repro.locks import FOLDER

ROWS = "".join(f"{u},{(u + step) % 9}\n" for u in range(12) for step in range(6)).encode()
LARGE = "".join(f"{u},{i}\n" for u in range(600) for i in range(u % 9, 999, 9)).encode()
N_ROWS = LARGE.count(b"\n")

HEAD = section(
    "archive",
    title="Box",
    license="whoever asks may look, and nobody may touch",
    source="https://data.invalid/about",
)

OTHER = """
[members."other.csv"]
{member}
[read.other]
member = "other.csv"
[views.other]
source = "a test"
read = {{ rows = "other" }}
"""

STATISTICS = table(
    "I",
    {"#Users": "users", "#Items": "items", "Sparsity": "sparsity"},
    kind="statistics",
    groups=["box"],
) + row("Boxes", None, ["12", "10", "33.33%"], table="I", group="box")

INTERRUPTIBLE = """
import signal
import socket
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where this was started
from repro.cli import main
main()
"""


class Holding(Serving):
    """Serves files, slowly if asked to; holds back what comes after some bytes until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.held_after = float("inf")
        self.go_on = threading.Event()
        self.drip = (1 << 14, 0.0)

    def stating(self, path: str, content: bytes = ROWS) -> str:
        """Serve some bytes; return the lines of a manifest on them."""
        url = self.at(path, give(content, drip=self.drip, hold=self._hold))
        return f'url = "{url}"\n{stating(content)}'

    def _hold(self, at: int) -> None:
        if at >= self.held_after:
            self.go_on.wait(60)


@pytest.fixture
def server() -> Iterator[Holding]:
    with Holding().running() as made:
        yield made
        made.go_on.set()


pytestmark = pytest.mark.usefixtures("hurried")

box = partial(manifests.box, head=HEAD)
BY_HAND = box(archive=manifests.BY_HAND)


def paper(**datasets: str) -> str:
    """Return a paper whose one table has a group for each dataset."""
    views = [view(name, dataset, "random_split", label=name) for name, dataset in datasets.items()]
    first, *others = datasets
    pop = row("POP", "popularity", group=first), *(at(name, "0.5") for name in others)
    return papers.paper(*views, table(groups=list(datasets)), *pop)


def raw(name: str = "rows.csv", dataset: str = "box") -> Path:
    return cache.raw_folder(dataset) / name


def states(text: str) -> dict[str, str]:
    """Return the state by file or view, as the check prints it."""
    lines = [line.split(maxsplit=2) for line in text.splitlines()[2:]]
    return {name: state for _, name, state in lines}


def test_a_dataset_is_downloaded_verified_built_and_shown(server: Holding, write: Write) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    shown = repro_("fetch", "box").stdout
    assert f"file rows.csv: {len(ROWS)} bytes, verified, from http://127.0.0.1" in shown
    assert "view box/all" in shown
    assert "order = oldest first" in shown
    assert "72" in shown
    assert views.load("box/all").interactions.n_users == 12
    assert server.log() == [("/rows.csv", None)]


def test_what_is_here_is_not_asked_for_again(server: Holding, write: Write) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    first = repro_("fetch", "box").stdout
    assert repro_("fetch", "box").stdout == first
    assert len(server.asked) == 1


def test_all_of_a_paper_is_fetched_but_for_what_must_be_obtained_by_hand(
    server: Holding, write: Write
) -> None:
    write("data_manifests/aaa.toml", BY_HAND)
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    write("data_manifests/yyy.toml", box(server.stating("/more.csv")))
    write("tables/mine.toml", paper(a="aaa/all", b="box/all", y="yyy/all"))
    result = repro_("fetch", "--all", "mine", code=3)
    assert "error: aaa must be obtained by hand" in result.stderr
    assert "write to them" in result.stderr
    assert "repro fetch aaa --from FOLDER" in result.stderr
    assert "view box/all" in result.stdout
    assert "view yyy/all" in result.stdout
    assert raw(dataset="box").read_bytes() == ROWS
    assert raw(dataset="yyy").read_bytes() == ROWS


def test_all_of_a_paper_is_no_more_than_its_tables_need(server: Holding, write: Write) -> None:
    gone = server.stating("/gone.csv")
    server.script.clear()
    text = box(server.stating("/rows.csv")) + OTHER.format(member=gone)
    write("data_manifests/box.toml", text)
    write("tables/mine.toml", paper(a="box/all"))
    repro_("fetch", "--all", "mine")
    assert server.paths() == ["/rows.csv"]
    assert "/gone.csv: 404" in repro_("fetch", "box", code=1).stderr


def test_all_of_a_paper_and_more_can_be_asked_for_at_once(server: Holding, write: Write) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    write("data_manifests/more.toml", box(server.stating("/more.csv")))
    write("tables/mine.toml", paper(a="box/all"))
    shown = repro_("fetch", "more", "box", "--all", "mine").stdout
    assert shown.count("view box/all") == 1
    assert shown.count("view more/all") == 1


def test_one_dataset_that_fails_does_not_stop_the_others(server: Holding, write: Write) -> None:
    write("data_manifests/bad.toml", box(server.stating("/bad.csv").replace(" = 300", " = 301")))
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    result = repro_("fetch", "bad", "box", code=1)
    assert "it offers 300 bytes, expected 301" in result.stderr
    assert "view box/all" in result.stdout
    assert "bad" not in result.stdout
    assert raw().read_bytes() == ROWS
    assert not raw(dataset="bad").exists()


def test_one_file_that_cannot_be_had_does_not_stop_the_others(
    server: Holding, write: Write
) -> None:
    gone = server.stating("/gone.csv")
    server.script.clear()
    text = box(gone) + OTHER.format(member=server.stating("/other.csv"))
    write("data_manifests/box.toml", text)
    result = repro_("fetch", "box", code=1)
    assert "/gone.csv: 404" in result.stderr
    assert "view box/other" in result.stdout
    assert views.prepared("box/other")
    assert not views.prepared("box/all")


def test_one_view_is_fetched_with_its_own_files_only(server: Holding, write: Write) -> None:
    text = box(server.stating("/rows.csv")) + OTHER.format(member=server.stating("/other.csv"))
    write("data_manifests/box.toml", text)
    repro_("fetch", "box/other")
    assert server.log() == [("/other.csv", None)]
    assert views.prepared("box/other")
    assert not views.prepared("box/all")
    repro_("fetch", "box/all")
    assert server.log()[1:] == [("/rows.csv", None)]
    assert views.prepared("box/all")


def test_a_view_that_does_not_exist_is_an_error_before_anything_is_fetched(
    server: Holding, write: Write
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    result = repro_("fetch", "box/al", code=1)
    assert "no view of box is called 'al'\n  did you mean all?" in result.stderr
    assert server.log() == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("fetch", "no dataset was named"),
        ("fetch --all min", "no paper is called 'min'\n  did you mean mine?"),
        ("fetch box bux", "no dataset is called 'bux'\n  did you mean box?"),
        ("fetch --check bux", "no dataset is called 'bux'\n  did you mean box?"),
        ("fetch box --from nowhere", "nowhere is not a folder"),
    ],
)
def test_what_does_not_exist_is_an_error_before_anything_is_fetched(
    server: Holding, write: Write, command: str, said: str
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    write("tables/mine.toml", paper(a="box/all"))
    assert said in repro_(*command.split(), code=1).stderr
    assert server.log() == []


def test_unverified_bytes_are_told_with_the_hash_to_pin(server: Holding, write: Write) -> None:
    lines = server.stating("/rows.csv")
    server.stating("/rows.csv", ROWS + b"0,8\n")
    write("data_manifests/box.toml", box(lines))
    refused = repro_("fetch", "box", code=1)
    assert "it offers 304 bytes, expected 300" in refused.stderr
    taken = repro_("fetch", "box", "--unverified")
    assert "rows.csv is UNVERIFIED" in taken.stderr
    assert hashlib.sha256(ROWS + b"0,8\n").hexdigest() in taken.stderr
    assert "304 bytes, UNVERIFIED, from http" in taken.stdout
    assert "/rows.csv; the manifest's sha256 as stated by others" in taken.stdout


def test_a_fault_of_a_file_is_told_once_for_all_its_views(server: Holding, write: Write) -> None:
    lines = server.stating("/rows.csv")
    server.stating("/rows.csv", ROWS + b"0\n")
    other = '[views.other]\nsource = "a test"\n'
    write("data_manifests/box.toml", box(lines) + other)
    told = repro_("fetch", "box", "--unverified", code=1).stderr
    assert told.count("line 73: expected 2 columns, got 1") == 1


def test_what_a_manifest_comes_to_expect_of_a_view_is_checked(
    server: Holding, write: Write
) -> None:
    text = box(server.stating("/rows.csv"))
    write("data_manifests/box.toml", text + "expect = { users = 12 }\n")
    repro_("fetch", "box")
    write("data_manifests/box.toml", text + "expect = { users = 13, items = 9 }\n")
    said = "box/all diverges from its manifest: users expected 13, got 12"
    assert said in repro_("fetch", "box", code=1).stderr
    assert said in repro_("fetch", "--check", "box", code=1).stdout


def test_the_check_tells_the_state_of_every_file_and_view(server: Holding, write: Write) -> None:
    text = box(server.stating("/rows.csv")) + OTHER.format(member=server.stating("/other.csv"))
    write("data_manifests/box.toml", text)
    assert "not in the cache" in repro_("fetch", "--check", "box").stdout
    assert states(repro_("fetch", "--check").stdout) == {}
    repro_("fetch", "box")
    asked = list(server.asked)
    expected = {"rows.csv": "verified", "other.csv": "verified", "all": "intact", "other": "intact"}
    assert states(repro_("fetch", "--check", "box").stdout) == expected
    assert states(repro_("fetch", "--check").stdout) == expected
    assert server.asked == asked


def test_the_check_exits_1_where_a_file_has_changed(server: Holding, write: Write) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    repro_("fetch", "box")
    raw().write_bytes(ROWS.replace(b"1", b"2", 1))
    told = states(repro_("fetch", "--check", "box", code=1).stdout)
    assert told["rows.csv"].startswith("CHANGED since it was fetched: delete")
    raw().unlink()
    told = states(repro_("fetch", "--check", "box", code=1).stdout)
    assert told["rows.csv"] == "MISSING: fetch it again"
    repro_("fetch", "box")
    assert states(repro_("fetch", "--check", "box").stdout)["rows.csv"] == "verified"


@pytest.mark.parametrize("damage", ["changed", "cut", "emptied", "removed"])
def test_the_check_exits_1_where_a_view_is_damaged(
    server: Holding, write: Write, damage: str
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    repro_("fetch", "box")
    file = next(cache.folder("box").glob("views/*/whole_item.npy"))
    if damage == "changed":
        np.save(file, np.load(file)[::-1].copy())
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-7])
    elif damage == "emptied":
        file.write_bytes(b"")
    else:
        file.unlink()
    told = states(repro_("fetch", "--check", "box", code=1).stdout)
    assert told["all"].startswith("DAMAGED: ")
    assert str(file.parent) in told["all"]
    shutil.rmtree(file.parent)
    repro_("fetch", "box")
    assert states(repro_("fetch", "--check", "box").stdout)["all"] == "intact"


def test_a_damaged_receipt_is_an_error_with_the_way_out(server: Holding, write: Write) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    repro_("fetch", "box")
    raw("receipt.json").write_text("{")
    for command in ("fetch box", "show box"):
        assert str(raw("receipt.json")) in repro_(*command.split(), code=1).stderr, command
    assert str(raw("receipt.json")) in repro_("fetch", "--check", "box", code=1).stdout
    assert listed("box")["here"] == "damaged"  # the others are listed all the same


def test_fetching_mends_a_file_that_has_changed_since_it_came(
    server: Holding, write: Write
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    repro_("fetch", "box")
    whole = raw().read_bytes()
    raw().write_bytes(whole.replace(b"1", b"2", 1))
    assert "has changed; it is fetched again" in repro_("fetch", "box").stderr
    assert raw().read_bytes() == whole


def test_a_view_whose_arrays_have_changed_is_neither_fetched_nor_trained_on(
    server: Holding, write: Write
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    repro_("fetch", "box")
    file = next(cache.folder("box").glob("views/*/whole_item.npy"))
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused = repro_("fetch", "box", code=1)
    assert "damaged since it was built" in refused.stderr
    assert str(file.parent) in refused.stderr


def test_the_check_of_unverified_bytes_says_so_and_exits_0(server: Holding, write: Write) -> None:
    lines = server.stating("/rows.csv")
    server.stating("/rows.csv", ROWS + b"0,8\n")
    write("data_manifests/box.toml", box(lines))
    repro_("fetch", "box", "--unverified")
    assert states(repro_("fetch", "--check", "box").stdout)["rows.csv"] == "unverified"


def listed(name: str) -> dict[str, Any]:
    rows = json_of("list", "datasets")
    return next(row for row in rows if row["dataset"] == name)


def test_the_list_tells_size_licence_way_use_and_state_of_every_dataset(
    server: Holding, write: Write
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv", LARGE)))
    write("data_manifests/hand.toml", BY_HAND)
    write("tables/mine.toml", paper(a="box/all"))
    assert listed("box") == {
        "dataset": "box",
        "bytes": len(LARGE),
        "at_least": False,
        "licence": "whoever asks may look, and nobody may touch",
        "obtained": "download",
        "serves": {"mine": ["1"]},
        "here": "no",
        "complete": False,
        "views": ["all"],
    }
    hand = listed("hand")
    assert hand["obtained"] == "by hand"
    assert (hand["bytes"], hand["serves"]) == (None, {})
    assert listed("toy")["obtained"] == "generated"
    text = repro_("list", "datasets").stdout
    columns = ["dataset", "size", "licence", "obtained", "serves", "here"]
    assert text.splitlines()[0].split()[:6] == columns
    assert f"{len(LARGE) / 1e6:.1f} MB" in text
    assert "no table" in text
    assert {row["dataset"] for row in json_of("list", "datasets")} == (set(manifest.names()))


def test_the_list_tells_what_is_here_in_whole_and_in_part(server: Holding, write: Write) -> None:
    text = box(server.stating("/rows.csv")) + OTHER.format(member=server.stating("/other.csv"))
    write("data_manifests/box.toml", text)

    def here() -> tuple[str, bool]:
        return listed("box")["here"], listed("box")["complete"]

    repro_("fetch", "box/other")
    assert here() == ("verified", False)
    repro_("fetch", "box")
    assert here() == ("verified", True)
    raw().unlink()
    assert here() == ("verified", False)


def test_the_list_tells_what_is_unverified(server: Holding, write: Write) -> None:
    lines = server.stating("/rows.csv")
    server.stating("/rows.csv", ROWS + b"0,8\n")
    write("data_manifests/box.toml", box(lines))
    repro_("fetch", "box", "--unverified")
    assert listed("box")["here"] == "unverified"


def test_a_layout_of_several_that_is_here_is_here_in_whole(write: Write, tmp_path: Path) -> None:
    text = BY_HAND.replace('{ member = "rows.csv" }', '{ any_of = [["rows.csv"], ["alt.csv"]] }')
    write("data_manifests/box.toml", text + f'[members."alt.csv"]\n{sha256(ROWS)}\n')
    (tmp_path / "alt.csv").write_bytes(ROWS)
    repro_("fetch", "box", "--from", str(tmp_path))
    assert listed("box")["here"] == "verified"
    assert "file alt.csv: 300 bytes, verified" in repro_("show", "box").stdout


def test_a_dataset_is_shown_with_the_statistics_that_papers_print_beside_its_funnel(
    server: Holding, write: Write
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    write(
        "tables/mine.toml",
        papers.paper(view("box", "box/all", "random_split", label="box"), STATISTICS),
    )
    before = repro_("show", "box").stdout
    assert "not built yet" in before
    assert "order = oldest first" in before
    assert "mine table I, Boxes, #Users: 12\n" in before

    repro_("fetch", "box")
    shown = repro_("show", "box").stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "step interactions users items expected" in lines
    assert "order = oldest first 72 12 9" in lines
    assert any("#Users: 12 (here 12, exact)" in line for line in lines)
    assert any("#Items: 10 (here 9, " in line and "exact" not in line for line in lines)
    assert any("Sparsity: 33.33% (here 33.33" in line and "exact" in line for line in lines)


def test_a_dataset_is_shown_with_what_no_real_file_has_confirmed(write: Write) -> None:
    text = box("sha256 = 'ab'\nurl = 'http://data.invalid/rows.csv'")
    text += 'unconfirmed = "the order is a guess"\n'
    text += OTHER.format(member="url = 'http://data.invalid/other.csv'")
    write("data_manifests/box.toml", text)
    shown = repro_("show", "box").stdout
    section = shown[shown.index("unconfirmed:") :]
    assert "rows.csv: sha256 as stated by others; no real file checked" in section
    assert "other.csv: no hash is known" in section
    assert "all: the order is a guess" in section
    doubts = json_of("show", "box")["unconfirmed"]
    assert len(doubts) == 3


def test_a_dataset_without_doubts_has_no_such_section(write: Write) -> None:
    member = "sha256 = 'ab'\nconfirmed = true\nurl = 'http://data.invalid/rows.csv'"
    write("data_manifests/box.toml", box(member))
    assert "unconfirmed" not in repro_("show", "box").stdout


def test_a_dataset_is_shown_with_terms_addresses_and_how_to_get_it(write: Write) -> None:
    lines = "url = 'http://data.invalid/box.zip'\nmirrors = ['http://mirror.invalid/box.zip']\n"
    write("data_manifests/box.toml", box("", lines + "manual = 'write to them'"))
    shown = repro_("show", "box").stdout
    for line in (
        "terms: whoever asks may look, and nobody may touch",
        "source: https://data.invalid/about",
        "by hand: write to them",
        "file rows.csv: not in the cache",
    ):
        assert line in shown.splitlines()
    assert "http://data.invalid/box.zip" in shown
    assert "http://mirror.invalid/box.zip" in shown


def test_without_a_terminal_progress_is_told_in_lines(
    server: Holding, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    server.drip = (len(LARGE) // 5, 0.02)
    write("data_manifests/box.toml", box(server.stating("/rows.csv", LARGE)))
    result = repro_("fetch", "box")
    lines = [line for line in result.stderr.splitlines() if line.startswith("rows.csv: ")]
    assert len(lines) > 3
    assert " MB at " in lines[1]
    assert " MB/s, " in lines[1]
    assert lines[1].endswith(" left")
    assert any(", 100%, 0 s left" in line for line in lines)
    assert "MB/s" not in result.stdout
    assert "\x1b" not in result.output


def test_without_a_terminal_a_quick_fetch_says_nothing(server: Holding, write: Write) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv")))
    assert repro_("fetch", "box").stderr == ""


def started(*command: str) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for something; give up if the process ends or takes too long."""
    end = time.monotonic() + 30
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.fail("\n".join(process.communicate()))
        time.sleep(0.005)


def part() -> Path:
    return cache.folder("box") / "parts" / "rows.csv.part"


def n_here() -> int:
    return part().stat().st_size if part().exists() else 0


def cut_off(server: Holding, by: signal.Signals, *command: str) -> tuple[int, str]:
    """Start a fetch, send a signal in the middle of the file; return exit code and messages."""
    server.held_after = len(LARGE) // 2
    process = started(*command, "fetch", "box")
    until(lambda: n_here() > len(LARGE) // 3, process)
    process.send_signal(by)
    told = process.communicate(timeout=30)[1]
    server.go_on.set()
    assert 0 < n_here() < len(LARGE)
    assert part().read_bytes() == LARGE[: n_here()]
    assert not raw().exists()
    return process.returncode, told


def test_what_kill_9_leaves_is_gone_on_from_by_another_process(
    server: Holding, write: Write
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv", LARGE)))
    code, _ = cut_off(server, signal.SIGKILL, "-m", "repro")
    assert code == -signal.SIGKILL
    stopped = n_here()
    again = started("-m", "repro", "fetch", "box")
    shown, told = again.communicate(timeout=30)
    assert again.returncode == 0, told
    assert f"{len(LARGE):,} bytes, verified" in shown
    assert server.log() == [("/rows.csv", None), ("/rows.csv", f"bytes={stopped}-")]
    assert raw().read_bytes() == LARGE
    assert not part().parent.exists()
    assert len(views.load("box/all").interactions) == N_ROWS


def test_ctrl_c_exits_130_and_the_next_fetch_goes_on_from_there(
    server: Holding, write: Write
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv", LARGE)))
    code, told = cut_off(server, signal.SIGINT, "-c", INTERRUPTIBLE)
    assert code == 130
    assert "interrupted" in told
    assert "--force" not in told
    assert "Traceback" not in told
    stopped = n_here()
    repro_("fetch", "box")
    assert server.log() == [("/rows.csv", None), ("/rows.csv", f"bytes={stopped}-")]
    assert raw().read_bytes() == LARGE


def test_of_two_processes_at_once_one_downloads_and_the_other_waits_and_says_so(
    server: Holding, write: Write
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv", LARGE)))
    server.held_after = len(LARGE) // 2
    first = started("-m", "repro", "fetch", "box")
    until(lambda: n_here() > 0, first)
    second = started("-m", "repro", "fetch", "box")
    watchdog = threading.Timer(30, second.kill)
    watchdog.start()
    assert second.stderr
    told = second.stderr.readline()
    server.go_on.set()
    outputs = [process.communicate(timeout=30) for process in (first, second)]
    watchdog.cancel()
    who = f"process {first.pid} on {socket.gethostname()}"
    assert told == f"box is in use by {who}; waiting for it\n"
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert server.log() == [("/rows.csv", None)]
    assert outputs[0][0] == outputs[1][0]
    assert raw().read_bytes() == LARGE


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_who_waits_goes_on_when_the_other_is_gone_or_silent_and_the_other_gives_up(
    server: Holding, write: Write, by: signal.Signals
) -> None:
    write("data_manifests/box.toml", box(server.stating("/rows.csv", LARGE)))
    server.held_after = len(LARGE) // 2
    first = started("-m", "repro", "fetch", "box")
    until(lambda: n_here() > 0, first)
    second = started("-m", "repro", "fetch", "box")
    watchdog = threading.Timer(60, second.kill)
    watchdog.start()
    assert second.stderr
    assert f"process {first.pid} on" in second.stderr.readline()
    first.send_signal(by)
    server.go_on.set()
    if by == signal.SIGSTOP:
        [lock] = (cache.folder("box") / FOLDER).iterdir()
        os.utime(lock, (1, 1))
    second.communicate()
    watchdog.cancel()
    assert second.returncode == 0
    assert raw().read_bytes() == LARGE
    first.send_signal(signal.SIGCONT)
    told = first.communicate(timeout=30)[1]
    if by == signal.SIGSTOP:
        assert first.returncode == 1
        assert "another process has taken over box while this one was asleep" in told
        assert "Traceback" not in told
    assert raw().read_bytes() == LARGE
    assert not part().exists()
    assert not list(cache.folder("box").glob("lock/*"))
    repro_("fetch", "box", "--check")


def test_a_full_disk_is_an_error_and_not_a_traceback(
    server: Holding, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disk.small(tmp_path / "disk", "256k") as folder:
        monkeypatch.setenv("REPRO_HOME", str(folder / "home"))
        write("data_manifests/box.toml", box(server.stating("/rows.csv", LARGE)))
        assert "bytes are needed" in repro_("fetch", "box", code=1).stderr
        with monkeypatch.context() as patched:  # somebody else fills it meanwhile
            patched.setattr(files, "need_room", lambda *_: None)
            told = repro_("fetch", "box", code=1).stderr
        assert "the disk is full" in told
        assert "make room" in told
        stopped = n_here()
        disk.enlarge(folder, "9m")
        repro_("fetch", "box")
        assert server.log()[-1] == ("/rows.csv", f"bytes={stopped}-")
        assert raw().read_bytes() == LARGE


def test_own_files_with_the_name_of_ours_are_told_by_every_command(write: Write) -> None:
    mine = write("data_manifests/ml-1m.toml", "no TOML")
    for command in ("list datasets", "show ml-1m", "fetch --check ml-1m"):
        told = repro_(*command.split()).stderr
        assert f"warning: {mine} is not read, as a file that comes with repro has its name" in told
