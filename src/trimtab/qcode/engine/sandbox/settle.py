"""What does a process cost that is forked from this one? Mostly pages copied because it writes to them: fewer are better.

Objects that a fork makes go to the free places among those that are there, all over the memory, and each page that it
writes to is copied first. So the free places are filled with objects nobody needs, and what forks make lies together
on new pages.
"""

from __future__ import annotations

import gc
import os
import sys

from trimtab.qcode.engine.sandbox import seccomp

_filling: list[list[object]] = []
_OBJECT, _INTEGER, _HEADER = 16, 32, 33
"""Sizes that only a bare object and a long integer have; the size of an empty bytes object."""


def free_places() -> dict[int, int]:
    """How many free places of each size there are among the small objects, as CPython tells; empty where it does not."""
    tell = getattr(sys, "_debugmallocstats", None)
    if tell is None:
        return {}
    report, before = os.memfd_create("report"), os.dup(2)
    os.dup2(report, 2)
    try:
        tell()
    finally:
        os.dup2(before, 2)
        os.close(before)
    text = os.pread(report, 1 << 20, 0).decode(errors="replace")
    os.close(report)
    found: dict[int, int] = {}
    for line in text.partition("# arenas")[0].splitlines():
        columns = line.split()
        if len(columns) == 5 and all(column.isdigit() for column in columns):
            found[int(columns[1])] = int(columns[4])
    return found


def _objects(size: int, count: int) -> list[object]:
    if size == _OBJECT:
        return [object() for _ in range(count)]
    if size == _INTEGER:
        return [1_000_000_000_000 + number for number in range(count)]
    return [bytes(size - _HEADER) for _ in range(count)]


def settle() -> None:
    """Collect what is not needed, fill the free places, and leave all objects to the forks as they are."""
    gc.collect()
    gc.disable()
    trim = getattr(seccomp.libc(), "malloc_trim", None)  # glibc has it: unused pages need not be copied
    if trim is not None:
        trim(0)
    for size, count in free_places().items():
        _filling.append(_objects(size, count))
    gc.freeze()
