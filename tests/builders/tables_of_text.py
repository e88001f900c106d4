"""Files of rows, and rows as pairs of identifiers."""

from __future__ import annotations

from pathlib import Path

from repro.data.rows import Rows


def written(folder: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pairs(rows: Rows) -> list[tuple[object, object]]:
    users, items = rows.user_ids[rows.user].tolist(), rows.item_ids[rows.item].tolist()
    return list(zip(users, items, strict=True))
