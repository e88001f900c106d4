"""What a table file can say of a paper's print besides its cells: for `repro audit`."""

from __future__ import annotations

from pydantic import Field

from repro.strict_toml import Strict


class Cases(Strict):
    """What is known of the test cases of a view, where neither protocol nor manifest says it."""

    users: int | None = Field(default=None, ge=1)
    """Test users."""
    fewest_targets: int = Field(default=1, ge=1)
    """Targets of the user who has the fewest."""
    most_targets: int | None = Field(default=None, ge=1)
    """Targets of the user who has the most; 1 switches the rules for one target on."""
    mean_targets: str | None = None
    """Targets of a user on average, as printed."""
    source: str
    """Who says so."""


class Stated(Strict):
    """Counts of the data that the text prints, outside of any table; "" where it prints none."""

    where: str
    """The section."""
    users: str = ""
    """Users."""
    items: str = ""
    """Items."""
    interactions: str = ""
    """Interactions."""
    mean_length: str = ""
    """Interactions of a user on average."""
    density: str = ""
    """In per cent."""
    sparsity: str = ""
    """In per cent."""


class Improvement(Strict):
    """A printed row of improvements in per cent, such as "Improv."."""

    of: str
    """The row that improves."""
    over: str = ""
    """The row that it is compared with; else the best of the other rows."""
    at: dict[str, list[str]]
    """By column group, one for each metric, as printed: "5.77%"; "" where none is printed."""


class Significance(Strict):
    """A printed paired test of two rows over the same users."""

    row: str
    """The label of the row that is said to be better."""
    against: str
    """The label of the other."""
    group: str
    """The column group."""
    metric: str
    """The label."""
    z: str
    """The statistic, z or t, as printed."""


class ByHand(Strict):
    """A fault of the print that no rule can show, and why."""

    table: str
    """The table's number, or the section."""
    says: str
    """What is wrong."""
    why: str
    """Why print alone does not show it."""
    row: str = ""
    """The label of the row, if it is one row's."""
    group: str = ""
    """The column group."""
    metric: str = ""
    """The label."""
