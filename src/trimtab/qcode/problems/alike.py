"""Is a q value the expected one, its numeric types left aside?

Numbers of any type are compared by value, floats with a tolerance; times by type and value; empty lists are equal whatever
their type. Order counts, in dictionaries too.
"""

from __future__ import annotations

import math
from typing import Any

from trimtab.qcode.q.enums import symbols
from trimtab.qcode.q.lists import items
from trimtab.qcode.q.values import BOOL, BYTE, CHAR, ENUM, FLOAT, LONG, NULLS, Atom, Dict, Q, Table, Vec

RELATIVE = 1e-9
FIRST_NOT_NUMERIC = CHAR


def _number(x: Q) -> float | int | None:
    """The value of a numeric atom, None for a null."""
    if isinstance(x, bool):
        return x
    kind = x.t if isinstance(x, Atom) else LONG if isinstance(x, int) else FLOAT
    value = x.v if isinstance(x, Atom) else x
    return None if value != value or (kind not in (BOOL, BYTE) and value == NULLS[kind]) else value


def _atoms(x: Q, y: Q) -> bool:
    if isinstance(x, str) or isinstance(y, str):
        return type(x) is type(y) and x == y
    typed = [v.t if isinstance(v, Atom) and v.t >= FIRST_NOT_NUMERIC else 0 for v in (x, y)]
    if typed[0] != typed[1]:
        return False
    if not all(isinstance(v, (Atom, bool, int, float)) for v in (x, y)):
        return type(x) is type(y) and x is y
    if typed[0]:
        return x.v == y.v
    a, b = _number(x), _number(y)
    if a is None or b is None:
        return a is b
    return a == b or math.isclose(float(a), float(b), rel_tol=RELATIVE, abs_tol=1e-12)


def alike(x: Q, y: Q) -> bool:
    """Whether two q values are the same but for numeric types, rounding, attributes and enumeration."""
    x, y = (symbols(v) if getattr(v, "t", 0) == ENUM else v for v in (x, y))
    if isinstance(x, Table) and isinstance(y, Table):
        return list(x.names) == list(y.names) and all(map(alike, x.cols, y.cols))
    if isinstance(x, Dict) and isinstance(y, Dict):
        return alike(x.k, y.k) and alike(x.v, y.v)
    if isinstance(x, Vec) and isinstance(y, Vec):
        if len(x) != len(y):
            return False
        return _same_class(x, y) and all(map(alike, items(x), items(y)))
    containers: tuple[Any, ...] = (Table, Dict, Vec)
    return not isinstance(x, containers) and not isinstance(y, containers) and _atoms(x, y)


def _same_class(x: Vec, y: Vec) -> bool:
    """An empty string is no list of numbers; other empty lists are all alike."""
    return len(x) > 0 or (x.t == CHAR) == (y.t == CHAR) or 0 in (x.t, y.t)
