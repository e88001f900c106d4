"""Reading: whatever a library raises for a file ends in one sentence that names the file."""

from __future__ import annotations

import json
import os
import struct
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from builders import Write
from repro import files, strict_toml
from repro.errors import DamagedError, ReproError
from repro.papers.printed import number_in, unit_in
from repro.plugins import MODELS
from repro.strict_toml import Strict


class Any(Strict):
    x: object = None


KINDS = [
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    TypeError("unsupported operand"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
    OverflowError("int too large"),
    struct.error("unpack requires a buffer"),
    zlib.error("Error -3"),
    zipfile.BadZipFile("bad magic number"),
    tomllib.TOMLDecodeError("Expected '='"),
    KeyError("rows"),
    ValueError("embedded null byte"),
    EOFError(),
    OSError(40, "Too many levels of symbolic links", "/a"),
    OSError(36, "File name too long", "/a"),
    IsADirectoryError(21, "Is a directory", "/a"),
    ValueError("words " * 10_000 + "\n and lines"),
]


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_every_kind_of_exception_becomes_one_line(error: Exception) -> None:
    with pytest.raises(DamagedError) as caught, files.reading("box.zip is damaged", "fetch it"):
        raise error
    assert caught.value.message.startswith("box.zip is damaged: ")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400
    assert caught.value.hint == "fetch it"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file", "/a"), ReproError("ours"), KeyboardInterrupt()]
)
def test_what_says_more_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, files.reading("box.zip is damaged"):
        raise error
    assert caught.value is error


JSON = {
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "many digits": "9" * 5000,
    "infinite": "1e999999999",
    "infinite, negative": "-1e999",
    "not a number": "NaN",
    "cut off": '{"a": ',
    "empty": "",
}


@pytest.mark.parametrize("text", JSON.values(), ids=JSON)
def test_json_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "note.json"
    file.write_text(text)
    with pytest.raises(DamagedError, match=r"note.json is damaged: "):
        files.read_json(file)


def looped(path: Path) -> None:
    path.symlink_to(path)


def long(path: Path) -> None:
    path.symlink_to("a" * 300)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "loop": looped,
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "long name": long,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "other text": lambda path: path.write_bytes(b"\xff\xfe{}"),
}


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_told_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    for name in ("a.json", "a.toml"):
        make(tmp_path / name)
    with pytest.raises(DamagedError, match=r"a.json is damaged: "):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(DamagedError, match=r"a.toml: not a TOML file: "):
        strict_toml.read(tmp_path / "a.toml", Any)


def test_json_that_is_absent_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "note.json")


@given(
    st.recursive(
        st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        st.lists,
        max_leaves=20,
    )
)
def test_json_that_we_write_is_read(value: object) -> None:
    text = json.dumps({"a": value}, ensure_ascii=False)
    found = json.loads(text, parse_constant=files.finite, parse_float=files.finite)
    assert found == {"a": value}


TOML = {
    "a key of many parts": ".".join("a" * 50_000) + " = 1",
    "a table of many parts": "[" + ".".join("a" * 50_000) + "]",
    "a quoted key": '"\\"".' + ".".join("a" * 50_000) + " = 1",
    "an inline key": "x = { b = 1, " + " . ".join(["'a'"] * 50_000) + " = 1 }",
    "a key in lines": "x = [\n{" + ".".join("a" * 50_000) + " = 1}]",
    "deep lists": "x = " + "[" * 100_000,
    "deep tables": "x = " + "{a=" * 100_000,
    "lists and tables": "x = " + "[{a=" * 60 + "1" + "}]" * 60,
    "many digits": "x = " + "9" * 5000,
    "many digits, hexadecimal": "x = 0x" + "f" * 5000,
    "more than 64 bits": "x = 9223372036854775808",
    "infinite": "x = 1e999999999",
    "infinity": "x = inf",
    "not a number": "x = nan",
    "large": "#" + "x" * (1 << 20),
    "zero byte": "x = 'a\0b'",
    "a date": "x = 2001-02-30",
}


