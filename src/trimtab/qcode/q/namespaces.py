"""What does ``.Q`` hold besides text functions? Constants, and helpers over tables, functions and command lines."""

from __future__ import annotations

import math
import time

from trimtab.qcode.q import apply, dotq_text
from trimtab.qcode.q.casts import parse
from trimtab.qcode.q.errors import LimitError, QError
from trimtab.qcode.q.lists import as_list, collect, items, pick, positions
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import PRIMS, function
from trimtab.qcode.q.state import State, current
from trimtab.qcode.q.values import (
    CHARS,
    DATE,
    EMPTY,
    NULL,
    SYM,
    WJ,
    Atom,
    Dict,
    Q,
    Table,
    Vec,
    chars,
    is_string,
    longs,
    qtype,
    syms,
)
from trimtab.qcode.q.variables import SPECIAL, lookup

RESERVED = [
    "abs",
    "acos",
    "asin",
    "atan",
    "avg",
    "bin",
    "binr",
    "cor",
    "cos",
    "cov",
    "delete",
    "dev",
    "div",
    "do",
    "enlist",
    "exec",
    "exit",
    "exp",
    "getenv",
    "hopen",
    "if",
    "in",
    "insert",
    "last",
    "like",
    "log",
    "max",
    "min",
    "prd",
    "select",
    "setenv",
    "sin",
    "sqrt",
    "ss",
    "sum",
    "tan",
    "update",
    "var",
    "wavg",
    "while",
    "within",
    "wsum",
    "xexp",
]
_RELEASE = 7580  # 2020.10.02


def _constant(name: str, value: Q) -> None:
    def look(_: State) -> Q:
        return value

    SPECIAL[name] = look


_constant(".Q.a", chars(dotq_text.ALPHANUMERIC[:26]))
_constant(".Q.A", chars(dotq_text.ALPHANUMERIC[26:52]))
_constant(".Q.an", chars(dotq_text.ALPHANUMERIC))
_constant(".Q.n", chars(dotq_text.BASE36[:10]))
_constant(".Q.nA", chars(dotq_text.BASE36))
_constant(".Q.b6", chars(dotq_text.BASE64))
_constant(".Q.t", chars(CHARS[:20] + "s"))
_constant(".Q.res", syms(RESERVED))
_constant(".Q.M", WJ)
_constant(".Q.K", Atom(DATE, _RELEASE))
_constant(".Q.k", 4.0)
_constant("csv", Atom(10, 44))


@function(".Q.dd", 2)
def dd(x: Q, y: Q) -> Q:
    """Symbols joined by a dot, file handles by a slash."""
    if type(x) is not str:
        raise QError("type")
    if type(y) is Vec and y.t == SYM:
        return collect([dd(x, v) for v in y.a])
    name = y if type(y) is str else data_of(PRIMS["string"].fns[1](y)).decode("utf-8", "surrogateescape")
    return PRIMS["sv"].fns[2]("", syms([x, name]))


@function(".Q.opt", 1)
def opt(x: Q) -> Q:
    """A command line (strings) as a dictionary from the names of its options to their values."""
    names: list[str] = []
    values: list[list[Q]] = []
    for part in items(as_list(x)):
        text = data_of(part).decode("utf-8", "surrogateescape")
        if text.startswith("-") and not text[1:2].isdigit():
            names.append(text[1:])
            values.append([])
        elif names:
            values[-1].append(part)
    return Dict(syms(names), Vec(0, [Vec(0, v) for v in values]))


@function(".Q.def", 2)
def defaults(x: Q, y: Q) -> Q:
    """Options with their defaults: what was given is read as the type of its default."""
    if type(x) is not Dict or type(y) is not Dict:
        raise QError("type")
    given = dict(zip(items(y.k), items(y.v), strict=True))
    values = [_read(d, given[k]) if k in given else d for k, d in zip(items(x.k), items(x.v), strict=True)]
    return Dict(x.k, Vec(0, values))


def _read(default: Q, texts: Q) -> Q:
    t = qtype(default)
    first = items(texts)[0] if len(as_list(texts)) and not is_string(texts) else texts
    return parse(-t, first) if t < 0 else parse(t, texts) if t else texts


@function(".Q.ft", 2)
def keyed_through(f: Q, x: Q) -> Q:
    """A function of simple tables, of a keyed one."""
    if type(x) is not Dict or type(x.k) is not Table or type(x.v) is not Table:
        return apply.call(f, [x])
    got = apply.call(f, [Table([*x.k.names, *x.v.names], [*x.k.cols, *x.v.cols])])
    if type(got) is not Table:
        return got
    n = len(x.k.names)
    return Dict(Table(got.names[:n], got.cols[:n]), Table(got.names[n:], got.cols[n:]))


@function(".Q.fu", 2)
def over_distinct(f: Q, x: Q) -> Q:
    """A function of a list, computed on its distinct items."""
    if type(x) is not Vec:
        return apply.call(f, [x])
    kinds = PRIMS["distinct"].fns[1](x)
    where = PRIMS["?"].fns[2](kinds, x)
    return apply.call(apply.call(f, [kinds]), [where])


@function(".Q.fc", 2)
def in_parts(f: Q, x: Q) -> Q:
    """A function of a list (in one part)."""
    return apply.call(f, [x])


