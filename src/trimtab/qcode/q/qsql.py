"""How do ``select``, ``exec``, ``update`` and ``delete`` run? The functional forms ``?[t;c;b;a]`` and ``![t;c;b;a]``."""

from __future__ import annotations

from typing import Any

import numpy as np

from trimtab.qcode.q import casts, variables
from trimtab.qcode.q.compiler import Node, Scope, compile_tree
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.finding import codes, first_positions
from trimtab.qcode.q.functions import Prim
from trimtab.qcode.q.grouping import reduced, row_parts
from trimtab.qcode.q.indexing import prototype, take_at
from trimtab.qcode.q.joins import is_keyed, rekeyed, unkeyed
from trimtab.qcode.q.listops import rekey, sublist
from trimtab.qcode.q.lists import as_list, collect, items, pick_raw, positions
from trimtab.qcode.q.registry import function
from trimtab.qcode.q.sorting import distinct, grade_up
from trimtab.qcode.q.state import current
from trimtab.qcode.q.tables import named, stored
from trimtab.qcode.q.values import ATOMS, BOOL, ENUM, NULL, SYM, Dict, Q, Table, Vec, longs, qtype, syms


class Rows:
    """Rows of a table as phrases see them: columns by name, ``i`` the row numbers, then local variables."""

    def __init__(self, table: Table, local: dict[str, Q]) -> None:
        self.table = table
        self.local = local
        self.where: Any = None
        self.cache: dict[str, Vec] = {}

    def at(self, where: Any) -> None:
        """See these rows from now on; all of them where None."""
        self.where = where
        self.cache = {}

    def __len__(self) -> int:
        return len(self.table) if self.where is None else len(self.where)

    def column(self, name: str) -> Vec:
        """A column in the rows seen."""
        found = self.cache.get(name)
        if found is None:
            if name == "i" and "i" not in self.table.names:
                found = longs(np.arange(len(self.table)) if self.where is None else self.where)
            else:
                whole = self.table.col(name)
                found = whole if self.where is None else pick_raw(whole, self.where)
            self.cache[name] = found
        return found

    def node(self, name: str) -> Node | None:
        """How a name in a phrase is looked up; None for globals."""
        if name in self.table.names or name == "i":
            return lambda fr: self.column(name)
        head, _, rest = name.partition(".")
        if head and rest and head in self.table.names:
            return lambda fr: through(self.column(head), rest)
        if name in self.local:
            value = self.local[name]
            return lambda fr: value
        if head and rest and head in self.local:
            value = self.local[head]
            return lambda fr: variables.descend(value, rest)
        return None

    def compile(self, tree: Q) -> Node:
        """A phrase as a closure over the rows seen."""
        state = current()
        return compile_tree(tree, Scope(state, state.space, None, self.node))


def through(column: Q, path: str) -> Q:
    """A part of a temporal column, or a column of the table that a foreign key points to."""
    for part in path.split("."):
        if abs(qtype(column)) == ENUM:
            target = current().names.get(column.dom)
            if not is_keyed(target) or part not in unkeyed(target).names:
                raise QError(part)
            column = take_at(unkeyed(target).col(part), column.a)
        elif part in casts.PARTS or part in casts.TYPE_NAMES:
            column = casts.part(part, column)
        else:
            raise QError(part)
    return column


def _filtered(rows: Rows, where: Q) -> None:
    """See only the rows that satisfy every phrase, one after the other."""
    if type(where) is Vec and where.t not in (0, SYM) and len(where):
        rows.at(np.flatnonzero(where.a) if where.t == BOOL else positions(where, len(rows)))
        return
    for tree in items(as_list(where)):
        got = rows.compile(tree)(None)
        seen = np.arange(len(rows.table)) if rows.where is None else rows.where
        if type(got) in ATOMS:
            rows.at(seen if truth(got) else seen[:0])
        elif type(got) is Vec and got.t in (BOOL, 4, 5, 6, 7):
            if len(got) != len(seen):
                raise QError("length")
            rows.at(seen[got.a != 0])
        elif type(got) is Vec and not len(got):
            rows.at(seen[:0])
        else:
            raise QError("type")


def truth(x: Q) -> bool:
    """Whether a condition of one value holds."""
    from trimtab.qcode.q.compiler import truth as holds

    return holds(x)


