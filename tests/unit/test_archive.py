"""Fetching: from a folder, a zip, a tar, a server; verified, whole, and with a receipt."""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from repro.data import archive, manifest
from repro.data.manifest import Manifest
from repro.errors import ManualDataError, ReproError

CONTENT = b"1,10\n1,20\n2,10\n"
OTHER = b"1,10\n1,20\n2,99\n"  # of the same length
BLOB = b"blob %d\0" % len(CONTENT) + CONTENT
HASHES = {
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
    "md5": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
    "git_blob": hashlib.sha1(BLOB, usedforsecurity=False).hexdigest(),
}
SHA256 = f'sha256 = "{HASHES["sha256"]}"'

MANIFEST = """
[archive]
title = "Box"
license = "none"
source = "a test"
{archive}
[members."rows.csv"]
path = "box/rows.csv"
{member}
[read]
rows = {{ member = "rows.csv" }}
[views.all]
source = "a test"
"""

Box = Callable[..., Manifest]


@pytest.fixture
def box(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """Return what makes the dataset "box" with some lines on the archive and on its member."""
    monkeypatch.setenv("REPRO_PATH", str(own_folders / "user"))
    folder = own_folders / "user" / "data_manifests"
    folder.mkdir(parents=True)

    def make(member: str = SHA256, archive: str = 'manual = "ask"') -> Manifest:
        text = MANIFEST.format(archive=archive, member=member)
        (folder / "box.toml").write_text(text)
        return manifest.load("box")

    return make


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Return a folder that holds the member under the dataset's name."""
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "rows.csv").write_bytes(CONTENT)
    return tmp_path


def in_cache() -> dict[str, bytes]:
    raw = archive.raw_folder("box")
    return {path.name: path.read_bytes() for path in raw.glob("*")} if raw.exists() else {}


def zipped(content: bytes = CONTENT) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("box/rows.csv", content)
        made.writestr("../escaped.csv", content)
    return out.getvalue()


def stating(content: bytes) -> str:
    return f'sha256 = "{hashlib.sha256(content).hexdigest()}"'


@pytest.mark.parametrize("where", ["box/rows.csv", "rows.csv"])
def test_a_folder_may_hold_the_members_by_themselves(tmp_path: Path, box: Box, where: str) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / where).write_bytes(CONTENT)
    receipts = archive.fetch(box(), tmp_path)
    assert in_cache()["rows.csv"] == CONTENT
    receipt = receipts["rows.csv"]
    assert receipt.bytes == len(CONTENT)
    assert receipt.sha256 == HASHES["sha256"]
    assert receipt.verified
    assert receipt.source == str(tmp_path / where)


def test_a_folder_may_hold_the_zip(tmp_path: Path, box: Box) -> None:
    (tmp_path / "box.zip").write_bytes(zipped())
    made = box(archive='url = "http://nowhere/box.zip"\n' + stating(zipped()))
    assert archive.fetch(made, tmp_path)["rows.csv"].source == str(tmp_path / "box.zip")
    assert sorted(in_cache()) == ["receipt.json", "rows.csv"]


@pytest.mark.parametrize("compression", ["", "gz", "xz"])
def test_a_folder_may_hold_the_tar(tmp_path: Path, box: Box, compression: str) -> None:
    file = tmp_path / "box.tar"
    with tarfile.open(file, f"w:{compression}") as made:  # type: ignore[call-overload]
        entry = tarfile.TarInfo("box/rows.csv")
        entry.size = len(CONTENT)
        made.addfile(entry, io.BytesIO(CONTENT))
    lines = 'url = "http://nowhere/box.tar"\n' + stating(file.read_bytes())
    assert archive.fetch(box(archive=lines), tmp_path)["rows.csv"].verified
    assert in_cache()["rows.csv"] == CONTENT


def test_a_verified_archive_vouches_for_members_without_a_hash(tmp_path: Path, box: Box) -> None:
    (tmp_path / "box.zip").write_bytes(zipped())
    made = box(member="", archive='url = "http://nowhere/box.zip"\n' + stating(zipped()))
    assert archive.fetch(made, tmp_path)["rows.csv"].verified


def test_an_archive_that_differs_is_refused_before_it_is_unpacked(tmp_path: Path, box: Box) -> None:
    (tmp_path / "box.zip").write_bytes(zipped(OTHER))
    made = box(member="", archive='url = "http://nowhere/box.zip"\n' + stating(zipped()))
    with pytest.raises(ReproError, match=r"box\.zip does not match its manifest"):
        archive.fetch(made, tmp_path)
    assert in_cache() == {}


