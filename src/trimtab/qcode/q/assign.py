"""How are names assigned? ``a:``, ``a::``, ``a[i]:``, ``a+:``, ``a[i]+:``, ``(a;b):``; in place where safe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trimtab.qcode.q import amend, variables
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.functions import Prim
from trimtab.qcode.q.lists import as_list, items
from trimtab.qcode.q.registry import PRIMS
from trimtab.qcode.q.values import ELIDED, NULL, SYM, Q, Vec, count

if TYPE_CHECKING:
    from trimtab.qcode.q.compiler import Node, Scope


def _compile(tree: Q, scope: Scope) -> Node:
    from trimtab.qcode.q.compiler import compile_tree

    return compile_tree(tree, scope)


def assignment(verb: str, target: Q, value: Q, scope: Scope) -> Node:
    """The closure of ``target:value`` or ``target::value``."""
    if type(target) is Vec and target.t == SYM and len(target) == 1:
        target = target.a[0]
    if type(target) is str:
        if verb == "::" and not scope.slots and scope.owner is None:
            return _view(target, value, scope)
        return _store(target, _compile(value, scope), scope, verb == ":" or target in scope.slots)
    head = target.a[0] if isinstance(target, Vec) and target.t == 0 and len(target) > 1 else None
    if head is PRIMS["enlist"]:
        return _pattern(verb, target.a[1:], value, scope)
    if type(head) is str:
        return _indexed(head, target.a[1:], PRIMS[":"], value, scope)
    raise QError("assign" if head is not None else "type")


def compound(verb: str, target: Q, value: Q, scope: Scope) -> Node:
    """The closure of ``target+:value``; ``verb`` is the text of its unary form, as parse shows it."""
    prim = PRIMS[verb[:-1]]
    if type(target) is str:
        return _updated(target, prim, _compile(value, scope), scope)
    head = target.a[0] if isinstance(target, Vec) and target.t == 0 and len(target) > 1 else None
    if type(head) is not str:
        raise QError("assign")
    return _indexed(head, target.a[1:], prim, value, scope)


def _local(name: str, scope: Scope) -> int | None:
    return scope.slots.get(name)


def _store(name: str, value: Node, scope: Scope, may_be_local: bool) -> Node:
    slot = _local(name, scope) if may_be_local else None
    if slot is not None:
        i = slot

        def local(fr: Any) -> Q:
            v = fr[i] = value(fr)
            return v

        return local
    check_name(name)
    state, key = scope.state, variables.full_name(name, scope.space)
    names = state.names
    plain = "." not in key

    def node(fr: Any) -> Q:
        v = value(fr)
        if plain:
            names[key] = v
        else:
            variables.set_global(state, key, v)
        return v

    return node


def check_name(name: str) -> None:
    """'assign for a reserved word."""
    if name in PRIMS and "." not in name:
        raise QError("assign")


def _view(name: str, value: Q, scope: Scope) -> Node:
    check_name(name)
    run = _compile(value, scope)
    key = variables.full_name(name, scope.space)
    names = scope.state.names
    if type(value) is str or (isinstance(value, Vec) and value.t == 0 and len(value) > 1):

        def define(fr: Any) -> Q:
            _, _, source = scope.state.statement.partition("::")
            names[key] = variables.View(lambda: run(None), value, source.strip())
            return NULL

        return define
    return _store(name, run, scope, False)


def _pattern(verb: str, parts: list[Q], value: Q, scope: Scope) -> Node:
    """``(a;b):value``: each name gets its item."""
    held: list[Q] = [None]
    stores: list[tuple[int, Node]] = []
    for i, part in enumerate(parts):
        if part is ELIDED:
            continue
        if type(part) is not str:
            raise QError("assign")

        def item(fr: Any, i: int = i) -> Q:
            return held[0][i]

        stores.append((i, _store(part, item, scope, verb == ":")))
    source = _compile(value, scope)

    def node(fr: Any) -> Q:
        v = source(fr)
        if count(v) != len(parts):
            raise QError("length")
        held[0] = items(v)
        for _, store in stores:
            store(fr)
        return v

    return node


def _updated(name: str, prim: Prim, value: Node, scope: Scope) -> Node:
    """``name+:value``."""
    fn: Callable[[Q, Q], Q] = prim.fns[2]
    append = prim.name == ","
    slot = _local(name, scope)
    if slot is not None:
        i = slot
        if append:

            def appended(fr: Any) -> Q:
                y = value(fr)
                v = fr[i] = amend.appended(fr, i, y)
                return v

            return appended

        def local(fr: Any) -> Q:
            y = value(fr)
            v = fr[i] = fn(fr[i], y)
            return v

        return local
    check_name(name)
    state, key = scope.state, variables.full_name(name, scope.space)
    names = state.names

    def node(fr: Any) -> Q:
        y = value(fr)
        old = names.get(key)
        if old is None and append and not variables.exists(state, key):
            v = as_list(y)
            variables.set_global(state, key, v)
        elif old is None or type(old) is variables.View:
            v = fn(variables.lookup(state, key), y)
            variables.set_global(state, key, v)
        elif append:
            del old
            v = names[key] = amend.appended(names, key, y)
        else:
            v = names[key] = fn(old, y)
        return v

    return node


def _indexed(name: str, index: list[Q], prim: Prim, value: Q, scope: Scope) -> Node:
    """``name[i;j]f:value``: amend at depth, of the variable itself."""
    nodes = [None if a is ELIDED or a is NULL else _compile(a, scope) for a in index][::-1]
    right = _compile(value, scope)
    fn = None if prim.name == ":" else prim.fns[2]
    slot = _local(name, scope)
    check_name(name)
    state, key = scope.state, variables.full_name(name, scope.space)

    def node(fr: Any) -> Q:
        y = right(fr)
        at = [NULL if n is None else n(fr) for n in nodes]
        at.reverse()
        if slot is not None:
            amend.amend_variable(fr, slot, at, fn, y)
            return y
        names = state.names
        if key not in names or type(names[key]) is variables.View:
            old = variables.lookup(state, key)
            variables.set_global(state, key, amend.amended(old, at, fn, y))
        else:
            amend.amend_variable(names, key, at, fn, y)
        return y

    return node
