"""Names that become paths: what is accepted never leads out of its folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from builders import Write
from builders.commands import content, repro_
from builders.manifests import HEAD, box
from builders.papers import figure, line, paper, row, table, view
from builders.toml import toml
from repro import paths
from repro.data import addresses, cache, manifest
from repro.errors import ReproError
from repro.files import write_json
from repro.papers import library
from repro.strict_toml import Inside, Name

FOLDER = "/cache/raw"
NASTY = st.text(st.sampled_from("ab./\\~-_\0\n é"), max_size=12) | st.text(max_size=120)
BAD = [
    "../x",
    "/abs",
    "..",
    ".",
    "",
    ".hidden",
    "a/../b",
    "a//b",
    "a\\b",
    "~",
    "a b",
    "a\0b",
    "a\n",
]


@given(NASTY)
@example("..")
@example("a\n")
@example("a" * 101)
def test_an_accepted_name_is_one_part_of_a_path(name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        return
    assert os.path.normpath(f"{FOLDER}/{name}") == f"{FOLDER}/{name}"
    assert PurePosixPath(FOLDER, name).parent == PurePosixPath(FOLDER)
    assert not name.startswith(".")
    assert len(f".{name}.{2**32}.00000000".encode()) < 255


@given(NASTY | st.lists(st.sampled_from(["a", "..", ".", "", "b.c"]), max_size=12).map("/".join))
def test_an_accepted_path_stays_in_its_folder(path: str) -> None:
    try:
        TypeAdapter(Inside).validate_python(path)
    except ValidationError:
        return
    assert os.path.normpath(f"{FOLDER}/{path}") == f"{FOLDER}/{path}"
    assert PurePosixPath(FOLDER, path).is_relative_to(FOLDER)
    assert PurePosixPath(path).parts == tuple(path.split("/"))


@given(st.from_regex(r"[a-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True))
def test_the_names_that_people_use_are_accepted(name: str) -> None:
    assert paths.is_name(name)
    assert paths.is_inside(f"{name}/{name}")


@given(NASTY, st.sampled_from(["", "?file=../x", "#../x"]))
def test_an_address_does_not_choose_the_folder(last: str, rest: str) -> None:
    url = f"https://data.invalid/{last}{rest}"
    if not addresses.fault(url):
        name = addresses.file_name(url)
        assert name == "" or paths.is_name(name)


def manifest_of(name: str, place: str) -> str:
    """Return a manifest with a name at one of the places that become paths."""
    quoted = toml(name)
    if place == "view":
        return box('url = "http://a/b"').replace("[views.all]", f"[views.{quoted}]")
    if place == "member":
        return (
            f'{HEAD}[members.{quoted}]\nurl = "http://a/b"\n[read]\n'
            f'rows = {{ member = {quoted} }}\n[views.all]\nsource = "a"\n'
        )
    if place == "container":
        return box(f'url = "http://a/b"\ncontainer = {quoted}')
    read = f'read = {{ {quoted} = "rows" }}\n'
    return box('url = "http://a/b"') + read


@pytest.mark.parametrize("place", ["view", "member", "container", "part"])
@pytest.mark.parametrize("name", BAD)
def test_a_manifest_with_such_a_name_is_refused(write: Write, name: str, place: str) -> None:
    write("data_manifests/box.toml", manifest_of(name, place))
    with pytest.raises(ReproError) as caught:
        manifest.load("box")
    assert "box.toml: " in caught.value.message
    assert "allowed: " in caught.value.hint


@pytest.mark.parametrize("place", ["tables", "figures"])
@pytest.mark.parametrize("name", BAD)
def test_a_paper_with_such_a_name_is_refused(write: Write, name: str, place: str) -> None:
    text = paper(view(), table(), row("POP", "popularity"))
    text += figure("1", "bars") + line("1", "POP", "popularity")
    quoted = toml(name)
    write("tables/mine.toml", text.replace(f"{place}.1", f"{place}.{quoted}"))
    with pytest.raises(ReproError, match="allowed: "):
        library.load("mine")


def test_a_figure_is_not_drawn_outside_its_folder(write: Write, tmp_path: Path) -> None:
    text = paper(view(), table(), row("POP", "popularity"))
    text += figure('"../../out"', "bars") + line('"../../out"', "POP", "popularity")
    write("tables/mine.toml", text)
    to = tmp_path / "a" / "b"
    command = ("figure", "mine", "../../out", "--to", str(to))
    assert "cannot be a file's name" in repro_(*command, code=1).stderr
    assert content(tmp_path) == {}


@pytest.mark.parametrize("kind", ["tables", "data_manifests"])
@pytest.mark.parametrize("name", ["a b", "é", "a" * 120])
def test_a_file_must_have_a_name_that_can_be_a_folders(write: Write, kind: str, name: str) -> None:
    text = box('url = "http://a/b"') if kind == "data_manifests" else paper(view(), table())
    write(f"{kind}/{name}.toml", text)
    load = manifest.load if kind == "data_manifests" else library.load
    with pytest.raises(ReproError, match="rename it"):
        load(name)


@pytest.mark.parametrize("name", ["..toml", "...toml", ".#mine.toml", "._mine.toml", ".toml"])
def test_hidden_files_are_no_papers_and_no_datasets(write: Write, name: str) -> None:
    before = library.papers(), manifest.names()
    write(f"tables/{name}", "no table")
    write(f"data_manifests/{name}", "no manifest")
    assert (library.papers(), manifest.names()) == before


def test_a_receipt_cannot_have_a_file_elsewhere_checked_or_deleted(
    write: Write, tmp_path: Path
) -> None:
    write("data_manifests/box.toml", box('url = "http://a/b"'))
    box_manifest = manifest.load("box")
    raw = cache.raw_folder("box")
    raw.mkdir(parents=True)
    victim = raw.parent / "victim.txt"
    victim.write_text("precious")
    entry = {"bytes": 8, "sha256": "00", "verified": True, "source": "x"}
    write_json(raw / "receipt.json", {"../victim.txt": entry})
    for look in (cache.receipts, cache.check):
        with pytest.raises(ReproError, match=r"receipt.json is damaged: .*victim"):
            look(box_manifest)
    assert "receipt.json" in repro_("fetch", "box", code=1).stderr
    assert victim.read_text() == "precious"


def test_a_member_cannot_take_the_name_of_the_receipt(write: Write) -> None:
    write("data_manifests/box.toml", manifest_of("receipt.json", "member"))
    with pytest.raises(ReproError, match="the cache keeps a file of its own"):
        manifest.load("box")


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "ftp://a/b.zip", "b.zip", "http://u:p@a/b.zip", "http://a b/c", "file:///a"],
)
@pytest.mark.parametrize("key", ["url", "mirrors"])
def test_a_bad_address_is_a_fault_of_the_manifest(write: Write, url: str, key: str) -> None:
    text = f'url = "{url}"' if key == "url" else f'url = "http://a/b"\nmirrors = ["{url}"]'
    write("data_manifests/box.toml", box(text))
    with pytest.raises(ReproError, match=r"members.rows.csv.*cannot be fetched: "):
        manifest.load("box")
