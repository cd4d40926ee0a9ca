"""Which engines are there, by name? Each is a factory of an ``Executor``; its options are keywords of its own.

A factory imports what it needs when it is called, so that this file stays light.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimtab.qcode.engine.protocol import Executor

Factory = Callable[..., Executor]


def _embedded(**options: Any) -> Executor:
    from trimtab.qcode.engine.sandboxed import Sandboxed

    return Sandboxed("q-embedded", **options)


def _python(**options: Any) -> Executor:
    from trimtab.qcode.engine.sandboxed import Sandboxed

    return Sandboxed("python", **options)


def _running(**options: Any) -> Executor:
    from trimtab.qcode.engine.kdb.running import Running

    return Running(**options)


ENGINES: dict[str, Factory] = {
    "q-embedded": _embedded,
    "python": _python,
    "q-ipc": _running,
}


def engine(name: str, **options: Any) -> Executor:
    """The engine of a name. Raises ValueError for a name that is not known."""
    if name not in ENGINES:
        raise ValueError(f"engine {name!r} is not known: expected one of {', '.join(ENGINES)}")
    return ENGINES[name](**options)