def test_an_archive_without_the_member_is_an_error(tmp_path: Path, box: Box) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as empty:
        empty.writestr("other.csv", CONTENT)
    (tmp_path / "box.zip").write_bytes(out.getvalue())
    made = box(archive='url = "http://nowhere/box.zip"\n' + stating(out.getvalue()))
    with pytest.raises(ReproError, match=r"does not give box/rows\.csv"):
        archive.fetch(made, tmp_path)
    assert in_cache() == {}


@pytest.mark.parametrize("kind", HASHES)
def test_each_kind_of_hash_vouches(shelf: Path, box: Box, kind: str) -> None:
    made = box(f'{kind} = "{HASHES[kind]}"\nbytes = {len(CONTENT)}')
    assert archive.fetch(made, shelf)["rows.csv"].verified


@pytest.mark.parametrize("kind", HASHES)
def test_each_kind_of_hash_is_checked(shelf: Path, box: Box, kind: str) -> None:
    (shelf / "box" / "rows.csv").write_bytes(OTHER)
    stated = "\n".join(f'{name} = "{value}"' for name, value in HASHES.items() if name == kind)
    with pytest.raises(ReproError, match=rf"(?s)rows\.csv does not match.*{kind} expected"):
        archive.fetch(box(stated), shelf)
    assert in_cache() == {}


def test_all_stated_hashes_must_match(shelf: Path, box: Box) -> None:
    with pytest.raises(ReproError, match="md5 expected 00, got"):
        archive.fetch(box(f'{SHA256}\nmd5 = "00"'), shelf)


def test_a_wrong_length_is_told_before_the_hashes(shelf: Path, box: Box) -> None:
    (shelf / "box" / "rows.csv").write_bytes(CONTENT + b"x")
    with pytest.raises(ReproError, match="bytes expected 15, got 16; sha256 expected"):
        archive.fetch(box(f"{SHA256}\nbytes = 15"), shelf)


def test_bytes_without_any_hash_are_not_taken(shelf: Path, box: Box) -> None:
    with pytest.raises(ReproError, match=r"(?s)no hash of rows\.csv.*--unverified"):
        archive.fetch(box("bytes = 15"), shelf)
    assert in_cache() == {}


@pytest.mark.parametrize("stated", ["", 'sha256 = "00"'])
def test_unverified_bytes_are_marked(shelf: Path, box: Box, stated: str) -> None:
    receipt = archive.fetch(box(stated), shelf, unverified=True)["rows.csv"]
    assert not receipt.verified
    assert receipt.sha256 == HASHES["sha256"]
    assert in_cache()["rows.csv"] == CONTENT


def test_bytes_that_match_are_verified_even_where_anything_is_accepted(
    shelf: Path, box: Box
) -> None:
    assert archive.fetch(box(), shelf, unverified=True)["rows.csv"].verified


def test_what_is_in_the_cache_is_not_fetched_again(shelf: Path, box: Box) -> None:
    first = archive.fetch(box(), shelf)
    (shelf / "box" / "rows.csv").unlink()
    assert archive.fetch(box(), shelf) == first
    assert archive.fetch(box()) == first


def test_a_member_that_was_cut_short_is_missing(shelf: Path, box: Box) -> None:
    archive.fetch(box(), shelf)
    (archive.raw_folder("box") / "rows.csv").write_bytes(CONTENT[:5])
    assert archive.missing(box()) == ["rows.csv"]
    archive.fetch(box(), shelf)
    assert in_cache()["rows.csv"] == CONTENT


def test_a_folder_without_the_file_is_told_where_it_was_expected(tmp_path: Path, box: Box) -> None:
    with pytest.raises(ReproError, match=str(tmp_path / "box" / "rows.csv")):
        archive.fetch(box(), tmp_path)


def test_a_source_that_is_no_folder_is_an_error(tmp_path: Path, box: Box) -> None:
    with pytest.raises(ReproError, match="is no folder"):
        archive.fetch(box(), tmp_path / "nowhere")


