"""Fetching: from a folder, a zip, a tar, a server; verified, whole, and with a receipt."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import socket
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from builders import Write, manifests
from builders.archives import packed
from builders.manifests import sha256
from builders.server import BODY, OTHER, Heard, Serving, give
from repro.data import archive, cache, manifest, prospect
from repro.data.manifest import Manifest
from repro.errors import ManualDataError, ReproError

BLOB = b"blob %d\0" % len(BODY) + BODY
HASHES = {
    "sha256": hashlib.sha256(BODY).hexdigest(),
    "md5": hashlib.md5(BODY, usedforsecurity=False).hexdigest(),
    "git_blob": hashlib.sha1(BLOB, usedforsecurity=False).hexdigest(),
}
SHA256 = sha256(BODY)

Box = Callable[..., Manifest]

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture
def box(write: Write) -> Box:
    """Return what makes the dataset "box" with some lines on the archive and on its member."""

    def make(member: str = SHA256, archive: str = 'manual = "ask"') -> Manifest:
        write("data_manifests/box.toml", manifests.box(f'path = "box/rows.csv"\n{member}', archive))
        return manifest.load("box")

    return make


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Return a folder that holds the member under the dataset's name."""
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "rows.csv").write_bytes(BODY)
    return tmp_path


def in_cache() -> dict[str, bytes]:
    raw = cache.raw_folder("box")
    return {path.name: path.read_bytes() for path in raw.glob("*")} if raw.exists() else {}


def zipped(content: bytes = BODY) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("box/rows.csv", "../escaped.csv"):
            made.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)
    return out.getvalue()


@pytest.mark.parametrize("where", ["box/rows.csv", "rows.csv"])
def test_a_folder_may_hold_the_members_by_themselves(tmp_path: Path, box: Box, where: str) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / where).write_bytes(BODY)
    receipts = archive.fetch(box(), tmp_path)
    assert in_cache()["rows.csv"] == BODY
    receipt = receipts["rows.csv"]
    assert receipt.bytes == len(BODY)
    assert receipt.sha256 == HASHES["sha256"]
    assert receipt.verified
    assert receipt.source == str(tmp_path / where)


def test_a_folder_may_hold_the_zip(tmp_path: Path, box: Box) -> None:
    (tmp_path / "box.zip").write_bytes(zipped())
    made = box(archive='url = "http://nowhere/box.zip"\n' + sha256(zipped()))
    assert archive.fetch(made, tmp_path)["rows.csv"].source == str(tmp_path / "box.zip")
    assert sorted(in_cache()) == ["receipt.json", "rows.csv"]


@pytest.mark.parametrize("compression", ["", "gz", "xz"])
def test_a_folder_may_hold_the_tar(tmp_path: Path, box: Box, compression: str) -> None:
    file = tmp_path / "box.tar"
    file.write_bytes(packed(f"tar.{compression}", {"box/rows.csv": BODY}))
    lines = 'url = "http://nowhere/box.tar"\n' + sha256(file.read_bytes())
    assert archive.fetch(box(archive=lines), tmp_path)["rows.csv"].verified
    assert in_cache()["rows.csv"] == BODY


def test_a_verified_archive_vouches_for_members_without_a_hash(tmp_path: Path, box: Box) -> None:
    (tmp_path / "box.zip").write_bytes(zipped())
    made = box(member="", archive='url = "http://nowhere/box.zip"\n' + sha256(zipped()))
    assert archive.fetch(made, tmp_path)["rows.csv"].verified


def test_an_archive_that_differs_is_refused_before_it_is_unpacked(tmp_path: Path, box: Box) -> None:
    (tmp_path / "box.zip").write_bytes(zipped(OTHER))
    made = box(member="", archive='url = "http://nowhere/box.zip"\n' + sha256(zipped()))
    with pytest.raises(ReproError, match=r"box\.zip does not match its manifest"):
        archive.fetch(made, tmp_path)
    assert in_cache() == {}


