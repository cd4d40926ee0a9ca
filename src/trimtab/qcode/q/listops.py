"""How are lists joined, cut, taken, filled, turned and counted? The operators ``, # _ ^`` and their keywords."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from trimtab.qcode.q.atomic import raw_of
from trimtab.qcode.q.comparison import simple
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.indexing import index1, prototype, take_at
from trimtab.qcode.q.lists import as_list, at, collect, enlist, items, keyed, pick, row
from trimtab.qcode.q.registry import PRIMS, dyad, function, monad
from trimtab.qcode.q.state import LARGE, current
from trimtab.qcode.q.values import (
    ATOMS,
    BOOL,
    BYTE,
    DTYPES,
    ENUM,
    INT,
    LONG,
    SHORT,
    SYM,
    Dict,
    Func,
    Q,
    Table,
    Vec,
    box,
    count,
    longs,
    qtype,
    raw,
    syms,
)

WHOLE = frozenset((BOOL, BYTE, SHORT, INT, LONG))


def whole(x: Q) -> int:
    """The integer that an atom holds; 'type for anything else."""
    if type(x) is int:
        return x
    if type(x) in ATOMS and -qtype(x) in WHOLE:
        return int(raw(x))
    raise QError("type")


def sized(n: int) -> int:
    """A length; 'wsfull where it is too large."""
    current().allow(abs(n))
    return n


@monad("count", "#:")
def count_(x: Q) -> Q:
    """Number of items."""
    return count(x)


@function("enlist", 0)
def enlist_all(*args: Q) -> Q:
    """A list of the arguments."""
    return enlist(args[0]) if len(args) == 1 else collect(list(args))


@function("enlist", 1, ",:", 101)
def enlist_(x: Q) -> Q:
    """A list of one item."""
    return enlist(x)


PRIMS["enlist"].shown, PRIMS["enlist"].t, PRIMS["enlist"].rank = "enlist", 101, 1


@dyad(",")
def join(x: Q, y: Q) -> Q:
    """Two values one after the other; dictionaries and keyed tables by key."""
    cx, cy = type(x), type(y)
    if cx is Dict or cy is Dict:
        return _join_dicts(x, y)
    if cx is Table or cy is Table:
        return _join_tables(x, y)
    if cx is Vec and cy is Vec:
        return _join_lists(x, y)
    if cx is Vec and not x.a.__len__() and x.t == 0:
        return as_list(y)
    if cy is Vec and not len(y.a) and y.t == 0:
        return as_list(x)
    return _join_lists(as_list(x), as_list(y)) if Vec in (cx, cy) else collect([x, y])


def _join_lists(x: Vec, y: Vec) -> Q:
    if len(x) + len(y) > LARGE:
        sized(len(x) + len(y))
    if x.t == y.t and x.dom == y.dom:
        if x.t == 0:
            return collect([*x.a, *y.a]) if not (x.a and y.a) else Vec(0, [*x.a, *y.a])
        return Vec(x.t, np.concatenate([x.a, y.a]), "", x.dom)
    if not len(x) and x.t in (0, y.t):
        return Vec(y.t, y.a, "", y.dom)
    if not len(y) and y.t in (0, x.t):
        return Vec(x.t, x.a, "", x.dom)
    if ENUM in (x.t, y.t) and x.t in (ENUM, SYM) and y.t in (ENUM, SYM) and len(x) + len(y) > 2:
        return _join_lists(simple(x), simple(y))
    return collect([*items(x), *items(y)])


def _join_dicts(x: Q, y: Q) -> Q:
    if keyed(x) and (keyed(y) or type(y) is Table):
        other: Any = y if keyed(y) else rekey(y, x.k.names)
        return PRIMS["uj"].fns[2](x, ordered(other, x)) if set(x.v.names) == set(other.v.names) else upserted(x, other)
    if type(x) is Dict and type(y) is Dict:
        from trimtab.qcode.q.atomic import merge

        return merge(lambda a, b: b, x, y) if not keyed(x) else _mismatch()
    if type(x) is Table and type(y) is Dict and not keyed(y):
        return join(x, _as_row(x, y))
    if type(x) is Vec and type(y) is Dict and not keyed(y):
        if not len(x):
            return enlist(y)
        return collect([*items(x), y])
    if type(y) is Vec and type(x) is Dict and not len(y) and y.t == 0:
        return x if keyed(x) else enlist(x)
    if type(y) is Vec and type(x) is Dict and not keyed(x) and y.t == 0 and all(type(v) is Dict for v in y.a):
        return collect([x, *y.a])
    raise QError("type")


