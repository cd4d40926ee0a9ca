"""How do thousands of jobs a minute go through a few workers?

One loop that waits for whatever happens next at any of them.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from trimtab.qcode.engine.protocol import InfraError, Limits
from trimtab.qcode.engine.sandbox import levels, worker
from trimtab.qcode.engine.sandbox.jobs import Job
from trimtab.qcode.engine.sandbox.station import Station, Ticket
from trimtab.qcode.engine.sandbox.worker import Setup, Worker, WorkerDied

ATTEMPTS = 3
"""A job that fails for reasons of the sandbox is tried so often before that is raised."""
_IN, _OUT = select.POLLIN, select.POLLOUT


class Pool:
    """Up to ``workers`` servers of one language. Threads may share it; they take turns."""

    def __init__(self, language: str, isolation: str, modules: Sequence[str], workers: int, limits: Limits) -> None:
        if workers < 1:
            raise ValueError(f"{workers} workers: at least 1 is needed")
        levels.candidates(isolation)  # a name that is not known fails here
        self.language, self.isolation, self.modules = language, isolation, tuple(modules)
        self.workers, self.limits = workers, limits
        self.setup: Setup | None = None
        self.replaced = 0
        """Workers that died and were replaced."""
        self._stations: list[Station] = []
        self._poll = select.poll()
        self._lock = threading.Lock()
        self._owner = os.getpid()

    @property
    def level(self) -> str:
        """The level of isolation in force; starts a worker where there is none yet. Raises levels.Unavailable."""
        with self._lock:
            return self._level()

    def _level(self) -> str:
        if not self._stations:
            self._stations.append(self._station(self._start()))
        assert self.setup is not None
        return self.setup.level

    @property
    def servers(self) -> list[int]:
        """Ids of the servers' processes."""
        return [station.worker.pid for station in self._stations]

    def _start(self) -> Worker:
        if self.setup is not None:
            return Worker(self.setup)
        started, self.setup = worker.start(self.language, self.isolation, self.limits, self.modules)
        return started

    def _station(self, started: Worker) -> Station:
        station = Station(started, self.limits, self._watch, self._forget)
        self._watch(started.control.fileno(), False)
        return station

    def _watch(self, descriptor: int, writing: bool) -> None:
        self._poll.register(descriptor, _IN | _OUT if writing else _IN)

    def _forget(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError):
            self._poll.unregister(descriptor)

    def run(self, makers: Sequence[Callable[[bool], Job]]) -> list[Job]:
        """A finished job of each maker (called with False; with True for a weak one). Raises InfraError."""
        if os.getpid() != self._owner:
            raise RuntimeError("a pool of workers cannot be used in a fork of the process that made it")
        with self._lock:
            try:
                self._level()
                while len(self._stations) < min(self.workers, len(makers)):
                    self._stations.append(self._station(self._start()))
                return self._run(makers)
            except BaseException:
                self._close()
                raise

    def _run(self, makers: Sequence[Callable[[bool], Job]]) -> list[Job]:
        queue = deque(range(len(makers)))
        again: deque[Ticket] = deque()
        done: dict[int, Job] = {}
        while len(done) < len(makers):
            for place in range(len(self._stations)):
                while (queue or again) and self._stations[place].idle:
                    ticket = again.popleft() if again else _ticket(queue.popleft(), makers)
                    self._guarded(place, again, done, lambda station, ticket=ticket: station.begin(ticket))
            self._wait()
            for place in range(len(self._stations)):
                self._guarded(place, again, done, lambda station: self._turn(station, again, done))
        return [done[index] for index in range(len(makers))]

    def _wait(self) -> None:
        until = min(station.next_deadline() for station in self._stations)
        seconds = max(0.0, until - time.monotonic())
        ready = self._poll.poll(None if seconds == float("inf") else 1000 * seconds + 1)
        self._ready = dict(ready)

    def _turn(self, station: Station, again: deque[Ticket], done: dict[int, Job]) -> None:
        """Deal with all that has happened at a station."""
        for slot, channel in list(station.channels.items()):
            event = self._ready.get(channel.descriptor, 0)
            if event & _OUT:
                station.flush(channel)
            if event & ~_OUT:
                station.readable(slot)
        if station.worker.control.fileno() in self._ready:
            ticket = station.replied()
            if ticket is not None:
                _finish(ticket, again, done)
        station.look_at_the_clock(time.monotonic())

    def _guarded(self, place: int, again: deque[Ticket], done: dict[int, Job], work: Callable[[Station], None]) -> None:
        """Do some work at a station; replace its worker and repeat its jobs where the sandbox fails."""
        station = self._stations[place]
        try:
            work(station)
        except (WorkerDied, InfraError) as error:
            tickets = station.tickets
            if station.present is not None and station.present not in tickets and not station.present.job.finished:
                tickets.append(station.present)
            self._replace(place)
            for ticket in tickets:
                _repeat(ticket, again, done, error)

    def _replace(self, place: int) -> None:
        self._forget(self._stations[place].worker.control.fileno())
        self._stations[place].close()
        self.replaced += 1
        self._stations[place] = self._station(self._start())

    def _close(self) -> None:
        for station in self._stations:
            with contextlib.suppress(OSError, ValueError):
                self._forget(station.worker.control.fileno())
            station.close()
        self._stations.clear()

    def close(self) -> None:
        """End all workers. The pool starts others where it is used again."""
        if os.getpid() == self._owner:
            with self._lock:
                self._close()


def _ticket(index: int, makers: Sequence[Callable[[bool], Job]]) -> Ticket:
    return Ticket(index, makers[index], makers[index](False))


def _finish(ticket: Ticket, again: deque[Ticket], done: dict[int, Job]) -> None:
    """A job's processes have all ended: it is done, or its tests need it to be weak."""
    if getattr(ticket.job, "needs_weak", False):
        again.append(replace(ticket, job=ticket.make(True)))
    else:
        done[ticket.index] = ticket.job


def _repeat(ticket: Ticket, again: deque[Ticket], done: dict[int, Job], error: Exception) -> None:
    if ticket.job.complete:
        done[ticket.index] = ticket.job
    elif ticket.attempts >= ATTEMPTS:
        raise InfraError(f"the sandbox failed {ATTEMPTS} times at one program: {error}") from error
    else:
        again.append(replace(ticket, job=ticket.make(ticket.job.weak), attempts=ticket.attempts + 1))
