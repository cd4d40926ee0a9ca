"""How does the kernel refuse system calls to a process? By a filter in classic BPF that the process installs on itself.

The filter checks the architecture first (calls by another table of numbers, 32-bit or x32, are fatal), then finds the call's
number in a tree of comparisons. No library and no privilege is needed (PR_SET_NO_NEW_PRIVS).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from functools import cache

from trimtab.qcode.engine.sandbox.syscalls import ALLOWED, ARCHITECTURES, FATAL, LOOKED_AT, numbers

ALLOW = 0x7FFF0000
KILL = 0x80000000
EPERM = 0x00050000 | errno.EPERM
EACCES = 0x00050000 | errno.EACCES

_LOAD, _GREATER_EQUAL, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x35, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
_PROT_EXEC = 4
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_X32 = 0x40000000

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_NO_NEW_PRIVS = 38

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""


def _argument(index: int) -> Instruction:
    """Load the low half of an argument (both machines are little-endian)."""
    return (_LOAD, 0, 0, 16 + 8 * index)


def _give(action: int) -> list[Instruction]:
    return [(_RETURN, 0, 0, action)]


def _bits(index: int, mask: int, if_set: int, if_clear: int) -> list[Instruction]:
    """One action where an argument has a bit of ``mask``, another where it has none."""
    return [_argument(index), (_ANY_BIT, 0, 1, mask), *_give(if_set), *_give(if_clear)]


def _abort_itself(pid: int) -> list[Instruction]:
    """``tgkill`` only as ``abort`` uses it: SIGABRT to the process itself."""
    return [
        _argument(0),
        (_EQUAL, 0, 3, pid),
        _argument(2),
        (_EQUAL, 0, 1, 6),
        *_give(ALLOW),
        *_give(KILL),
    ]


def _rules(machine: str, pid: int) -> dict[int, list[Instruction]]:
    """What happens to each call that is known, by number."""
    rules = {number: _give(ALLOW) for number in numbers(ALLOWED, machine).values()}
    rules |= {number: _give(KILL) for number in numbers(FATAL, machine).values()}
    looked = numbers(LOOKED_AT, machine)
    for name in ("mmap", "mprotect"):
        rules[looked[name]] = _bits(2, _PROT_EXEC, EPERM, ALLOW)
    for name, flags in (("open", 1), ("openat", 2)):
        if name in looked:
            rules[looked[name]] = _bits(flags, _WRITING, KILL, EACCES)
    rules[looked["tgkill"]] = _abort_itself(pid)
    return rules


def _spans(rules: dict[int, list[Instruction]]) -> list[tuple[int, list[Instruction]]]:
    """The rules as (first number, what happens) up to the next one's first number; the gaps are EPERM."""
    spans: list[tuple[int, list[Instruction]]] = []
    for number in range(max(rules) + 2):
        rule = rules.get(number, _give(EPERM))
        if not spans or spans[-1][1] != rule:
            spans.append((number, rule))
    return spans


def _tree(spans: list[tuple[int, list[Instruction]]]) -> list[Instruction]:
    """A search for the span of the loaded number, by halves."""
    if len(spans) == 1:
        return spans[0][1]
    middle = len(spans) // 2
    low, high = _tree(spans[:middle]), _tree(spans[middle:])
    assert len(low) < 256, "a jump of classic BPF reaches 255 instructions"
    return [(_GREATER_EQUAL, len(low), 0, spans[middle][0]), *low, *high]


def program(machine: str, pid: int) -> list[Instruction]:
    """The filter for process ``pid`` on ``machine``. Raises ValueError for a machine without a table."""
    if machine not in ARCHITECTURES:
        raise ValueError(f"no table of system calls for {machine}: expected one of {', '.join(ARCHITECTURES)}")
    start: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, ARCHITECTURES[machine]),
        *_give(KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_GREATER_EQUAL, 0, 1, _X32),
        *_give(KILL),
    ]
    return start + _tree(_spans(_rules(machine, pid)))


_PLACEHOLDER = 0x7FFFFFFF


@cache
def _template(machine: str) -> tuple[bytes, int]:
    """The filter in the kernel's layout, and where in it the process's id stands."""
    packed = [struct.pack("<HBBI", *instruction) for instruction in program(machine, _PLACEHOLDER)]
    (place,) = (8 * i + 4 for i, one in enumerate(packed) if one[4:] == struct.pack("<I", _PLACEHOLDER))
    return b"".join(packed), place


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]  # noqa: RUF012


def prepare() -> None:
    """Do beforehand what every ``install`` would: build the filter, load the C library."""
    _template(platform.machine())
    _libc()


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def prctl(option: int, first: int = 0, second: int = 0) -> None:
    """Call prctl. Raises OSError."""
    if _libc().prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def install() -> None:
    """Confine the calling process, for good. Raises OSError where the kernel has no seccomp, ValueError without a table."""
    template, place = _template(platform.machine())
    buffer = ctypes.create_string_buffer(template, len(template))
    struct.pack_into("<I", buffer, place, os.getpid())
    loaded = _Filter(len(template) // 8, ctypes.addressof(buffer))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(loaded))
