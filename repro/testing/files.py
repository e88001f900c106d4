"""Check the file of a model or a protocol, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro.errors import ReproError
from repro.plugins import MODELS, PROTOCOLS, Catalogue
from repro.results.checking import Checked
from repro.testing.models import model_checks
from repro.testing.protocols import protocol_checks
from repro.testing.quick import quick_model, quick_protocol


def check_file(path: Path) -> Iterator[Checked]:
    """Yield the state of a plug-in's file, and of each check that its class fails.

    The file is run, as it is when the plug-in is used.

    Parameters
    ----------
    path : Path
        A file that ends in ``MODEL = <class>`` or ``PROTOCOL = <class>``.
    """
    kind = "protocol" if _names(PROTOCOLS, path) else "model"
    catalogue = PROTOCOLS if kind == "protocol" else MODELS
    try:
        entry = catalogue.at(path)
        made = catalogue.load_at(path)
        instance = quick_protocol(made) if kind == "protocol" else quick_model(made)
    except (ReproError, OSError) as error:
        yield Checked(kind, str(path), f"DAMAGED: {' '.join(str(error).split())}", True)
        return
    except Exception as error:  # whatever a user's file raises when it is run
        why = " ".join(f"{type(error).__name__}: {error}".split())
        yield Checked(kind, str(path), f"DAMAGED: it cannot be loaded: {why}", True)
        return
    checks: list[Any] = protocol_checks() if kind == "protocol" else model_checks()
    failed = 0
    for check in checks:
        try:
            check(instance)
        except AssertionError as error:
            failed += 1
            yield Checked("check", str(path), f"FAILS {' '.join(str(error).split())}", True)
    said = f"{len(entry.fields)} parameters, {len(checks) - failed} of {len(checks)} checks passed"
    yield Checked(kind, str(path), said, bool(failed))


def _names(catalogue: Catalogue, path: Path) -> bool:
    """Return whether a file names a class of that kind."""
    try:
        catalogue.at(path)
    except (ReproError, OSError):
        return False
    return True
