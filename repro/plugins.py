"""A folder of plug-ins, read without importing them.

A model's file imports torch, which takes seconds; yet `repro list`, `repro compare` and the checks
before a run need only its hyper-parameters. So the fields of a plug-in's dataclass are read from
its source: their names, defaults and the docstrings below them. A default must therefore be a
literal.
"""

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from repro import errors, paths
from repro.errors import ReproError, unknown
from repro.files import changed, reading, text
from repro.hyperparameters import Field, resolved, split_doc


@dataclass(frozen=True)
class Plugin:
    """One plug-in: a module that names its class in ``MODEL`` or ``PROTOCOL``."""

    name: str
    path: Path
    doc: str
    class_doc: str
    fields: tuple[Field, ...]
    smoke: Mapping[str, Any]
    """Values that replace others in a smoke run, from the class's ``SMOKE``."""
    class_name: str
    is_random: bool = True
    """Whether a model's results depend on its seed, from the class's ``RANDOM``."""
    id_name: str = ""
    """Its name in ids and records, if different: a renamed plug-in keeps its earlier one there."""

    def defaults(self) -> dict[str, Any]:
        """Return the default of every parameter that has one, as JSON would return it."""
        return {
            field.name: field.plain(field.default) for field in self.fields if not field.required
        }

    def complete(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return every parameter: the given values, and the defaults of the rest.

        Parameters
        ----------
        given : mapping
            Values by name.
        where : str
            File and key, or the option, for the message.

        Raises
        ------
        ReproError
            If a name is unknown, a parameter without default is missing, or a value has the wrong
            type or is out of range.
        """
        known = {field.name: field for field in self.fields}
        for name, value in given.items():
            if name not in known:
                raise unknown(f"parameter of {self.name}", name, known, where)
            wanted = known[name].refuses(value)
            if wanted:
                raise ReproError(f"{where}: {name} of {self.name} must be {wanted}, got {value!r}")
        missing = [f.name for f in self.fields if f.required and f.name not in given]
        if missing:
            raise ReproError(f"{where}: {self.name} needs {', '.join(missing)}")
        return self.defaults() | {name: known[name].plain(value) for name, value in given.items()}


class Catalogue:
    """The plug-ins of one kind: those of this package, then those of ``REPRO_PATH``.

    Parameters
    ----------
    kind : str
        The folder's name, "models" or "protocols".
    attribute : str
        The module attribute that names the class, "MODEL" or "PROTOCOL".
    renamed : mapping, optional
        The present name by the earlier one. Ids and records keep the earlier name.
    """

    def __init__(self, kind: str, attribute: str, renamed: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._today = dict(renamed or {})
        self._before = {today: before for before, today in self._today.items()}
        self.attribute = attribute
        self._ours = Path(__file__).parent / kind

    def _files(self) -> dict[str, Path]:
        folders = [self._ours, *(own / self.kind for own in paths.user_folders())]
        found = paths.listed(folders, "[!_]*.py")
        return {name: path for name, path in found.items() if name not in self._today}

    def today(self, name: str) -> str:
        """Return the name that a plug-in has today, by this or an earlier name."""
        return self._today.get(name, name)

    def __contains__(self, name: str) -> bool:
        return self.today(name) in self._files()

    def names(self) -> list[str]:
        """Return the names of all plug-ins."""
        return sorted(self._files())

    def entry(self, name: str, where: str = "") -> Plugin:
        """Read one plug-in's description from its source.

        Raises
        ------
        ReproError
            If the name is unknown, or its file does not name a dataclass.
        """
        files = self._files()
        path = files.get(self.today(name))
        if path is None:
            raise unknown(self.kind.removesuffix("s"), name, files, where)
        found = _read(path.stem, path, self.attribute, changed(path))
        known_as = self._before.get(path.stem)
        return replace(found, id_name=known_as) if known_as else found

    def own(self) -> list[Path]:
        """Return the files of the user's own plug-ins."""
        return [path for path in self._files().values() if path.parent != self._ours]

    def readable(self) -> list[Plugin]:
        """Return the plug-ins whose files can be read; warn of the others."""
        return list(errors.readable(self.names(), self.entry))

    def at(self, path: Path) -> Plugin:
        """Read the description of a plug-in in a file, wherever it lies.

        Raises
        ------
        ReproError
            If the file does not name a dataclass.
        """
        return _read(path.stem, path, self.attribute, path.stat().st_mtime_ns)

    def load_at(self, path: Path) -> Any:
        """Import a plug-in from its file, wherever it lies, and return its class."""
        return getattr(_import(self.kind, path), self.attribute)

    def load(self, name: str) -> Any:
        """Import one plug-in and return its class."""
        path = self.entry(name).path
        return getattr(_import(self.kind, path), self.attribute)

    def classes(self) -> dict[str, str]:
        """Return the names of all plug-ins by those of their classes.

        Ours come first, as they do among files. A file that cannot be read is left out.
        """
        found: dict[str, str] = {}
        files = self._files()
        for name in sorted(files, key=lambda name: (files[name].parent != self._ours, name)):
            with suppress(ReproError):
                found.setdefault(self.entry(name).class_name, name)
        return found

    def attribute_of(self, name: str, module: str) -> Any:
        """Return a plug-in's class by the class's name, for a module that has them as attributes.

        Raises
        ------
        AttributeError
            If there is no such class; with the nearest name.
        """
        if not name.startswith("_"):
            known = self.classes()
            if name in known:
                return self.load(known[name])
            hint = unknown(f"class in {module}", name, known).hint
            raise AttributeError(f"module '{module}' has no attribute '{name}'; {hint}", name=name)
        raise AttributeError(f"module '{module}' has no attribute '{name}'", name=name)


def _import(kind: str, path: Path) -> ModuleType:
    """Import a module of this package by name, a user's from its file."""
    if path.parent.parent == Path(__file__).parent:
        return importlib.import_module(f"repro.{kind}.{path.stem}")
    folder = hashlib.sha256(str(path.parent.resolve()).encode()).hexdigest()[:8]
    module = f"repro_user_{kind}_{folder}.{path.stem}"
    if module in sys.modules:
        return sys.modules[module]
    spec = importlib.util.spec_from_file_location(module, path)
    if spec is None or spec.loader is None:
        raise ReproError(f"{path} cannot be imported")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[module]
        raise
    return loaded


@cache
def _read(name: str, path: Path, attribute: str, _changed: int) -> Plugin:
    with reading(f"{path} cannot be read"):
        source = text(path)
        try:
            tree = ast.parse(source, str(path))
        except SyntaxError as error:
            raise ReproError(f"{path}, line {error.lineno}: {error.msg}") from error
    target = None
    classes = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            classes[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
            if attribute in names:
                target = node.value.id
    if target not in classes:
        raise ReproError(f"{path} does not name its class", f"end it with `{attribute} = <class>`")
    found = classes[target]
    if found.bases:
        raise ReproError(
            f"{path}, line {found.lineno}: {target} inherits from {ast.unparse(found.bases[0])}, "
            "but hyper-parameters are read from the class alone, without importing the file",
            f"write all fields into {target}, and make the other class a member of it",
        )
    _need_dataclass(found, path)
    fields: list[Field] = []
    smoke, is_random = dict[str, Any](), True
    for node, after in zip(found.body, [*found.body[1:], ast.Pass()], strict=True):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        annotation, limits = resolved(ast.unparse(node.annotation))
        try:
            default = None if node.value is None else ast.literal_eval(node.value)
        except (ValueError, TypeError, RecursionError, MemoryError) as error:
            raise ReproError(
                f"{path}, line {node.lineno}: the default of {node.target.id} is not a literal",
                "a default must be readable without importing the file",
            ) from error
        if "ClassVar" in annotation:
            if node.target.id == "SMOKE":
                smoke = default or {}
            if node.target.id == "RANDOM":
                is_random = bool(default)
            continue
        doc = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            doc = " ".join(str(after.value.value).split())
        required = node.value is None
        doc, sources = split_doc(doc, f"{path}, line {node.lineno}: {node.target.id}")
        fields.append(Field(node.target.id, annotation, default, doc, required, limits, sources))
    return Plugin(
        name,
        path,
        ast.get_docstring(tree) or "",
        ast.get_docstring(found) or "",
        tuple(fields),
        smoke,
        target,
        is_random,
    )


def _need_dataclass(found: ast.ClassDef, path: Path) -> None:
    """Raise if a class has hyper-parameters, and none that can be read or set from outside."""
    decorators = [ast.unparse(one).partition("(")[0] for one in found.decorator_list]
    if any(name.rpartition(".")[2] == "dataclass" for name in decorators):
        return
    makes = any(isinstance(one, ast.FunctionDef) and one.name == "__init__" for one in found.body)
    if makes or any(isinstance(one, ast.AnnAssign) for one in found.body):
        raise ReproError(
            f"{path}, line {found.lineno}: {found.name} is a plain class, and hyper-parameters are "
            "read from the fields of a dataclass",
            "write @dataclass(frozen=True, kw_only=True) above it, and a field for each of them",
        )


MODELS = Catalogue("models", "MODEL", renamed={"evcf": "se_vae"})

PROTOCOLS = Catalogue("protocols", "PROTOCOL")
