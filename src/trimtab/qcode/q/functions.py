"""What is a function value? Primitives, lambdas, projections, compositions and what iterators derive.

Each has ``t`` (its type number), ``rank`` and ``call(args)``; ``apply.call(f, args)`` applies any value, lists included.
"""

from __future__ import annotations

from collections.abc import Callable
from trimtab.qcode.q.values import Func, Q

ITERATORS = {"'": 106, "/": 107, "\\": 108, "':": 109, "/:": 110, "\\:": 111}
"""Type number of what each iterator derives."""


class Prim(Func):
    """A keyword or operator: implementations by number of arguments; ``shown`` is its text on the console."""

    __slots__ = ("fns", "name", "rank", "shown", "t")

    def __init__(self, name: str, shown: str, t: int, rank: int) -> None:
        self.name = name
        self.shown = shown
        self.t = t
        self.rank = rank
        self.fns: dict[int, Callable[..., Q]] = {}

    def __repr__(self) -> str:
        return self.shown


class Lambda(Func):
    """A lambda: its source with braces, parameters, names of local variables, statements as parse trees, namespace.

    ``run`` takes the list of arguments; the compiler sets it at the first call.
    """

    __slots__ = ("body", "names", "params", "rank", "run", "source", "space", "t")

    def __init__(self, source: str, params: list[str], names: list[str], body: list[Q], space: str) -> None:
        self.t = 100
        self.source = source
        self.params = params
        self.names = names
        self.body = body
        self.rank = max(1, len(params))
        self.space = space
        self.run: Callable[[list[Q]], Q] | None = None

    def __repr__(self) -> str:
        return self.source


class Projection(Func):
    """A function with some arguments given; the missing ones are ``ELIDED``."""

    __slots__ = ("args", "f", "rank", "t")

    def __init__(self, f: Q, args: list[Q], rank: int) -> None:
        self.t = 104
        self.f = f
        self.args = args
        self.rank = rank


class Composition(Func):
    """``f g h``: the last takes the arguments, the others one each."""

    __slots__ = ("fs", "rank", "t")

    def __init__(self, fs: list[Q], rank: int) -> None:
        self.t = 105
        self.fs = fs
        self.rank = rank


class Derived(Func):
    """What an iterator (``' / \\\\ ': /: \\\\:``) makes of a value."""

    __slots__ = ("f", "iterator", "rank", "t")

    def __init__(self, iterator: str, f: Q, rank: int) -> None:
        self.t = ITERATORS[iterator]
        self.iterator = iterator
        self.f = f
        self.rank = rank


class Iterator(Func):
    """An iterator as a value of its own, as in ``(/)``."""

    __slots__ = ("iterator", "rank", "t")

    def __init__(self, iterator: str) -> None:
        self.t = 103
        self.iterator = iterator
        self.rank = 1
