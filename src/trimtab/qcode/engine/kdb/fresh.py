"""How is each program given a real q of its own? A process is started, bounded, asked, and killed.

A process that ends while the program runs was ended by the program; one that never answers was not, and is tried again.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from trimtab.qcode.engine.kdb import grading
from trimtab.qcode.engine.kdb.link import Asked, Link, LinkError
from trimtab.qcode.engine.kdb.messages import TooLong
from trimtab.qcode.engine.kdb.real import Real, accepted
from trimtab.qcode.engine.protocol import Limits, Program, Status, Test, TestResult
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.values import chars

START_SECONDS = 15.0
"""A process that is not ready by then is killed: it hangs, or waits for a licence."""
_MOST_WRITTEN = 1 << 20
_SHOWN = 300
LEVEL = "rlimits" if hasattr(resource, "prlimit") else "none"
LICENCE = ("k4.lic", "kc.lic", "licence", "license")


class Unusable(ValueError):
    """This q is not to be had here: not installed, without a licence, or no q at all. Says what to do."""


class Child:
    """A process in a session and a folder of its own; what it writes to standard error is kept, the rest dropped."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: str, pipes: Sequence[int] = ()):
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # held open and never written: q would leave at its end
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                cwd=folder,
                env=dict(environment),
                pass_fds=pipes,
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise Unusable(f"{command[0]} cannot be started ({error.strerror})") from None

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def said(self) -> str:
        """What it wrote to standard error, its end, in one line."""
        text = os.pread(self._errors.fileno(), _MOST_WRITTEN, 0).decode("utf-8", "replace")
        return " ".join(text.split())[-_SHOWN:]

    def bound(self, limits: Limits) -> None:
        """Limit what the process may use from now on: processor time, memory, files, processes, cores."""
        if not hasattr(resource, "prlimit"):
            return
        pid = self.process.pid
        try:
            used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
            cpu = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            spent = sum(map(int, cpu)) / os.sysconf("SC_CLK_TCK")
            _limit(pid, resource.RLIMIT_CPU, math.ceil(spent + limits.cpu_seconds), 1)
            _limit(pid, resource.RLIMIT_AS, used + (limits.memory_mib << 20))
            _limit(pid, resource.RLIMIT_FSIZE, _MOST_WRITTEN)
            _limit(pid, resource.RLIMIT_NPROC, 0)
            _limit(pid, resource.RLIMIT_CORE, 0)
        except OSError as error:
            raise LinkError(f"the limits of a q process could not be set ({error.strerror})") from None

    def verdict(self, error: LinkError) -> TestResult:
        """What the end of the process says of the program that it ran."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        code, said = self.process.returncode, self.said()
        if code is None:
            return TestResult(Status.ERROR, f"the program closed the link ({error})")
        if code == -signal.SIGXCPU:
            return TestResult(Status.TIMEOUT, "the processor time ran out")
        if "wsfull" in said or "-w abort" in said:
            return TestResult(Status.MEMORY, said)
        return TestResult(Status.ERROR, f"the program ended its process ({_end(code)}{said and ': ' + said})")

    def close(self) -> None:
        """End the process and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
        self._errors.close()


def _end(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"


def _limit(pid: int, kind: int, most: int, grace: int = 0) -> None:
    """Lower a limit, never raise it. ``grace``: how far the hard one lies above the soft one."""
    hard = resource.prlimit(pid, kind)[1]
    soft, above = (most, most + grace) if hard == resource.RLIM_INFINITY else (min(most, hard), min(most + grace, hard))
    resource.prlimit(pid, kind, (soft, above))


class Fresh(Real):
    """An executor that starts a process for each program."""

    def __init__(
        self,
        limits: Limits | None = None,
        workers: int | None = None,
        isolation: str = "auto",
        cached: bool | Path = False,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """``isolation`` must be asked for by name (``rlimits``): it stops accidents, not malice.

        Raises Unusable where this q is not installed, levels.Unavailable for more isolation than there is.
        """
        from trimtab.machine import cores

        level = accepted(self.name, isolation, LEVEL, implied=False)
        super().__init__(limits, cores() if workers is None else workers, level, cached)
        self.start_seconds = start_seconds

    @abstractmethod
    def _start(self, folder: str) -> tuple[Child, Link]:
        """A process that answers. Raises Unusable, LinkError, TimeoutError."""

    def identity(self) -> str:
        """Version and release of the q that is started. Raises Unusable where it is none."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            child, link = self._start(folder)
            try:
                return self._version(link)
            finally:
                link.close()
                child.close()

    def _version(self, link: Link) -> str:
        try:
            version = link.ask(chars('(string .z.K)," ",string .z.k'), self.start_seconds)
        except (QError, Unsupported, TooLong, Asked) as error:
            raise Unusable(f"{self.name}: what was started does not know .z.K and .z.k ({error}): no kdb+") from None
        from trimtab.qcode.q.values import text_of

        return text_of(version)

    def _graded(self, program: Program, tests: Sequence[Test]) -> list[TestResult]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            child, link = self._start(folder)
            try:
                child.bound(self.limits)
                return grading.grade(link, program, tests, self.limits, child.verdict)
            finally:
                link.close()
                child.close()