def test_an_archive_without_the_member_is_an_error(tmp_path: Path, box: Box) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as empty:
        empty.writestr("other.csv", BODY)
    (tmp_path / "box.zip").write_bytes(out.getvalue())
    made = box(archive='url = "http://nowhere/box.zip"\n' + sha256(out.getvalue()))
    with pytest.raises(ReproError, match=r"(?s)does not hold box/rows\.csv.*it holds: other\.csv"):
        archive.fetch(made, tmp_path)
    assert in_cache() == {}


@pytest.mark.parametrize("kind", HASHES)
def test_each_kind_of_hash_vouches(shelf: Path, box: Box, kind: str) -> None:
    made = box(f'{kind} = "{HASHES[kind]}"\nbytes = {len(BODY)}')
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
    (shelf / "box" / "rows.csv").write_bytes(BODY + b"x")
    with pytest.raises(ReproError, match="bytes expected 15, got 16; sha256 expected"):
        archive.fetch(box(f"{SHA256}\nbytes = 15"), shelf)


def test_bytes_of_an_address_without_any_hash_are_not_taken(shelf: Path, box: Box) -> None:
    made = box("bytes = 15\nurl = 'http://nowhere/rows.csv'")
    with pytest.raises(ReproError, match=r"(?s)no hash of rows\.csv.*--unverified"):
        archive.fetch(made, shelf)
    assert in_cache() == {}


def test_ones_own_file_needs_neither_a_hash_nor_an_option(shelf: Path, box: Box) -> None:
    heard = Heard()
    made = box("")
    receipt = archive.fetch(made, shelf, tell=heard)["rows.csv"]
    assert not receipt.verified
    assert cache.check(made) == {"rows.csv": "own"}
    assert 'is your own; to be told if it changes, add to [members."rows.csv"]' in heard.texts[-1]
    line = heard.texts[-1].rpartition(": ")[2]
    assert archive.fetch(box(line))["rows.csv"].verified, "what lies in the cache has the hash"
    (shelf / "box" / "rows.csv").write_bytes(OTHER)
    (cache.raw_folder("box") / "rows.csv").unlink()
    archive.fetch(box(""), shelf)
    assert in_cache()["rows.csv"] == OTHER
    with pytest.raises(ReproError, match="does not match its manifest"):
        archive.fetch(box(line), shelf)


def test_ones_own_file_that_has_changed_is_taken_again_from_the_folder_that_is_named(
    shelf: Path, box: Box
) -> None:
    archive.fetch(box(""), shelf)
    (shelf / "box" / "rows.csv").write_bytes(OTHER)
    archive.fetch(box(""))
    assert in_cache()["rows.csv"] == BODY
    archive.fetch(box(""), shelf)
    assert in_cache()["rows.csv"] == OTHER


@pytest.mark.parametrize("kind", ["sha256", "md5", "git_blob"])
def test_a_hash_that_is_stated_later_verifies_what_lies_in_the_cache(
    shelf: Path, box: Box, kind: str
) -> None:
    url = "\nurl = 'http://127.0.0.1:1/rows.csv'"
    assert not archive.fetch(box(url), shelf, unverified=True)["rows.csv"].verified
    stated = box(f'{kind} = "{HASHES[kind]}"{url}')
    (shelf / "box" / "rows.csv").unlink()
    assert archive.fetch(stated)["rows.csv"].verified
    assert cache.check(stated) == {"rows.csv": "verified"}


def test_a_hash_that_is_changed_later_is_not_met_by_what_lies_in_the_cache(
    shelf: Path, box: Box
) -> None:
    assert archive.fetch(box(), shelf)["rows.csv"].verified
    assert not cache.receipts(box('sha256 = "00"'))["rows.csv"].verified


