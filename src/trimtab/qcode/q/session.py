"""How is q text run? ``q = Session(); q("1+1")`` gives a value with a Python face, ``q.show("1+1")`` the console's text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from trimtab.qcode.q import apply, builtins, display, faces, system, variables
from trimtab.qcode.q.clock import deadline
from trimtab.qcode.q.compiler import Return, evaluate
from trimtab.qcode.q.errors import Defect, LimitError, Limits, QError, Unsupported
from trimtab.qcode.q.faces import Value
from trimtab.qcode.q.functions import Prim
from trimtab.qcode.q.parser import parse_statements
from trimtab.qcode.q.scripts import statements
from trimtab.qcode.q.state import State, activate
from trimtab.qcode.q.values import ELIDED, NULL, Q, Vec

STACK = 20_000
"""Python's recursion limit while q runs: a call of q takes several of Python's."""


class Session:
    """An interpreter with variables of its own. ``write`` receives what programs print (default: ``state.output``).

    Nothing reaches the disk: file handles are refused, or, with ``files``, stand for files in the session's memory.
    """

    def __init__(
        self, limits: Limits | None = None, write: Callable[[str], None] | None = None, files: bool = False
    ) -> None:
        self.state = State(limits, write)
        self.state.files = {} if files else None

    def __call__(self, text: str, *args: Any) -> Value:
        """The value of a text; with arguments, of the function that it denotes applied to them.

        Raises QError for what q signals, Unsupported for what this interpreter lacks.
        """
        if not args:
            return Value(self.value(text))
        given = [faces.from_python(a) for a in args]
        return Value(self._guarded(lambda: apply.call(self._run(text), given)))

    def __getitem__(self, name: str) -> Value:
        """A variable by its name."""
        return Value(self._guarded(lambda: variables.lookup(self.state, name)))

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a variable from a Python value."""
        variables.set_global(self.state, variables.full_name(name, self.state.space), faces.from_python(value))

    def value(self, text: str) -> Q:
        """The q value of a text (of its last statement)."""
        return self._guarded(lambda: self._run(text))

    def apply(self, f: Q, args: list[Q]) -> Q:
        """A function of this session applied to q values."""
        return self._guarded(lambda: apply.call(f, args))

    def show(self, text: str) -> str:
        """All that the console prints for a text: output of the program, then the value. Raises as a call does."""
        printed: list[str] = []
        write, self.state.write = self.state.write, printed.append
        try:
            self._guarded(lambda: self._show(text, printed))
        finally:
            self.state.write = write
            self.state.output = printed
        return "".join(printed)

    def _guarded(self, work: Callable[[], Q]) -> Q:
        """Run under the limits; every failure leaves as QError, LimitError, Unsupported or Defect."""
        state = self.state
        state.begin()
        before = activate(state)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, STACK))
        try:
            with deadline(state):
                return work()
        except (QError, Unsupported):
            raise
        except Return as early:
            return early.value
        except MemoryError as error:
            raise LimitError("wsfull") from error
        except RecursionError:
            raise QError("stack") from None
        except Exception as error:
            raise Defect(f"a defect of the interpreter, please report it: {type(error).__name__}: {error}") from error
        finally:
            sys.setrecursionlimit(limit)
            activate(before)

    def _run(self, text: str) -> Q:
        value: Q = NULL
        for statement in statements(text):
            value = self._statement(statement)[0]
        return value

    def _show(self, text: str, printed: list[str]) -> Q:
        value: Q = NULL
        for statement in statements(text):
            value, silent = self._statement(statement)
            if not silent:
                printed.append(display.show(value))
        return value

    def _statement(self, text: str) -> tuple[Q, bool]:
        """The value of a statement, and whether the console keeps silent about it."""
        if text.startswith("\\"):
            return system.command(text[1:]), False
        if text[:2] in ("k)", "p)"):
            raise Unsupported(f"the language {text[0]}")
        trees = parse_statements(text[2:] if text.startswith("q)") else text, self.state.space)
        value: Q = NULL
        self.state.statement = text
        for tree in trees:
            if tree is not ELIDED:
                value = evaluate(tree, self.state)
        last = trees[-1]
        return (NULL, True) if last is ELIDED else (value, is_assignment(last))


def is_assignment(tree: Q) -> bool:
    """Whether a statement assigns: the console shows nothing for it."""
    if not isinstance(tree, Vec) or tree.t != 0 or len(tree.a) != 3:
        return False
    head = tree.a[0]
    return isinstance(head, Prim) and head.name.endswith(":") and not head.name[0].isdigit()


__all__ = ["Session", "Value", "builtins", "is_assignment"]
