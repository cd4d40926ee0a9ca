"""How does a parse tree run fast? Each node becomes a Python closure over its children's closures.

A closure takes the frame: the list of the lambda's parameters and local variables (``None`` outside lambdas). Names are
resolved here, once: local slot, column of a qSQL phrase, or global variable of the namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimtab.qcode.q import apply, assign, iterators, variables
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.functions import Iterator, Lambda, Prim, Projection
from trimtab.qcode.q.lists import collect
from trimtab.qcode.q.parser import CONTROL, SEQUENCE
from trimtab.qcode.q.registry import PRIMS
from trimtab.qcode.q.state import State
from trimtab.qcode.q.templates import TemplateTree
from trimtab.qcode.q.values import ELIDED, EMPTY, NULL, SYM, Atom, Q, Vec

Frame = Any
Node = Callable[[Frame], Q]


class Return(Exception):
    """An early return from inside a control word."""

    def __init__(self, value: Q) -> None:
        self.value = value


class Scope:
    """Where names are looked for: slots of local variables, then columns, then globals of ``space``."""

    def __init__(
        self,
        state: State,
        space: str = ".",
        slots: dict[str, int] | None = None,
        column: Callable[[str], Node | None] | None = None,
        owner: Lambda | None = None,
    ) -> None:
        self.state = state
        self.space = space
        self.slots = slots if slots is not None else {}
        self.column = column
        self.owner = owner


def compile_tree(tree: Q, scope: Scope) -> Node:
    """The closure that evaluates a tree."""
    if type(tree) is str:
        return _name(tree, scope)
    if isinstance(tree, Vec):
        if tree.t == SYM and len(tree.a) == 1:
            return _constant(tree.a[0])
        if tree.t == 0 and tree.a:
            return _constant(tree.a[0]) if len(tree.a) == 1 else _application(tree, scope)
    if tree is ELIDED:
        return _constant(NULL)
    return _constant(tree)


def evaluate(tree: Q, state: State) -> Q:
    """The value of a tree outside any lambda."""
    return compile_tree(tree, Scope(state, state.space))(None)


def _constant(value: Q) -> Node:
    return lambda fr: value


def _name(name: str, scope: Scope) -> Node:
    if name in scope.slots:
        slot = scope.slots[name]
        return lambda fr: fr[slot]
    if scope.column is not None:
        node = scope.column(name)
        if node is not None:
            return node
    if name == ".z.s" and scope.owner is not None:
        return _constant(scope.owner)
    head, _, rest = name.partition(".")
    if head and rest and head in scope.slots:
        slot = scope.slots[head]
        return lambda fr: variables.descend(fr[slot], rest)
    return _global(name, scope)


def _global(name: str, scope: Scope) -> Node:
    names = scope.state.names
    key = variables.full_name(name, scope.space)
    state = scope.state

    def node(fr: Frame) -> Q:
        try:
            value = names[key]
        except KeyError:
            return variables.missing(state, key, name)
        return variables.view(value) if type(value) is variables.View else value

    return node


def _application(tree: Vec, scope: Scope) -> Node:
    head, args = tree.a[0], tree.a[1:]
    if type(head) is str and head in CONTROL and head not in scope.slots:
        return _CONTROLS[head](args, scope)
    if type(head) is Atom and head.t == SEQUENCE.t and head.v == SEQUENCE.v:
        return sequence(args, scope)
    if type(head) is Prim:
        special = _SPECIAL.get(head.name)
        if special is not None:
            node = special(head, args, scope)
            if node is not None:
                return node
        if isinstance(tree, TemplateTree) and scope.slots:
            return _template(head, args, scope)
        return _primitive(head, args, scope)
    if type(head) is Iterator:
        return _derive(head, args, scope)
    return _call(compile_tree(head, scope), args, scope)


def _nodes(args: list[Q], scope: Scope) -> list[Node]:
    return [compile_tree(a, scope) for a in args]


def _primitive(prim: Prim, args: list[Q], scope: Scope) -> Node:
    n = len(args)
    if any(a is ELIDED for a in args) or n not in prim.fns:
        return _call(_constant(prim), args, scope)
    fn = prim.fns[n]
    nodes = _nodes(args, scope)
    if n == 1:
        one = nodes[0]
        return lambda fr: fn(one(fr))
    if n == 2:
        return _binary(fn, args, nodes, scope)
    back = nodes[::-1]

    def many(fr: Frame) -> Q:
        values = [node(fr) for node in back]
        values.reverse()
        return fn(*values)

    return many


def _binary(fn: Callable[[Q, Q], Q], args: list[Q], nodes: list[Node], scope: Scope) -> Node:
    a, b = nodes
    left, right = args
    if type(right) is not str and not isinstance(right, Vec):
        return lambda fr: fn(a(fr), right)
    if type(left) is str and left in scope.slots and type(right) is str and right in scope.slots:
        i, j = scope.slots[left], scope.slots[right]
        return lambda fr: fn(fr[i], fr[j])

    def node(fr: Frame) -> Q:
        y = b(fr)
        return fn(a(fr), y)

    return node


def _call(head: Node, args: list[Q], scope: Scope) -> Node:
    """Application of what is known only when it runs: arguments right to left, then the function."""
    if any(a is ELIDED for a in args):
        return _elided(head, args, scope)
    nodes = _nodes(args, scope)
    if len(nodes) == 1:
        one = nodes[0]

        def unary(fr: Frame) -> Q:
            x = one(fr)
            return apply.call1(head(fr), x)

        return unary
    back = nodes[::-1]

    def node(fr: Frame) -> Q:
        values = [n(fr) for n in back]
        values.reverse()
        return apply.call(head(fr), values)

    return node


def _elided(head: Node, args: list[Q], scope: Scope) -> Node:
    nodes = [None if a is ELIDED else compile_tree(a, scope) for a in args][::-1]

    def node(fr: Frame) -> Q:
        values = [ELIDED if n is None else n(fr) for n in nodes]
        values.reverse()
        return apply.call(head(fr), values)

    return node


def _derive(iterator: Iterator, args: list[Q], scope: Scope) -> Node:
    name = iterator.iterator
    if len(args) == 2 and name == "'":
        return _primitive(PRIMS["compose"], args, scope)
    if len(args) != 1:
        raise QError("rank")
    arg = args[0]
    if not (type(arg) is str or (isinstance(arg, Vec) and arg.t in (0, SYM))) and name != "'":
        return _constant(iterators.derive(name, arg))
    inner = compile_tree(arg, scope)
    if name == "'":
        return lambda fr: iterators.derive_or_signal(inner(fr))
    return lambda fr: iterators.derive(name, inner(fr))


def _template(head: Prim, args: list[Q], scope: Scope) -> Node:
    """A qSQL template inside a lambda: its phrases see the local variables."""
    nodes = _nodes(args, scope)
    slots = scope.slots
    name = "select" if head.name == "?" else "update"

    def node(fr: Frame) -> Q:
        values = [n(fr) for n in nodes]
        local = {n: fr[i] for n, i in slots.items()}
        return variables.TEMPLATE[name](values, local)

    return node


def sequence(statements: list[Q], scope: Scope) -> Node:
    """Statements one after the other; the value of the last (``::`` where it is empty)."""
    nodes = [compile_tree(s, scope) for s in statements]
    if len(nodes) == 1:
        return nodes[0]
    first, last = nodes[:-1], nodes[-1]
    if len(first) == 1:
        before = first[0]

        def two(fr: Frame) -> Q:
            before(fr)
            return last(fr)

        return two

    def node(fr: Frame) -> Q:
        for n in first:
            n(fr)
        return last(fr)

    return node


def truth(x: Q) -> bool:
    """Whether a condition holds; 'type for what is no number."""
    if type(x) is bool:
        return x
    if type(x) is int or type(x) is float:
        return x != 0
    if type(x) is Atom:
        return x.v != 0
    raise QError("type")