def test_a_file_of_the_mirror_that_does_not_match_names_what_accepts_it(
    shelf: Path, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPRO_MIRROR", str(shelf))
    made = box('sha256 = "00"')
    with pytest.raises(ReproError, match=r"(?s)skipped in .*repro fetch box --unverified"):
        archive.fetch(made)
    assert not archive.fetch(made, unverified=True)["rows.csv"].verified


def test_it_is_told_beforehand_that_a_file_of_the_mirror_does_not_match(
    shelf: Path, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPRO_MIRROR", str(shelf))
    box()
    assert prospect.told("box/all") == f"from {shelf}"
    for stated in ['sha256 = "00"', f"bytes = 3\n{SHA256}"]:
        box(stated)
        told = prospect.told("box/all")
        assert "rows.csv does not match the manifest" in told
        assert "repro fetch box/all --unverified" in told
    monkeypatch.delenv("REPRO_MIRROR")
    box("url = 'http://nowhere/rows.csv'", "")
    assert "refused, as the manifest states no hash" in prospect.told("box/all")


@pytest.mark.parametrize("stated", ["", 'sha256 = "00"'])
def test_unverified_bytes_are_marked(shelf: Path, box: Box, stated: str) -> None:
    receipt = archive.fetch(box(stated), shelf, unverified=True)["rows.csv"]
    assert not receipt.verified
    assert receipt.sha256 == HASHES["sha256"]
    assert in_cache()["rows.csv"] == BODY


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
    (cache.raw_folder("box") / "rows.csv").write_bytes(BODY[:5])
    assert cache.missing(box()) == ["rows.csv"]
    archive.fetch(box(), shelf)
    assert in_cache()["rows.csv"] == BODY


def test_a_folder_without_the_file_is_told_where_it_was_expected(tmp_path: Path, box: Box) -> None:
    made = box(archive='url = "http://nowhere/box.zip"\n' + sha256(zipped()))
    with pytest.raises(ReproError, match=str(tmp_path / "box" / "rows.csv")):
        archive.fetch(made, tmp_path)


def test_a_source_that_is_no_folder_is_an_error(tmp_path: Path, box: Box) -> None:
    with pytest.raises(ReproError, match="is not a folder"):
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


@pytest.fixture
def server(server: Serving) -> Serving:
    """Return a server of the member, well, with wrong bytes and cut off, and of an archive."""
    server.at("/rows.csv", give())
    server.at("/wrong.csv", give(OTHER))
    server.at("/cut.csv", give(ranges=False, cut=5))
    server.at("/box.zip", give(zipped()))
    return server


def test_a_member_is_downloaded_and_its_progress_told(server: Serving, box: Box) -> None:
    heard = Heard()
    made = box(f'{SHA256}\nurl = "{server.url}/rows.csv"', archive="")
    receipt = archive.fetch(made, tell=heard)["rows.csv"]
    assert receipt.verified
    assert receipt.source == f"{server.url}/rows.csv"
    assert in_cache()["rows.csv"] == BODY
    assert ("rows.csv", len(BODY), len(BODY)) in heard.progress
    assert heard.texts == []


def test_an_archive_is_downloaded_and_unpacked(server: Serving, box: Box) -> None:
    made = box(archive=f'url = "{server.url}/box.zip"\n' + sha256(zipped()))
    assert archive.fetch(made)["rows.csv"].verified
    assert sorted(in_cache()) == ["receipt.json", "rows.csv"]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("wrong.csv", r"(?s)could not be downloaded.*wrong\.csv: sha256 expected"),
        ("cut.csv", r"(?s)could not be downloaded.*cut\.csv: .*5 attempts"),
        ("missing.csv", r"(?s)could not be downloaded.*missing\.csv: 404"),
    ],
)
def test_a_download_that_fails_leaves_nothing(
    server: Serving, box: Box, page: str, said: str
) -> None:
    made = box(f'{SHA256}\nurl = "{server.url}/{page}"', archive="")
    with pytest.raises(ReproError, match=said):
        archive.fetch(made)
    assert in_cache() == {}


