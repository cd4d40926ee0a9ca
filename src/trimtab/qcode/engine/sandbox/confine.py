"""How does a process give up what it could do, before a program's first character? Each step is for good.

What forks inherit is done once, in the server (``prepare``): limits of memory, files and descriptors, no new
privileges, no core; and another user, where calls are filtered. The rest is done by each fresh process (``confine``):
processor time, no processes, death with the server, no descriptors but four, and last the filter. Without a filter a
process also gets a session of its own and leaves the server's user, lest it signal the server.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass

from trimtab.qcode.engine.sandbox import seccomp

CHANNEL = 3
"""The descriptor by which a program's process talks to the grader; 0, 1 and 2 are the null device."""
NOBODY = 65534

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_DESCRIPTORS = 64
_SPARE_SECONDS = 2


@dataclass(frozen=True)
class Bounds:
    """What each process of a server may use."""

    cpu_seconds: float
    memory_bytes: int
    """Address space beyond the server's own."""
    filtered: bool
    """Whether system calls are filtered."""


def _limit(what: int, most: int) -> None:
    resource.setrlimit(what, (most, most))


def address_bytes() -> int:
    """The size of this process's address space."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()


def _become_nobody() -> None:
    """Limits on processes do not bind root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    seccomp.prctl(_PR_SET_DUMPABLE, 0)


def _end_with_server() -> Callable[[], None]:
    """What makes a process die with the calling one."""
    arguments = [*map(ctypes.c_ulong, (signal.SIGKILL, 0, 0, 0))]
    call, option, server = seccomp.libc().prctl, ctypes.c_int(_PR_SET_PDEATHSIG), os.getpid()

    def end_with_server() -> None:
        if call(option, *arguments) or os.getppid() != server:
            os._exit(1)

    return end_with_server


def prepare(bounds: Bounds) -> Callable[[int], None]:
    """In the server: limit what its forks inherit. Returns what confines one of them; its argument becomes descriptor 3.

    Both raise OSError where any part fails.
    """
    install = seccomp.prepared() if bounds.filtered else None
    end_with_server = _end_with_server()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.chdir("/")
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _DESCRIPTORS)
    _limit(resource.RLIMIT_AS, address_bytes() + bounds.memory_bytes)
    seccomp.prctl(seccomp.PR_SET_NO_NEW_PRIVS, 1)
    if install is not None:
        _become_nobody()
    nothing, seconds = (0, 0), math.ceil(bounds.cpu_seconds) + _SPARE_SECONDS
    hard = (seconds, seconds)

    def confine(channel: int) -> None:
        os.dup2(channel, CHANNEL)
        os.closerange(CHANNEL + 1, _DESCRIPTORS)
        if install is None:
            os.setsid()
            _become_nobody()
        end_with_server()  # after the change of user, which would undo it
        resource.setrlimit(resource.RLIMIT_NPROC, nothing)
        resource.setrlimit(resource.RLIMIT_CPU, hard)
        # SIGPROF ends the process; the filter refuses to change timers and handlers
        signal.setitimer(signal.ITIMER_PROF, bounds.cpu_seconds, 0.05)
        if install is not None:
            install()

    return confine
