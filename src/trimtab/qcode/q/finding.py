"""Where is a value in a list? Positions by ``?``, and lists as things that Python can hash."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from trimtab.qcode.q.comparison import match, simple
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.joins import hashed, rows_of
from trimtab.qcode.q.lists import as_list, collect, items, row
from trimtab.qcode.q.promotion import COMMON, convert
from trimtab.qcode.q.values import ATOMS, ENUM, FLOATS, GUID, SYM, Dict, Q, Table, Vec, is_atom, longs, qtype, raw


def codes(x: Q) -> list[Hashable]:
    """The items of a list (rows of a table) as hashable things that agree where the items match."""
    if type(x) is Table:
        return rows_of(x)
    return hashed(x)


def find(x: Q, y: Q) -> Q:
    """Positions in the list (table, keys) ``x`` of ``y`` or of its items; the count where it is not there."""
    if type(x) is Table:
        return _in_table(x, y)
    if type(x) is not Vec:
        raise QError("type")
    if x.t == 0:
        return _in_general(x, y)
    if x.t == ENUM or abs(qtype(y)) == ENUM:
        return find(simple(x), simple(y))
    if type(y) in ATOMS:
        return _atom(x, y)
    if type(y) is Vec and y.t:
        return longs(_vector(x, y))
    if type(y) is Vec:
        return collect([find(x, v) for v in y.a]) if y.a else longs([])
    if type(y) is Dict:
        return Dict(y.k, find(x, y.v))
    if type(y) is Table:
        return Table(y.names, [as_list(find(x, c)) for c in y.cols])
    return len(x)


def _comparable(tx: int, ty: int) -> int:
    """The type in which items of two types are compared; 0 where they never match."""
    if tx == ty:
        return tx
    if SYM in (tx, ty) or GUID in (tx, ty):
        return 0
    return COMMON.get((tx, ty), 0)


def _atom(x: Vec, y: Q) -> int:
    t = _comparable(x.t, -qtype(y))
    if not t or not len(x.a):
        if x.t and len(x.a) and (SYM in (x.t, -qtype(y))):
            raise QError("type")
        return len(x.a)
    a = convert(x.a, x.t, t) if x.t != t else x.a
    v = convert(raw(y), -qtype(y), t) if -qtype(y) != t else raw(y)
    hits = np.isnan(a) if t in FLOATS and v != v else a == v
    at = int(np.argmax(hits))
    return at if hits[at] else len(x.a)


def _vector(x: Vec, y: Vec) -> Any:
    t = _comparable(x.t, y.t)
    n = len(x.a)
    if not t or not n:
        return np.full(len(y.a), n, dtype=np.int64)
    if t in (SYM, GUID):
        first: dict[Any, int] = {}
        for i, v in enumerate(x.a.tolist()):
            first.setdefault(v, i)
        return np.fromiter((first.get(v, n) for v in y.a.tolist()), dtype=np.int64, count=len(y.a))
    a, b = (convert(v.a, v.t, t) if v.t != t else v.a for v in (x, y))
    order = np.argsort(a, kind="stable")
    ranked = a[order]
    at = np.searchsorted(ranked, b)
    found = at < n
    safe = np.where(found, at, 0)
    same = ranked[safe] == b
    if t in FLOATS:
        same |= np.isnan(ranked[safe].astype(float)) & np.isnan(b.astype(float))
    return np.where(found & same, order[safe], n).astype(np.int64)


def position_of(x: Vec, y: Q) -> int:
    """Where a value as a whole is among the items of a list; the count where it is not."""
    for i, v in enumerate(items(x)):
        if match(v, y):
            return i
    return len(x.a)


def _in_general(x: Vec, y: Q) -> Q:
    if is_atom(y) or type(y) is not Vec:
        return position_of(x, y)
    if not x.a:
        return longs([0] * len(y))
    if y.t and any(type(v) is Vec for v in x.a):
        return position_of(x, y)
    if not len(y):
        return position_of(x, y)
    return collect([position_of(x, v) if is_atom(v) or type(x.a[0]) is Vec else _in_general(x, v) for v in items(y)])


def _in_table(x: Table, y: Q) -> Q:
    if type(y) is Table:
        if set(y.names) != set(x.names):
            raise QError("mismatch" if len(y.names) == len(x.names) else "length")
        first: dict[Hashable, int] = {}
        for i, key in enumerate(rows_of(x)):
            first.setdefault(key, i)
        ordered = Table(x.names, [y.col(name) for name in x.names])
        return longs([first.get(key, len(x)) for key in rows_of(ordered)])
    wanted = items(y.v) if type(y) is Dict else items(as_list(y))
    if len(wanted) != len(x.names):
        raise QError("length")
    for i in range(len(x)):
        if all(match(a, b) for a, b in zip(items(row(x, i).v), wanted, strict=True)):
            return i
    return len(x)


def first_positions(keys: list[Hashable]) -> tuple[list[int], dict[Hashable, list[int]]]:
    """Where distinct keys first are, and all positions of each."""
    groups: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return [g[0] for g in groups.values()], groups
