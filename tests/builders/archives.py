"""Archives of small files."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from collections.abc import Mapping, Sequence


def packed(kind: str, files: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> bytes:
    """Return a zip, tar, tar.gz, tar.xz or tar.bz2; of pairs, several may have one name."""
    out = io.BytesIO()
    pairs = list(files.items() if isinstance(files, Mapping) else files)
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a second file of a name
            for name, content in pairs:
                made.writestr(name, content)
    else:
        compression = kind.removeprefix("tar").removeprefix(".")
        with tarfile.open(fileobj=out, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]
            for name, content in pairs:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def tar_of(texts: Mapping[str, str]) -> bytes:
    return packed("tar", {name: text.encode() for name, text in texts.items()})