def _mismatch() -> Q:
    raise QError("type")


def upserted(x: Dict, y: Dict) -> Q:
    """A keyed table with the records of another that has some of its columns."""
    if not set(y.v.names) <= set(x.v.names):
        raise QError("mismatch")
    return PRIMS["uj"].fns[2](x, y)


def ordered(y: Dict, like: Dict) -> Dict:
    """A keyed table with its columns in the order of another's."""
    if y.v.names == like.v.names:
        return y
    return Dict(y.k, Table(like.v.names, [y.v.col(n) for n in like.v.names]))


def rekey(x: Table, names: list[str]) -> Dict:
    """A simple table keyed by some of its columns."""
    try:
        keys = Table(list(names), [x.col(n) for n in names])
    except KeyError:
        raise QError("mismatch") from None
    rest = [n for n in x.names if n not in names]
    return Dict(keys, Table(rest, [x.col(n) for n in rest]))


def _as_row(x: Table, y: Dict) -> Table:
    names = y.k.a.tolist() if type(y.k) is Vec and y.k.t == SYM else []
    if set(names) != set(x.names):
        raise QError("mismatch")
    values = dict(zip(names, items(y.v), strict=True))
    return Table(x.names, [as_list(collect([values[n]])) for n in x.names])


def _join_tables(x: Q, y: Q) -> Q:
    if type(x) is Table and type(y) is Table:
        if set(x.names) != set(y.names):
            raise QError("mismatch")
        cols = [as_list(_column_join(c, y.col(n))) for n, c in zip(x.names, x.cols, strict=True)]
        return Table(x.names, cols)
    if type(x) is Vec and not len(x) and x.t == 0:
        return y
    if type(y) is Vec and not len(y) and y.t == 0:
        return x
    return collect([*(items(x) if type(x) in (Vec, Table) else [x]), *(items(y) if type(y) in (Vec, Table) else [y])])


def _column_join(a: Vec, b: Vec) -> Q:
    if a.t == ENUM and b.t == SYM:
        return join(a, PRIMS["$"].fns[2](a.dom, b))
    if a.t and b.t and a.t != b.t and len(a) and len(b):
        raise QError("type")
    got = join(a, b)
    return got if type(got) is Vec else Vec(0, [*items(a), *items(b)])


@dyad("#", infix=False)
def take(x: Q, y: Q) -> Q:
    """``n#y``: the first (last, where negative) n items, over again where there are too few; shapes; keys, columns."""
    if type(x) is Vec and x.t in WHOLE:
        return _reshape([int(v) for v in x.a.tolist()], y)
    if type(x) is str and type(y) in (Table, Dict) and x in ("", "s", "u", "p", "g"):
        return _attribute_of_columns(x, y)
    if type(y) in (Table, Dict) and (type(x) in (str, Table) or (type(x) is Vec and (x.t == SYM or type(y) is Dict))):
        return _take_keys(x, y)
    if type(x) is str and type(y) is Vec:
        return _with_attribute(x, y)
    if isinstance(x, Func):
        from trimtab.qcode.q import apply

        return index1(y, PRIMS["where"].fns[1](apply.call(x, [y])))
    return _take_count(sized(whole(x)), y)


def _attribute_of_columns(x: str, y: Q) -> Q:
    """An attribute on a table (its first column) or a dictionary (its keys)."""
    if type(y) is Table:
        if not y.cols:
            return y
        first = _with_attribute(x, y.cols[0])
        return Table(y.names, [Vec(first.t, first.a, "p" if x == "s" else x, first.dom), *y.cols[1:]], x)
    if type(y.k) is Table:
        keys = _attribute_of_columns("" if x == "s" else x, y.k)
        if x == "s" and not sorted_already(y.k):
            raise QError("s-fail")
        y.k.attr = x  # q, too, sets it on the key of the keyed table that it is given
        return Dict(Table(keys.names, keys.cols, x), y.v)
    return Dict(_with_attribute(x, y.k), y.v, x)