def test_the_mirror_is_looked_at_before_the_network(
    shelf: Path, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPRO_MIRROR", str(shelf))
    made = box(archive='url = "http://127.0.0.1:1/box.zip"')
    assert archive.fetch(made)["rows.csv"].source == str(shelf / "box" / "rows.csv")


def test_data_behind_a_form_is_an_error_of_its_own_that_says_how_to_get_it(box: Box) -> None:
    with pytest.raises(ManualDataError, match=r"(?s)by hand.*write to them") as caught:
        archive.fetch(box(archive='manual = "write to them"'))
    assert caught.value.exit_code == 3


class Handler(BaseHTTPRequestHandler):
    """Serves the member well, with wrong bytes, and cut off; the zip; and nothing else."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        served = {
            "/rows.csv": CONTENT,
            "/wrong.csv": OTHER,
            "/cut.csv": CONTENT[:5],
            "/box.zip": zipped(),
        }.get(self.path)
        if served is None:
            self.send_error(404)
            return
        self.send_response(200)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            served = gzip.compress(served)
            self.send_header("Content-Encoding", "gzip")
        length = len(CONTENT) if self.path == "/cut.csv" else len(served)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(served)

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the address of a server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_a_member_is_downloaded_and_its_progress_told(server: str, box: Box) -> None:
    told: list[tuple[str, int, int | None]] = []
    made = box(f'{SHA256}\nurl = "{server}/rows.csv"', archive="")
    receipt = archive.fetch(made, report=lambda *progress: told.append(progress))["rows.csv"]
    assert receipt.verified
    assert receipt.source == f"{server}/rows.csv"
    assert in_cache()["rows.csv"] == CONTENT
    assert ("rows.csv", len(CONTENT), len(CONTENT)) in told


def test_an_archive_is_downloaded_and_unpacked(server: str, box: Box) -> None:
    made = box(archive=f'url = "{server}/box.zip"\n' + stating(zipped()))
    assert archive.fetch(made)["rows.csv"].verified
    assert sorted(in_cache()) == ["receipt.json", "rows.csv"]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("wrong.csv", "does not match its manifest"),
        ("cut.csv", "could not be downloaded|broke off"),
        ("missing.csv", "could not be downloaded: 404"),
    ],
)
def test_a_download_that_fails_leaves_nothing(server: str, box: Box, page: str, said: str) -> None:
    made = box(f'{SHA256}\nurl = "{server}/{page}"', archive="")
    with pytest.raises(ReproError, match=said):
        archive.fetch(made)
    assert in_cache() == {}


def test_without_a_network_the_message_says_what_else_to_do(box: Box) -> None:
    with socket.socket() as bound:  # a port at which nobody listens
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/rows.csv"
        with pytest.raises(ReproError, match=f"(?s)could not be downloaded.*--from FOLDER.*{url}"):
            archive.fetch(box(f'{SHA256}\nurl = "{url}"', archive=""))


def test_generated_data_is_the_same_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name in ("one", "two"):
        monkeypatch.setenv("REPRO_HOME", str(tmp_path / name))
        toy = manifest.load("toy")
        assert archive.missing(toy) == toy.needed()
        made.append(archive.fetch(toy))
        assert archive.missing(toy) == []
    assert made[0] == made[1]
    assert all(receipt.verified for receipt in made[0].values())


def test_generated_data_follows_its_parameters(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_folders / "user" / "data_manifests"
    folder.mkdir(parents=True)
    monkeypatch.setenv("REPRO_PATH", str(own_folders / "user"))
    text = manifest.load("toy").path.read_text()

    def hashes(seed: int) -> dict[str, str]:
        (folder / "mine.toml").write_text(text.replace("seed     = 7", f"seed = {seed}"))
        fetched = archive.fetch(manifest.load("mine"))
        return {name: receipt.sha256 for name, receipt in fetched.items()}

    first = hashes(1)
    second = hashes(2)
    assert all(first[name] != second[name] for name in first)
    assert hashes(1) == first


def test_a_corrupt_zip_is_an_error_even_where_anything_is_accepted(
    tmp_path: Path, box: Box
) -> None:
    damaged = bytearray(zipped())
    damaged[len(b"PK") + 28 + len("box/rows.csv") + 2] ^= 0xFF
    (tmp_path / "box.zip").write_bytes(damaged)
    made = box(member="", archive='url = "http://nowhere/box.zip"\n' + stating(zipped()))
    with pytest.raises(ReproError, match="does not give box/rows"):
        archive.fetch(made, tmp_path, unverified=True)
    assert in_cache() == {}


def test_an_unverified_member_is_replaced_when_verified_bytes_can_be_had(
    shelf: Path, box: Box
) -> None:
    (shelf / "box" / "rows.csv").write_bytes(OTHER)
    assert not archive.fetch(box(), shelf, unverified=True)["rows.csv"].verified
    (shelf / "box" / "rows.csv").write_bytes(CONTENT)
    assert archive.fetch(box(), shelf)["rows.csv"].verified
    assert in_cache()["rows.csv"] == CONTENT


def test_an_archive_of_several_members_is_downloaded_once(server: str, box: Box) -> None:
    second = '[members."more.csv"]\npath = "box/rows.csv"\n[read.more]\nmember = "more.csv"'
    made = box(f"{SHA256}\n{second}", archive=f'url = "{server}/box.zip"\n' + stating(zipped()))
    Handler.asked.clear()
    assert sorted(archive.fetch(made)) == ["more.csv", "rows.csv"]
    assert Handler.asked == ["/box.zip"]
