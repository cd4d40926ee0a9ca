"""How are tables described, keyed, extended and nested? ``meta keys xkey xcol insert upsert xgroup ungroup fby``."""

from __future__ import annotations

import numpy as np

from trimtab.qcode.q import apply, variables
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.finding import codes, first_positions
from trimtab.qcode.q.joins import is_keyed, rekeyed, unkeyed
from trimtab.qcode.q.listops import join, rekey
from trimtab.qcode.q.lists import as_list, collect, items, pick, pick_raw
from trimtab.qcode.q.registry import PRIMS, dyad, function, monad
from trimtab.qcode.q.state import current
from trimtab.qcode.q.values import (
    CHAR,
    CHARS,
    EMPTY,
    ENUM,
    SYM,
    Dict,
    Q,
    Table,
    Vec,
    chars,
    longs,
    syms,
    vec,
)


def named(x: Q) -> Q:
    """A table, by its name or the handle of its file, or itself."""
    if type(x) is str and x.startswith(":"):
        return PRIMS["get"].fns[1](x)
    return variables.lookup(current(), x) if type(x) is str else x


def stored(name: Q, value: Q) -> Q:
    """Keep a table under a name where one was given; the name, or the table."""
    if type(name) is not str:
        return value
    return PRIMS["set"].fns[2](name, value)


def names_of(x: Q) -> list[str]:
    """Names given as a symbol, symbols or an empty list."""
    if type(x) is str:
        return [x]
    if type(x) is Vec and (x.t == SYM or not len(x)):
        return list(x.a)
    raise QError("type")


@monad("cols")
def cols(x: Q) -> Q:
    """Names of a table's columns."""
    return syms(unkeyed(named(x)).names)


@monad("keys")
def keys(x: Q) -> Q:
    """Names of a table's key columns."""
    x = named(x)
    return syms(x.k.names) if is_keyed(x) else syms(unkeyed(x).names[:0])


@monad("tables")
def tables(x: Q) -> Q:
    """Names of the tables in a namespace."""
    from trimtab.qcode.q.system import command

    return command(f"a {x}" if type(x) is str and x not in ("", ".") else "a")


def _letter(c: Vec) -> str:
    if c.t == ENUM:
        return "s"
    if c.t:
        return CHARS[c.t]
    if c.a and type(c.a[0]) is Vec and c.a[0].t and all(type(v) is Vec and v.t == c.a[0].t for v in c.a):
        return CHARS[c.a[0].t].upper()
    if c.a and type(c.a[0]) is Vec and c.a[0].t == CHAR:
        return "C"
    return " "


@monad("meta")
def meta(x: Q) -> Q:
    """Type, foreign key and attribute of each column."""
    table = unkeyed(named(x))
    letters = vec(CHAR, "".join(_letter(c) for c in table.cols).encode())
    foreign = syms([c.dom if c.t == ENUM and type(current().names.get(c.dom)) is Dict else "" for c in table.cols])
    attrs = syms([c.attr for c in table.cols])
    return Dict(Table(["c"], [syms(table.names)]), Table(["t", "f", "a"], [letters, foreign, attrs]))


@dyad("xkey")
def xkey(x: Q, y: Q) -> Q:
    """A table keyed by columns."""
    table = unkeyed(named(y))
    names = names_of(x)
    for name in names:
        if name not in table.names:
            raise QError(name)
    return stored(y, rekey(table, names) if names else table)


@dyad("xcol")
def xcol(x: Q, y: Q) -> Q:
    """A table with its first columns renamed, or those that a dictionary names."""
    table = unkeyed(y)
    if type(x) is Dict:
        new = dict(zip(names_of(x.k), names_of(x.v), strict=True))
        if not set(new) <= set(table.names):
            raise QError("length")
        names = [new.get(n, n) for n in table.names]
    else:
        first = names_of(x)
        if len(first) > len(table.names):
            raise QError("length")
        names = [*first, *table.names[len(first) :]]
    if is_keyed(y):
        n = len(y.k.names)
        return Dict(Table(names[:n], y.k.cols), Table(names[n:], y.v.cols))
    return Table(names, table.cols)


