"""What does an enumeration stand for? Positions in a variable's symbols, or in the key of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from trimtab.qcode.q import finding
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.indexing import take_at
from trimtab.qcode.q.lists import as_list, at
from trimtab.qcode.q.state import current
from trimtab.qcode.q.values import ATOMS, ENUM, SYM, Atom, Dict, Q, Table, Vec, qtype, syms


def domain(name: str) -> Vec:
    """The values that an enumeration chooses among."""
    value = current().names.get(name)
    if type(value) is Dict and type(value.k) is Table and len(value.k.cols) == 1:
        return value.k.cols[0]
    if type(value) is not Vec:
        raise QError(name)
    return value


def symbols(x: Q) -> Q:
    """The symbols of an enumerated atom or list."""
    values = domain(x.dom)
    if type(x) is Vec:
        return as_list(take_at(values, x.a))
    return at(values, x.v) if 0 <= x.v < len(values) else at(as_list(take_at(values, np.array([-1]))), 0)


def _positions(name: str, y: Q) -> tuple[Vec, Any]:
    values = domain(name)
    if abs(qtype(y)) == ENUM:
        y = symbols(y)
    listed = as_list(y)
    if not len(listed):
        return values, np.empty(0, dtype=np.int64)
    at_ = finding.find(values, listed)
    if type(at_) is not Vec or at_.t == 0:
        raise QError("type")
    return values, at_.a


def enumerate_(name: str, y: Q) -> Q:
    """```name$y``: 'cast where the domain lacks an item."""
    if type(y) is Vec and y.t == 0 and y.a:
        from trimtab.qcode.q.casts import over

        return over(lambda v: enumerate_(name, v), y)
    values, where = _positions(name, y)
    null = np.asarray(as_list(y).a == "") if abs(qtype(y)) == SYM else np.zeros(len(where), dtype=bool)
    missing = where >= len(values)
    if (missing & ~null).any():
        raise QError("cast")
    return boxed(name, np.where(missing, -(2**63), where), type(y) in ATOMS)


def boxed(name: str, where: Any, atom: bool) -> Q:
    """Positions as an enumerated atom or list."""
    return Atom(ENUM, int(where[0]), name) if atom else Vec(ENUM, np.asarray(where, dtype=np.int64), "", name)


def extend(name: str, y: Q) -> Q:
    """```name?y``: enumerated, what the domain lacks appended to it."""
    state = current()
    if name not in state.names:
        state.names[name] = syms([])
    values, where = _positions(name, y)
    if (where >= len(values)).any():
        from trimtab.qcode.q.registry import PRIMS

        found = as_list(symbols(y) if abs(qtype(y)) == ENUM else y)
        state.names[name] = PRIMS["union"].fns[2](values, found) if len(values) else PRIMS["distinct"].fns[1](found)
        values, where = _positions(name, y)
    return boxed(name, where, type(y) in ATOMS)
