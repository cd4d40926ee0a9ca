"""What happens at one worker? One job at a time has its processes; earlier ones wait for word of how theirs ended."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from trimtab.qcode.engine.protocol import Limits
from trimtab.qcode.engine.sandbox import wire
from trimtab.qcode.engine.sandbox.exits import Why
from trimtab.qcode.engine.sandbox.frames import Frames, TooLong, framed
from trimtab.qcode.engine.sandbox.jobs import Job
from trimtab.qcode.engine.sandbox.worker import Worker, WorkerDied

_PIECE = 1 << 18
REPLY_SECONDS = 60.0
"""A server that takes longer to answer is replaced."""


@dataclass
class Ticket:
    """A job's way through the pool."""

    index: int
    make: Callable[[bool], Job]
    """A fresh job; weak ones where True."""
    job: Job
    attempts: int = 1


@dataclass
class Channel:
    """The grader's end of a process's channel."""

    connection: socket.socket
    frames: Frames
    begun: float
    deadline: float
    unsent: bytearray = field(default_factory=bytearray)
    asking: bool = False

    @property
    def descriptor(self) -> int:
        return self.connection.fileno()


class Station:
    """A worker and its jobs; the ``Port`` of the present one. All methods may raise WorkerDied."""

    def __init__(self, worker: Worker, limits: Limits, watch: Callable[[int, bool], None], drop: Callable[[int], None]):
        self.worker = worker
        self.limits = limits
        self.watch, self.drop = watch, drop
        self.present: Ticket | None = None
        self.channels: dict[int, Channel] = {}
        self.awaited: deque[tuple[Ticket, int, Why, float]] = deque()
        """Ends that were ordered and not yet confirmed, in order."""

    @property
    def idle(self) -> bool:
        """Whether another job may begin: all processes are ordered to end, and few ends are open."""
        return not self.channels and len(self.awaited) <= 2

    @property
    def tickets(self) -> list[Ticket]:
        """All jobs that are not finished here."""
        found = [ticket for ticket, *_ in self.awaited]
        if self.present is not None and self.channels:
            found.append(self.present)
        return list({ticket.index: ticket for ticket in found}.values())

    def begin(self, ticket: Ticket) -> None:
        """Start a job's processes."""
        self.present = ticket
        ticket.job.begin(self)

    def start(self, slot: int, request: bytes) -> None:
        """Fork a process and send it its request."""
        connection = self.worker.fork(slot)
        now = time.monotonic()
        most = self.limits.result_bytes + (1 << 16)
        channel = Channel(connection, Frames(most), now, now + self.limits.wall_seconds)
        self.channels[slot] = channel
        self.watch(channel.descriptor, False)
        self.say(slot, request)

    def say(self, slot: int, frame: bytes) -> None:
        """Send a frame; what does not fit into the pipe now goes later."""
        channel = self.channels.get(slot)
        if channel is not None:
            channel.unsent += framed(frame)
            self.flush(channel)

    def flush(self, channel: Channel) -> None:
        """Send what has not been sent yet, as far as it goes."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):  # its end is seen on reading
            while channel.unsent:
                sent = channel.connection.send(channel.unsent[:_PIECE])
                del channel.unsent[:sent]
        self.watch(channel.descriptor, bool(channel.unsent))

    def stop(self, slot: int, why: Why) -> None:
        """Have a process ended, if it was not ordered yet."""
        channel = self.channels.pop(slot, None)
        if channel is None:
            return
        assert self.present is not None
        self.drop(channel.descriptor)
        channel.connection.close()
        self.worker.order(wire.CLOSED if why is Why.CLOSED else wire.END, slot)
        self.awaited.append((self.present, slot, why, time.monotonic()))

    def readable(self, slot: int) -> None:
        """A process has sent something, or is gone."""
        channel = self.channels.get(slot)
        if channel is None:
            return
        try:
            data = channel.connection.recv(_PIECE)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if data:
            self._heard(slot, channel, data)
        else:
            self.stop(slot, Why.CLOSED)

    def _heard(self, slot: int, channel: Channel, data: bytes) -> None:
        assert self.present is not None
        try:
            for frame in channel.frames.feed(data):
                self.present.job.heard(self, slot, frame)
        except BadTest:
            raise
        except (TooLong, ValueError, RecursionError):
            self.stop(slot, Why.TOO_LONG)

    def replied(self) -> Ticket | None:
        """The server has something to say. The ticket whose job is finished by it, if any."""
        reply = self.worker.reply()
        if isinstance(reply, wire.Waited):
            self._look_again(reply)
            return None
        ticket, slot, why, _ = self.awaited[0]
        assert slot == reply.slot
        ticket.job.ended(self, slot, reply, why)  # where this raises, the ticket is still among those to be repeated
        self.awaited.popleft()
        return ticket if ticket.job.finished else None

    def _look_again(self, reply: wire.Waited) -> None:
        """Give a process the time for which it waited for a processor; end it where that was not what held it up."""
        channel = self.channels.get(reply.slot)
        if channel is None or not channel.asking:
            return
        channel.asking = False
        channel.deadline = channel.begun + self.limits.wall_seconds + reply.seconds
        if channel.deadline <= time.monotonic():
            self.stop(reply.slot, Why.LATE)

    def look_at_the_clock(self, now: float) -> None:
        """Ask after processes that are late. Raises WorkerDied where the server itself is."""
        if self.awaited and now - self.awaited[0][3] > REPLY_SECONDS:
            raise WorkerDied("it does not answer")
        for slot, channel in self.channels.items():
            if channel.deadline <= now:
                if channel.asking and now - channel.deadline > REPLY_SECONDS:
                    raise WorkerDied("it does not answer")
                if not channel.asking:
                    channel.asking = True
                    self.worker.order(wire.WAITED, slot)

    def next_deadline(self) -> float:
        """When to look at the clock again."""
        times = [c.deadline + (REPLY_SECONDS if c.asking else 0) for c in self.channels.values()]
        return min([*times, *(ordered + REPLY_SECONDS for *_, ordered in self.awaited)], default=float("inf"))

    def close(self) -> None:
        """End the worker with all that runs there."""
        for channel in self.channels.values():
            self.drop(channel.descriptor)
            channel.connection.close()
        self.channels.clear()
        self.awaited.clear()
        self.present = None
        self.worker.close()


class BadTest(ValueError):
    """A test's own arguments fail: whoever wrote it is told."""
