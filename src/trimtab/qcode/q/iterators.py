"""What do the iterators do? Each, over, scan, prior, each-left, each-right, on any value and number of arguments."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from trimtab.qcode.q import apply, indexing
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.functions import Derived, Lambda, Prim
from trimtab.qcode.q.lists import collect, items
from trimtab.qcode.q.registry import PRIMS, dyad, function
from trimtab.qcode.q.state import State, current
from trimtab.qcode.q.values import (
    ATOMS,
    ELIDED,
    EMPTY,
    FLOAT,
    INF,
    LONG,
    NULL,
    WJ,
    Atom,
    Dict,
    Func,
    Q,
    Table,
    Vec,
    box,
    empty,
    is_string,
    qtype,
    text_of,
)


def derive(iterator: str, f: Q) -> Derived:
    """The function that an iterator makes of a value."""
    rank = apply.rank_of(f)
    if iterator in ("/", "\\"):
        rank = max(1, rank - 1)
    elif iterator in ("/:", "\\:"):
        rank = 2
    elif iterator == "':":
        rank = 1
    return Derived(iterator, f, rank)


def derive_or_signal(x: Q) -> Q:
    """``'x``: a signal where x is a symbol or text, otherwise the each of a function."""
    if type(x) is str:
        raise QError(x)
    if is_string(x):
        raise QError(text_of(x))
    if type(x) in ATOMS:
        raise QError("stype")
    return derive("'", x)


def _call(d: Derived, args: list[Q]) -> Q:
    if any(a is ELIDED for a in args):
        return apply.project(d, args, len(args))
    return _RUN[d.iterator](d.f, args)


apply.DERIVED.append(_call)


def unary(f: Q) -> Callable[[Q], Q]:
    """A Python function of one argument that applies ``f``."""
    if type(f) is Prim and 1 in f.fns:
        return f.fns[1]
    if type(f) is Lambda and f.rank == 1:
        run = f.run or apply.prepare(f)
        return lambda x: run([x])
    return lambda x: apply.call1(f, x)


def binary(f: Q) -> Callable[[Q, Q], Q]:
    """A Python function of two arguments that applies ``f``."""
    if type(f) is Prim and 2 in f.fns:
        return f.fns[2]
    if type(f) is Lambda and f.rank == 2:
        run = f.run or apply.prepare(f)
        return lambda x, y: run([x, y])
    return lambda x, y: apply.call2(f, x, y)


def each1(f: Q, x: Q) -> Q:
    """``f each x``."""
    if type(x) is Dict:
        return Dict(x.k, each1(f, x.v))
    if type(x) is Vec or type(x) is Table:
        fn = unary(f)
        values = items(x)
        return collect([fn(v) for v in values]) if values else EMPTY
    return apply.call1(f, x)


def _case(f: Vec, args: list[Q]) -> Q:
    """``0 1 0'[a;b]``: each item from the argument that the number names."""
    picks = [indexing.index1(a, i) if type(a) is Vec else a for i, a in ((0, a) for a in args)][:0]
    for i, k in enumerate(items(f)):
        source = args[int(k)] if 0 <= int(k) < len(args) else NULL
        picks.append(indexing.index1(source, i) if type(source) is Vec else source)
    return collect(picks)


def _each(f: Q, args: list[Q]) -> Q:
    if type(f) is Vec and f.t == LONG and len(args) > 1:
        return _case(f, args)
    if len(args) == 1:
        return each1(f, args[0])
    if not any(type(a) in (Vec, Dict, Table) for a in args):
        return apply.call(f, args)
    dicts = [a for a in args if type(a) is Dict]
    if dicts:
        keys = dicts[0].k
        values = [indexing.index1(a, keys) if type(a) is Dict else a for a in args]
        return Dict(keys, _each(f, values))
    sizes = {len(a) for a in args if type(a) in (Vec, Table)}
    if len(sizes) > 1:
        raise QError("length")
    n = sizes.pop()
    columns = [items(a) if type(a) in (Vec, Table) else [a] * n for a in args]
    if len(args) == 2:
        fn = binary(f)
        out = [fn(x, y) for x, y in zip(columns[0], columns[1], strict=True)]
    else:
        out = [apply.call(f, list(row)) for row in zip(*columns, strict=True)]
    return collect(out) if out else EMPTY