def _with_attribute(x: str, y: Vec) -> Q:
    if x == "":
        return Vec(y.t, y.a, "", y.dom)
    if x not in ("s", "u", "p", "g"):
        raise QError("type")
    keys = [str(v) for v in _hashed(y)] if y.t == 0 else _hashed(y)
    if x == "s" and not sorted_already(y):
        raise QError("s-fail")
    if x == "u" and len(set(keys)) < len(keys):
        raise QError("u-fail")
    if x == "p" and sum(a != b for a, b in pairwise(keys)) + bool(keys) > len(set(keys)):
        raise QError("u-fail")
    return Vec(y.t, y.a, x, y.dom)


def _hashed(y: Vec) -> list[Any]:
    from trimtab.qcode.q.finding import codes

    return codes(y)


def sorted_already(y: Vec | Table) -> bool:
    """Whether a list ascends."""
    from trimtab.qcode.q.sorting import grade_up

    return bool((np.diff(grade_up(y)) == 1).all()) or len(y) < 2


def _take_count(n: int, y: Q) -> Q:
    if type(y) is Dict:
        return Dict(_take_count(n, y.k), _take_count(n, y.v))
    if type(y) not in (Vec, Table):
        return collect([y] * abs(n)) if n else _empty_like(y)
    size = len(y)
    if not size:
        return take_at(y, np.full(abs(n), -1, dtype=np.int64)) if n else y
    where = np.arange(n) % size if n >= 0 else np.arange(n, 0) % size
    got = pick(y, where)
    if type(y) is Vec and y.t == 0 and not abs(n):
        return Vec(0, [])
    return got


def _empty_like(y: Q) -> Q:
    t = abs(qtype(y))
    return Vec(t, np.empty(0, dtype=DTYPES[t])) if t in DTYPES else Vec(0, [])


def _reshape(shape: list[int], y: Q) -> Q:
    null = -(2**63)
    if len(shape) == 1:
        return _take_count(sized(shape[0]), y)
    n = len(y) if type(y) in (Vec, Table) else 1
    if null in shape and len(shape) == 2:
        return _chunked(shape, y, n, null)
    if len(shape) > 2 and any(s <= 0 for s in shape[:-1]):
        raise QError("domain")
    total = int(np.prod([float(abs(s)) for s in shape]))
    if any(s < 0 for s in shape):
        raise QError("domain")
    flat = _take_count(sized(total), y)
    return _nested(flat, shape)


