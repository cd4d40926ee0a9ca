"""How does a freshly forked process give up what it could do? In order, each for good, before a program's first character.

A session of its own, limits, another user (where it is root: limits on processes do not bind root), death with its server,
a timer of processor time, no descriptors but three, and last the filter of system calls.
"""

from __future__ import annotations

import math
import os
import resource
import signal
from dataclasses import dataclass

from trimtab.qcode.engine.sandbox import seccomp

CHANNEL = 3
"""The descriptor by which a program's process talks to the grader; 0, 1 and 2 are the null device."""
NOBODY = 65534
MIB = 1 << 20

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_SPARE_SECONDS = 2


@dataclass(frozen=True)
class Confinement:
    """What one process may do."""

    cpu_seconds: float
    address_bytes: int
    """Size of its whole address space."""
    filtered: bool
    """Whether system calls are filtered."""
    server: int
    """The process that forks it and dies with it."""


def _limit(what: int, most: int) -> None:
    resource.setrlimit(what, (most, most))


def _limits(bounds: Confinement) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 16)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_AS, bounds.address_bytes)
    _limit(resource.RLIMIT_CPU, math.ceil(bounds.cpu_seconds) + _SPARE_SECONDS)


def _become_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _die_with(server: int) -> None:
    """Set after the change of user, which would clear it."""
    seccomp.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)


def _timer(seconds: float) -> None:
    """SIGPROF ends the process; the filter refuses to change timers and handlers. RLIMIT_CPU, in whole seconds, is behind it."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.05)


def confine(channel: int, bounds: Confinement) -> None:
    """Confine the calling process; ``channel`` becomes descriptor 3. Raises OSError where any part fails."""
    os.setsid()
    if channel != CHANNEL:
        os.dup2(channel, CHANNEL)
    os.closerange(CHANNEL + 1, 256)
    os.chdir("/")
    _limits(bounds)
    _become_nobody()
    seccomp.prctl(_PR_SET_DUMPABLE, 0)
    _die_with(bounds.server)
    _timer(bounds.cpu_seconds)
    if bounds.filtered:
        seccomp.install()
    else:
        seccomp.prctl(seccomp.PR_SET_NO_NEW_PRIVS, 1)
