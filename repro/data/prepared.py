"""What a view that has been built says of itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Funnel:
    """The counts after a step, and those expected."""

    step: str
    """The step, as the manifest names it."""
    interactions: int
    users: int
    items: int
    expected: dict[str, int]
    """Expected counts, by kind."""

    def differs(self) -> list[str]:
        """Return "kind: expected, got" for every count that differs."""
        got = asdict(self)
        return [
            f"{kind} expected {value:,}, got {got[kind]:,}"
            for kind, value in self.expected.items()
            if got[kind] != value
        ]


@dataclass(frozen=True)
class Prepared:
    """The description of a view that has been built."""

    dataset: str
    """Archive and view."""
    digest: str
    """Of its content."""
    verified: bool
    """Whether its files have the hashes of the manifest."""
    variant: str
    """The manifest's variant that gave the expected counts; "" if it has none."""
    funnel: tuple[Funnel, ...]
    """The counts after each step."""
    users: int
    items: int
    interactions: int
    ordered: bool
    """Whether a user's rows are in the order of time."""
    parts: tuple[str, ...]
    """Such as train and test, where the authors published a split."""
    overlaps: tuple[str, ...] = ()
    """Which parts have rows in common, in words."""
    doubts: tuple[str, ...] = ()
    """What of the files was read in one of several possible ways."""

    def statistic(self, name: str) -> float:
        """Return a statistic that papers print; sparsity in per cent."""
        if name == "sparsity":
            return 100.0 * (1.0 - self.interactions / (self.users * self.items))
        if name == "mean_length":
            return self.interactions / self.users
        return float(getattr(self, name))