def _cond(head: Prim, args: list[Q], scope: Scope) -> Node | None:
    if len(args) < 3:
        return None
    nodes = _nodes(args, scope)
    if len(nodes) % 2 == 0:
        nodes.append(_constant(NULL))
    if len(nodes) == 3:
        test, then, other = nodes

        def three(fr: Frame) -> Q:
            c = test(fr)
            return then(fr) if (c if type(c) is bool else truth(c)) else other(fr)

        return three
    pairs = list(zip(nodes[:-1:2], nodes[1::2], strict=True))
    final = nodes[-1]

    def node(fr: Frame) -> Q:
        for condition, value in pairs:
            if truth(condition(fr)):
                return value(fr)
        return final(fr)

    return node


def _if(args: list[Q], scope: Scope) -> Node:
    test, body = compile_tree(args[0], scope), sequence(args[1:] or [NULL], scope)

    def node(fr: Frame) -> Q:
        if truth(test(fr)):
            body(fr)
        return NULL

    return node


def _tick(state: State) -> None:
    state.steps_left -= 1
    if state.steps_left < 0:
        state.refuel()


def _while(args: list[Q], scope: Scope) -> Node:
    test, body = compile_tree(args[0], scope), sequence(args[1:] or [NULL], scope)
    state = scope.state

    def node(fr: Frame) -> Q:
        while truth(test(fr)):
            _tick(state)
            body(fr)
        return NULL

    return node


