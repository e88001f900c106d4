"""What `repro score` and `repro export` say."""

from __future__ import annotations

from dataclasses import dataclass

from repro.doors.attach import named
from repro.doors.export import Exported
from repro.doors.score import Scored
from repro.metrics import Result
from repro.text import one_line


@dataclass(frozen=True)
class ScoredFile:
    """A file that has been ranked and recorded."""

    id: str
    """Of the record."""
    name: str
    """What the model is called."""
    file: str
    sha256: str
    results: dict[str, Result]
    """By metric."""
    n_users: int
    """Test users."""
    missing: tuple[str, ...]
    """Test users that the file lacks, counted as misses."""
    n_short: int
    """Users whose list is shorter than the largest cut-off."""
    n_ignored: int
    """Users in the file who are no test users."""
    ties: dict[str, tuple[float, float]]
    """Metrics that depend on the order of equal scores: with targets last, and first."""
    is_digest_checked: bool
    """Whether the file, or the export beside it, named this split."""


def as_json(found: Scored) -> ScoredFile:
    """Return what `repro score --json` prints."""
    record = found.record
    return ScoredFile(
        id=record.id,
        name=record.experiment.external,
        file=record.external["file"],
        sha256=record.external["sha256"],
        results=record.results,
        n_users=record.n_users,
        missing=found.missing,
        n_short=found.n_short,
        n_ignored=found.n_ignored,
        ties=found.ties,
        is_digest_checked=found.is_digest_checked,
    )


def exported(found: Exported) -> str:
    """Return what was written, in lines."""
    about = found.about
    counts = ", ".join(f"{n:,} {what}" for what, n in about.counts.items())
    return "\n".join(
        [
            f"{found.folder}: {about.dataset} by {about.protocol['name']}, {about.format}",
            f"  {counts}",
            f"  {', '.join(map(one_line, found.files))}",
            f"  digest {about.digest}",
        ]
    )


def scored(found: Scored) -> str:
    """Return the metrics of a file, and what has to be known of them, in lines."""
    record = found.record
    lines = [f"{one_line(record.experiment.external)}: {record.n_users:,} test users"]
    for label, metric in found.metrics.items():
        result = record.result(metric)
        error = "" if result.standard_error is None else f" ± {result.standard_error:.4f}"
        tie = found.ties.get(metric)
        order = f", {tie[0]:.4f} to {tie[1]:.4f} by the order of ties" if tie else ""
        lines.append(f"  {one_line(label)} {result.value:.4f}{error}{order}")
    if found.missing:
        ids = one_line(named(found.missing))
        lines.append(f"  {len(found.missing):,} test users are missing and count as misses: {ids}")
    if found.n_short:
        lines.append(f"  {found.n_short:,} lists are shorter than the largest cut-off")
    if found.n_ignored:
        lines.append(f"  {found.n_ignored:,} users in the file are no test users and are ignored")
    if not found.is_digest_checked:
        lines.append("  not checked: that it was trained on this split (see --export)")
    lines.append(f"  sha256 {record.external['sha256']}, recorded as {record.id}")
    return "\n".join(lines)
