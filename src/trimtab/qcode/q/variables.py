"""Where do global variables live? Full names, namespaces as dictionaries, views, and names that are not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.lists import collect, items
from trimtab.qcode.q.registry import PRIMS
from trimtab.qcode.q.state import State, current
from trimtab.qcode.q.values import NULL, SYM, Atom, Dict, Func, Q, Table, Vec, chars, syms

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

    __slots__ = ("compute", "last", "seen", "source", "tree")

    def __init__(self, compute: Callable[[], Q], tree: Q, source: str) -> None:
        self.compute = compute
        self.tree = tree
        self.source = source
        self.last: Q = NULL
        self.seen: dict[str, Any] | None = None

    def run(self) -> Q:
        """The value now."""
        self.last = self.compute()
        self.seen = self._inputs()
        return self.last

    def _inputs(self) -> dict[str, Any]:
        names = current().names
        return {name: names.get(name) for name in self.depends()}

    def depends(self) -> list[str]:
        """Names of the variables in its expression."""
        return list(dict.fromkeys(_names_of(self.tree)))

    def pending(self) -> bool:
        """Whether it was never looked at, or a variable in it has changed since."""
        if self.seen is None:
            return True
        now = self._inputs()
        return any(now[name] is not value for name, value in self.seen.items())


class ViewRef(Func):
    """The definition of a view, as an index into its namespace (```. `name``) gives it."""

    __slots__ = ("t", "view")

    def __init__(self, view: View) -> None:
        self.t = 100
        self.view = view

    def __repr__(self) -> str:
        return self.view.source

    def parts(self) -> Q:
        """Its last value, parse tree, dependencies and source."""
        v = self.view
        last = NULL if v.pending() else v.last
        return Vec(0, [last, v.tree, syms(v.depends()), chars(v.source)])


def _names_of(tree: Q) -> list[str]:
    if type(tree) is str:
        return [tree]
    return [n for part in tree.a for n in _names_of(part)] if type(tree) is Vec and tree.t == 0 else []


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


def members(state: State, key: str) -> dict[str, Any]:
    """What is in a namespace by its own name: values, views as they are, and True for namespaces in it."""
    prefix = "." if key == "." else key + "."
    found: dict[str, Any] = {}
    for name, value in state.names.items():
        if key == ".":
            if not name.startswith("."):
                found[name] = value
        elif name.startswith(prefix):
            child, _, deeper = name[len(prefix) :].partition(".")
            found.setdefault(child, True if deeper else value)
    return found


def namespace(state: State, key: str) -> Dict | None:
    """A namespace as a dictionary (with the leading empty name, but for the root); None where there is none."""
    found = members(state, key)
    if not found and key != ".":
        return None
    values: list[Q] = []
    for name, v in found.items():
        full = name if key == "." else f"{key}.{name}"
        values.append(namespace(state, full) if full not in state.names else v.run() if type(v) is View else v)
    if key == ".":
        return Dict(syms(list(found)), Vec(0, values))
    return Dict(syms(["", *found]), Vec(0, [NULL, *values]))


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
    names = members(state, key)
    if not names:
        return syms([])
    return collect(sorted(names) if key == "." else sorted(["", *names]))