def _phrases(x: Q) -> list[tuple[str, Q]]:
    if type(x) is not Dict or type(x.k) is not Vec or x.k.t != SYM:
        raise QError("type")
    return list(zip(x.k.a.tolist(), items(x.v), strict=True))


def _columns(names: list[str], values: list[Q]) -> Table:
    """Results of phrases as a table: atoms repeated to the length of the lists."""
    sizes = {len(v) for v in values if type(v) in (Vec, Table, Dict)}
    if len(sizes) > 1:
        raise QError("length")
    n = sizes.pop() if sizes else 1
    cols: list[Vec] = []
    for v in values:
        if type(v) is Vec:
            cols.append(v if not v.attr or v.attr in "sg" else Vec(v.t, v.a, "", v.dom))
        elif type(v) is Table:
            cols.append(Vec(0, items(v)))
        elif type(v) is Dict:
            cols.append(as_list(v.v) if not is_keyed(v) else Vec(0, items(v)))
        else:
            cols.append(as_list(collect([v] * n)) if n else Vec(abs(qtype(v)), prototype_array(v)))
    return Table(names, cols)


def prototype_array(v: Q) -> Any:
    """No items of the type of an atom."""
    return as_list(v).a[:0]


def _is_false(x: Q) -> bool:
    return type(x) is bool and not x


def _is_empty(x: Q) -> bool:
    return (type(x) is Vec and not len(x)) or x is NULL


def select(args: list[Q], local: dict[str, Q]) -> Q:
    """``?[t;c;b;a;n;order]``."""
    source = named(args[0])
    whole, where, by, cols = source, args[1], args[2], args[3]
    if type(source) is Dict and not is_keyed(source):
        whole = _dict_as_table(source)
    table = unkeyed(whole)
    rows = Rows(table, local)
    _filtered(rows, where)
    if len(args) > 5:
        order = rows.compile(
            args[5].a[0] if type(args[5]) is Vec and len(args[5]) == 1 and args[5].t == 0 else args[5]
        )(None)
        seen = np.arange(len(table)) if rows.where is None else rows.where
        rows.at(seen[order.a])
    if type(by) is Dict:
        got = _grouped(rows, _phrases(by), cols)
    elif type(by) is bool:
        got = _plain(rows, cols)
        if _is_empty(cols) and is_keyed(whole):
            got = rekeyed(got, whole)
        got = distinct(got) if by else got
    elif _is_empty(by):
        got = _exec(rows, cols)
    else:
        got = _exec_by(rows, by, cols)
    return sublist(args[4], got) if len(args) > 4 and args[4] is not NULL else got


def _dict_as_table(x: Dict) -> Table:
    from trimtab.qcode.q.listops import flip

    got = flip(x)
    if type(got) is not Table:
        raise QError("type")
    return got


def _plain(rows: Rows, cols: Q) -> Table:
    if _is_empty(cols):
        return Table(rows.table.names, [rows.column(n) for n in rows.table.names])
    phrases = _phrases(cols)
    return _columns([n for n, _ in phrases], [rows.compile(t)(None) for _, t in phrases])


def _exec(rows: Rows, cols: Q) -> Q:
    if _is_empty(cols):
        n = len(rows)
        if not n:
            raise QError("rank")
        from trimtab.qcode.q.lists import row

        return row(_plain(rows, cols), n - 1)
    if type(cols) is Dict:
        phrases = _phrases(cols)
        return Dict(syms([n for n, _ in phrases]), collect([rows.compile(t)(None) for _, t in phrases]))
    return rows.compile(cols)(None)


def _groups(rows: Rows, keys: Table) -> tuple[Table, list[Any]]:
    """Distinct keys in ascending order, and the rows of each."""
    first, groups = _grouped_rows(keys)
    distinct_keys = Table(keys.names, [pick_raw(c, first) for c in keys.cols])
    order = grade_up(distinct_keys)
    ordered = Table(keys.names, [pick_raw(c, order) for c in distinct_keys.cols])
    if rows.where is None:
        return ordered, [groups[i] for i in order.tolist()]
    return ordered, [rows.where[groups[i]] for i in order.tolist()]


def _grouped_rows(keys: Table) -> tuple[Any, list[Any]]:
    quick = row_parts(keys) if len(keys) > 32 else None
    if quick is not None:
        return quick
    first, groups = first_positions(codes(keys))
    return np.array(first, dtype=np.int64), [np.array(g, dtype=np.int64) for g in groups.values()]