def test_without_a_network_the_message_says_what_else_to_do(box: Box, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/rows.csv"
    with pytest.raises(ReproError, match=f"(?s)could not be downloaded.*{url}.*--from FOLDER"):
        archive.fetch(box(f'{SHA256}\nurl = "{url}"', archive=""))


def test_generated_data_is_the_same_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name in ("one", "two"):
        monkeypatch.setenv("REPRO_HOME", str(tmp_path / name))
        toy = manifest.load("toy")
        assert cache.missing(toy) == toy.all_members()
        made.append(archive.fetch(toy))
        assert cache.missing(toy) == []
    assert made[0] == made[1]
    assert all(receipt.verified for receipt in made[0].values())


def test_generated_data_follows_its_parameters(write: Write) -> None:
    text = manifest.load("toy").path.read_text()

    def hashes(seed: int) -> dict[str, str]:
        write("data_manifests/mine.toml", text.replace("seed     = 7", f"seed = {seed}"))
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
    made = box(member="", archive='url = "http://nowhere/box.zip"\n' + sha256(zipped()))
    with pytest.raises(ReproError, match=r"box/rows\.csv cannot be read from"):
        archive.fetch(made, tmp_path, unverified=True)
    assert in_cache() == {}


def test_an_unverified_member_is_replaced_when_verified_bytes_can_be_had(
    shelf: Path, box: Box
) -> None:
    (shelf / "box" / "rows.csv").write_bytes(OTHER)
    assert not archive.fetch(box(), shelf, unverified=True)["rows.csv"].verified
    (shelf / "box" / "rows.csv").write_bytes(BODY)
    assert archive.fetch(box(), shelf)["rows.csv"].verified
    assert in_cache()["rows.csv"] == BODY


def test_an_archive_of_several_members_is_downloaded_once(server: Serving, box: Box) -> None:
    second = '[members."more.csv"]\npath = "box/rows.csv"\n[read.more]\nmember = "more.csv"'
    made = box(f"{SHA256}\n{second}", archive=f'url = "{server.url}/box.zip"\n' + sha256(zipped()))
    assert sorted(archive.fetch(made)) == ["more.csv", "rows.csv"]
    assert server.paths() == ["/box.zip"]


def put_in_cache(content: bytes, name: str = "rows.csv") -> None:
    cache.raw_folder("box").mkdir(parents=True, exist_ok=True)
    (cache.raw_folder("box") / name).write_bytes(content)


def test_a_file_in_the_cache_without_a_receipt_is_adopted_if_its_hash_fits(box: Box) -> None:
    put_in_cache(BODY)
    heard = Heard()
    receipt = archive.fetch(box(), tell=heard)["rows.csv"]
    assert receipt.verified
    assert receipt.sha256 == HASHES["sha256"]
    assert receipt.source == "found in the cache"
    assert heard.texts == []
    assert cache.missing(box()) == []


def test_a_file_in_the_cache_without_a_receipt_that_does_not_fit_is_fetched_anew_and_told(
    shelf: Path, box: Box
) -> None:
    put_in_cache(OTHER)
    heard = Heard()
    receipt = archive.fetch(box(), shelf, tell=heard)["rows.csv"]
    assert receipt.verified
    assert in_cache()["rows.csv"] == BODY
    raw = cache.raw_folder("box") / "rows.csv"
    assert heard.texts == [f"{raw} does not match its manifest; it is fetched again"]


def test_an_archive_that_was_put_into_the_cache_by_hand_is_found_there(box: Box) -> None:
    put_in_cache(zipped(), "box.zip")
    made = box(archive='url = "http://127.0.0.1:1/box.zip"\n' + sha256(zipped()))
    assert archive.fetch(made)["rows.csv"].verified


def test_what_a_killed_process_left_is_removed_and_never_taken_for_data(
    shelf: Path, box: Box
) -> None:
    left = ".rows.csv.4242.0a1b2c3d"
    put_in_cache(BODY, left)
    made = box()
    assert cache.missing(made) == ["rows.csv"]
    assert cache.receipts(made) == {}
    with pytest.raises(ManualDataError):
        archive.fetch(made)
    assert left not in in_cache()
    put_in_cache(BODY[:3], left)
    archive.fetch(made, shelf)
    assert sorted(in_cache()) == ["receipt.json", "rows.csv"]


@pytest.mark.parametrize("stated", ["url = 'http://nowhere/rows.csv'\n", 'sha256 = "00"\n'])
def test_of_unverified_bytes_the_hash_to_pin_is_told(shelf: Path, box: Box, stated: str) -> None:
    heard = Heard()
    archive.fetch(box(stated), shelf, unverified=True, tell=heard)
    (text,) = heard.texts
    assert "rows.csv is UNVERIFIED" in text
    pin = f'sha256 = "{HASHES["sha256"]}"'
    assert text.endswith(pin)
    assert archive.fetch(box(pin), shelf)["rows.csv"].verified


def test_an_archive_without_a_hash_whose_member_has_none_tells_what_to_pin(
    tmp_path: Path, box: Box
) -> None:
    (tmp_path / "box.zip").write_bytes(zipped())
    made = box(member="", archive='url = "http://nowhere/box.zip"')
    with pytest.raises(ReproError, match="no hash"):
        archive.fetch(made, tmp_path)
    heard = Heard()
    assert not archive.fetch(made, tmp_path, unverified=True, tell=heard)["rows.csv"].verified
    assert HASHES["sha256"] in heard.texts[-1]


def test_an_archive_without_a_hash_is_good_enough_if_its_member_has_one(
    tmp_path: Path, box: Box
) -> None:
    (tmp_path / "box.zip").write_bytes(zipped())
    made = box(archive='url = "http://nowhere/box.zip"')
    assert archive.fetch(made, tmp_path)["rows.csv"].verified


def test_the_check_reads_the_bytes_again(shelf: Path, box: Box) -> None:
    made = box()
    assert cache.check(made) == {}
    archive.fetch(made, shelf)
    assert cache.check(made) == {"rows.csv": "verified"}
    put_in_cache(OTHER)
    state = cache.check(made)["rows.csv"]
    assert state.startswith("CHANGED since it was fetched")
    assert str(cache.raw_folder("box") / "rows.csv") in state
    put_in_cache(BODY[:5])
    assert cache.check(made)["rows.csv"].startswith("CHANGED")
    (cache.raw_folder("box") / "rows.csv").unlink()
    assert cache.check(made) == {"rows.csv": "MISSING: fetch it again"}


def test_the_check_tells_what_was_never_verified(shelf: Path, box: Box) -> None:
    made = box('md5 = "00"')
    archive.fetch(made, shelf, unverified=True)
    assert cache.check(made) == {"rows.csv": "unverified"}


def test_what_the_check_calls_for_mends_it(shelf: Path, box: Box) -> None:
    made = box()
    archive.fetch(made, shelf)
    put_in_cache(OTHER)
    (cache.raw_folder("box") / "rows.csv").unlink()
    archive.fetch(made, shelf)
    assert cache.check(made) == {"rows.csv": "verified"}


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"rows.csv": 1}', '{"rows.csv": {"bytes": 1}}', "\0\0\0"]
)
def test_a_damaged_receipt_is_told_and_how_to_mend_it(shelf: Path, box: Box, damage: str) -> None:
    made = box()
    archive.fetch(made, shelf)
    receipt = cache.raw_folder("box") / "receipt.json"
    receipt.write_text(damage)
    for look in (cache.receipts, cache.check, cache.missing):
        with pytest.raises(ReproError, match=str(receipt)):
            look(made)
    receipt.unlink()
    assert archive.fetch(made)["rows.csv"].verified


