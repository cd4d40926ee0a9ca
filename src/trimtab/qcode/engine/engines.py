"""Which engines are there, by name? Each is a factory of an ``Executor``; its options are keywords of its own.

A factory imports what it needs when it is called, so that this file stays light.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from trimtab.qcode.engine.protocol import Executor, Language

Factory = Callable[..., Executor]
Name = Literal["q-embedded", "q-ipc", "q-binary", "pykx", "python"]
QName = Literal["q-embedded", "q-ipc", "q-binary", "pykx"]


def _embedded(**options: Any) -> Executor:
    from trimtab.qcode.engine.sandboxed import Sandboxed

    return Sandboxed("q-embedded", **options)


def _python(**options: Any) -> Executor:
    from trimtab.qcode.engine.sandboxed import Sandboxed

    return Sandboxed("python", **options)


def _running(**options: Any) -> Executor:
    from trimtab.qcode.engine.kdb.running import Running

    return Running(**options)


def _binary(**options: Any) -> Executor:
    from trimtab.qcode.engine.kdb.binary import Binary

    return Binary(**options)


def _pykx(**options: Any) -> Executor:
    from trimtab.qcode.engine.kdb.licensed import Pykx

    return Pykx(**options)


ENGINES: dict[str, Factory] = {
    "q-embedded": _embedded,
    "q-ipc": _running,
    "q-binary": _binary,
    "pykx": _pykx,
    "python": _python,
}


def engine(name: str, **options: Any) -> Executor:
    """The engine of a name. Raises ValueError for a name that is not known."""
    if name not in ENGINES:
        raise ValueError(f"engine {name!r} is not known: expected one of {', '.join(ENGINES)}")
    return ENGINES[name](**options)


def language(name: str) -> Language:
    """The language that an engine runs."""
    return "python" if name == "python" else "q"


def chosen(q_engine: str | None, q_ipc: str | None) -> tuple[str, dict[str, Any]]:
    """The engine of q programs that two flags mean, and its options: an address alone means q-ipc. Raises ValueError."""
    name = q_engine or ("q-embedded" if q_ipc is None else "q-ipc")
    if name != "q-ipc" and q_ipc is not None:
        raise ValueError(f"the address {q_ipc} of a q process with the engine {name}: it is for q-ipc alone")
    if name == "q-ipc":
        from trimtab.qcode.engine.kdb.address import options

        return name, options(q_ipc)
    return name, {}
