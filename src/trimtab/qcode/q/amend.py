"""How does a list, dictionary or table change at an index, or at depth? (``@[x;i;f;y]``, ``.[x;i;f;y]``, ``x[i]:y``)

``fn`` is the function of the old item and ``y``; None replaces. A variable is changed in place where nothing else refers
to its value, which the reference counts tell.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from trimtab.qcode.q import append, apply, indexing
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.functions import Prim, Projection
from trimtab.qcode.q.lists import as_list, at, collect, items, pick
from trimtab.qcode.q.registry import PRIMS
from trimtab.qcode.q.values import (
    ATOMS,
    ELIDED,
    ENUM,
    FLOAT,
    LONG,
    NULL,
    SYM,
    Atom,
    Dict,
    Func,
    Q,
    Table,
    Vec,
    objects,
    qtype,
    raw,
)

Fn = Callable[[Q, Q], Q] | None


def amended(x: Q, path: list[Q], fn: Fn, y: Q) -> Q:
    """``x`` with what stands at ``path`` replaced by ``fn`` of it and ``y``."""
    if not path:
        return y if fn is None else fn(x, y)
    i, rest = path[0], path[1:]
    if type(x) not in (Vec, Dict, Table):
        raise QError("type" if not isinstance(x, Func) else "rank")
    if i is NULL or i is ELIDED:
        return _everywhere(x, rest, fn, y)
    if type(x) is Table and type(i) is not str and rest:
        return _cells(x, i, rest, fn, y)
    if type(i) is Vec and not _is_key(x, i):
        return _at_each(x, i, rest, fn, y)
    if type(i) is Dict and not (type(x) is Dict and type(x.k) is Table):
        raise QError("type")
    if not rest and fn is None:
        return put(x, i, y)
    return put(x, i, amended(indexing.index1(x, i), rest, fn, y))


def _is_key(x: Q, i: Vec) -> bool:
    """Whether a list is one key of a dictionary with list keys, or of a keyed table."""
    if type(x) is not Dict:
        return False
    if type(x.k) is Table:
        return len(x.k.names) > 1
    return x.k.t == 0 and bool(len(x.k)) and type(x.k.a[0]) is Vec and not (i.t == 0 and len(i) and type(i.a[0]) is Vec)


def _everywhere(x: Q, rest: list[Q], fn: Fn, y: Q) -> Q:
    if type(x) is Dict:
        return Dict(x.k, _everywhere(x.v, rest, fn, y))
    if type(x) is Table:
        if not rest:
            return y if fn is None else fn(x, y)
        return _cells(x, Vec(LONG, np.arange(len(x))), rest, fn, y)
    index = Vec(LONG, np.arange(len(x)))
    return _at_each(x, index, rest, fn, y)


def _at_each(x: Q, index: Vec, rest: list[Q], fn: Fn, y: Q) -> Q:
    n = len(index)
    if type(y) in (Vec, Table) and len(y) != n:
        raise QError("length")
    if not n:
        return x
    if not rest and type(x) is Vec and index.t == LONG and x.t:
        fast = _at_once(x, index.a, fn, y)
        if fast is not None:
            return fast
    values = items(y) if type(y) in (Vec, Table) else [y] * n
    for i, v in zip(items(index), values, strict=True):
        x = amended(x, [i, *rest], fn, v)
    return x


def _at_once(x: Vec, index: Any, fn: Fn, y: Q) -> Q | None:
    """Many items at once, where the indexes are all there and differ and the result has the list's own type."""
    if (index < 0).any() or (index >= len(x)).any():
        raise QError("length")
    if fn is not None:
        if not is_atomic(fn) or len(np.unique(index)) < len(index):
            return None
        y = fn(pick(x, index), y)
    t = qtype(y)
    if abs(t) != x.t or (x.t == ENUM and y.dom != x.dom):
        return None if t == 0 or x.t == ENUM else _mistyped(x, t)
    a = x.a.copy()
    a[index] = raw(y) if t < 0 else y.a
    return Vec(x.t, a, "", x.dom)


def is_atomic(fn: Any) -> bool:
    """Whether a function works item by item, so that many items may go to it at once."""
    return getattr(fn, "atomic", False) or fn in _atomic()


def step(f: Q) -> Fn:
    """A q function of two arguments as the function of the old item and the new; None for ``:``."""
    if isinstance(f, Prim) and f.name == ":":
        return None
    if isinstance(f, Prim) and f.fns.get(2) in _atomic():
        return f.fns[2]
    return lambda old, new: apply.call2(f, old, new)


def step_one(f: Q) -> Fn:
    """A q function of one argument as the function of the old item (and nothing new)."""

    def fn(old: Q, _: Q) -> Q:
        return apply.call1(f, old)

    setattr(fn, "atomic", _atomic_one(f))  # noqa: B010
    return fn


