"""Which rows of typed columns belong together, and what do they come to? Marks for equal items, sorted as numbers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from trimtab.qcode.q.lists import mask_of
from trimtab.qcode.q.values import DATETIME, ENUM, FLOAT, GUID, LONG, REAL, SYM, Table, Vec, longs

SMALL = 1 << 16
"""Whole numbers in a range of this many sort by radix."""


def stable_order(a: Any) -> Any:
    """Positions that sort an array, equal items in their order; quick for whole numbers of a small range."""
    if len(a) > 256 and a.dtype.kind in "iu" and a.dtype.itemsize > 2:
        low, high = int(a.min()), int(a.max())
        if high - low < SMALL:
            return np.argsort((a - low).astype(np.uint16), kind="stable")
    return np.argsort(a, kind="stable")


def parts(a: Any) -> tuple[Any, list[Any]]:
    """First positions of the distinct items of an array, ascending by item, and all positions of each."""
    order = stable_order(a)
    ranked = a[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(a) else np.empty(0, dtype=np.int64)
    bounds = [*starts.tolist(), len(a)]
    return order[starts], [order[i:j] for i, j in pairwise(bounds)]


def markable(x: Vec) -> bool:
    """Whether ``marks`` knows the type."""
    return x.t not in (0, GUID, REAL, FLOAT, DATETIME)


def marks(x: Vec) -> Any:
    """Whole numbers that are equal where the items are."""
    if x.t == SYM:
        found: dict[str, int] = {}
        return np.fromiter((found.setdefault(v, len(found)) for v in x.a.tolist()), np.int64, len(x))
    return x.a if x.t != ENUM else x.a.astype(np.int64)


def row_parts(keys: Table) -> tuple[Any, list[Any]] | None:
    """``parts`` of the rows of a table; None where a column cannot be marked."""
    if not keys.cols or not all(markable(c) for c in keys.cols):
        return None
    whole = marks(keys.cols[0])
    for c in keys.cols[1:]:
        whole = np.unique(whole, return_inverse=True)[1]
        values, inverse = np.unique(marks(c), return_inverse=True)
        whole = whole * len(values) + inverse
    return parts(whole)


_REDUCTIONS = {"sum": np.add, "min": np.minimum, "max": np.maximum}


def reduced(name: str, column: Vec, groups: list[Any]) -> Vec | None:
    """``sum``, ``min``, ``max``, ``avg``, ``count``, ``first`` or ``last`` of each group of rows (none empty) at once.

    None for other functions, for types that they treat apart, and where there are nulls.
    """
    if name == "count":
        return longs([len(g) for g in groups])
    if not column.t or column.t in (SYM, GUID, ENUM):
        return None
    if name in ("first", "last"):
        return Vec(column.t, column.a[[g[0 if name == "first" else -1] for g in groups]])
    if column.t not in (LONG, FLOAT) or name not in (*_REDUCTIONS, "avg") or mask_of(column).any():
        return None
    sizes = [len(g) for g in groups]
    starts = np.r_[0, np.cumsum(sizes)[:-1]]
    ordered = column.a[np.concatenate(groups)]
    if name == "avg":
        return Vec(FLOAT, np.add.reduceat(ordered.astype(np.float64), starts) / np.array(sizes))
    return Vec(column.t, _REDUCTIONS[name].reduceat(ordered, starts))
