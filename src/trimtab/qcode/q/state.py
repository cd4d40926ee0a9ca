"""What does a running program see besides its arguments? Variables, settings, output, random numbers, limits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trimtab.qcode.q.errors import LimitError, Limits
from trimtab.qcode.q.values import Q

SLICE = 4096
"""Steps between two looks at time and memory."""
LARGE = 1 << 19
"""Lists of more items than this make the interpreter look at its memory."""
_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident_bytes() -> int:
    """Memory of the process; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


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
        self.steps_left = self.spent = self.depth = self.resident = 0
        self.ends = float("inf")
        self.files: dict[str, Any] | None = None
        """Files in memory by path, as bytes or q values; None: file handles are refused."""
        self.statement = ""
        """The text that runs."""
        self.output: list[str] = []
        self.write: Callable[[str], None] = write or self.output.append

    def begin(self) -> None:
        """Start to count what a text uses up."""
        self.depth, self.spent, self.resident = 0, 0, resident_bytes()
        self.steps_left = min(SLICE, self.limits.steps)
        self.ends = time.monotonic() + (self.limits.seconds or float("inf"))

    def refuel(self) -> None:
        """More steps, where there are any left and neither time nor memory has run out; else LimitError."""
        self.spent += SLICE
        if self.spent >= self.limits.steps:
            raise LimitError("limit")
        self.check()
        self.steps_left = min(SLICE, self.limits.steps - self.spent)

    def check(self) -> None:
        """LimitError where time or memory has run out."""
        if time.monotonic() > self.ends:
            raise LimitError("limit")
        if resident_bytes() - self.resident > self.limits.memory_bytes:
            raise LimitError("wsfull")

    def allow(self, count: float) -> None:
        """'wsfull for a list of so many items that does not fit."""
        if count * 8 > self.limits.memory_bytes:
            raise LimitError("wsfull")
        if count > LARGE:
            self.check()


class _Active:
    state = State()


def current() -> State:
    """The state of the session whose text runs now."""
    return _Active.state


def activate(state: State) -> State:
    """Make a state the current one; returns the one before."""
    before, _Active.state = _Active.state, state
    return before