def _reduced(rows: Rows, groups: list[Any], tree: Q) -> Vec | None:
    """A phrase that is an aggregate of a column, for many groups at once."""
    if type(tree) is not Vec or tree.t != 0 or len(tree.a) != 2 or len(groups) < 8:
        return None
    f, name = tree.a
    if type(f) is not Prim or type(name) is not str or name not in rows.table.names:
        return None
    return reduced(f.name, rows.table.col(name), groups)


def _per_group(rows: Rows, groups: list[Any], tree: Q) -> Vec:
    at_once = _reduced(rows, groups, tree)
    if at_once is not None:
        return at_once
    node = rows.compile(tree)
    out: list[Q] = []
    for where in groups:
        rows.at(where)
        out.append(node(None))
    if not out:
        rows.at(np.empty(0, dtype=np.int64))
        got = node(None)
        return Vec(abs(qtype(got)), as_list(got).a[:0]) if type(got) in ATOMS else Vec(0, [])
    got = collect(out)
    return got if type(got) is Vec else Vec(0, out)


def _grouped(rows: Rows, by: list[tuple[str, Q]], cols: Q) -> Dict:
    keys = _columns([n for n, _ in by], [rows.compile(t)(None) for _, t in by])
    if len(keys) != len(rows):
        raise QError("length")
    distinct_keys, groups = _groups(rows, keys)
    if _is_empty(cols):
        last = np.array([g[-1] for g in groups], dtype=np.int64)
        rest = [n for n in rows.table.names if n not in keys.names]
        return Dict(distinct_keys, Table(rest, [pick_raw(rows.table.col(n), last) for n in rest]))
    if type(cols) is not Dict:
        return Dict(distinct_keys, _per_group(rows, groups, cols))
    phrases = _phrases(cols)
    return Dict(distinct_keys, Table([n for n, _ in phrases], [_per_group(rows, groups, t) for _, t in phrases]))


def _exec_by(rows: Rows, by: Q, cols: Q) -> Dict:
    got = rows.compile(by)(None)
    if type(got) is Table:
        keys = got
    elif type(by) is Vec and type(got) is Vec and got.t == SYM and len(got) not in (1, len(rows)):
        keys = Table(["x"], [syms([""] * len(rows))])
    else:
        keys = Table(["x"], [as_list(got)])
    if len(keys) != len(rows):
        raise QError("length")
    distinct_keys, groups = _groups(rows, keys)
    left = distinct_keys.cols[0] if type(got) is not Table else distinct_keys
    if type(cols) is Dict:
        phrases = _phrases(cols)
        return Dict(left, Table([n for n, _ in phrases], [_per_group(rows, groups, t) for _, t in phrases]))
    return Dict(left, _per_group(rows, groups, cols))


def simple_exec(x: Q, where: Q, phrase: Q) -> Q:
    """``?[t;i;p]``: a phrase over the rows at positions."""
    rows = Rows(unkeyed(named(x)), {})
    rows.at(positions(where, len(rows)))
    return rows.compile(phrase)(None)


def update(args: list[Q], local: dict[str, Q]) -> Q:
    """``![t;c;b;a]``: update, or delete where ``a`` names columns (or nothing)."""
    name, where, by, cols = args
    if type(name) is str and (name == "." or name.startswith(".")) and type(cols) in (Vec, str):
        return _forget(name, cols)
    source = named(name)
    if type(source) is Dict and not is_keyed(source):
        if type(cols) is Vec and cols.t == SYM:
            return stored(name, Dict(source.k, source.v)) if not len(cols) else _drop_columns(name, source, cols)
        raise QError("type")
    table = unkeyed(source)
    rows = Rows(table, local)
    _filtered(rows, where)
    if type(cols) is not Dict:
        if _is_empty(cols):
            return stored(name, rekeyed(_without_rows(table, rows), source))
        return _drop_columns(name, source, cols)
    seen = rows.where
    if type(by) is Dict:
        changes = _changes_by(rows, _phrases(by), _phrases(cols))
    elif by is True or (not _is_false(by) and not _is_empty(by)):
        raise QError("type")
    else:
        changes = [(n, rows.compile(t)(None), seen) for n, t in _phrases(cols)]
    names, out = list(table.names), list(table.cols)
    for column, value, at in changes:
        old = out[names.index(column)] if column in names else None
        new = _written(old, value, at, len(table))
        if column in names:
            out[names.index(column)] = new
        else:
            names.append(column)
            out.append(new)
    return stored(name, rekeyed(Table(names, out), source))


