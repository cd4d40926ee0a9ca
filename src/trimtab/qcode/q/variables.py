"""Where do global variables live? Full names, namespaces as dictionaries, views, and names that are not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.lists import collect, items
from trimtab.qcode.q.registry import PRIMS
from trimtab.qcode.q.state import State
from trimtab.qcode.q.values import NULL, SYM, Atom, Dict, Q, Table, Vec, syms

TEMPLATE: dict[str, Callable[[list[Q], dict[str, Q]], Q]] = {}
"""Runs of qSQL templates with local variables; entered by qsql.py."""
SPECIAL: dict[str, Callable[[State], Q]] = {}
"""Variables that are computed at each look, such as ``.z.p``; entered by system.py."""
PART_NAMES = frozenset(
    [
        "year",
        "mm",
        "dd",
        "hh",
        "uu",
        "ss",
        "week",
        "date",
        "month",
        "time",
        "minute",
        "second",
        "timespan",
        "timestamp",
        "datetime",
    ]
)
REFUSED = (".h.", ".p.", ".kurl.", ".m.")
"""Namespaces of real installations that are not embedded."""


class View:
    """A variable defined by ``name::expression``: evaluated when it is looked at."""

    __slots__ = ("run", "tree")

    def __init__(self, run: Callable[[], Q], tree: Q) -> None:
        self.run = run
        self.tree = tree


def full_name(name: str, space: str) -> str:
    """The name with its namespace: ``a`` in ``.ns`` is ``.ns.a``."""
    if name.startswith(".."):
        return name[2:]
    return name if space == "." or name.startswith(".") else f"{space}.{name}"


def view(x: Any) -> Q:
    """The value of a view."""
    return x.run()


def lookup(state: State, name: str) -> Q:
    """The value of a global variable by the name it has in the current namespace."""
    key = full_name(name, state.space)
    value = state.names.get(key)
    if value is None:
        return missing(state, key, name)
    return value.run() if type(value) is View else value


def exists(state: State, key: str) -> bool:
    """Whether a full name is a variable or a namespace."""
    return key in state.names or any(n.startswith(key + ".") for n in state.names)


def missing(state: State, key: str, name: str) -> Q:
    """What a name means that no variable has: a builtin with a dot, a namespace, an item of a dictionary."""
    special = SPECIAL.get(name)
    if special is not None:
        return special(state)
    if name in PRIMS and name != ".":
        return PRIMS[name]
    if name.startswith(".q.") and name[3:] in PRIMS:
        return PRIMS[name[3:]]
    members = namespace(state, key)
    if members is not None:
        return members
    if "." in name[1:]:
        head, _, rest = key.rpartition(".")
        if head and (head in state.names or "." in head[1:]):
            try:
                return descend(lookup(state, head), rest)
            except QError:
                pass
    if name.startswith((".z.", ".Q.", ".j.")) or name.startswith(REFUSED):
        raise Unsupported(name)
    raise QError(name)


def descend(x: Q, path: str) -> Q:
    """An item of a dictionary or table by a dotted path."""
    for part in path.split("."):
        if type(x) is Table:
            try:
                x = x.col(part)
            except KeyError:
                raise QError(part) from None
        elif type(x) in (Vec, Atom) and part in PART_NAMES:
            from trimtab.qcode.q import casts

            x = casts.part(part, x)
        elif type(x) is Dict and type(x.k) is Vec and x.k.t == SYM and part in x.k.a.tolist():
            x = items(x.v)[x.k.a.tolist().index(part)]
        else:
            raise QError(part)
    return x


def namespace(state: State, key: str) -> Dict | None:
    """A namespace as a dictionary (with the leading empty name, but for the root); None where there is none."""
    prefix = "." if key == "." else key + "."
    found: dict[str, Q] = {}
    for name, value in list(state.names.items()):
        if key == ".":
            if not name.startswith("."):
                found[name] = value
        elif name.startswith(prefix):
            child = name[len(prefix) :].split(".")[0]
            nested = namespace(state, prefix + child) if "." in name[len(prefix) :] else value
            found.setdefault(child, nested)
    if not found and key != ".":
        return None
    names = list(found) if key == "." else ["", *found]
    values = [v.run() if type(v) is View else v for v in found.values()]
    return Dict(syms(names), Vec(0, values if key == "." else [NULL, *values]))


def set_global(state: State, key: str, value: Q) -> None:
    """Assign a global by its full name; a dictionary assigned to a namespace becomes its members."""
    if key.startswith(".") and key.count(".") == 1 and len(key) > 1 and type(value) is Dict and type(value.k) is Vec:
        for name in [n for n in state.names if n.startswith(key + ".")]:
            del state.names[name]
        if value.k.t != SYM:
            raise QError("type")
        for name, item in zip(value.k.a.tolist(), items(value.v), strict=True):
            if name:
                state.names[f"{key}.{name}"] = item
        return
    head = key.split(".")[0]
    if head and head != key:
        raise QError("nyi")
    state.names[key] = value


def names_in(state: State, key: str) -> Q:
    """The names in a namespace, as symbols."""
    members = namespace(state, key)
    return collect(sorted(n for n in members.k.a.tolist())) if members is not None and len(members.k) else syms([])