@pytest.mark.parametrize("text", TOML.values(), ids=TOML)
def test_toml_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(DamagedError, match=r"a.toml: not a TOML file: "):
        strict_toml.read(tmp_path / "a.toml", Any)


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * strict_toml.MOST_PARTS) + " = 1",
        "x = '''\n" + "a.b " * 100 + "'''",
        f"x = 'see {'.'.join('a' * 100)}'",
        "x = [-9223372036854775808, 9223372036854775807, 1e300]",
    ],
)
def test_toml_within_the_limits_is_read_as_ever(text: str) -> None:
    assert strict_toml.parsed(text) == tomllib.loads(text)


PARTS = st.sampled_from(["a", "b-c", '"d e"', "'f.g'", r'"\""'])


@given(
    st.lists(PARTS, min_size=1, max_size=40), st.sampled_from(["{} = 1", "[{}]", "x = {{{} = 1}}"])
)
def test_a_key_is_refused_exactly_when_it_has_too_many_parts(parts: list[str], form: str) -> None:
    text = form.format(".".join(parts))
    if len(parts) > strict_toml.MOST_PARTS:
        with pytest.raises(ValueError, match="a key has more than"):
            strict_toml.parsed(text)
    else:
        assert strict_toml.parsed(text) == tomllib.loads(text)


def test_what_has_another_form_is_told_with_its_place() -> None:
    kind = TypeAdapter(dict[str, list[int]])
    assert strict_toml.checked({"a": [1]}, kind, "it is damaged") == {"a": [1]}
    faulty: list[object] = [1, [], {"a": 1}, {"a": ["x"]}, None]
    for content in faulty:
        with pytest.raises(DamagedError, match=r"it is damaged: .*must be"):
            strict_toml.checked(content, kind, "it is damaged", "delete it")


@pytest.mark.parametrize(
    "printed",
    ["1e999999999", "-1e999999999", "1e-999999999", "0e99999", "9" * 5000, "inf", "nan", ""],
)
def test_a_printed_number_beyond_all_measure_is_refused(printed: str) -> None:
    with pytest.raises(ReproError, match="is not a number"):
        number_in(printed)


@pytest.mark.parametrize(
    ("printed", "unit"),
    [("0.420", "0.001"), ("46K", "1000"), ("1,682", "1"), ("1.753e-1", "0.0001"), (".5", "0.1")],
)
def test_the_unit_of_the_last_printed_digit(printed: str, unit: str) -> None:
    assert unit_in(printed) == number_in(unit)


SOURCES = {
    "a zero byte": "MODEL = Mine\0",
    "brackets": "x = " + "(" * 10_000,
    "sums": "x = " + "1+" * 100_000 + "1",
    "a default of no literal": "class Mine:\n    x: int = {[]: 1}\nMODEL = Mine",
    "a deep default": "class Mine:\n    x: int = " + "-" * 5000 + "1\nMODEL = Mine",
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_model_whose_source_cannot_be_read_is_told(write: Write, source: str) -> None:
    path = write("models/mine.py", source)
    with pytest.raises(ReproError, match=str(path)):
        MODELS.entry("mine")


def test_an_array_that_would_fill_the_memory_is_told(tmp_path: Path) -> None:
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    head = head.ljust(117) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
    with pytest.raises(DamagedError, match="it is damaged: "), files.reading("it is damaged"):
        np.load(tmp_path / "a.npy")


@pytest.mark.parametrize("blocked", ["a file", "a loop", "read-only"])
def test_a_folder_that_cannot_be_written_to_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    folder = tmp_path / "in" / "it"
    if blocked == "a file":
        (tmp_path / "in").write_text("")
    elif blocked == "a loop":
        looped(tmp_path / "in")
    else:

        def read_only(*_: object, **__: object) -> None:
            raise OSError(30, "Read-only file system", str(folder))

        monkeypatch.setattr(os, "mkdir", read_only)
    with pytest.raises(ReproError) as caught:
        files.need_writable(folder, "name another")
    assert str(folder) in caught.value.message
    assert caught.value.hint == "name another"


def test_a_check_for_a_writable_folder_leaves_nothing_there(tmp_path: Path) -> None:
    files.need_writable(tmp_path / "a" / "b", "name another")
    assert list((tmp_path / "a" / "b").iterdir()) == []
