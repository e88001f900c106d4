"""Small damage to files of every kind, drawn from a seed.

A mutation takes a file's bytes and a source of random numbers, and returns other bytes. `in_place`
puts something else than a file where the file was.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

Mutation = Callable[[bytes, Random], bytes]

CONTROL = [
    b"\0",
    b"\x1b[31m",
    b"\r",
    b"\n",
    b"\xff\xfe",
    b"\xc2\x9b",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
]
NAMES = ["/abs.csv", "../x.csv", "rows\0.csv", "\x1b[2J.csv", "a/../../b", "." * 300, "", "~/a"]


def flipped(content: bytes, draw: Random) -> bytes:
    made = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 8, 64])):
        if made:
            made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)
    return bytes(made)


def cut(content: bytes, draw: Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def spliced(content: bytes, draw: Random) -> bytes:
    """Copy a piece to another place, over what is there or before it."""
    a, b, n = (draw.randrange(len(content) + 1) for _ in range(3))
    piece = content[a : a + n % 200]
    return content[:b] + piece + content[b + draw.choice([0, len(piece)]) :]


def inserted(content: bytes, draw: Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.choice(CONTROL) + content[at:]


def empty(content: bytes, draw: Random) -> bytes:
    return draw.choice([b"", b"\n", b" ", b"\0" * len(content)])


def longer(content: bytes, draw: Random) -> bytes:
    return content + draw.choice([content, b"\n", b"\0", b"x" * 100_000])


def recoded(content: bytes, draw: Random) -> bytes:
    """Write text in another encoding."""
    text = content.decode("utf-8", errors="replace")
    return text.encode(draw.choice(["utf-16", "utf-8-sig", "utf-32-le", "cp500"]), "replace")


BYTES: list[Mutation] = [flipped, cut, spliced, inserted, empty, longer]
TEXT = [*BYTES, recoded]

ODD_JSON = [
    *("null", "true", "-1", "0", "1.5", "1e999999999", "-1e999", "NaN", "9" * 5000, '""', '"x"'),
    *("[]", "{}", "[[]]", '{"a": {}}', '"\\u0000"', '"\\ud800"', '"\\u001b[31m"', '"../x"'),
    *(
        '"/abs"',
        f'"{"x" * 60_000}"',
        "[" * 20_000 + "]" * 20_000,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
    ),
]


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, dict | list):
        return [at]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [at, *(place for key, one in inner for place in _places(one, (*at, key)))]


def odd_json(content: bytes, draw: Random) -> bytes:
    """Put a value of another type or size in place of any part."""
    value = json.loads(content)
    place = draw.choice(_places(value))
    marker = "\N{SNOWMAN}"
    if not place:
        return draw.choice(ODD_JSON).encode()
    part = value
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = marker
    return json.dumps(value).replace(json.dumps(marker), draw.choice(ODD_JSON)).encode()


def other_keys(content: bytes, draw: Random) -> bytes:
    """Leave out a key, repeat it with another value, or add one that is unknown."""
    value = json.loads(content)
    places = [place for place in _places(value) if place and isinstance(place[-1], str)]
    *parents, key = draw.choice(places)
    part = value
    for one in parents:
        part = part[one]
    way = draw.randrange(3)
    if way == 0:
        del part[key]
    elif way == 1:
        part[f"{key}\N{SNOWMAN}"] = part[key]
    else:
        part["unknown"] = 1
    return json.dumps(value).replace(json.dumps("\N{SNOWMAN}")[1:-1], "").encode()


def other_number(content: bytes, draw: Random) -> bytes:
    """Change a digit somewhere."""
    places = [one.start() for one in re.finditer(rb"\d", content)]
    at = draw.choice(places)
    return content[:at] + str(draw.randrange(10)).encode() + content[at + 1 :]


JSON = [*TEXT, odd_json, odd_json, odd_json, other_keys, other_number, other_number]

ODD_TOML = [
    *('""', '"x"', "-1", "0", "1.5", "1e999999999", "nan", "inf", "9" * 5000, "true", "[]", "{}"),
    *(
        "1979-05-27T07:32:00Z",
        "'../x'",
        "'/abs'",
        '"\\u0000"',
        '"\\u001b[31m\\n"',
        "[[]]",
        "{ a = 1 }",
    ),
    *("[" * 5_000 + "]" * 5_000, "{ a = " * 5_000 + "1" + " }" * 5_000, f'"{"x" * 60_000}"', "0x_"),
]
ODD_LINES = [
    ".".join("a" * 50_000) + " = 1",
    "[" + ".".join("a" * 20_000) + "]",
    "[[[[",
    "= 1",
    '"\\u0000" = 1',
    "'' = 1",
    '["../x"]',
    "unknown = 1",
]


def odd_toml(content: bytes, draw: Random) -> bytes:
    """Put a value of another type or size in place of one."""
    lines = content.decode().split("\n")
    places = [n for n, line in enumerate(lines) if " = " in line]
    at = draw.choice(places)
    lines[at] = f"{lines[at].partition(' = ')[0]} = {draw.choice(ODD_TOML)}"
    return "\n".join(lines).encode()


def other_lines(content: bytes, draw: Random) -> bytes:
    """Leave out a line, repeat it, move it, or add an odd one."""
    lines = content.decode().split("\n")
    at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    line = draw.choice([lines[at], lines.pop(at), draw.choice(ODD_LINES)])
    lines.insert(other, line)
    return "\n".join(lines).encode()


def odd_names(content: bytes, draw: Random) -> bytes:
    """Put an odd text in place of a text in quotation marks."""
    texts = list(re.finditer(rb'"[^"\n]*"', content))
    one = draw.choice(texts)
    odd = json.dumps(draw.choice([*NAMES, "\x1b[31m", "x" * 60_000, "\n| a |"]))
    return content[: one.start()] + odd.encode() + content[one.end() :]


TOML = [*TEXT, odd_toml, odd_toml, odd_toml, other_lines, other_lines, odd_names]


def odd_field(content: bytes, draw: Random) -> bytes:
    """Put an odd value into a field of a CSV file."""
    odd = ["", '"', "-1", "nan", "inf", "1e999999999", "9" * 5000, "\0", "x" * 200_000, "\u0663"]
    fields = content.decode().split(",")
    fields[draw.randrange(len(fields))] = draw.choice(odd)
    return ",".join(fields).encode()


CSV = [*TEXT, odd_field, odd_field, other_number, other_lines]

ODD_CODE = [
    *("(" * 5_000, "-" * 50_000 + "1", "9" * 5_000, "[" * 100 + "]" * 100, "lambda: 0", "1e999"),
    *("'\\ud800'", "float('nan')", "...", "{**{}}", "1 +" * 20_000 + "1", "b'x'", "{1: {2}}"),
]


def odd_code(content: bytes, draw: Random) -> bytes:
    """Put an odd expression in place of a default."""
    odd = b"= " + draw.choice(ODD_CODE).encode()
    return re.sub(rb"= [^\n]*", lambda _: odd, content, count=1)


CODE = [*TEXT, odd_code, odd_code, other_lines]


def _npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def _headed(header: str) -> bytes:
    """Return an array's file of a header, and some bytes."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)