def _atomic_one(f: Q) -> bool:
    if isinstance(f, Prim):
        return f.fns.get(1) in _atomic()
    if not isinstance(f, Projection) or not isinstance(f.f, Prim) or len(f.args) != 2:
        return False
    return f.f.fns.get(2) in _atomic() and any(type(a) in ATOMS for a in f.args)


@cache
def _atomic() -> frozenset[Any]:
    """The implementations of operators and keywords that work item by item."""
    unary = ("neg", "not", "abs", "signum", "floor", "ceiling", "null", "sqrt", "exp", "log")
    return frozenset([*[PRIMS[n].fns[2] for n in "+-*%&|^=<>"], *[PRIMS[n].fns[1] for n in unary]])


def _mistyped(x: Vec, t: int) -> None:
    raise QError("type")


def _cells(x: Table, i: Q, rest: list[Q], fn: Fn, y: Q) -> Q:
    """A table's cells: rows ``i`` of the column (or columns) that the next level names."""
    names = rest[0]
    if names is NULL or names is ELIDED:
        names = Vec(SYM, objects(x.names))
    if type(names) is str:
        column = amended(indexing.index1(x, names), [i, *rest[1:]], fn, y)
        return put(x, names, column)
    if type(names) is not Vec or names.t != SYM:
        raise QError("type")
    for k, name in enumerate(names.a.tolist()):
        v = indexing.index1(y, k) if type(y) is Vec and type(i) is not Vec else y
        if type(y) is Vec and type(i) is Vec:
            v = collect([indexing.index1(r, k) if type(r) is Vec else r for r in items(y)])
        x = put(x, name, amended(indexing.index1(x, name), [i, *rest[1:]], fn, v))
    return x


def put(x: Q, i: Q, value: Q) -> Q:
    """``x`` with one item replaced; a new key is appended to a dictionary."""
    if type(x) is Vec:
        return _put_list(x, i, value)
    if type(x) is Table:
        return _put_table(x, i, value)
    return _put_dict(x, i, value)


def position(x: Q, i: Q) -> int:
    """The position that an index atom means; 'type and 'length where it means none."""
    n = i.v if type(i) is Atom else i
    if abs(qtype(i)) not in indexing.INDEX_TYPES or type(n) not in (int, bool):
        raise QError("type")
    if not 0 <= n < len(x):
        raise QError("length")
    return int(n)


def _put_list(x: Vec, i: Q, value: Q) -> Q:
    n = position(x, i)
    if x.t == 0:
        a = x.a.copy()
        a[n] = value
        kind = type(value)
        return collect(a) if kind in ATOMS and kind is type(a[0]) else Vec(0, a)
    if not fits(x, value):
        raise QError("type")
    a = x.a.copy()
    a[n] = raw(enumerated(x, value))
    return Vec(x.t, a, "", x.dom)


def fits(x: Vec, value: Q) -> bool:
    """Whether an atom may be an item of a typed list."""
    if x.t == ENUM:
        return qtype(value) in (-ENUM, -SYM)
    return qtype(value) == -x.t


def enumerated(x: Vec, value: Q) -> Q:
    """A symbol as an item of an enumerated list."""
    if x.t == ENUM and type(value) is str:
        return PRIMS["$"].fns[2](x.dom, value)
    return value


def _put_table(x: Table, i: Q, value: Q) -> Q:
    if type(i) is str:
        column = value if type(value) is Vec else pick(as_list(value), np.zeros(len(x), dtype=np.int64))
        if len(column) != len(x) and x.cols:
            raise QError("length")
        if i in x.names:
            k = x.names.index(i)
            return Table(x.names, [*x.cols[:k], column, *x.cols[k + 1 :]])
        return Table([*x.names, i], [*x.cols, column])
    n = position(x, i)
    if type(value) is Dict:
        value = indexing.index1(value, Vec(SYM, objects(x.names)))
    parts = items(as_list(value))
    if len(parts) != len(x.names):
        raise QError("length")
    return Table(x.names, [as_list(_put_list(c, n, v)) for c, v in zip(x.cols, parts, strict=True)])


def _put_dict(x: Dict, i: Q, value: Q) -> Q:
    from trimtab.qcode.q import finding

    if type(x.k) is Table:
        return PRIMS["upsert"].fns[2](x, _record(x, i, value))
    n = finding.find(x.k, i)
    if type(n) is not int:
        n = finding.position_of(x.k, i)
    if n < len(x.k):
        return Dict(x.k, _put_value(x.v, n, value))
    keys = extended(x.k, i)
    return Dict(keys, extended(x.v, value))