LAYOUTS = f"""
{manifests.HEAD}
manual = "ask them"
[members."all.txt"]
container = "box.zip"
path = "box/rows.csv"
{SHA256}
[members."a.txt"]
{SHA256}
[members."b.txt"]
{SHA256}
[members."c.txt"]
container = "other.tar.gz"
{SHA256}
[read]
rows = {{ any_of = [["all.txt"], ["a.txt", "b.txt"], ["c.txt"]], format = "netflix" }}
[views.all]
source = "a test"
"""


@pytest.fixture
def layouts(write: Write) -> Manifest:
    """Return a dataset whose rows lie in one file, or in two, or in one of an archive."""
    write("data_manifests/box.toml", LAYOUTS)
    return manifest.load("box")


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (["all.txt"], ["all.txt"]),
        (["a.txt", "b.txt"], ["a.txt", "b.txt"]),
        (["c.txt"], ["c.txt"]),
        (["box.zip"], ["all.txt"]),
        (["other.tar.gz"], ["c.txt"]),
        (["a.txt", "all.txt"], ["all.txt"]),
        (["a.txt", "c.txt"], ["c.txt"]),
        (["b.txt", "other.tar.gz"], ["c.txt"]),
        (["all.txt", "a.txt", "b.txt", "c.txt"], ["all.txt"]),
    ],
)
def test_of_several_layouts_the_one_that_is_there_is_taken(
    tmp_path: Path, layouts: Manifest, there: list[str], taken: list[str]
) -> None:
    archives = {"box.zip": zipped(), "other.tar.gz": packed("tar.gz", {"c.txt": BODY})}
    for name in there:
        (tmp_path / name).write_bytes(archives.get(name, BODY))
    assert sorted(archive.fetch(layouts, tmp_path)) == taken
    assert cache.missing(layouts) == []
    assert cache.members(layouts) == taken
    files = cache.files(layouts, "rows")
    assert files == [cache.raw_folder("box") / name for name in taken]
    assert archive.fetch(layouts)  # nothing more is wanted


