"""Reproduce the result tables of five VAE-recommender papers, cell by cell.

A notebook needs this module alone; `repro.api` describes what it offers. Importing it is cheap:
torch and pandas are loaded when something needs them.

Examples
--------
>>> import repro
>>> data = repro.dataset("toy/ratings")
>>> split = repro.protocols.StrongGeneralization(heldout_users=4).split(data)
>>> fitted = repro.fit(repro.models.EASE(l2=10.0), split, metrics=["ndcg@10"])
>>> sorted(fitted.results)
['ndcg@10']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from repro import models, protocols
    from repro.api import (
        Batch,
        Comparison,
        Exported,
        Fitted,
        PaperOf,
        Records,
        Scored,
        TableOf,
        audit,
        beyond,
        catalogue,
        check,
        claims,
        compare,
        dataset,
        evaluate,
        explain,
        export,
        fit,
        ledger,
        paper,
        rank,
        records,
        run,
        score,
        status,
        write_report,
    )

__all__ = [
    "Batch",
    "Comparison",
    "Exported",
    "Fitted",
    "PaperOf",
    "Records",
    "Scored",
    "TableOf",
    "audit",
    "beyond",
    "catalogue",
    "check",
    "claims",
    "compare",
    "dataset",
    "evaluate",
    "explain",
    "export",
    "fit",
    "ledger",
    "models",
    "paper",
    "protocols",
    "rank",
    "records",
    "run",
    "score",
    "status",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in ("api", "models", "protocols", "testing"):
        return import_module(f"repro.{name}")
    if name in __all__:
        return getattr(import_module("repro.api"), name)
    raise AttributeError(f"module 'repro' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
