"""What is asked of the processes of one program, and what comes of each test?

A small machine of states for each way to test.

A job hears frames and ends; it says what to send, and which process to end. It knows neither sockets nor time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trimtab.qcode.engine.protocol import Limits, Status, TestResult
from trimtab.qcode.engine.sandbox import answers
from trimtab.qcode.engine.sandbox.answers import Failure
from trimtab.qcode.engine.sandbox.exits import Why, failure
from trimtab.qcode.engine.sandbox.wire import Ended

PROGRAM, ASSERTIONS = 0, 1


class Port(Protocol):
    """What a job may do with the processes of its worker."""

    def start(self, slot: int, request: bytes) -> None: ...
    def say(self, slot: int, frame: bytes) -> None: ...
    def stop(self, slot: int, why: Why) -> None: ...


@dataclass(frozen=True)
class Setting:
    """Under what a job's processes run."""

    limits: Limits
    filtered: bool

    def request(self, mode: str, code: str, entry: str, **more: Any) -> bytes:
        """A request to a program's process."""
        limits = self.limits
        about = {"mode": mode, "code": code, "entry": entry, "recursion": limits.recursion}
        return json.dumps({**about, "most_bytes": limits.result_bytes, **more}).encode()


def _result(found: Failure) -> TestResult:
    return TestResult(found.status, found.detail)


class Job:
    """Base: results by test, processor time, whether all processes have ended."""

    weak = False

    def __init__(self, setting: Setting, count: int) -> None:
        self.setting = setting
        self.results: list[TestResult] = []
        self.count = count
        self.cpu_seconds = 0.0
        self.running: set[int] = set()

    def fill(self, found: Failure) -> None:
        """The tests that have no result yet get this one."""
        self.results += [_result(found)] * (self.count - len(self.results))

    @property
    def complete(self) -> bool:
        """Whether every test has its result."""
        return len(self.results) >= self.count

    @property
    def finished(self) -> bool:
        """Whether nothing runs any more."""
        return not self.running

    def begin(self, port: Port) -> None:
        """Start the processes."""
        raise NotImplementedError

    def heard(self, port: Port, slot: int, frame: bytes) -> None:
        """A frame of a process. Raises ValueError for what is no answer."""
        raise NotImplementedError

    def ended(self, port: Port, slot: int, end: Ended, why: Why) -> None:
        """A process has ended. Raises InfraError where that was not its doing."""
        self.running.discard(slot)
        self.cpu_seconds += end.cpu_seconds

    def outcome(self, end: Ended, why: Why) -> Failure:
        """What an end means for what was not answered."""
        return failure(end, why, self.setting.limits, self.setting.filtered)


class CallJob(Job):
    """One process runs the program and answers calls; each answer is judged here, against values it never saw."""

    def __init__(
        self,
        setting: Setting,
        request: bytes,
        judges: Sequence[Callable[[bytes], TestResult]],
        bad_test: Callable[[int, Failure], None] | None = None,
    ) -> None:
        """``bad_test`` hears of tests whose own arguments fail; only where programs cannot claim so themselves (q)."""
        super().__init__(setting, len(judges))
        self.request = request
        self.judges = judges
        self.bad_test = bad_test

    def begin(self, port: Port) -> None:
        self.running = {PROGRAM}
        port.start(PROGRAM, self.request)

    def heard(self, port: Port, slot: int, frame: bytes) -> None:
        if self.complete:
            return
        if frame[:1] == answers.FAILED:
            found = answers.read_failure(frame[1:])
            if found.load:
                self.fill(found)
            else:
                self._note(found)
        elif frame[:1] == answers.VALUE:
            self.results.append(self.judges[len(self.results)](frame[1:]))
        else:
            raise ValueError("no answer to a call")
        if self.complete:
            port.stop(PROGRAM, Why.DONE)

    def _note(self, found: Failure) -> None:
        if found.kind == answers.BAD_TEST and self.bad_test is not None:
            self.bad_test(len(self.results), found)
        self.results.append(_result(found))

    def ended(self, port: Port, slot: int, end: Ended, why: Why) -> None:
        super().ended(port, slot, end, why)
        if not self.complete:
            self.fill(self.outcome(end, why))


class WeakJob(Job):
    """Assertions in the program's own process, which says of itself how they ended: it may lie."""

    weak = True

    def __init__(self, setting: Setting, request: bytes, count: int) -> None:
        super().__init__(setting, count)
        self.request = request

    def begin(self, port: Port) -> None:
        self.running = {PROGRAM}
        port.start(PROGRAM, self.request)

    def heard(self, port: Port, slot: int, frame: bytes) -> None:
        if self.complete:
            return
        if frame == answers.PASSED:
            self.results.append(TestResult(Status.PASSED))
        else:
            found = answers.read_failure(frame[1:])
            if found.load:
                self.fill(found)
            else:
                self.results.append(_result(found))
        if self.complete:
            port.stop(PROGRAM, Why.DONE)

    def ended(self, port: Port, slot: int, end: Ended, why: Why) -> None:
        super().ended(port, slot, end, why)
        if not self.complete:
            self.fill(self.outcome(end, why))


class AssertionJob(Job):
    """Two processes: one runs the program and answers calls, one runs assertions. What they tell each other passes here.

    ``needs_weak`` tells afterwards that arguments of the tests have no plain form. What a program returns never does that.
    """

    def __init__(self, setting: Setting, program: bytes, assertions: bytes, count: int) -> None:
        super().__init__(setting, count)
        self.requests = {PROGRAM: program, ASSERTIONS: assertions}
        self.needs_weak = False
        self._asked = False
        self._gone: Failure | None = None

    def begin(self, port: Port) -> None:
        self.running = {PROGRAM, ASSERTIONS}
        for slot, request in self.requests.items():
            port.start(slot, request)

    def heard(self, port: Port, slot: int, frame: bytes) -> None:
        if self.complete or self.needs_weak:
            return
        if slot == PROGRAM:
            self._program_says(port, frame)
        else:
            self._assertions_say(port, frame)

    def _stop(self, port: Port) -> None:
        for slot in sorted(self.running):
            port.stop(slot, Why.DONE)

    def _program_says(self, port: Port, frame: bytes) -> None:
        if frame[:1] == answers.FAILED:
            found = answers.read_failure(frame[1:])
            if found.load:
                self.fill(found)
                self._stop(port)
                return
        elif frame[:1] != answers.VALUE:
            raise ValueError("no answer to a call")
        if self._asked:  # what nobody asked for is dropped
            self._asked = False
            port.say(ASSERTIONS, frame)

    def _assertions_say(self, port: Port, frame: bytes) -> None:
        kind = frame[:1]
        if kind == answers.CALL:
            if self._gone is None:
                self._asked = True
                port.say(PROGRAM, frame[1:])
            return
        if kind == answers.NOT_PLAIN:
            self.needs_weak = True
        elif kind == answers.PASSED:
            self.results.append(TestResult(Status.PASSED))
        else:
            self.results.append(_result(answers.read_failure(frame[1:])))
        if self.complete or self.needs_weak:
            self._stop(port)

    def ended(self, port: Port, slot: int, end: Ended, why: Why) -> None:
        super().ended(port, slot, end, why)
        if not self.complete and not self.needs_weak:
            self._gone = self.outcome(end, why)
            self.fill(self._gone)
            self._stop(port)
