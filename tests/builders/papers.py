"""Papers of one's own, section by section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builders.toml import section, toml

HEAD = section("paper", title="Mine", authors="me", venue="here", url="")
NDCG = {"NDCG@10": "ndcg@10"}
BOTH = NDCG | {"HR@5": "hit_rate@5"}


def paper(*sections: str) -> str:
    return HEAD + "".join(sections)


def view(
    name: str = "toy",
    dataset: str = "toy/split",
    protocol: str | Mapping[str, object] | None = "given_split",
    *,
    label: str = "",
    **more: object,
) -> str:
    named = {"name": protocol} if isinstance(protocol, str) else protocol
    about = {"label": label or name.capitalize(), "dataset": dataset, "protocol": named}
    return section(f"views.{name}", **about, **more)


def table(
    number: str = "1",
    metrics: Mapping[str, str] = NDCG,
    *,
    caption: str = "Numbers",
    groups: Sequence[str] = ("toy",),
    **more: object,
) -> str:
    """Return the head of a table; its rows follow."""
    return section(f"tables.{number}", caption=caption, groups=groups, metrics=metrics, **more)


def row(
    label: str,
    model: str | None = None,
    published: Sequence[str] = ("0.5",),
    *,
    table: str = "1",
    group: str = "toy",
    cell: Mapping[str, object] | None = None,
    **more: object,
) -> str:
    """Return a row with its numbers in a column group, and what else stands there."""
    about = section(f"[tables.{table}.rows]", label=label, model=model, **more)
    return about + at(group, *published, **(cell or {}))


def at(group: str, *published: str, **more: object) -> str:
    """Return what a row has in a column group."""
    return f"at.{group} = {toml(({'published': published} if published else {}) | more)}\n"


def figure(
    number: str,
    kind: str,
    metrics: Mapping[str, str] = NDCG,
    *,
    groups: Sequence[str] = ("toy",),
    **more: object,
) -> str:
    """Return the head of a figure; its lines follow."""
    about = {"caption": "Drawn", "kind": kind, "groups": groups, "metrics": metrics}
    return section(f"figures.{number}", **about, **more)


def line(figure: str, label: str, model: str, *, group: str = "toy", **more: object) -> str:
    return section(f"[figures.{figure}.lines]", label=label, model=model, **more) + at(group)


def claim(id: str = "a-claim", kind: str = "above", **more: object) -> str:
    """Return a claim; these stand at the end of a file."""
    about = {"id": id, "section": "1", "says": "It is so.", "kind": kind}
    return section("[claims]", **about | more)


def blocked(name: str, dataset: str, protocol: str | None = "given_split") -> str:
    return view(name, dataset, protocol, blocked="the owner withdrew it")


OBSTACLES = (
    at("gone", "0.5", "0.5")
    + row("Future", "of_the_future", ("0.3", "0.5"))
    + row("Old", published=("0.4", "0.5"), quoted_from="an older paper")
)
"""Behind a row: a view that is blocked, and rows that give no run."""
