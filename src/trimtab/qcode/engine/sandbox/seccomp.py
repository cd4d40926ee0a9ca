"""How does the kernel refuse system calls to a process? By a filter in classic BPF that the process installs on itself.

The filter checks the architecture first (calls by another table of numbers, 32-bit or x32, are fatal), then finds the
call's number in a tree of comparisons. No library and no privilege is needed (PR_SET_NO_NEW_PRIVS).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable
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


def _rules(machine: str) -> dict[int, list[Instruction]]:
    """What happens to each call that is known, by number."""
    rules = {number: _give(ALLOW) for number in numbers(ALLOWED, machine).values()}
    rules |= {number: _give(KILL) for number in numbers(FATAL, machine).values()}
    looked = numbers(LOOKED_AT, machine)
    for name in ("mmap", "mprotect"):
        rules[looked[name]] = _bits(2, _PROT_EXEC, EPERM, ALLOW)
    for name, flags in (("open", 1), ("openat", 2)):
        if name in looked:
            rules[looked[name]] = _bits(flags, _WRITING, KILL, EACCES)
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


def program(machine: str) -> list[Instruction]:
    """The filter for ``machine``. Raises ValueError for a machine without a table."""
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
    return start + _tree(_spans(_rules(machine)))


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]  # noqa: RUF012


@cache
def libc() -> ctypes.PyDLL:
    """The C library, called without letting go of the interpreter's lock."""
    return ctypes.PyDLL(None, use_errno=True)


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def prctl(option: int, first: int = 0, second: int = 0) -> None:
    """Call prctl. Raises OSError."""
    if libc().prctl(option, *map(ctypes.c_ulong, (first, second, 0, 0))):
        raise _failed(f"prctl({option})")


def prepared() -> Callable[[], None]:
    """What confines the process that calls it, for good; all that can be done beforehand is done here.

    Raises ValueError for a machine without a table, OSError where no new privileges cannot be given up; what is returned
    raises OSError where the kernel has no seccomp.
    """
    instructions = program(platform.machine())
    packed = b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    loaded = _Filter(len(instructions), ctypes.addressof(buffer))
    arguments = [*map(ctypes.c_ulong, (SECCOMP_MODE_FILTER, ctypes.addressof(loaded), 0, 0))]
    call, option = libc().prctl, ctypes.c_int(PR_SET_SECCOMP)
    prctl(PR_SET_NO_NEW_PRIVS, 1)

    def install(_keep: object = (buffer, loaded)) -> None:
        if call(option, *arguments):
            raise _failed("seccomp")

    return install