def _chunked(shape: list[int], y: Q, n: int, null: int) -> Q:
    y = y if type(y) in (Vec, Table) else as_list(y)
    rows, width = shape
    if width == null:
        if rows < 0:
            raise QError("domain")
        rows = max(rows, 1)
        bounds = [i * n // rows for i in range(rows + 1)]
    else:
        bounds = [*range(0, n, max(width, 1)), n]
    return Vec(0, [pick(y, np.arange(a, b)) for a, b in pairwise(bounds)])


def _nested(flat: Q, shape: list[int]) -> Q:
    if len(shape) == 1:
        return flat
    if not shape:
        raise QError("length")
    size = int(np.prod(shape[1:]))
    if len(flat) < size * shape[0]:
        raise QError("length")
    return Vec(0, [_nested(pick(flat, np.arange(i * size, (i + 1) * size)), shape[1:]) for i in range(shape[0])])


def _named(x: Q) -> list[str]:
    if type(x) is str:
        return [x]
    if type(x) is Vec and x.t == SYM:
        return x.a.tolist()
    raise QError("type")


def _take_keys(x: Q, y: Q) -> Q:
    if type(y) is Table:
        names = _named(x)
        for name in names:
            if name not in y.names:
                raise QError(name)
        return Table(names, [y.col(n) for n in names])
    if keyed(y):
        if type(x) is not Table:
            raise QError("type")
        where = PRIMS["where"].fns[1](PRIMS["in"].fns[2](y.k, x))
        return Dict(pick(y.k, where.a), pick(y.v, where.a))
    if type(x) is Vec and x.t in WHOLE and len(x) == 0:
        return Dict(pick(y.k, np.arange(0)), pick(y.v, np.arange(0)))
    keys = as_list(x)
    return Dict(keys, index1(y, keys))


@dyad("_", infix=False)
def drop(x: Q, y: Q) -> Q:
    """``n_y``: without n items; ``indexes_y``: cut there; without keys, columns, or the item at an index."""
    if (
        type(y) is Dict
        and type(x) in (Vec, Table)
        and not (type(x) is Vec and x.t in WHOLE and y.k.t != x.t if type(y.k) is Vec else False)
    ):
        return _without_keys(x, y)
    if type(x) is Dict and type(y) in ATOMS and not keyed(x):
        return _without_keys(as_list(y), x)
    if type(x) is Dict and type(y) in (Vec, Table):
        return _without_keys(y, x)
    if type(y) is Table and (type(x) is str or (type(x) is Vec and x.t == SYM)):
        named: Any = x
        names = [x] if type(x) is str else named.a.tolist()
        rest = [n for n in y.names if n not in names]
        return Table(rest, [y.col(n) for n in rest])
    if type(x) is Vec and type(y) in (Vec, Table) and x.t in WHOLE:
        return cut_at(x, y)
    if type(x) is Vec and type(y) in ATOMS:
        i = whole(y)
        return pick(x, np.delete(np.arange(len(x)), i)) if 0 <= i < len(x) else x
    n = whole(x)
    if type(y) is Dict:
        return Dict(_drop_count(n, y.k), _drop_count(n, y.v))
    return _drop_count(n, y)


def _drop_count(n: int, y: Q) -> Q:
    if type(y) not in (Vec, Table):
        raise QError("type")
    size = len(y)
    where = np.arange(min(n, size), size) if n >= 0 else np.arange(0, max(size + n, 0))
    return pick(y, where)


def _without_keys(x: Q, y: Dict) -> Q:
    found = PRIMS["in"].fns[2](y.k, x)
    keep = np.flatnonzero(~np.asarray(raw_of(found), dtype=bool))
    return Dict(pick(y.k, keep), pick(y.v, keep))


def cut_at(x: Vec, y: Q) -> Q:
    """A list cut at positions."""
    if not len(x):
        return Vec(0, [])
    if x.t not in WHOLE or type(y) not in (Vec, Table):
        raise QError("type")
    starts = [int(v) for v in x.a.tolist()]
    if any(b < a for a, b in pairwise(starts)) or any(not 0 <= s <= len(y) for s in starts):
        raise QError("domain" if any(s < 0 for s in starts) else "length")
    ends = [*starts[1:], len(y)]
    return Vec(0, [pick(y, np.arange(a, b)) for a, b in zip(starts, ends, strict=True)])


@dyad("cut")
def cut(x: Q, y: Q) -> Q:
    """A list cut at positions, or in pieces of a length."""
    if type(x) is Vec:
        return cut_at(x, y)
    n = whole(x)
    if n <= 0:
        raise QError("domain")
    return cut_at(longs(np.arange(0, count(y), n)), as_list(y) if type(y) is not Table else y)


@dyad("sublist")
def sublist(x: Q, y: Q) -> Q:
    """At most n items from the start (end, where negative), or ``start n`` of them."""
    if type(y) is Dict:
        return Dict(sublist(x, y.k), sublist(x, y.v))
    size = count(y)
    y = as_list(y) if type(y) is not Table else y
    if type(x) is Vec:
        if x.t not in WHOLE or len(x) != 2:
            raise QError("type" if x.t not in WHOLE else "length")
        start, n = (int(v) for v in x.a.tolist())
        where = np.arange(max(start, 0), max(0, min(start + n, size)))
    else:
        n = whole(x)
        where = np.arange(min(n, size)) if n >= 0 else np.arange(max(size + n, 0), size)
    return pick(y, where)


@monad("flip", "+:")
def flip(x: Q) -> Q:
    """Rows as columns; a dictionary of columns as a table, and the reverse."""
    if type(x) is Table:
        return Dict(syms(x.names), Vec(0, list(x.cols)))
    if type(x) is Dict:
        return _table(x)
    if type(x) is not Vec or x.t != 0 or not x.a:
        raise QError("rank")
    sizes = {len(v) for v in x.a if type(v) is Vec}
    if not sizes:
        raise QError("rank")
    if len(sizes) > 1:
        raise QError("length")
    n = sizes.pop()
    columns = [items(v) if type(v) is Vec else [v] * n for v in x.a]
    return Vec(0, [collect([c[i] for c in columns]) for i in range(n)])


def _table(x: Dict) -> Q:
    if keyed(x):
        raise QError("nyi")
    if type(x.k) is not Vec or x.k.t != SYM:
        raise QError("type")
    values = items(x.v)
    sizes = {len(v) for v in values if type(v) in (Vec, Table, Dict)}
    if len(sizes) > 1:
        raise QError("length")
    if not sizes:
        raise QError("rank")
    n = sizes.pop()
    cols = [
        v if type(v) is Vec else Vec(0, items(v)) if type(v) in (Table, Dict) else _take_count(n, v) for v in values
    ]
    return Table(x.k.a.tolist(), [as_list(c) for c in cols])


@monad("reverse", "|:")
def reverse(x: Q) -> Q:
    """Items from the last to the first."""
    if type(x) is Dict:
        return Dict(reverse(x.k), reverse(x.v))
    return pick(x, np.arange(len(x))[::-1]) if type(x) in (Vec, Table) else x


@dyad("rotate")
def rotate(x: Q, y: Q) -> Q:
    """The first n items moved to the end."""
    n = whole(x)
    if type(y) not in (Vec, Table):
        raise QError("type")
    return pick(y, np.roll(np.arange(len(y)), -n)) if len(y) else y


@monad("til")
def til(x: Q) -> Q:
    """The first n whole numbers."""
    n = whole(x)
    if n < 0:
        raise QError("domain")
    return longs(np.arange(sized(n)))


@monad("first", "*:")
def first(x: Q) -> Q:
    """The first item; of no items, the null."""
    if type(x) is Dict:
        return first(x.v)
    if type(x) not in (Vec, Table):
        return x
    if not len(x):
        return prototype(x)
    return at(x, 0) if type(x) is Vec else row(x, 0)


@monad("last")
def last(x: Q) -> Q:
    """The last item."""
    if type(x) is Dict:
        return last(x.v)
    if type(x) not in (Vec, Table):
        return x
    if not len(x):
        return prototype(x)
    return at(x, len(x) - 1) if type(x) is Vec else row(x, len(x) - 1)


@monad("where", "&:")
def where(x: Q) -> Q:
    """Positions of ones; each position as often as its number; keys of a dictionary likewise."""
    if type(x) is Dict:
        return index1(x.k, where(x.v))
    if type(x) is not Vec:
        raise QError("type")
    if x.t == BOOL:
        return longs(np.flatnonzero(x.a))
    if not len(x):
        return longs([])
    if x.t not in WHOLE:
        raise QError("type")
    times = np.maximum(x.a.astype(np.int64), 0)
    sized(int(times.astype(float).sum()))
    return longs(np.repeat(np.arange(len(x)), times))


@monad("raze", ",/")
def raze(x: Q) -> Q:
    """Items of a list joined: one level less."""
    if type(x) is Dict:
        return raze(x.v)
    if type(x) in ATOMS or isinstance(x, Func):
        return enlist(x)
    if type(x) is Table or x.t != 0:
        return x
    if x.a and all(type(v) is Vec and v.t == x.a[0].t and v.t and v.dom == x.a[0].dom for v in x.a):
        return Vec(x.a[0].t, np.concatenate([v.a for v in x.a]), "", x.a[0].dom)
    if x.a and any(type(v) in (Dict, Table) for v in x.a):
        if any(type(v) in ATOMS for v in x.a) and any(type(v) is Dict for v in x.a):
            raise QError("type")
        out: Q = x.a[0] if type(x.a[0]) not in ATOMS else enlist(x.a[0])
        for v in x.a[1:]:
            out = join(out, v)
        return out
    return collect([w for v in x.a for w in (items(v) if type(v) is Vec else [v])]) if len(x.a) else x


@monad("type", "@:")
def type_(x: Q) -> Q:
    """The type number, as a short."""
    return box(SHORT, qtype(x))


@monad("::", shown="::")
def identity(x: Q) -> Q:
    """The argument."""
    return x


def bare_prims() -> None:
    """Operators that exist as values alone: assignment, compound assignment."""
    for k in "+-*%&|^~!,#_=<>?@.$":
        function(k + ":", 2, t=102)(_assigns)
    function(":", 2, t=102)(lambda x, y: y)
    function("::", 2, t=101)(lambda x, y: y)


def _assigns(x: Q, y: Q) -> Q:
    raise QError("assign")


bare_prims()