def test_a_layout_may_come_in_two_parts_from_two_folders(tmp_path: Path, layouts: Manifest) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(BODY)
    with pytest.raises(ManualDataError):
        archive.fetch(layouts, tmp_path / "a.txt")
    put_in_cache(BODY, "a.txt")
    assert sorted(archive.fetch(layouts, tmp_path / "b.txt")) == ["a.txt", "b.txt"]


def test_a_folder_with_half_a_layout_does_not_do(tmp_path: Path, layouts: Manifest) -> None:
    (tmp_path / "a.txt").write_bytes(BODY)
    with pytest.raises(ManualDataError, match="must be obtained by hand") as caught:
        archive.fetch(layouts, tmp_path)
    told = str(caught.value)
    assert "ask them" in told
    ways = [line for line in told.splitlines() if "into a folder, then: repro fetch box" in line]
    assert len(ways) == 3  # one for each layout
    assert all(name in told for name in ("box.zip", "other.tar.gz", "all.txt", "a.txt, b.txt"))


def test_the_layouts_of_one_archive_may_differ_from_copy_to_copy(
    write: Write, tmp_path: Path, layouts: Manifest
) -> None:
    write("data_manifests/box.toml", LAYOUTS.replace("other.tar.gz", "box.zip"))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("c.txt", BODY)
    (tmp_path / "box.zip").write_bytes(out.getvalue())
    assert sorted(archive.fetch(manifest.load("box"), tmp_path)) == ["c.txt"]


def test_the_message_on_data_by_hand_names_files_and_folder(box: Box) -> None:
    with pytest.raises(ManualDataError) as caught:
        archive.fetch(box(archive='manual = "write to them"'))
    assert str(caught.value).splitlines() == [
        "box must be obtained by hand",
        "  write to them",
        "  Put rows.csv into a folder, then: repro fetch box --from FOLDER",
    ]


def test_data_by_hand_that_a_folder_does_not_hold_names_the_folder(
    tmp_path: Path, box: Box
) -> None:
    with pytest.raises(ManualDataError, match=str(tmp_path)):
        archive.fetch(box(), tmp_path)


def test_another_file_in_a_folder_takes_the_place_of_unverified_bytes(
    shelf: Path, tmp_path: Path, box: Box
) -> None:
    (shelf / "box" / "rows.csv").write_bytes(OTHER)
    archive.fetch(box(), shelf, unverified=True)
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "rows.csv").write_bytes(OTHER + b"9,9\n")
    archive.fetch(box(), tmp_path / "later", unverified=True)
    assert in_cache()["rows.csv"] == OTHER + b"9,9\n"
    archive.fetch(box(), unverified=True)  # without a folder what is here will do
    assert in_cache()["rows.csv"] == OTHER + b"9,9\n"