ODD_ARRAYS = [
    b"",
    b"x",
    _npy(np.array([None, {}], dtype=object)),
    _npy(np.array("text")),
    _npy(np.array(-1)),
    _npy(np.zeros((2, 0, 3))),
    _npy(np.array([np.nan, np.inf])),
    _npy(np.array([1 + 2j])),
    _npy(np.array(["2020"], dtype="datetime64[D]")),
    _npy(np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])),
    _headed("{'descr': '<i4', 'fortran_order': False, 'shape': (999999999999,)}"),
    _headed("{'descr': '<i4', 'fortran_order': False, 'shape': (-1,)}"),
    _headed("{'descr': '|O', 'fortran_order': False, 'shape': (4,)}"),
    _headed("{'descr': 5, 'fortran_order': 'x', 'shape': 1}"),
    _headed("(" * 110),
]


def odd_array(content: bytes, draw: Random) -> bytes:
    return draw.choice(ODD_ARRAYS)


ARRAY = [*BYTES, odd_array, odd_array]


def odd_arrays(content: bytes, draw: Random) -> bytes:
    """Exchange, leave out, repeat or change an array in a zip of arrays."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        held = {name: packed.read(name) for name in packed.namelist()}
    name = draw.choice(list(held))
    way = draw.randrange(5)
    if way == 0:
        del held[name]
    elif way == 1:
        held[name] = held[draw.choice(list(held))]
    elif way == 2:
        held[name] = flipped(held[name], draw)
    else:
        held[name] = draw.choice(ODD_ARRAYS)
    return _zip([*held.items(), *([(name, b"")] if draw.random() < 0.2 else [])])


ARRAYS = [*BYTES, odd_arrays, odd_arrays, odd_arrays]


def sealed(content: bytes, draw: Random) -> bytes:
    """Change a checkpoint, and give it the right checksum again."""
    made = draw.choice(BYTES)(content[:-32], draw)
    return made + sha256(made).digest()


CHECKPOINT = [*BYTES, sealed]


def _zip(files: Sequence[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            made.NameToInfo.pop(name, None)  # a second one of a name would be warned of
            made.writestr(info, content)
    return out.getvalue()


def renamed(content: bytes, draw: Random) -> bytes:
    """Give a member another name of the same length, which may be no text."""
    odd = [
        b"/abs.csv",
        b"../x.csv",
        b"ro\0s.csv",
        b"\xff\xfe\x80s.csv",
        b"\x1b[2J.csv",
        b"rows.cs/",
    ]
    return content.replace(b"rows.csv", draw.choice(odd), draw.choice([-1, 1]))


def badly_named(content: bytes, draw: Random) -> bytes:
    """Give a member of a zip a name that is said to be UTF-8, and is not."""
    made = bytearray(content.replace(b"rows.csv", b"\xff\xfe\x80s.csv"))
    for signature, at in ((rb"PK\x03\x04", 7), (rb"PK\x01\x02", 9)):
        for one in re.finditer(signature, content):
            made[one.start() + at] |= 0x08
    return bytes(made)


def odd_zip(content: bytes, draw: Random) -> bytes:
    """Make a zip with odd members, or with odd words about one."""
    rows = b"1,2\n" * draw.choice([0, 1, 50_000])
    files = [("rows.csv", rows), (draw.choice([*NAMES, "rows.csv", "./rows.csv"]), b"9,9\n")]
    draw.shuffle(files)
    made = bytearray(_zip(files))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = made.find(signature) + at
        if draw.random() < 0.5:  # flags, then the compression
            made[place + draw.choice([0, 1, 2])] = draw.choice([0x01, 0x08, 0x20, 0x41, 99, 12, 14])
    return bytes(made)


def odd_tar(content: bytes, draw: Random) -> bytes:
    """Make a tar with odd members, or with odd words about one."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name in draw.sample([*NAMES, "rows.csv", "rows.csv", "./rows.csv"], 4):
            one = tarfile.TarInfo(name.replace("\0", ""))
            one.size = draw.choice([4, 0])
            one.type = draw.choice([*[tarfile.REGTYPE] * 4, tarfile.SYMTYPE, tarfile.LNKTYPE, b"9"])
            one.linkname = draw.choice(["/etc/passwd", "rows.csv", ""])
            odd = {"size": "x", "mtime": "1e999", "path": "../x", "GNU.sparse.major": "1"}
            key = draw.choice(list(odd))
            one.pax_headers = {key: odd[key]} if draw.random() < 0.4 else {}
            made.addfile(one, io.BytesIO(b"9,9\n"[: one.size]))
    whole = out.getvalue()
    if draw.random() < 0.4:
        whole = (
            whole[:124] + draw.choice([b"7" * 12, b"\x80" + b"\xff" * 11, b"x" * 12]) + whole[136:]
        )
    return draw.choice([whole, gzip.compress(whole)])


def inside(content: bytes, draw: Random) -> bytes:
    """Change what a gzip file holds, so that its own checksum is right."""
    return gzip.compress(
        draw.choice([flipped, cut, spliced, renamed])(gzip.decompress(content), draw)
    )


ZIP = [*BYTES, renamed, badly_named, odd_zip, odd_zip]
TGZ = [*BYTES, inside, inside, odd_tar, odd_tar]


def in_place(file: Path, draw: Random) -> str:
    """Put something else than a file where a file was; return what."""
    file.unlink()
    what = draw.choice(["nothing", "a folder", "a full folder", "a loop", "a link to nothing"])
    if "folder" in what:
        file.mkdir()
        if "full" in what:
            (file / file.name).write_bytes(b"x")
    elif what == "a loop":
        file.symlink_to(file.name)
    elif what == "a link to nothing":
        file.symlink_to("nowhere")
    return what


def removed(file: Path) -> None:
    """Remove a file, or what was put in its place."""
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)
