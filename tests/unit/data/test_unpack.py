"""Archives: one file out of them, and nothing else; whole, or an error that says what is wrong."""

from __future__ import annotations

import contextlib
import io
import random
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from builders.archives import packed
from repro.data import unpack
from repro.errors import ReproError

CONTENT = b"1,10\n1,20\n2,10\n"
NOISE = random.Random(7).randbytes(3000)  # nothing to pack
WANTED = "box/rows.csv"
TARS = ["tar", "tar.gz", "tar.xz", "tar.bz2"]
KINDS = ["zip", *TARS]


def put(folder: Path, content: bytes, name: str = "box.archive") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def read(archive: Path, inside: str = WANTED, bytes_stated: int | None = None) -> bytes:
    with unpack.opened(archive, inside, bytes_stated) as (stream, size):
        content = stream.read()
        assert len(content) == size
        return content


def refusal(archive: Path, inside: str = WANTED, bytes_stated: int | None = None) -> str:
    """Return why nothing is read; it must be said before any byte is given."""
    with (
        pytest.raises(ReproError) as caught,
        unpack.opened(archive, inside, bytes_stated) as (stream, _),
    ):
        pytest.fail(f"it gave {stream.read()[:50]!r}")
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("named", [WANTED, f"./{WANTED}"])
def test_a_file_is_read_out_of_an_archive_of_any_kind(
    tmp_path: Path, kind: str, named: str
) -> None:
    archive = put(tmp_path, packed(kind, {"box/a.txt": NOISE, named: CONTENT, "z": NOISE}))
    assert read(archive) == CONTENT
    assert read(archive, bytes_stated=len(CONTENT)) == CONTENT


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_is_a_file(tmp_path: Path, kind: str) -> None:
    assert read(put(tmp_path, packed(kind, {WANTED: b""}))) == b""


@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("inner", KINDS)
def test_a_file_is_read_out_of_an_archive_in_an_archive(
    tmp_path: Path, outer: str, inner: str
) -> None:
    inside = packed(inner, {"a.txt": NOISE * 20, "inner.csv": CONTENT, "z.txt": NOISE})
    archive = put(tmp_path, packed(outer, {"b.txt": NOISE, "box/outer": inside, "z": NOISE}))
    assert read(archive, "box/outer//inner.csv") == CONTENT


def test_a_file_is_read_out_of_the_third_archive_down(tmp_path: Path) -> None:
    inmost = packed("tar.gz", {"rows.csv": CONTENT})
    archive = put(tmp_path, packed("zip", {"two": packed("tar", {"three": inmost})}))
    assert read(archive, "two//three//rows.csv") == CONTENT


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_told_with_what_is_there(tmp_path: Path, kind: str) -> None:
    archive = put(tmp_path, packed(kind, {"other/rows.csv": CONTENT, "README": b""}))
    told = refusal(archive)
    assert f"{archive} does not hold {WANTED}" in told
    assert "it holds: other/rows.csv, README" in told


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_files_some_are_named(tmp_path: Path, kind: str) -> None:
    archive = put(tmp_path, packed(kind, {f"f{i:02}": b"" for i in range(50)}))
    told = refusal(archive)
    assert "f00, f01, f02" in told
    assert "…" in told
    assert "f49" not in told


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_of_nothing_is_told(tmp_path: Path, kind: str) -> None:
    archive = put(tmp_path, packed(kind, {}))
    assert str(archive) in refusal(archive)


def test_a_missing_inner_archive_is_told(tmp_path: Path) -> None:
    archive = put(tmp_path, packed("zip", {"outer.tgz": CONTENT}))
    assert "does not hold outer.tar" in refusal(archive, "outer.tar//rows.csv")


@pytest.mark.parametrize("content", [b"", b"P", b"PK\x03\x04", CONTENT, b"<html></html>", NOISE])
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    archive = put(tmp_path, content)
    assert f"{WANTED} cannot be read from {archive}" in refusal(archive)


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_cut_off_anywhere_never_gives_less_than_the_file(
    tmp_path: Path, kind: str
) -> None:
    whole = packed(kind, {"a.txt": NOISE, WANTED: NOISE, "z.txt": NOISE})
    step = 97 if kind == "tar" else 23
    given, refused = [], []
    for at in [*range(0, len(whole), step), len(whole) - 1]:
        archive = put(tmp_path, whole[:at])
        try:
            given.append(read(archive))
        except ReproError as error:
            refused.append(str(error))
    assert set(given) <= {NOISE}
    assert len(refused) > 50
    assert all(str(archive) in told for told in refused)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_archive_brings_no_other_error_than_ours(tmp_path: Path, kind: str) -> None:
    whole = packed(kind, {"a.txt": CONTENT, WANTED: NOISE[:500]})
    for at in range(0, min(len(whole), 2600), 5 if kind == "tar" else 1):
        for change in (0xFF, 0x01):
            damaged = bytearray(whole)
            damaged[at] ^= change
            archive = put(tmp_path, bytes(damaged))
            with (
                contextlib.suppress(ReproError),
                unpack.opened(archive, WANTED, None) as (stream, size),
            ):
                content = stream.read()
                if kind == "zip":  # it has a sum of its own
                    assert content == NOISE[:500], at
                else:
                    assert len(content) == size, at