def test_a_wrong_file_of_the_mirror_is_passed_over(
    server: Serving, shelf: Path, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shelf / "box" / "rows.csv").write_bytes(OTHER)
    monkeypatch.setenv("REPRO_MIRROR", str(shelf))
    made = box(f'{SHA256}\nurl = "{server.url}/rows.csv"', archive="")
    assert archive.fetch(made)["rows.csv"].verified
    assert in_cache()["rows.csv"] == BODY


def two_members(server: Serving) -> str:
    """Return lines on a member and on another, of a view of its own, each with its address."""
    return (
        f'{SHA256}\nurl = "{server.url}/rows.csv"\n[members."wrong.csv"]\n'
        f'{sha256(OTHER)}\nurl = "{server.url}/wrong.csv"\n'
        '[views.other]\nsource = "a test"\nread = { rows = "other" }\n'
        '[read.other]\nmember = "wrong.csv"'
    )


def test_the_fetch_of_one_view_takes_only_its_members(server: Serving, box: Box) -> None:
    made = box(two_members(server), archive="")
    assert sorted(archive.fetch(made, view=made.view("other"))) == ["wrong.csv"]
    assert server.paths() == ["/wrong.csv"]
    assert cache.missing(made, made.view("other")) == []
    assert cache.missing(made) == ["rows.csv"]
    assert sorted(archive.fetch(made)) == ["rows.csv", "wrong.csv"]
    assert server.paths() == ["/wrong.csv", "/rows.csv"]


def test_the_fetch_of_one_view_minds_no_member_of_another(tmp_path: Path, box: Box) -> None:
    (tmp_path / "box.zip").write_bytes(zipped())
    other = (
        f'[members."other.csv"]\n{SHA256}\n[read.other]\nmember = "other.csv"\n'
        '[views.other]\nsource = "a test"\nread = { rows = "other" }'
    )
    made = box(f"{SHA256}\n{other}", archive='url = "http://nowhere/box.zip"')
    assert sorted(archive.fetch(made, tmp_path, view=made.view("all"))) == ["rows.csv"]


def test_mirrors_are_tried_in_order_once_the_address_has_failed(server: Serving, box: Box) -> None:
    mirrors = (
        f'mirrors = ["{server.url}/wrong.csv", "{server.url}/rows.csv", "{server.url}/cut.csv"]'
    )
    made = box(f'{SHA256}\nurl = "{server.url}/missing.csv"\n{mirrors}', archive="")
    assert archive.fetch(made)["rows.csv"].source == f"{server.url}/rows.csv"
    assert server.paths() == ["/missing.csv", "/wrong.csv", "/rows.csv"]


def test_an_archive_has_mirrors_too(server: Serving, box: Box) -> None:
    lines = f'url = "{server.url}/missing.zip"\nmirrors = ["{server.url}/box.zip"]\n'
    made = box(archive=lines + sha256(zipped()))
    assert archive.fetch(made)["rows.csv"].source == f"{server.url}/box.zip"


def test_a_folder_may_hold_the_archive_of_a_dataset_by_hand(tmp_path: Path, box: Box) -> None:
    made = box(f'container = "second.tar.gz"\n{SHA256}')
    content = packed("tar.gz", {"a.csv": OTHER, "box/rows.csv": BODY})
    (tmp_path / "second.tar.gz").write_bytes(content)
    receipt = archive.fetch(made, tmp_path)["rows.csv"]
    assert receipt.verified
    assert receipt.source == str(tmp_path / "second.tar.gz")
    assert sorted(in_cache()) == ["receipt.json", "rows.csv"]


def test_an_archive_vouches_only_for_the_members_that_come_in_it(tmp_path: Path, box: Box) -> None:
    (tmp_path / "second.tar.gz").write_bytes(packed("tar.gz", {"box/rows.csv": BODY}))
    made = box('container = "second.tar.gz"', archive='manual = "ask"\n' + sha256(zipped()))
    with pytest.raises(ReproError, match=r"no hash of rows\.csv"):
        archive.fetch(made, tmp_path)
    assert in_cache() == {}