def _each_right(f: Q, args: list[Q]) -> Q:
    if len(args) != 2:
        raise QError("rank")
    x, y = args
    if type(y) is Dict:
        return Dict(y.k, _each_right(f, [x, y.v]))
    if type(y) not in (Vec, Table):
        return apply.call2(f, x, y)
    fn = binary(f)
    values = items(y)
    return collect([fn(x, v) for v in values]) if values else _none(y)


def _each_left(f: Q, args: list[Q]) -> Q:
    if len(args) != 2:
        raise QError("rank")
    x, y = args
    if type(x) is Dict:
        return Dict(x.k, _each_left(f, [x.v, y]))
    if type(x) not in (Vec, Table):
        return apply.call2(f, x, y)
    fn = binary(f)
    values = items(x)
    return collect([fn(v, y) for v in values]) if values else _none(x)


def _none(x: Q) -> Q:
    return EMPTY


IDENTITIES: dict[str, Q] = {"+": 0, "-": 0, "*": 1, "%": 1, "&": WJ, "|": -WJ, "and": WJ, "or": -WJ, ",": EMPTY}
_REDUCTIONS = {"+": "sum", "*": "prd", "&": "min", "|": "max", "and": "min", "or": "max", ",": "raze"}
_SCANS = {"+": "sums", "*": "prds", "&": "mins", "|": "maxs", "and": "mins", "or": "maxs"}


def _tick(state: State) -> None:
    state.steps_left -= 1
    if state.steps_left < 0:
        state.refuel()


def _over(f: Q, args: list[Q]) -> Q:
    return _repeat(f, args, False)


def _scan(f: Q, args: list[Q]) -> Q:
    return _repeat(f, args, True)


def _repeat(f: Q, args: list[Q], keep: bool) -> Q:
    n = len(args)
    if not n:
        raise QError("rank")
    alone = apply.rank_of(f) == 1 and not (type(f) is Derived and n == 2 and not _is_control(args[0]))
    if n == 1:
        return _converge(f, args[0], keep) if alone else _fold1(f, args[0], keep)
    if n == 2 and alone:
        return _iterate(f, args[0], args[1], keep)
    return _fold(f, args[0], args[1:], keep)


def _is_control(x: Q) -> bool:
    return isinstance(x, Func) or qtype(x) in (-4, -5, -6, -7)


def _converge(f: Q, x: Q, keep: bool) -> Q:
    from trimtab.qcode.q.comparison import match

    fn, state = unary(f), current()
    trail, first = [x], x
    while True:
        _tick(state)
        y = fn(x)
        if match(y, x) or match(y, first):
            return collect(trail) if keep else x
        trail.append(y) if keep else None
        x = y


def _iterate(f: Q, control: Q, x: Q, keep: bool) -> Q:
    fn, state = unary(f), current()
    trail = [x]
    n = control.v if type(control) is Atom else control
    if type(n) is int or type(n) is bool:
        for _ in range(n):
            _tick(state)
            x = fn(x)
            trail.append(x) if keep else None
        return collect(trail) if keep else x
    from trimtab.qcode.q.compiler import truth

    test = unary(control)
    while truth(test(x)):
        _tick(state)
        x = fn(x)
        trail.append(x) if keep else None
    return collect(trail) if keep else x


def _fold1(f: Q, x: Q, keep: bool) -> Q:
    if type(x) is Dict:
        return Dict(x.k, _fold1(f, x.v, keep)) if keep else _fold1(f, x.v, keep)
    if type(x) not in (Vec, Table):
        return x
    known = (_SCANS if keep else _REDUCTIONS).get(f.name) if type(f) is Prim else None
    if known and ((type(x) is Vec and x.t) or known == "raze"):
        return PRIMS[known].fns[1](x)
    values = items(x)
    if not values:
        return x if keep else _identity(f, x)
    if apply.rank_of(f) > 2:
        raise QError("rank")
    if type(f) is Lambda and type(x) is Vec and x.t in (LONG, FLOAT):
        fast = _accumulated(f, x, keep)
        if fast is not None:
            return fast
    fn, acc = binary(f), values[0]
    trail = [acc]
    for v in values[1:]:
        acc = fn(acc, v)
        trail.append(acc) if keep else None
    return collect(trail) if keep else acc


_STEPS = {"+": np.add, "*": np.multiply}