def _do(args: list[Q], scope: Scope) -> Node:
    times, body = compile_tree(args[0], scope), sequence(args[1:] or [NULL], scope)
    state = scope.state

    def node(fr: Frame) -> Q:
        n = times(fr)
        n = n.v if type(n) is Atom else n
        if type(n) not in (int, bool):
            raise QError("type")
        for _ in range(n):
            _tick(state)
            body(fr)
        return NULL

    return node


_CONTROLS: dict[str, Callable[[list[Q], Scope], Node]] = {"if": _if, "while": _while, "do": _do}


def _return(head: Prim, args: list[Q], scope: Scope) -> Node | None:
    if len(args) == 2:
        return assign.assignment(head.name, args[0], args[1], scope)
    if len(args) == 1 and head.name == ":":
        value = compile_tree(args[0], scope)

        def node(fr: Frame) -> Q:
            raise Return(value(fr))

        return node
    return None


def _compound(head: Prim, args: list[Q], scope: Scope) -> Node | None:
    return assign.compound(head.name, args[0], args[1], scope) if len(args) == 2 else None


def _list(head: Prim, args: list[Q], scope: Scope) -> Node | None:
    """``(a;b;c)``: evaluated from the right; missing items make a projection."""
    if any(a is ELIDED for a in args):
        nodes = [None if a is ELIDED else compile_tree(a, scope) for a in args][::-1]
        missing = sum(a is ELIDED for a in args)

        def partial(fr: Frame) -> Q:
            values = [ELIDED if n is None else n(fr) for n in nodes]
            values.reverse()
            return Projection(head, values, missing)

        return partial
    back = _nodes(args, scope)[::-1]
    if len(back) == 1:
        one, fn = back[0], head.fns[1]
        return lambda fr: fn(one(fr))

    def node(fr: Frame) -> Q:
        values = [n(fr) for n in back]
        values.reverse()
        return collect(values)

    return node


_SPECIAL: dict[str, Callable[[Prim, list[Q], Scope], Node | None]] = {
    **{k + ":": _compound for k in "+-*%&|^~!,#_=<>?@.$"},
    "$": _cond,
    ":": _return,
    "::": _return,
    "enlist": _list,
}


def lambda_runner(f: Lambda, state: State) -> Callable[[list[Q]], Q]:
    """Compile a lambda: the function from its list of arguments to its value."""
    slots = {name: i for i, name in enumerate(f.params + f.names)}
    scope = Scope(state, f.space, slots, None, f)
    locals_ = [EMPTY] * len(f.names)
    body = _body(f.body, scope)
    limit = state.limits.depth
    takes_none = not f.params

    def run(args: list[Q]) -> Q:
        state.steps_left -= 1
        if state.steps_left < 0:
            state.refuel()
        if state.depth >= limit:
            raise QError("stack")
        state.depth += 1
        try:
            return body(locals_[:] if takes_none else args + locals_)
        except Return as early:
            return early.value
        finally:
            state.depth -= 1

    return run


def _body(statements: list[Q], scope: Scope) -> Node:
    """A lambda's statements, up to the first that returns."""
    out: list[Q] = []
    for s in statements:
        if isinstance(s, Vec) and s.t == 0 and len(s.a) == 2 and s.a[0] is PRIMS[":"]:
            out.append(s.a[1])
            break
        out.append(s)
    if out[-1] is ELIDED and len(out) == len(statements):
        out[-1] = NULL
    return sequence(out, scope)