def test_members_may_lie_in_two_archives(tmp_path: Path, box: Box) -> None:
    second = f'[members."more.csv"]\ncontainer = "second.tar.gz"\n{sha256(OTHER)}'
    (tmp_path / "box.zip").write_bytes(zipped())
    (tmp_path / "second.tar.gz").write_bytes(packed("tar.gz", {"more.csv": OTHER}))
    lines = 'manual = "ask"\nurl = "http://nowhere/box.zip"\n' + sha256(zipped())
    made = box(f'{SHA256}\n{second}\n[read.more]\nmember = "more.csv"', archive=lines)
    assert sorted(archive.fetch(made, tmp_path)) == ["more.csv", "rows.csv"]
    assert in_cache()["more.csv"] == OTHER


def test_a_member_that_a_packed_copy_belies_is_refused(tmp_path: Path, box: Box) -> None:
    (tmp_path / "second.tar.gz").write_bytes(packed("tar.gz", {"box/rows.csv": OTHER}))
    made = box(f'container = "second.tar.gz"\n{SHA256}')
    with pytest.raises(ReproError, match=r"rows\.csv does not match its manifest"):
        archive.fetch(made, tmp_path)
    assert in_cache() == {}


def test_room_is_asked_for_before_a_member_is_unpacked(
    tmp_path: Path, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "box.zip").write_bytes(zipped())
    made = box(archive='url = "http://nowhere/box.zip"\n' + sha256(zipped()))
    free = SimpleNamespace(total=100, used=90, free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(ReproError, match=r"15 bytes are needed in .*, but only 10 are free"):
        archive.fetch(made, tmp_path)
    assert in_cache() == {}


def test_a_member_of_another_size_than_stated_is_refused_before_it_is_unpacked(
    tmp_path: Path, box: Box
) -> None:
    (tmp_path / "box.zip").write_bytes(zipped(BODY + b"9,9\n"))
    heard = Heard()
    made = box(f"{SHA256}\nbytes = 15", archive='url = "http://nowhere/box.zip"')
    with pytest.raises(ReproError, match=r"of 19 bytes, expected 15"):
        archive.fetch(made, tmp_path, tell=heard)
    assert heard.progress == []


def test_an_archive_whose_address_has_a_query_is_known_by_its_own_name(
    tmp_path: Path, box: Box
) -> None:
    (tmp_path / "box.zip").write_bytes(zipped())
    made = box(archive='url = "http://nowhere/files/box.zip?download=1"\n' + sha256(zipped()))
    assert archive.fetch(made, tmp_path)["rows.csv"].source == str(tmp_path / "box.zip")


def test_while_one_process_is_busy_with_an_archive_another_waits_and_says_so(
    shelf: Path, box: Box
) -> None:
    made, heard, waiting = box(), Heard(), threading.Event()
    heard.say = lambda text: (heard.texts.append(text), waiting.set())  # type: ignore[method-assign, assignment, func-returns-value]
    with cache.locked("box", Heard()):
        thread = threading.Thread(target=lambda: archive.fetch(made, shelf, tell=heard))
        thread.start()
        assert waiting.wait(10)
        assert in_cache() == {}
    thread.join(10)
    who = f"process {os.getpid()} on {socket.gethostname()}"
    assert heard.texts == [f"box is in use by {who}; waiting for it"]
    assert in_cache()["rows.csv"] == BODY


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_of_two_members_of_one_name_none_is_kept(tmp_path: Path, box: Box, kind: str) -> None:
    two = [("box/rows.csv", BODY), ("box/rows.csv", OTHER)]
    (tmp_path / "box.tar").write_bytes(packed(kind, two))
    made = box(archive='url = "http://nowhere/box.tar"')
    for _ in range(2):  # nor does a second call find anything
        with pytest.raises(ReproError, match=r"holds 2 files called box/rows\.csv"):
            archive.fetch(made, tmp_path)
        assert in_cache() == {}