def is_table(x: Q) -> bool:
    """Whether a value is a table, keyed or not."""
    return type(x) is Table or (type(x) is Dict and type(x.k) is Table and type(x.v) is Table)


@function(".Q.qt", 1)
def qt(x: Q) -> Q:
    """Whether a value is a table."""
    return is_table(x)


@function(".Q.qp", 1)
def qp(x: Q) -> Q:
    """0 for tables that are not on disk."""
    return 0


@function(".Q.v", 1)
def value_of(x: Q) -> Q:
    """The value of a variable by name; other values as they are."""
    return lookup(current(), x) if type(x) is str else x


@function(".Q.V", 1)
def columns_of(x: Q) -> Q:
    """A table as a dictionary of its columns."""
    x = value_of(x)
    if type(x) is Dict and type(x.k) is Table and type(x.v) is Table:
        x = Table([*x.k.names, *x.v.names], [*x.k.cols, *x.v.cols])
    if type(x) is not Table:
        raise QError("type")
    return Dict(syms(x.names), Vec(0, list(x.cols)))


@function(".Q.ind", 2)
def rows_at(x: Q, y: Q) -> Q:
    """Rows of a table at positions."""
    return pick(x, positions(y, len(as_list(x) if type(x) is not Table else x)))


@function(".Q.gc", 0)
def collected() -> Q:
    """Bytes given back to the system: 0 here."""
    return 0


@function(".Q.gc", 1)
def collected_all(x: Q) -> Q:
    """Bytes given back to the system: 0 here."""
    return 0


def _memory() -> Q:
    names = ["used", "heap", "peak", "wmax", "mmap", "mphy", "syms", "symw"]
    return Dict(syms(names), longs([371_376, 67_108_864, 67_108_864, 0, 0, 8_589_934_592, 690, 37_436]))


@function(".Q.w", 0)
def memory() -> Q:
    """Figures of memory, those of a fresh process."""
    return _memory()


@function(".Q.w", 1)
def memory_now(x: Q) -> Q:
    """Figures of memory, those of a fresh process."""
    return _memory()


@function(".Q.trp", 3)
def trap(f: Q, x: Q, g: Q) -> Q:
    """``f x``; where it signals, ``g`` of the error's text and an empty backtrace."""
    return _trapped(f, [x], g)


@function(".Q.trpd", 3)
def trap_arguments(f: Q, x: Q, g: Q) -> Q:
    """``f . x``; where it signals, ``g`` of the error's text and an empty backtrace."""
    return _trapped(f, items(as_list(x)), g)


def _trapped(f: Q, args: list[Q], g: Q) -> Q:
    try:
        return apply.call(f, args)
    except LimitError:
        raise
    except QError as error:
        return apply.call(g, [chars(error.text), EMPTY])


@function(".Q.sbt", 1)
def backtrace_text(x: Q) -> Q:
    """The text of a backtrace; empty, since none is kept."""
    return chars("")


@function(".Q.bt", 0)
def backtrace() -> Q:
    """Print a backtrace; nothing, since none is kept."""
    return NULL


@function(".Q.ts", 2)
def timed(f: Q, args: Q) -> Q:
    """Milliseconds and bytes, and the value of ``f . args``."""
    start = time.perf_counter()
    value = apply.call(f, items(as_list(args)))
    return Vec(0, [longs([math.floor((time.perf_counter() - start) * 1000), 0]), value])


@function(".Q.en", 2)
def enumerated(x: Q, y: Q) -> Q:
    """A table with its symbols enumerated over ``sym`` in memory."""
    return enumerated_by(x, y, "sym")


@function(".Q.ens", 3)
def enumerated_by(x: Q, y: Q, domain: Q) -> Q:
    """A table with its symbols enumerated over a variable, which is kept in a folder where one is given."""
    from trimtab.qcode.q import files

    if type(y) is not Table or type(domain) is not str:
        raise QError("type")
    state = current()
    if x is not NULL:
        files.enumerated(x, domain)
    if domain not in state.names:
        state.names[domain] = syms([])
    extend = PRIMS["?"].fns[2]
    out = Table(y.names, [extend(domain, c) if c.t == SYM else c for c in y.cols])
    if x is not NULL:
        files.enumerated(x, domain)
    return out


@function(".Q.ff", 2)
def filled_columns(x: Q, y: Q) -> Q:
    """A table with the columns of another that it lacks, in nulls."""
    if type(x) is not Table or type(y) is not Table:
        raise QError("type")
    new = [i for i, name in enumerate(y.names) if name not in x.names]
    take = PRIMS["#"].fns[2]
    nulls = [take(len(x), PRIMS["#"].fns[2](0, y.cols[i])) for i in new]
    return Table([*x.names, *[y.names[i] for i in new]], [*x.cols, *nulls])


@function(".Q.ld", 1)
def logical_lines(x: Q) -> Q:
    """The lines of a script as logical lines: where each begins, and its text."""
    starts: list[Q] = []
    texts: list[bytes] = []
    for number, line in enumerate(items(as_list(x)), 1):
        data = data_of(line)
        if texts and data[:1] in (b" ", b"\t", b"}"):
            texts[-1] += b"\n" + data
        elif data:
            starts.append(number)
            texts.append(data)
    return Vec(0, [collect(starts), Vec(0, [chars(t) for t in texts])])
