"""What happens when a value is applied to arguments? Functions run or project; lists and dictionaries are indexed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimtab.qcode.q import indexing
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.functions import Composition, Derived, Iterator, Lambda, Prim, Projection
from trimtab.qcode.q.state import current
from trimtab.qcode.q.values import CHAR, ELIDED, NULL, Atom, Dict, Null, Q, Table, Vec, qtype

DERIVED: list[Callable[[Derived, list[Q]], Q]] = []
"""How derived functions run; entered by iterators.py."""


def prepare(f: Lambda) -> Callable[[list[Q]], Q]:
    """The compiled form of a lambda."""
    from trimtab.qcode.q.compiler import lambda_runner

    f.run = lambda_runner(f, current())
    return f.run


def call1(f: Q, x: Q) -> Q:
    """Apply any value to one argument."""
    c = type(f)
    if c is Lambda:
        if f.rank == 1:
            return (f.run or prepare(f))([x])
    elif c is Prim:
        fn = f.fns.get(1)
        if fn is not None:
            return fn(x)
    elif c is Vec or c is Dict or c is Table:
        return indexing.index1(f, x)
    return call(f, [x])


def call2(f: Q, x: Q, y: Q) -> Q:
    """Apply any value to two arguments."""
    c = type(f)
    if c is Lambda:
        if f.rank == 2:
            return (f.run or prepare(f))([x, y])
    elif c is Prim:
        fn = f.fns.get(2)
        if fn is not None:
            return fn(x, y)
    return call(f, [x, y])


def call(f: Q, args: list[Q]) -> Q:
    """Apply any value to arguments, some of which may be ``ELIDED``."""
    run = _CALLS.get(type(f))
    if run is None:
        raise QError("type")
    return run(f, args)


def _missing(args: list[Q]) -> bool:
    return any(a is ELIDED for a in args)


def _lambda(f: Lambda, args: list[Q]) -> Q:
    n, rank = len(args), f.rank
    if n > rank:
        raise QError("rank")
    if n < rank or _missing(args):
        return project(f, args, rank)
    return (f.run or prepare(f))(args)


def _prim(f: Prim, args: list[Q]) -> Q:
    n = len(args)
    if f.name == "enlist" and not _missing(args):
        return f.fns[0](*args)
    if _missing(args):
        if n > max(f.fns):
            raise QError("rank")
        return project(f, args, max(n, f.rank))
    fn = f.fns.get(n)
    if fn is not None:
        return fn(*args)
    if n < f.rank:
        return project(f, args, f.rank)
    raise QError("rank")


def project(f: Q, args: list[Q], rank: int) -> Projection:
    """A projection of a function of ``rank`` arguments."""
    args = args + [ELIDED] * (rank - len(args))
    return Projection(f, args, sum(a is ELIDED for a in args))


def _projection(f: Projection, args: list[Q]) -> Q:
    rest = iter(args)
    filled = [next(rest, ELIDED) if a is ELIDED else a for a in f.args]
    more = list(rest)
    if more:
        raise QError("rank")
    missing = sum(a is ELIDED for a in filled)
    if missing:
        return Projection(f.f, filled, missing)
    return call(f.f, filled)


def _composition(f: Composition, args: list[Q]) -> Q:
    x = call(f.fs[-1], args)
    if type(x) is Projection and len(args) < f.rank:
        return Composition([*f.fs[:-1], x], x.rank)
    for g in f.fs[-2::-1]:
        x = call1(g, x)
    return x


def _derived(f: Derived, args: list[Q]) -> Q:
    return DERIVED[0](f, args)


def _iterator(f: Iterator, args: list[Q]) -> Q:
    from trimtab.qcode.q import iterators

    if len(args) != 1:
        raise QError("rank")
    return iterators.derive_or_signal(args[0]) if f.iterator == "'" else iterators.derive(f.iterator, args[0])


def _list(f: Q, args: list[Q]) -> Q:
    return indexing.index(f, args)


def _name(f: str, args: list[Q]) -> Q:
    """A symbol applied: the variable of that name is."""
    from trimtab.qcode.q import variables

    if f.startswith(":"):
        raise Unsupported("file and process handles")
    if len(args) == 1 and type(args[0]) is str and f.startswith("."):
        view = current().names.get(args[0] if f == "." else f"{f}.{args[0]}")
        if type(view) is variables.View:
            return variables.ViewRef(view)
    return call(variables.lookup(current(), f), args)


def _handle(f: Q, args: list[Q]) -> Q:
    """The console handles -1 and 1 print; other numbers would be files and processes."""
    n = f.v if type(f) is Atom else f
    if qtype(f) not in (-6, -7):
        raise QError("type")
    if n not in (0, 1, 2, -1, -2):
        raise QError("type")
    if len(args) != 1:
        raise QError("rank")
    if n == 0:
        return call1(_prims()["value"], args[0])
    _print(args[0], "\n" if n < 0 else "")
    return f


def _prims() -> dict[str, Prim]:
    from trimtab.qcode.q.registry import PRIMS

    return PRIMS


def _print(x: Q, end: str) -> None:
    from trimtab.qcode.q.values import text_of

    if type(x) is Vec and x.t == 0:
        for line in x.a:
            _print(line, end)
        return
    if abs(qtype(x)) != CHAR:
        raise QError("type")
    current().write(text_of(x) + end)


def _identity(f: Null, args: list[Q]) -> Q:
    if len(args) != 1:
        raise QError("rank")
    return args[0] if args[0] is not ELIDED else NULL


_CALLS: dict[Any, Callable[[Any, list[Q]], Q]] = {
    Lambda: _lambda,
    Prim: _prim,
    Projection: _projection,
    Composition: _composition,
    Derived: _derived,
    Iterator: _iterator,
    Vec: _list,
    Dict: _list,
    Table: _list,
    str: _name,
    int: _handle,
    Atom: _handle,
    Null: _identity,
}


def rank_of(f: Q) -> int:
    """How many arguments a value takes by itself: 1 for lists, dictionaries and what ``/`` and ``\\`` derive."""
    return getattr(f, "rank", 1)
