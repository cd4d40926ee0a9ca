"""Can a program find what it should return? It searches all that it can reach; nothing there holds an expected value."""

from __future__ import annotations

import textwrap

import pytest

from trimtab.qcode.engine.protocol import AssertionTest, CallTest, Limits, Program, Status, Test, Verdict
from trimtab.qcode.engine.sandboxed import Sandboxed

LIMITS = Limits(cpu_seconds=8, wall_seconds=40, memory_mib=512)
SECRET = "token" + "0123456789abcdef" * 2
SEARCH = """
import ctypes, errno, gc, os, re, sys

MARK = re.compile(rb"token(?:[0-9a-f]{32})")

def memory():
    # every page on which an object lies that the collector knows, or one of those that these refer to
    pages = set()
    for thing in gc.get_objects():
        for one in (thing, *gc.get_referents(thing)):
            start, size = id(one), min(sys.getsizeof(one, 64), 1 << 20)
            pages.update(range(start >> 12, (start + size >> 12) + 1))
    return b"".join(ctypes.string_at(page << 12, 4096) for page in sorted(pages - {max(pages)}))

def frames():
    frame, found = sys._getframe(), []
    while frame:
        found.append(repr(list(frame.f_locals.values()))[:1 << 20])
        frame = frame.f_back
    return "".join(found).encode()

def descriptors():
    found = []
    for number in range(64):
        try:
            os.lseek(number, 0, os.SEEK_CUR)
            found.append(number)
        except OSError as error:
            if error.errno == errno.ESPIPE:  # a socket
                found.append(number)
    return found

def f(x):
    everything = {
        "memory": memory(), "frames": frames(), "environment": repr(dict(os.environ)).encode(),
        "arguments": repr(sys.argv + sys.orig_argv).encode(),
    }
    return sorted(place for place, data in everything.items() if MARK.search(data)), descriptors()
"""


def graded(code: str, tests: list[Test]) -> Verdict:
    with Sandboxed("python", LIMITS, workers=1) as executor:
        (verdict,) = executor.run([Program(textwrap.dedent(code), "f", "python")], [tests])
    return verdict


def test_a_value_that_was_given_is_found() -> None:
    """The search itself works: an argument is found."""
    verdict = graded(SEARCH, [CallTest((SECRET,), (["frames", "memory"], [0, 1, 2, 3]))])
    assert verdict.passed, verdict


@pytest.mark.parametrize("comparison", ["loose", "exact"])
def test_a_value_that_is_expected_is_nowhere(comparison: str) -> None:
    clean = CallTest((1,), ([], [0, 1, 2, 3]))
    verdict = graded(SEARCH, [clean, CallTest((1,), SECRET, comparison), clean])  # pyright: ignore[reportArgumentType]
    assert [test.status for test in verdict.tests] == [Status.PASSED, Status.WRONG, Status.PASSED], verdict


def test_assertions_are_nowhere() -> None:
    test = AssertionTest(f"assert candidate(1) == ([], [0, 1, 2, 3]), candidate(1)\nassert candidate(1) != '{SECRET}'")
    verdict = graded(SEARCH, [test])
    assert verdict.passed, verdict
    assert not verdict.weak


def test_of_q() -> None:
    """A q program sees its own variables, and nothing of the tests."""
    with Sandboxed("q-embedded", LIMITS, workers=1) as executor:
        names = CallTest(("1",), "enlist `f")
        code = "f:{asc (key `.) except `}"
        (verdict,) = executor.run([Program(code, "f")], [[names, CallTest(("`a",), f'"{SECRET}"'), names]])
    assert [test.status for test in verdict.tests] == [Status.PASSED, Status.WRONG, Status.PASSED], verdict


def test_every_status_that_a_program_can_have() -> None:
    q = {
        "f:{sum x}": Status.PASSED,
        "f:{first x}": Status.WRONG,
        "f:{'oops}": Status.ERROR,
        "f:{while[1b;x+:1]}": Status.TIMEOUT,
        "f:{sum til 100000000000}": Status.MEMORY,
        "f:{hopen 5000}": Status.FORBIDDEN,
        "f:{-19!x}": Status.UNSUPPORTED,
    }
    limits = Limits(cpu_seconds=0.4, wall_seconds=6, memory_mib=128)
    with Sandboxed("q-embedded", limits, workers=1) as executor:
        verdicts = executor.run([Program(code, "f") for code in q], [[CallTest(("1 2 3",), "6")]] * len(q))
    assert {code: verdict.status for code, verdict in zip(q, verdicts, strict=True)} == q
    assert {*q.values(), Status.INFRA} == set(Status)  # infra is raised, see test_pool.py