@dyad("xcols")
def xcols(x: Q, y: Q) -> Q:
    """A table with the named columns first."""
    if type(y) is not Table:
        raise QError("type")
    first = names_of(x)
    order = [*first, *[n for n in y.names if n not in first]]
    for name in first:
        if name not in y.names:
            raise QError(name)
    return Table(order, [y.col(n) for n in order])


def _records(table: Table, y: Q) -> Table:
    """What is inserted, as a table with the columns of another."""
    if is_keyed(y):
        y = unkeyed(y)
    if type(y) is Table:
        if set(y.names) != set(table.names):
            raise QError("mismatch")
        return Table(table.names, [y.col(n) for n in table.names])
    if type(y) is Dict:
        given = dict(zip(names_of(y.k), items(y.v), strict=True))
        if not set(given) <= set(table.names):
            raise QError("mismatch")
        from trimtab.qcode.q.indexing import prototype

        values = [given[n] if n in given else prototype(c) for n, c in zip(table.names, table.cols, strict=True)]
        return Table(table.names, [as_list(collect([v])) for v in values])
    if type(y) is Vec and len(y) and all(type(v) is Dict for v in items(y)):
        parts = [_records(table, v) for v in items(y)]
        return Table(
            table.names, [as_list(collect([items(p.cols[i])[0] for p in parts])) for i in range(len(table.names))]
        )
    values = items(as_list(y))
    if len(values) != len(table.names):
        raise QError("length")
    n = _rows(table, values)
    if n is None:
        return Table(table.names, [Vec(0, [v]) if type(v) is Vec else as_list(v) for v in values])
    return Table(
        table.names, [v if type(v) is Vec else pick_raw(as_list(v), np.zeros(n, dtype=np.int64)) for v in values]
    )


def _rows(table: Table, values: list[Q]) -> int | None:
    """How many rows a list of columns holds; None where it is one record."""
    sizes = {len(v) for v, c in zip(values, table.cols, strict=True) if type(v) is Vec and not _cell(v, c)}
    if not sizes:
        return None
    if len(sizes) > 1:
        raise QError("length")
    return sizes.pop()


def _cell(v: Vec, c: Vec) -> bool:
    """Whether a list is one item of a nested column."""
    return c.t == 0 and v.t != 0 and (v.t == CHAR or (len(c) > 0 and type(c.a[0]) is Vec))


def _fitted(table: Table, records: Table) -> Table:
    out: list[Vec] = []
    for old, new in zip(table.cols, records.cols, strict=True):
        if old.t == ENUM and new.t == SYM:
            new = PRIMS["$"].fns[2](old.dom, new)
        elif (old.t and len(old) and new.t != old.t and len(new)) or (
            old.t and not len(old) and new.t != old.t and len(new)
        ):
            raise QError("type")
        out.append(new)
    return Table(records.names, out)


@dyad("insert")
def insert(x: Q, y: Q) -> Q:
    """Append records to a table by name; positions of the new rows."""
    if type(x) is not str:
        raise QError("type")
    state = current()
    if not variables.exists(state, variables.full_name(x, state.space)) and type(y) in (Table, Dict):
        stored(x, y)
        return longs(np.arange(len(y)))
    whole = named(x)
    table = unkeyed(whole)
    records = _fitted(table, _records(table, y))
    if is_keyed(whole):
        found = PRIMS["in"].fns[2](Table(whole.k.names, records.cols[: len(whole.k.names)]), whole.k)
        if bool(np.any(found.a)):
            raise QError("insert")
    start = len(table)
    merged = Table(table.names, [as_list(join(a, b)) for a, b in zip(table.cols, records.cols, strict=True)])
    stored(x, rekeyed(merged, whole))
    return longs(np.arange(start, start + len(records)))