def _forget(name: str, cols: Q) -> Q:
    state = current()
    prefix = "" if name == "." else name + "."
    for column in items(as_list(cols)):
        if type(column) is not str:
            raise QError("type")
        if prefix + column not in state.names:
            raise QError(column)
        del state.names[prefix + column]
    return name


def _without_rows(table: Table, rows: Rows) -> Table:
    keep = np.ones(len(table), dtype=bool)
    keep[rows.where if rows.where is not None else slice(None)] = False
    kept = np.flatnonzero(keep)
    return Table(table.names, [pick_raw(c, kept) for c in table.cols])


def _drop_columns(name: Q, source: Q, cols: Q) -> Q:
    from trimtab.qcode.q.listops import drop

    dropped = as_list(cols)
    if type(dropped) is not Vec or (dropped.t != SYM and len(dropped)):
        raise QError("type")
    if is_keyed(source):
        table = unkeyed(source)
        kept = drop(dropped, table)
        keys = [n for n in source.k.names if n in kept.names]
        return stored(name, rekey(kept, keys) if keys else kept)
    for column in dropped.a.tolist() if dropped.t == SYM else []:
        if type(source) is Table and column not in source.names:
            raise QError(column)
    return stored(name, drop(dropped, source))


def _changes_by(rows: Rows, by: list[tuple[str, Q]], phrases: list[tuple[str, Q]]) -> list[tuple[str, Q, Any]]:
    keys = _columns([n for n, _ in by], [rows.compile(t)(None) for _, t in by])
    _, groups = _groups(rows, keys)
    out: list[tuple[str, Q, Any]] = []
    for name, tree in phrases:
        node = rows.compile(tree)
        values: list[Q] = []
        for where in groups:
            rows.at(where)
            got = node(None)
            values += items(got) if type(got) is Vec and len(got) == len(where) else [got] * len(where)
        out.append((name, collect(values), np.concatenate(groups) if groups else np.empty(0, dtype=np.int64)))
    return out


def _nothing_like(value: Q) -> Vec:
    """An empty column of a value's type."""
    column = as_list(value)
    return Vec(column.t, column.a[:0], "", column.dom)


def _written(old: Vec | None, value: Q, at: Any, n: int) -> Vec:
    """A column with values written at some rows (all where None)."""
    where = np.arange(n) if at is None else at
    if type(value) not in (Vec, Table, Dict):
        new = as_list(collect([value] * len(where))) if len(where) else _nothing_like(value)
    else:
        new = value if type(value) is Vec else as_list(value.v if type(value) is Dict else value)
    if len(new) != len(where):
        raise QError("length")
    if at is None:
        return new
    if old is None:
        spread = np.full(n, -1, dtype=np.int64)
        spread[where] = np.arange(len(where))
        got = take_at(new, spread) if len(new) else Vec(0, [prototype(new)] * n)
        return as_list(got)
    if old.t == new.t and old.t and old.dom == new.dom:
        a = old.a.copy()
        a[where] = new.a
        return Vec(old.t, a, "", old.dom)
    if old.t and len(where) and len(where) < n and old.t != new.t:
        raise QError("type")
    values = items(old)[:]
    for i, v in zip(where.tolist(), items(new), strict=True):
        values[i] = v
    return as_list(collect(values)) if values else old


variables.TEMPLATE["select"] = select
variables.TEMPLATE["update"] = update


@function("?", 4)
def functional_select(t: Q, c: Q, b: Q, a: Q) -> Q:
    """``?[t;c;b;a]``."""
    return select([t, c, b, a], {})


@function("?", 5)
def functional_select_n(t: Q, c: Q, b: Q, a: Q, n: Q) -> Q:
    """``?[t;c;b;a;n]``."""
    return select([t, c, b, a, n], {})


@function("?", 6)
def functional_select_ordered(t: Q, c: Q, b: Q, a: Q, n: Q, order: Q) -> Q:
    """``?[t;c;b;a;n;(g;cols)]``."""
    return select([t, c, b, a, n, order], {})


@function("!", 4)
def functional_update(t: Q, c: Q, b: Q, a: Q) -> Q:
    """``![t;c;b;a]``."""
    return update([t, c, b, a], {})
