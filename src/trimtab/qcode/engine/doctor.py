"""Which engines are to be had on this machine, why not the others, and what would help?

Each is tried by grading one program: what is not tried is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trimtab.qcode.engine.engines import ENGINES, engine, language
from trimtab.qcode.engine.protocol import CallTest, InfraError, Limits, Program, Verdict

DEFAULTS = ("q-embedded", "python")
"""The engines that grade where nothing else is chosen."""
_PROGRAMS = {"q": ("f:{x+1}", ("1",), "2"), "python": ("def f(x):\n    return x + 1", (1,), 2)}
_USES = {
    "q-embedded": "the embedded interpreter of q",
    "python": "python programs",
    "q-ipc": "a q process that runs already",
    "q-binary": "the program q on PATH",
    "pykx": "the package PyKX",
}
_UNNAMED = "no process was named: start one (q -p 5000 -T 10), then --q-ipc localhost:5000"
LEVELS = {
    "seccomp": "a filter of system calls",
    "bubblewrap": "namespaces",
    "bubblewrap+seccomp": "both",
    "docker": "the filter, in a container",
    "rlimits": "limits only: no protection from malice",
}


@dataclass(frozen=True)
class Finding:
    """What was found of an engine, or of a level of isolation."""

    name: str
    use: str
    available: bool
    isolation: str
    """The level in force; empty where it is not available."""
    detail: str
    """The version, or why it is not available and what to do."""


def _tried(name: str, options: dict[str, Any]) -> tuple[Verdict, str]:
    """A verdict by an engine, and which q it is. Raises ValueError, InfraError."""
    from trimtab.qcode.engine.kdb.real import Real

    code, arguments, expected = _PROGRAMS[language(name)]
    executor = engine(name, limits=Limits(), workers=1, **options)
    try:
        version = executor.attempted(executor.identity) if isinstance(executor, Real) else ""
        tests = [[CallTest(arguments, expected)]]
        return executor.run([Program(code, "f", language(name))], tests)[0], version
    finally:
        executor.close()


def _found(name: str, shown: str, use: str, options: dict[str, Any]) -> Finding:
    try:
        verdict, version = _tried(name, options)
    except (ValueError, InfraError, OSError) as error:
        return Finding(shown, use, False, "", str(error))
    if not verdict.passed:
        return Finding(shown, use, False, "", f"it grades a right program {verdict.status}: {verdict.detail}")
    return Finding(shown, use, True, verdict.isolation, version)


def _options(name: str, q_ipc: str | None) -> dict[str, Any]:
    if name == "q-ipc":
        from trimtab.qcode.engine.kdb.address import options

        return options(q_ipc)
    if name in DEFAULTS:
        return {}
    from trimtab.qcode.engine.kdb.fresh import LEVEL

    return {"isolation": LEVEL}


def engines(q_ipc: str | None = None) -> Iterator[Finding]:
    """Each engine in turn. ``q_ipc``: HOST:PORT of a running process. Raises ValueError for what is no address."""
    for name in ENGINES:
        if name == "q-ipc" and q_ipc is None:
            yield Finding(name, _USES[name], False, "", _UNNAMED)
        else:
            yield _found(name, name, _USES[name], _options(name, q_ipc))


def isolation() -> Iterator[Finding]:
    """Each level of isolation in turn."""
    for name, use in LEVELS.items():
        yield _found("python", name, use, {"isolation": name})


def healthy(found: list[Finding], q_ipc: str | None = None) -> bool:
    """Whether programs can be graded: by the default engines, and by the process where one was named."""
    needed = {*DEFAULTS, *(["q-ipc"] if q_ipc else [])}
    return needed <= {finding.name for finding in found if finding.available}
