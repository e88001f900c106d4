"""Start a paper, a dataset or a model of one's own: a commented file that runs as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from repro import paths
from repro.data import manifest, schema, toy
from repro.errors import ReproError, unknown
from repro.files import write_atomically
from repro.papers import library
from repro.plugins import MODELS

SIZE = schema.Generate(users=240, items=160, clusters=8, per_user=24, seed=7)
"""Of the generated CSV: the toy dataset's."""


@dataclass(frozen=True)
class Start:
    """What a kind of file is begun with."""

    template: str
    file: str
    """Where it lies in a folder of one's own."""
    known: Callable[[], list[str]]
    then: tuple[str, ...]
    """What to type next."""


STARTS = {
    "paper": Start(
        "paper.toml",
        "tables/{}.toml",
        library.papers,
        ("repro check {folder}/tables/{name}.toml", "repro run {name}", "repro compare {name}"),
    ),
    "dataset": Start(
        "dataset.toml",
        "data_manifests/{}.toml",
        manifest.names,
        ("repro fetch {name} --from {folder}/data_manifests", "repro show {name}"),
    ),
    "model": Start(
        "model.py",
        "models/{}.py",
        MODELS.names,
        ("repro check {folder}/models/{name}.py", "repro run toy --table 1 --model {name}"),
    ),
}


@dataclass(frozen=True)
class Begun:
    """What was written."""

    files: list[Path]
    then: list[str]
    """What to type next."""


def begin(kind: str, name: str, folder: Path | None = None, dataset: str = "") -> Begun:
    """Write a commented starting file; nothing is overwritten.

    Parameters
    ----------
    kind : str
        "paper", "dataset" or "model".
    name : str
        Its id, which is the file's name.
    folder : path, optional
        The folder of one's own; the first of ``REPRO_PATH``, else the current one.
    dataset : str, optional
        Of a paper: the view that its table is about, instead of generated data.

    Raises
    ------
    ReproError
        If the name cannot be a file's name, there is such a thing already, or the file exists.
    """
    if kind not in STARTS:
        raise unknown("kind of file", kind, STARTS)
    if not paths.is_name(name) or "." in name:
        raise ReproError(f"'{name}' cannot be a name", "use letters, digits, '_' and '-'")
    if dataset and kind != "paper":
        raise ReproError(f"--dataset is for a paper, and this is a {kind}", "leave it out")
    start = STARTS[kind]
    if name in start.known():
        raise ReproError(f"there is a {kind} called '{name}' already", "choose another name")
    own = folder or next(iter(paths.user_folders()), Path())
    text = (Path(__file__).parent / start.template).read_text(encoding="utf-8")
    text = text.replace("NAME", name).replace("toy/ratings", dataset or "toy/ratings")
    content = {own / start.file.format(name): text.encode()}
    if kind == "dataset":
        ratings = _ratings()
        content = {
            own / start.file.format(name): text.replace(
                "SHA256", hashlib.sha256(ratings).hexdigest()
            ).encode(),
            own / "data_manifests" / f"{name}.csv": ratings,
        }
    for path in content:
        if path.exists():
            raise ReproError(f"{path} exists already", "choose another name, or delete it")
    for path, made in content.items():
        write_atomically(path, made)
    then = [one.format(name=name, folder=own) for one in start.then]
    if own.resolve() not in [one.resolve() for one in paths.user_folders()]:
        then.insert(0, f"export REPRO_PATH={own.resolve()}")
    return Begun(list(content), then)


def _ratings() -> bytes:
    """Return a generated CSV: user, item, rating, time."""
    with TemporaryDirectory() as folder:
        toy.generate(SIZE, Path(folder))
        return (Path(folder) / "ratings.csv").read_bytes()
