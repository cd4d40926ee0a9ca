"""Where is each keyword and operator implemented? Decorators enter a function under its q name.

``@monad("string")``, ``@dyad("like")``, ``@function("ssr", 3)``: one name may have several numbers of arguments. The
functions take q values as they are (never enlisted) and return q values. Names with a dot (``.Q.fmt``) live here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from trimtab.qcode.q.functions import Prim
from trimtab.qcode.q.values import Q

F = TypeVar("F", bound=Callable[..., Q])

PRIMS: dict[str, Prim] = {}
"""Every builtin by its q name: keywords, operators, ``.Q.`` and other functions."""

INFIX: set[str] = set()
"""Keywords that stand between their arguments."""


def monad(name: str, shown: str = "", t: int = 101) -> Callable[[F], F]:
    """Enter a function of one argument; ``shown`` is its text on the console (``#:`` for count), ``t`` its type number."""
    return function(name, 1, shown, t)


def dyad(name: str, shown: str = "", t: int = 102, infix: bool = True) -> Callable[[F], F]:
    """Enter a function of two arguments; by default its name stands between them."""
    if infix and name[0].isalpha():
        INFIX.add(name)
    return function(name, 2, shown, t)


def function(name: str, rank: int, shown: str = "", t: int = 100) -> Callable[[F], F]:
    """Enter a function of ``rank`` arguments (0: called as ``f[]``); the first entry of a name sets its rank."""

    def enter(f: F) -> F:
        prim = PRIMS.get(name)
        if prim is None:
            prim = PRIMS[name] = Prim(name, shown or name, t, max(1, rank))
        prim.fns[rank] = f
        return f

    return enter
