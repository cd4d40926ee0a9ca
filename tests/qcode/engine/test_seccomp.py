"""Does the filter say what it should for every system call? Run here in a naive machine for classic BPF."""

from __future__ import annotations

import os
import struct

import pytest

from trimtab.qcode.engine.sandbox import seccomp
from trimtab.qcode.engine.sandbox.syscalls import ALLOWED, ARCHITECTURES, FATAL, LOOKED_AT, numbers


def decide(machine: str, number: int, arguments: tuple[int, ...] = (), architecture: int | None = None) -> int:
    """What the filter for ``machine`` returns for a call."""
    words = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *words)
    instructions = seccomp.program(machine)
    place, value = 0, 0
    while True:
        code, if_true, if_false, operand = instructions[place]
        place += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
        else:
            holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[code]
            place += if_true if holds else if_false


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_each_call_by_its_table(machine: str) -> None:
    allowed, fatal = set(numbers(ALLOWED, machine).values()), set(numbers(FATAL, machine).values())
    looked = set(numbers(LOOKED_AT, machine).values())
    assert not any((allowed & fatal, allowed & looked, fatal & looked))
    for number in range(600):
        if number in looked:
            continue
        wanted = seccomp.ALLOW if number in allowed else seccomp.KILL if number in fatal else seccomp.EPERM
        assert decide(machine, number) == wanted, number


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_arguments_that_matter(machine: str) -> None:
    looked = numbers(LOOKED_AT, machine)
    assert decide(machine, looked["mmap"], (0, 4096, 3)) == seccomp.ALLOW
    assert decide(machine, looked["mmap"], (0, 4096, 7)) == seccomp.EPERM
    assert decide(machine, looked["mprotect"], (0, 4096, 5)) == seccomp.EPERM
    assert decide(machine, looked["openat"], (0, 0, os.O_RDONLY | os.O_CLOEXEC)) == seccomp.EACCES
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_APPEND):
        assert decide(machine, looked["openat"], (0, 0, flags)) == seccomp.KILL


def test_other_architectures_are_fatal() -> None:
    assert decide("x86_64", 0, architecture=0x40000003) == seccomp.KILL  # i386
    assert decide("x86_64", 0x40000000) == seccomp.KILL  # x32
    assert decide("aarch64", 63, architecture=0xC000003E) == seccomp.KILL


def test_a_machine_without_a_table() -> None:
    with pytest.raises(ValueError, match="no table of system calls for sparc"):
        seccomp.program("sparc")


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_jumps_stay_within_the_program(machine: str) -> None:
    instructions = seccomp.program(machine)
    assert len(instructions) < 4096
    for place, (code, if_true, if_false, _) in enumerate(instructions):
        if code in (0x15, 0x35, 0x45):
            assert max(if_true, if_false) < 256
            assert place + 1 + max(if_true, if_false) < len(instructions)
