"""How are programs graded by a q process that runs already (``q-ipc``)? One after another, with no isolation at all.

The process is the user's: programs can do there whatever it may. What they leave in its root is deleted after each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trimtab.qcode.engine.kdb import grading
from trimtab.qcode.engine.kdb.link import Asked, Link, connect
from trimtab.qcode.engine.kdb.messages import TooLong
from trimtab.qcode.engine.kdb.real import Real, accepted
from trimtab.qcode.engine.protocol import InfraError, Limits, Program, Test, TestResult
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.formats import one_line
from trimtab.qcode.q.values import Q, Vec, chars, syms

_NAMES = chars("key `.")
_DELETE = chars("{![`.;();0b;x];}")
CONNECT_SECONDS = 5.0
ADVICE = "start it with a time limit for requests (q -p PORT -T SECONDS), so that it outlives endless programs"


class Running(Real):
    """The engine ``q-ipc``. Raises InfraError where the process cannot be reached, hangs, or breaks the link thrice."""

    name = "q-ipc"

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 5000,
        credentials: str = "",
        limits: Limits | None = None,
        workers: int | None = None,
        isolation: str = "auto",
        cached: bool | Path = False,
    ) -> None:
        """``credentials``: ``user:password``. ``workers`` is not used: the process runs one program at a time.

        Raises ValueError: there is no isolation to ask for.
        """
        del workers
        super().__init__(limits, 1, accepted(self.name, isolation, "none", implied=True), cached)
        self._where, self._credentials = (host, port), credentials

    def identity(self) -> str:
        """The process's address, version and number."""
        link = self._link()
        try:
            version = link.ask(chars("(.z.K;.z.i)"), self.limits.wall_seconds)
        except (QError, Unsupported, TooLong, Asked) as error:
            raise InfraError(f"{self.name}: its version cannot be read ('{error})") from error
        finally:
            link.close()
        return f"{self._where} {one_line(version)}"

    def _link(self) -> Link:
        try:
            return connect(*self._where, self._credentials, CONNECT_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {ADVICE}") from None

    def _graded(self, program: Program, tests: Sequence[Test]) -> list[TestResult]:
        before = self._root()
        link = self._link()
        try:
            return grading.grade(link, program, tests, self.limits)
        finally:
            link.close()
            self._root(before)

    def _root(self, keep: list[str] | None = None) -> list[str]:
        """The names in the root; with ``keep``, all others are deleted."""
        link = self._link()
        try:
            names = _symbols(link.ask(_NAMES, self.limits.wall_seconds))
            new = [] if keep is None else [name for name in names if name not in keep]
            if new:
                link.ask(Vec(0, [_DELETE, syms(new)]), self.limits.wall_seconds)
            return names
        except (QError, Unsupported, TooLong, Asked) as error:
            raise InfraError(f"{self.name}: its root's names cannot be read or deleted ('{error})") from error
        finally:
            link.close()


def _symbols(names: Q) -> list[str]:
    return [str(name) for name in names.a if name] if isinstance(names, Vec) else []
