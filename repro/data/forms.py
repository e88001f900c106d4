"""One identifier in two forms, such as "007" and "7", or "1.0" and "1"."""

from __future__ import annotations

from typing import Any

import numpy as np

from repro.data.rows import Ids
from repro.errors import ReproError
from repro.interactions import StrArray


def doubt(kind: str, ids: Ids, parts: dict[str, Ids]) -> str:
    """Return what is told of identifiers that may be the same ones; "" if there are none.

    Parameters
    ----------
    kind : str
        "user" or "item".
    ids : array
        Distinct identifiers of all parts.
    parts : mapping
        Those of each part, by its name.

    Raises
    ------
    ReproError
        If a part shares no identifier with the first, but all of them in another form.
    """
    if ids.dtype.kind != "U":
        return ""
    import pyarrow.compute as pc

    plain = plainer(ids)
    if pc.count_distinct(plain).as_py() == len(ids):
        return ""
    _, places, counts = np.unique(_texts(plain), return_inverse=True, return_counts=True)
    _refuse_strangers(kind, parts)
    repeated = np.flatnonzero(counts > 1)
    alike = ids[places == repeated[0]][:2]
    there = [_holders(one, parts) for one in alike]
    pair = " and ".join(f"{str(one)!r}{at}" for one, at in zip(alike, there, strict=True))
    n = len(repeated)
    many = f"1 {kind} stands" if n == 1 else f"{n:,} {kind}s stand"
    return f"{many} in two forms, as {pair}, and each form counts as a {kind} of its own"


def plainer(ids: Ids) -> Any:
    """Return identifiers of text without what may set two forms of one apart.

    That is: capitals, forms of Unicode, blanks around them, leading zeros, and decimals that are 0.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    made = pc.utf8_lower(pc.utf8_normalize(pa.array(ids.tolist(), pa.string()), "NFKC"))
    made = pc.utf8_trim_whitespace(made)
    made = pc.replace_substring_regex(made, r"^([0-9]+)\.0*$", r"\1")
    return pc.replace_substring_regex(made, r"^0+([0-9]+)$", r"\1")


def _texts(made: Any) -> StrArray:
    return made.to_numpy(zero_copy_only=False).astype(np.str_)


def _refuse_strangers(kind: str, parts: dict[str, Ids]) -> None:
    first, *others = parts
    known = _texts(plainer(parts[first]))
    for part in others:
        ids = parts[part]
        if np.isin(ids, parts[first]).any() or not np.isin(_texts(plainer(ids)), known).all():
            continue
        mine = str(ids[0])
        other = str(parts[first][known == _texts(plainer(ids[:1]))[0]][0])
        raise ReproError(
            f"no {kind} of {part} occurs in {first} as it stands, but every one does in another "
            f"form, as {mine!r} in {part} and {other!r} in {first}",
            "write them alike; or, if all are whole numbers without decimals, set "
            'identifiers = "number", which takes 007 for 7',
        )


def _holders(one: str, parts: dict[str, Ids]) -> str:
    """Return in which part an identifier stands, if there are several parts."""
    holders = [part for part, ids in parts.items() if one in ids]
    return f" ({', '.join(holders)})" if len(parts) > 1 else ""
