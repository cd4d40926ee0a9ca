"""What does a running program see besides its arguments? Variables, settings, output, random numbers, limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trimtab.qcode.q.errors import Limits
from trimtab.qcode.q.values import Q


class State:
    """The world of one session. ``write`` receives console output, whole lines with their newline."""

    def __init__(self, limits: Limits | None = None, write: Callable[[str], None] | None = None) -> None:
        self.names: dict[str, Q] = {}
        """Global variables by full name: ``a``, ``.ns.a``."""
        self.space = "."
        """The current namespace, ``.`` or ``.ns``."""
        self.precision = 7
        self.rows, self.cols = 25, 80
        self.seed = -314159
        self.random = np.random.default_rng(314159)
        self.limits = limits or Limits()
        self.steps_left = self.limits.steps
        self.depth = 0
        self.output: list[str] = []
        self.write: Callable[[str], None] = write or self.output.append


class _Active:
    state = State()


def current() -> State:
    """The state of the session whose text runs now."""
    return _Active.state


def activate(state: State) -> State:
    """Make a state the current one; returns the one before."""
    before, _Active.state = _Active.state, state
    return before
