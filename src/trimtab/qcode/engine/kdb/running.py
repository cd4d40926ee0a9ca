"""How are programs graded by a q process that runs already (``q-ipc``)? One after another, with no isolation at all.

The process is the user's: programs can do there whatever it may. What they leave in its root is deleted after each.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from trimtab.qcode.engine.kdb import grading
from trimtab.qcode.engine.kdb.link import LinkError, connect
from trimtab.qcode.engine.kdb.messages import BadMessage
from trimtab.qcode.engine.protocol import InfraError, Limits, Program, Test, TestResult, Verdict, checked
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.values import Q, Vec, chars, syms

_NAMES = chars("key `.")
_DELETE = chars("{![`.;();0b;x];}")


class Running:
    """The engine ``q-ipc``. Raises InfraError where the process cannot be reached, or breaks the link twice."""

    name = "q-ipc"
    isolation = "none"

    def __init__(self, host: str = "127.0.0.1", port: int = 5000, credentials: str = "", limits: Limits | None = None):
        self._where, self._credentials, self.limits = (host, port), credentials, limits or Limits()

    def run(self, programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> list[Verdict]:
        """A verdict for each program."""
        checked(programs, tests)
        if any(program.language != "q" for program in programs):
            raise ValueError(f"the engine {self.name} runs q only")
        return [self._retried(program, some) for program, some in zip(programs, tests, strict=True)]

    def close(self) -> None:
        """Nothing is held between programs."""

    def _retried(self, program: Program, tests: Sequence[Test]) -> Verdict:
        begun = time.monotonic()
        try:
            results = self._graded(program, tests)
        except (LinkError, BadMessage, TimeoutError):
            try:
                results = self._graded(program, tests)
            except (LinkError, BadMessage, TimeoutError) as error:
                raise InfraError(f"{self.name}: {error}") from error
        return Verdict(tuple(results), self.isolation, wall_seconds=time.monotonic() - begun)

    def _graded(self, program: Program, tests: Sequence[Test]) -> list[TestResult]:
        before = self._root()
        link = connect(*self._where, self._credentials)
        try:
            return grading.grade(link, program, tests, self.limits)
        finally:
            link.close()
            self._root(before)

    def _root(self, keep: list[str] | None = None) -> list[str]:
        """The names in the root; with ``keep``, all others are deleted."""
        link = connect(*self._where, self._credentials)
        try:
            names = _symbols(link.ask(_NAMES, self.limits.wall_seconds))
            new = [] if keep is None else [name for name in names if name not in keep]
            if new:
                link.ask(Vec(0, [_DELETE, syms(new)]), self.limits.wall_seconds)
            return names
        except (QError, Unsupported) as error:
            raise InfraError(f"{self.name}: its root's names cannot be read or deleted ('{error})") from error
        finally:
            link.close()


def _symbols(names: Q) -> list[str]:
    return [str(name) for name in names.a if name] if isinstance(names, Vec) else []
