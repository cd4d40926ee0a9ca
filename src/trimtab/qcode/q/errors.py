"""How does a q program fail? By a q error, by a limit, or by asking for what this interpreter does not have."""

from __future__ import annotations

from dataclasses import dataclass


class QError(Exception):
    """An error as q signals it: ``'type``, ``'length``, ``'name`` of an undefined variable, a text of the program's own."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class LimitError(QError):
    """Steps, memory or time ran out (``'limit``, ``'wsfull``, ``'stop``): no q program can trap it."""


class Unsupported(Exception):
    """The program asks for a feature of q that this interpreter lacks or refuses; names it. No verdict on it."""


class Exit(Unsupported):
    """The program asks to leave the process: ``exit``, or two backslashes. The console and the run of a script do."""

    def __init__(self, status: int) -> None:
        super().__init__("exit")
        self.status = status


class Defect(Unsupported):
    """The interpreter failed, not the program: its cause is the Python exception. No verdict on the program either."""


@dataclass(frozen=True)
class Limits:
    """What a session may use up."""

    steps: int = 50_000_000
    """Calls of lambdas and turns of loops, for each text that the session is given."""
    memory_bytes: int = 640 << 20
    """Growth of the process while a text runs (looked at every few thousand steps and for large lists)."""
    seconds: float | None = 5.0
    """Wall-clock time for each text; None: no limit. In the main thread a timer also ends single long operations."""
    depth: int = 1000
    """Calls within calls."""