def _accumulated(f: Lambda, x: Vec, keep: bool) -> Q | None:
    """A fold by a lambda that only adds or multiplies its arguments, item after item as it would; None otherwise."""
    tree = f.body[0] if len(f.body) == 1 else None
    if type(tree) is not Vec or tree.t or len(tree) != 3 or type(tree.a[0]) is not Prim or tree.a[1:] != f.params:
        return None
    step = _STEPS.get(tree.a[0].name)
    if step is None or (x.t == LONG and (x.a <= -WJ).any()) or (x.t == LONG and (x.a == WJ).any()):
        return None
    with np.errstate(all="ignore"):
        total = step.accumulate(x.a)
    return Vec(x.t, total) if keep else box(x.t, total[-1])


def _identity(f: Q, x: Q) -> Q:
    if type(f) is Prim and f.name in IDENTITIES:
        return IDENTITIES[f.name]
    return EMPTY if type(x) is Table or x.t == 0 else indexing.prototype(x)


def _fold(f: Q, x: Q, lists: list[Q], keep: bool) -> Q:
    if len(lists) == 1 and type(lists[0]) is Dict:
        d = lists[0]
        return Dict(d.k, _fold(f, x, [d.v], keep)) if keep else _fold(f, x, [d.v], keep)
    fn = binary(f)
    if len(lists) == 1:
        y = lists[0]
        if type(y) not in (Vec, Table):
            return fn(x, y)
        rows = items(y)
        trail: list[Q] = []
        for v in rows:
            x = fn(x, v)
            trail.append(x) if keep else None
        return (collect(trail) if trail else empty(abs(qtype(x)) if abs(qtype(x)) < 20 else 0)) if keep else x
    sizes = {len(a) for a in lists if type(a) in (Vec, Table)}
    if len(sizes) > 1:
        raise QError("length")
    if not sizes:
        return apply.call(f, [x, *lists])
    n = sizes.pop()
    columns = [items(a) if type(a) in (Vec, Table) else [a] * n for a in lists]
    trail = []
    for row in zip(*columns, strict=True):
        x = apply.call(f, [x, *row])
        trail.append(x)
    return collect(trail) if keep else x


def _prior(f: Q, args: list[Q]) -> Q:
    """Each item with the one before; a unary function runs on each (``peach``)."""
    if len(args) == 1 and apply.rank_of(f) == 1 and not (type(f) is Prim and 2 in f.fns):
        return each1(f, args[0])
    x = args[-1]
    if type(x) is Dict:
        return Dict(x.k, _prior(f, [*args[:-1], x.v]))
    if type(x) not in (Vec, Table):
        return apply.call2(f, x, args[0]) if len(args) == 2 else x
    values = items(x)
    if not values:
        return x
    fn = binary(f)
    if len(args) == 2:
        before = args[0]
    elif type(f) is Prim and f.name in IDENTITIES and f.name in "+-*%":
        before = None
    elif type(f) is Prim and f.name in IDENTITIES and f.name != ",":
        before = _typed_identity(f, x)
    else:
        before = indexing.prototype(x)
    first = values[0] if before is None else fn(values[0], before)
    return collect([first, *[fn(v, u) for u, v in pairwise(values)]])


def _typed_identity(f: Prim, x: Q) -> Q:
    t = x.t if type(x) is Vec else 0
    if t == 0:
        return indexing.prototype(x)
    from trimtab.qcode.q.values import INFINITIES

    top = INFINITIES.get(t, INF if t == 9 else 1)
    return box(t, top if f.name in ("&", "and") else -top)


_RUN: dict[str, Callable[[Q, list[Q]], Q]] = {
    "'": _each,
    "/": _over,
    "\\": _scan,
    "':": _prior,
    "/:": _each_right,
    "\\:": _each_left,
}


@dyad("each", t=100)
def each(f: Q, x: Q) -> Q:
    """``f each x``."""
    return each1(f, x)


@dyad("peach", t=100)
def peach(f: Q, x: Q) -> Q:
    """``f peach x``: as ``each``; there are no other threads."""
    return each1(f, x)


@dyad("over", t=100)
def over(f: Q, x: Q) -> Q:
    """``f over x``."""
    return _over(f, [x])


@dyad("scan", t=100)
def scan(f: Q, x: Q) -> Q:
    """``f scan x``."""
    return _scan(f, [x])


@dyad("prior", t=100)
def prior(f: Q, x: Q) -> Q:
    """``f prior x``."""
    return _prior(f, [x])


@function("compose", 2)
def compose(f: Q, g: Q) -> Q:
    """``'[f;g]``: f after g."""
    from trimtab.qcode.q.functions import Composition

    return Composition([f, g], apply.rank_of(g))
