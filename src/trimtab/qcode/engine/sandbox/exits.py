"""How did a process end, seen from outside? What the kernel and the server tell, which no program can forge."""

from __future__ import annotations

import os
import signal
from enum import Enum, auto

from trimtab.qcode.engine.protocol import InfraError, Limits, Status
from trimtab.qcode.engine.sandbox.answers import Failure
from trimtab.qcode.engine.sandbox.wire import Ended

MIB = 1 << 20
_FULL = 0.7
"""A process that crashed with so much of its memory in use ran out of it."""


class Why(Enum):
    """Why the grader had a process ended."""

    DONE = auto()
    CLOSED = auto()
    """It closed its channel, most often by dying."""
    LATE = auto()
    TOO_LONG = auto()
    """It sent more than agreed, or what is no answer."""


def _crash(ended: Ended, number: int, limits: Limits) -> Failure:
    name = signal.strsignal(number) or f"signal {number}"
    if ended.peak_bytes >= _FULL * limits.memory_mib * MIB:
        return Failure(Status.MEMORY, f"more than {limits.memory_mib} MiB ({name})")
    return Failure(Status.ERROR, f"crashed ({name})")


def _signal(ended: Ended, number: int, limits: Limits, filtered: bool) -> Failure:
    if number == signal.SIGSYS:
        return Failure(Status.FORBIDDEN, "a system call that isolation denies")
    if number in (signal.SIGPROF, signal.SIGXCPU):
        return Failure(Status.TIMEOUT, f"more than {limits.cpu_seconds} s of processor time")
    if number == signal.SIGKILL and not ended.alive:
        if ended.cpu_seconds >= limits.cpu_seconds:
            return Failure(Status.TIMEOUT, f"more than {limits.cpu_seconds} s of processor time")
        if filtered:  # a program cannot have done this
            raise InfraError(
                "a program's process was killed from outside, most likely for want of memory on this machine: "
                "use fewer workers or a lower memory_mib"
            )
    return _crash(ended, number, limits)


def failure(ended: Ended, why: Why, limits: Limits, filtered: bool) -> Failure:
    """What became of a process that did not answer all that it was asked. Raises InfraError where it is not its doing."""
    if not ended.confined:
        raise InfraError(f"a process could not be confined (wait status {ended.wait_status})")
    if why is Why.LATE:
        return Failure(Status.TIMEOUT, f"no end within {limits.wall_seconds} s")
    if why is Why.TOO_LONG:
        return Failure(Status.ERROR, f"sent more than {limits.result_bytes} bytes, or what is no answer")
    if ended.alive:
        return Failure(Status.ERROR, "closed its channel to the grader")
    if os.WIFSIGNALED(ended.wait_status):
        return _signal(ended, os.WTERMSIG(ended.wait_status), limits, filtered)
    return Failure(Status.ERROR, f"exited with status {os.WEXITSTATUS(ended.wait_status)} before it answered")