def _put_value(v: Q, n: int, value: Q) -> Q:
    if type(v) is Vec and v.t and not fits(v, value):
        if qtype(v) == 0 or type(value) is Vec:
            return Vec(0, [*items(v)[:n], value, *items(v)[n + 1 :]])
        raise QError("type")
    return put(v, n, value)


def _record(x: Dict, i: Q, value: Q) -> Q:
    keys = items(as_list(i)) if type(i) is not Dict else items(i.v)
    values = items(value.v) if type(value) is Dict else items(as_list(value))
    names = Vec(SYM, objects([*x.k.names, *x.v.names]))
    if len(keys) + len(values) != len(names):
        raise QError("length")
    return Dict(names, collect([*keys, *values]))


def extended(x: Q, value: Q) -> Q:
    """A list with one more item."""
    if type(x) is not Vec:
        return PRIMS[","].fns[2](x, value)
    if x.t and fits(x, value):
        a = np.empty(len(x) + 1, dtype=x.a.dtype)
        a[:-1] = x.a
        a[-1] = raw(enumerated(x, value))
        return Vec(x.t, a, "", x.dom)
    if not len(x):
        return collect([value])
    return collect([*items(x), value])


_EXACT = {LONG: int, FLOAT: float, SYM: str}


def amend_variable(container: Any, key: Any, path: list[Q], fn: Fn, y: Q) -> None:
    """Amend the value in a frame's slot or a variable; in place where it is nobody else's."""
    if not _in_place(container, key, path, fn, y):
        old = container[key]
        container[key] = amended(old, path, fn, y)


def _in_place(container: Any, key: Any, path: list[Q], fn: Fn, y: Q) -> bool:
    v = container[key]
    refs = sys.getrefcount
    if refs(v) != 3:
        return False
    for i in path[:-1]:
        if type(v) is not Vec or v.t or type(i) is not int or not 0 <= i < len(v.a) or refs(v.a) != 2:
            return False
        v = v.a[i]
        if refs(v) != 3:
            return False
    i = path[-1] if path else NULL
    if type(v) is not Vec or type(i) is not int or not 0 <= i < len(v.a) or refs(v.a) != 2 or v.attr:
        return False
    if v.t == 0:
        return _in_general(v, i, fn, y)
    if not v.a.flags.owndata or not v.a.flags.writeable:
        return False
    if fn is not None:
        y = fn(at(v, i), y)
    if type(y) is _EXACT.get(v.t) or (v.t != ENUM and type(y) in ATOMS and qtype(y) == -v.t):
        v.a[i] = raw(y)
        return True
    if fn is not None:
        container[key] = amended(container[key], path, None, y)
        return True
    return False


def _in_general(v: Vec, i: int, fn: Fn, y: Q) -> bool:
    if fn is not None:
        y = fn(v.a[i], y)
    elif type(y) in ATOMS:
        return False
    if type(y) in ATOMS:
        a = v.a.copy()
        a[i] = y
        got = collect(a)
        v.t, v.a = got.t, got.a
        v.dom = got.dom
        return True
    v.a[i] = y
    return True


def appended(container: Any, key: Any, y: Q) -> Q:
    """``x,y`` for the variable ``x``, with room to grow where nothing else refers to its value."""
    x = container[key]
    if type(x) is Vec and sys.getrefcount(x) == 3 and not x.attr:
        if x.t == 0:
            if len(x.a) and sys.getrefcount(x.a) == 2 and _extends(x, y):
                x.a.extend(items(y) if type(y) is Vec else [y])
                return x
        elif x.t != ENUM and qtype(y) in (x.t, -x.t) and sys.getrefcount(x.a) == 2:
            _grow(x, y)
            return x
    return append.appended(x, y)


def _extends(x: Vec, y: Q) -> bool:
    """Whether a general list stays one, and no matrix gets a row, when the items of ``y`` follow."""
    first = x.a[0]
    if type(y) is Vec:
        return bool(len(y)) and y.t == 0 and type(first) is not Dict
    return type(first) is Vec and type(y) in ATOMS


def _grow(x: Vec, y: Q) -> None:
    n = len(x.a)
    extra = len(y.a) if type(y) is Vec else 1
    base = x.a.base
    if type(base) is not np.ndarray or len(base) < n + extra or sys.getrefcount(base) != 3 or not base.flags.writeable:
        base = np.empty(max(16, 2 * (n + extra)), dtype=x.a.dtype)
        base[:n] = x.a
    elif x.a.ctypes.data != base.ctypes.data if n < 64 else False:
        base = np.concatenate([x.a, np.empty(n + extra, dtype=x.a.dtype)])
    base[n : n + extra] = y.a if type(y) is Vec else raw(y)
    x.a = base[: n + extra]
