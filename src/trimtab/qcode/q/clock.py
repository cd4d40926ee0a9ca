"""How does a text that runs too long end? A timer of the process looks at time and memory, in the main thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from trimtab.qcode.q.state import State

PERIOD_SECONDS = 0.05


@contextmanager
def deadline(state: State) -> Generator[None]:
    """Raise LimitError in the block once the time of ``state`` is over, or its memory (and again, should it be caught).

    Without a time limit, outside the main thread and inside another deadline, only the steps of the program look.
    """
    outside = threading.current_thread() is not threading.main_thread()
    if state.limits.seconds is None or outside or signal.getitimer(signal.ITIMER_REAL)[0] > 0:
        yield
        return

    def ring(number: int, frame: Any) -> None:
        state.check()

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, min(PERIOD_SECONDS, state.limits.seconds), PERIOD_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
