"""What `import repro` offers: data, protocols, models, training, papers and results in a notebook.

Most commands, such as `list`, `fetch`, `run` and `compare`, do what these functions do. Progress is
shown only to an audience that is given. `dataset` takes a DataFrame, and `to_frame` returns one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.api.data import catalogue, dataset
    from repro.api.doors import export, score
    from repro.api.papers import PaperOf, TableOf, paper
    from repro.api.reports import write_report
    from repro.api.results import audit, beyond, claims, explain, ledger
    from repro.api.runs import check, compare, records, run, status
    from repro.doors.export import Exported
    from repro.doors.score import Scored
    from repro.report.notebook import Comparison, Records
    from repro.runs.batch import Batch
    from repro.runs.standalone import Fitted, evaluate, fit, rank

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
    "paper",
    "rank",
    "records",
    "run",
    "score",
    "status",
    "write_report",
]

_FROM = {
    "repro.api.data": (
        "catalogue",
        "dataset",
    ),
    "repro.api.doors": (
        "export",
        "score",
    ),
    "repro.api.papers": (
        "PaperOf",
        "TableOf",
        "paper",
    ),
    "repro.api.reports": ("write_report",),
    "repro.api.results": (
        "audit",
        "beyond",
        "claims",
        "explain",
        "ledger",
    ),
    "repro.api.runs": (
        "check",
        "compare",
        "records",
        "run",
        "status",
    ),
    "repro.doors.export": ("Exported",),
    "repro.doors.score": ("Scored",),
    "repro.report.notebook": (
        "Comparison",
        "Records",
    ),
    "repro.runs.batch": ("Batch",),
    "repro.runs.standalone": (
        "Fitted",
        "evaluate",
        "fit",
        "rank",
    ),
}
"""Where each name is: a command loads no more than it needs."""


def __getattr__(name: str) -> Any:
    for module, names in _FROM.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'repro.api' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