@dyad("upsert")
def upsert(x: Q, y: Q) -> Q:
    """Append records to a table; of a keyed one, replace those with known keys."""
    if type(x) is str and x.startswith(":") and not len(as_list(PRIMS["key"].fns[1](x))):
        return stored(x, y)
    whole = named(x)
    if type(whole) is Dict and not is_keyed(whole):
        return stored(x, join(whole, y))
    if type(whole) is Vec:
        return stored(x, join(whole, y))
    table = unkeyed(whole)
    if not is_keyed(whole):
        if type(y) is Table and set(y.names) < set(table.names):
            return stored(x, PRIMS["uj"].fns[2](table, y))
        records = _fitted(table, _records(table, y))
        return stored(
            x, Table(table.names, [as_list(join(a, b)) for a, b in zip(table.cols, records.cols, strict=True)])
        )
    if type(y) in (Table, Dict) and not (type(y) is Dict and not is_keyed(y)):
        other = y if is_keyed(y) else rekey(unkeyed(y), whole.k.names)
        if set(other.v.names) != set(whole.v.names):
            return stored(x, PRIMS["uj"].fns[2](whole, other))
    records = _fitted(table, _records(table, y))
    other = rekey(records, whole.k.names)
    _, groups = first_positions(codes(other.k))
    last = np.array([g[-1] for g in groups.values()], dtype=np.int64)
    return stored(x, PRIMS["uj"].fns[2](whole, Dict(pick(other.k, last), pick(other.v, last))))


@dyad("xgroup")
def xgroup(x: Q, y: Q) -> Q:
    """A table grouped by columns, the others nested."""
    table = unkeyed(named(y))
    names = names_of(x)
    for name in names:
        if name not in table.names:
            raise QError(name)
    keyed_ = rekey(table, names)
    first, groups = first_positions(codes(keyed_.k))
    where = [np.array(g, dtype=np.int64) for g in groups.values()]
    nested = [Vec(0, [pick_raw(c, w) for w in where]) for c in keyed_.v.cols]
    return Dict(pick(keyed_.k, np.array(first, dtype=np.int64)), Table(keyed_.v.names, nested))


@monad("ungroup")
def ungroup(x: Q) -> Q:
    """A row for each item of nested columns."""
    table = unkeyed(x)
    counts = [1] * len(table)
    for c in table.cols:
        if c.t == 0:
            counts = [len(v) if type(v) is Vec else 1 for v in c.a]
            break
    where = np.repeat(np.arange(len(table)), counts)
    out: list[Vec] = []
    for c in table.cols:
        if c.t == 0 and c.a and any(type(v) is Vec for v in c.a):
            if [len(v) if type(v) is Vec else 1 for v in c.a] != counts:
                raise QError("length")
            out.append(as_list(PRIMS["raze"].fns[1](c)))
        else:
            out.append(pick_raw(c, where))
    return Table(table.names, out)


@dyad("fby")
def fby(x: Q, y: Q) -> Q:
    """``(aggregate;values) fby groups``: the aggregate of each item's group."""
    parts = items(x)
    if len(parts) != 2:
        raise QError("length")
    f, values = parts[0], as_list(parts[1]) if type(parts[1]) is not Table else parts[1]
    group = y if type(y) in (Vec, Table) else as_list(y)
    if len(values) != len(group):
        raise QError("length")
    _, groups = first_positions(codes(group))
    out: list[Q] = [EMPTY] * len(group)
    for where in groups.values():
        got = apply.call(f, [pick(values, np.array(where, dtype=np.int64))])
        shared = items(got) if type(got) is Vec and len(got) == len(where) else [got] * len(where)
        for i, v in zip(where, shared, strict=True):
            out[i] = v
    return collect(out)


@monad("view")
def view(x: Q) -> Q:
    """The text of a view."""
    state = current()
    found = state.names.get(variables.full_name(x, state.space)) if type(x) is str else None
    if type(found) is not variables.View:
        raise QError("type" if type(x) is not str else x)
    return chars(found.source)


@function("views", 0)
def view_names() -> Q:
    """The names of the views of the default namespace."""
    return views_of(".")


@monad("views")
def views_of(x: Q) -> Q:
    """The names of the views in a namespace."""
    state = current()
    names = [n for n, v in state.names.items() if type(v) is variables.View and not n.startswith(".")]
    return syms(sorted(names))


@monad("fkeys")
def fkeys(x: Q) -> Q:
    """The foreign keys of a table: columns, and the tables that they refer to."""
    whole = unkeyed(variables.lookup(current(), x) if type(x) is str else x)
    if type(whole) is not Table:
        raise QError("type")
    found = [(n, c.dom) for n, c in zip(whole.names, whole.cols, strict=True) if c.t == ENUM and _is_keyed_name(c.dom)]
    return Dict(syms([n for n, _ in found]), syms([d for _, d in found]))


def _is_keyed_name(name: str) -> bool:
    return type(current().names.get(name)) is Dict
