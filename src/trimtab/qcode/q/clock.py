"""How does a text that runs too long end? A timer of the process raises ``'limit`` in the main thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from trimtab.qcode.q.errors import LimitError


def _ring(number: int, frame: Any) -> None:
    raise LimitError("limit")


@contextmanager
def deadline(seconds: float | None) -> Generator[None]:
    """Raise LimitError in the block once ``seconds`` have passed (and again, should something catch it).

    Without a limit, outside the main thread, and inside another deadline, the block runs as it is.
    """
    outside = threading.current_thread() is not threading.main_thread()
    if seconds is None or outside or signal.getitimer(signal.ITIMER_REAL)[0] > 0:
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
