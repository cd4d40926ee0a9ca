"""Is what the sandbox itself does wrong never a verdict? Workers that die are replaced, jobs repeated, then it raises."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from trimtab.qcode.engine.protocol import CallTest, InfraError, Limits, Program, Status
from trimtab.qcode.engine.sandbox.exits import Why, failure
from trimtab.qcode.engine.sandbox.wire import Ended
from trimtab.qcode.engine.sandbox.worker import Worker, WorkerDied
from trimtab.qcode.engine.sandboxed import Sandboxed

LIMITS = Limits(cpu_seconds=0.5, wall_seconds=5, memory_mib=128)
PROGRAM = Program("def f(x): return 2 * x", "f", "python")
TESTS = [CallTest((1,), 2), CallTest((4,), 8)]


@pytest.fixture
def python() -> Iterator[Sandboxed]:
    with Sandboxed("python", LIMITS, workers=1) as executor:
        yield executor


def test_a_worker_that_died_is_replaced(python: Sandboxed) -> None:
    assert python.run([PROGRAM], [TESTS])[0].passed
    (first,) = python.pool.servers
    os.kill(first, signal.SIGKILL)
    assert [verdict.passed for verdict in python.run([PROGRAM] * 3, [TESTS] * 3)] == [True] * 3
    assert python.pool.replaced == 1
    assert python.pool.servers != [first]


def test_a_worker_that_dies_at_work_is_replaced(python: Sandboxed) -> None:
    assert python.isolation == "seccomp"
    (first,) = python.pool.servers

    def kill() -> None:
        time.sleep(0.3)
        os.kill(first, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    slow = Program("import time\ntime.sleep(1)\ndef f(x): return 2 * x", "f", "python")
    verdicts = python.run([slow, PROGRAM], [TESTS] * 2)
    thread.join()
    assert [verdict.status for verdict in verdicts] == [Status.PASSED] * 2
    assert python.pool.replaced == 1


@pytest.mark.parametrize("failures", [2, 3])
def test_what_fails_is_tried_three_times_then_raised(
    python: Sandboxed, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    fork, tried = Worker.fork, 0

    def fork_or_fail(worker: Worker, slot: int) -> socket.socket:
        nonlocal tried
        tried += 1
        if tried <= failures:
            raise WorkerDied("as this test wants")
        return fork(worker, slot)

    monkeypatch.setattr(Worker, "fork", fork_or_fail)
    if failures == 2:
        assert python.run([PROGRAM], [TESTS])[0].passed
        assert (tried, python.pool.replaced) == (3, 2)
        return
    with pytest.raises(InfraError, match="failed 3 times at one program: as this test wants"):
        python.run([PROGRAM], [TESTS])
    assert tried == 3
    assert python.run([PROGRAM], [TESTS])[0].passed  # the pool starts anew


def test_a_process_that_is_not_confined_or_is_killed_from_outside_has_no_verdict() -> None:
    with pytest.raises(InfraError, match="could not be confined"):
        failure(Ended(0, 1 << 8, False, False, 0.0, 0), Why.CLOSED, LIMITS, True)
    killed = Ended(0, signal.SIGKILL, True, False, 0.01, 0)
    with pytest.raises(InfraError, match="killed from outside"):
        failure(killed, Why.CLOSED, LIMITS, True)
    spent = Ended(0, signal.SIGKILL, True, False, 0.6, 0)
    assert failure(spent, Why.CLOSED, LIMITS, True).status == Status.TIMEOUT


def test_what_cannot_be_asked_for(python: Sandboxed) -> None:
    with pytest.raises(ValueError, match="2 programs with 1 lists of tests"):
        python.run([PROGRAM] * 2, [TESTS])
    with pytest.raises(ValueError, match="program 1 has no tests"):
        python.run([PROGRAM] * 2, [TESTS, []])
    with pytest.raises(ValueError, match="a program in q: the engine python runs python only"):
        python.run([Program("f:{x}", "f")], [TESTS])
    with pytest.raises(ValueError, match="0 workers"):
        Sandboxed("python", workers=0)
    with pytest.raises(ValueError, match="every limit must be above 0"):
        Limits(cpu_seconds=0)
    assert python.run([], []) == []