@pytest.mark.parametrize("name", ["/etc/passwd", "../../escaped.csv", "..", "box/../../up.csv"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_beside_the_wanted_file_is_unpacked_wherever_it_wants_to_go(
    tmp_path: Path, kind: str, name: str
) -> None:
    own = tmp_path / "a" / "b"
    own.mkdir(parents=True)
    archive = put(own, packed(kind, {name: NOISE, WANTED: CONTENT, "more.csv": NOISE}))
    assert read(archive) == CONTENT
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


@pytest.mark.parametrize("type_", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "box/secret.csv"])
def test_a_link_or_folder_in_a_tar_is_not_taken_for_the_file(
    tmp_path: Path, type_: bytes, target: str
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as made:
        secret = tarfile.TarInfo("box/secret.csv")
        secret.size = len(CONTENT)
        made.addfile(secret, io.BytesIO(CONTENT))
        entry = tarfile.TarInfo(WANTED)
        entry.type, entry.linkname = type_, target
        made.addfile(entry)
    archive = put(tmp_path, out.getvalue())
    assert f"a link or folder in place of the file {WANTED}" in refusal(archive)


@pytest.mark.parametrize("type_", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_device_in_a_tar_is_not_taken_for_the_file(tmp_path: Path, type_: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        entry = tarfile.TarInfo(WANTED)
        entry.type = type_
        made.addfile(entry)
    assert str(tmp_path) in refusal(put(tmp_path, out.getvalue()))


def test_a_link_in_a_zip_is_not_taken_for_the_file(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        entry = zipfile.ZipInfo(WANTED)
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(entry, "/etc/passwd")
    assert "a link or folder in place" in refusal(put(tmp_path, out.getvalue()))


@pytest.mark.parametrize("inside", [f"{WANTED}/", WANTED])
def test_a_folder_in_a_zip_is_not_taken_for_the_file(tmp_path: Path, inside: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(f"{WANTED}/", b"")
        made.writestr(f"{WANTED}/rows.csv", CONTENT)
    assert inside in refusal(put(tmp_path, out.getvalue()), inside)


def central(content: bytes | bytearray) -> int:
    """Return where the list of a zip's files begins."""
    return content.rindex(b"PK\x01\x02")


def test_an_encrypted_zip_is_told(tmp_path: Path) -> None:
    content = bytearray(packed("zip", {WANTED: NOISE}))
    content[6] |= 1
    content[central(content) + 8] |= 1
    assert "encrypted" in refusal(put(tmp_path, bytes(content)))


def test_a_zip_of_an_unknown_compression_is_told(tmp_path: Path) -> None:
    content = bytearray(packed("zip", {WANTED: NOISE}))
    content[8:10] = content[central(content) + 10 : central(content) + 12] = struct.pack("<H", 97)
    assert "compression" in refusal(put(tmp_path, bytes(content)))


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.bz2"])
def test_a_bomb_is_refused_unless_its_size_is_stated(tmp_path: Path, kind: str) -> None:
    size = 10_000_000
    archive = put(tmp_path, packed(kind, {WANTED: bytes(size)}))
    assert size > unpack.RATIO * archive.stat().st_size
    told = refusal(archive)
    assert "10,000,000 bytes, more than 200 times its own size" in told
    assert len(read(archive, bytes_stated=size)) == size


@pytest.mark.parametrize("outer", ["zip", "tar.gz"])
def test_a_bomb_in_an_archive_in_an_archive_is_refused(tmp_path: Path, outer: str) -> None:
    inside = packed("tar.gz", {"rows.csv": bytes(10_000_000)})
    archive = put(tmp_path, packed(outer, {"inner.tgz": inside}))
    assert "more than 200 times" in refusal(archive, "inner.tgz//rows.csv")


def test_ratings_that_shrink_well_are_no_bomb(tmp_path: Path) -> None:
    rows = [f"{user},{10 * item},4.0\n" for user in range(200) for item in range(user % 50)]
    content = "".join(rows).encode()
    archive = put(tmp_path, packed("tar.xz", {WANTED: content}))
    assert len(content) > 15 * archive.stat().st_size
    assert read(archive) == content


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stated", [0, 14, 16, 10**12])
def test_a_file_of_another_size_than_stated_is_refused(
    tmp_path: Path, kind: str, stated: int
) -> None:
    archive = put(tmp_path, packed(kind, {WANTED: CONTENT}))
    assert f"of 15 bytes, expected {stated:,}" in refusal(archive, bytes_stated=stated)


def in_pieces(archive: Path, stated: int | None, pieces: list[bytes] | None = None) -> None:
    with unpack.opened(archive, WANTED, stated) as (stream, _):
        while piece := stream.read(4):
            (pieces if pieces is not None else []).append(piece)


@pytest.mark.parametrize("said", [5, 14, 16, 2000])
@pytest.mark.parametrize("stated", [True, False])
def test_a_zip_that_lies_about_a_size_is_found_out(tmp_path: Path, said: int, stated: bool) -> None:
    content = bytearray(packed("zip", {WANTED: CONTENT}))
    for at in (22, central(content) + 24):
        content[at : at + 4] = struct.pack("<I", said)
    archive = put(tmp_path, bytes(content))
    with pytest.raises(ReproError, match=WANTED):
        in_pieces(archive, said if stated else None)


def test_a_zip_that_hides_a_bomb_behind_a_small_size_does_not_fill_the_disk(
    tmp_path: Path,
) -> None:
    content = bytearray(packed("zip", {WANTED: bytes(10_000_000)}))
    for at in (22, central(content) + 24):
        content[at : at + 4] = struct.pack("<I", 100)
    archive = put(tmp_path, bytes(content))
    pieces: list[bytes] = []
    with pytest.raises(ReproError, match="cannot be read from"):
        in_pieces(archive, None, pieces)
    assert sum(map(len, pieces)) <= 100


def test_an_error_of_the_disk_is_not_blamed_on_the_archive(tmp_path: Path) -> None:
    archive = put(tmp_path, packed("zip", {WANTED: CONTENT}))
    with (
        pytest.raises(OSError, match="No space left"),
        unpack.opened(archive, WANTED, None),
    ):
        raise OSError(28, "No space left on device")


def test_an_archive_that_is_not_there_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        unpack.opened(tmp_path / "nowhere.zip", WANTED, None),
    ):
        pytest.fail("it was opened")


def doubled(kind: str, first: bytes, second: bytes, *, named: str = WANTED) -> bytes:
    """Return an archive that holds two files of one name, with another between them."""
    return packed(kind, [(WANTED, first), ("between", NOISE), (named, second)])


@pytest.mark.parametrize("named", [WANTED, f"./{WANTED}"])
@pytest.mark.parametrize("kind", KINDS)
def test_of_two_files_of_one_name_none_is_taken(tmp_path: Path, kind: str, named: str) -> None:
    archive = put(tmp_path, doubled(kind, CONTENT, CONTENT[::-1], named=named))
    with pytest.raises(ReproError, match=f"holds 2 files called {WANTED}, expected one"):
        in_pieces(archive, None)
    with pytest.raises(ReproError, match="holds 2 files called"):
        read(archive)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("outer", KINDS)
def test_of_two_archives_of_one_name_in_an_archive_none_is_taken(
    tmp_path: Path, outer: str, kind: str
) -> None:
    inside = packed(kind, {"rows.csv": CONTENT})
    archive = put(tmp_path, doubled(outer, inside, inside))
    assert f"holds 2 files called {WANTED}" in refusal(archive, f"{WANTED}//rows.csv")


@pytest.mark.parametrize("kind", KINDS)
def test_of_other_names_there_may_be_two(tmp_path: Path, kind: str) -> None:
    content = doubled(kind, CONTENT, CONTENT, named="between")
    assert read(put(tmp_path, content)) == CONTENT


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.bz2"])
@pytest.mark.parametrize("before", [True, False])
def test_a_bomb_beside_the_wanted_file_is_not_gone_through(
    tmp_path: Path, kind: str, before: bool
) -> None:
    bomb, wanted = ("bomb", bytes(10_000_000)), (WANTED, CONTENT)
    archive = put(tmp_path, packed(kind, dict([bomb, wanted] if before else [wanted, bomb])))
    with pytest.raises(ReproError, match="unpacks to more than 200 times its own size"):
        read(archive)


def test_a_name_in_a_zip_that_is_no_text_is_told(tmp_path: Path) -> None:
    content = packed("zip", {"é.csv": CONTENT}).replace("é".encode(), b"\xff\xfe")
    assert f"cannot be read from {tmp_path}" in refusal(put(tmp_path, content))


def test_a_name_in_a_zip_that_ends_early_is_the_shorter_one(tmp_path: Path) -> None:
    content = packed("zip", {WANTED: CONTENT, f"{WANTED}_x": NOISE})
    content = content.replace(f"{WANTED}_x".encode(), f"{WANTED}\0x".encode())
    assert "holds 2 files called" in refusal(put(tmp_path, content))


def test_what_a_reader_of_the_bytes_raises_is_not_blamed_on_the_archive(tmp_path: Path) -> None:
    archive = put(tmp_path, packed("zip", {WANTED: CONTENT}))
    with (
        pytest.raises(TypeError, match="a fault of ours"),
        unpack.opened(archive, WANTED, None),
    ):
        raise TypeError("a fault of ours")


@pytest.mark.parametrize(
    "error", [TypeError("no"), UnicodeDecodeError("utf-8", b"", 0, 1, "no"), struct.error("no")]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_whatever_a_library_raises_for_an_archive_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, error: Exception
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    archive = put(tmp_path, packed(kind, {WANTED: CONTENT}))
    monkeypatch.setattr(zipfile, "ZipFile", broken)
    monkeypatch.setattr(tarfile, "open", broken)
    assert f"{WANTED} cannot be read from {archive}: " in refusal(archive)
