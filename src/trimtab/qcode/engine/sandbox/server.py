"""How does a fresh process for each program cost next to nothing? It is forked from a small one that has everything loaded.

The server is started by exec with a clean environment: nothing of the trainer's memory is in it, no test ever comes to it,
and it has one thread. It forks when told, kills and reaps when told, and ends with its last client's end of the socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import mmap
import os
import platform
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trimtab.qcode.engine.sandbox import seccomp, wire
from trimtab.qcode.engine.sandbox.confine import Bounds, prepare
from trimtab.qcode.engine.sandbox.settle import settle

_PR_SET_CHILD_SUBREAPER = 36
_IDLE_SECONDS = 5
_GRACE_SECONDS = 1.0
"""A process whose channel is closed has so long to die by itself, so that it is seen of what."""
RUNNERS = {"q": "trimtab.qcode.engine.sandbox.run_q", "python": "trimtab.qcode.engine.sandbox.run_python"}


class NoLevel(Exception):
    """This machine lacks the level of isolation that was asked for."""


@dataclass
class Server:
    """The state of a server: its socket, what runs in its slots, a page on which a process says that it is confined."""

    control: socket.socket
    runner: Any
    confine: Callable[[int], None]
    page: mmap.mmap
    sessions: bool
    """Whether each process has a session of its own, to be killed with all that is in it."""
    children: dict[int, int]

    def fork(self, slot: int, channel: int) -> None:
        """Start a process in a slot; returns in the server alone. Raises OSError."""
        self.page[slot] = 0
        pid = _fork()
        if pid == 0:
            self._run(slot, channel)
        self.children[slot] = pid

    def _run(self, slot: int, channel: int) -> None:
        """In the new process: confine it, run the program, end without a look back."""
        try:
            self.confine(channel)
            self.page[slot] = 1
            self.page.close()
            self.runner.main()
        except BaseException:  # noqa: BLE001
            os._exit(1)
        os._exit(0)

    def end(self, slot: int, closed: bool = False) -> wire.Ended:
        """Kill and reap what runs in a slot, and all that it left behind."""
        pid = self.children.pop(slot)
        alive = not _dead(pid, _GRACE_SECONDS if closed else 0.0)
        if alive:
            os.kill(pid, signal.SIGKILL)
        if self.sessions:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        self._reap_orphans()
        cpu = usage.ru_utime + usage.ru_stime
        return wire.Ended(slot, status, bool(self.page[slot]), alive, cpu, usage.ru_maxrss * 1024)

    def _reap_orphans(self) -> None:
        """Kill what processes left behind: all of it has become the server's own (subreaper)."""
        kept = set(self.children.values())
        while strays := _strays(kept):
            for pid in strays:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in strays:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def waited(self, slot: int) -> wire.Waited:
        """How long a process waited for a processor; 0 where the kernel does not say."""
        try:
            with open(f"/proc/{self.children[slot]}/schedstat") as file:  # noqa: PTH123
                return wire.Waited(slot, int(file.read().split()[1]) / 1e9)
        except (OSError, IndexError, ValueError):
            return wire.Waited(slot, 0.0)


def _dead(pid: int, seconds: float) -> bool:
    """Whether a process has died by itself, or does within ``seconds``."""
    until = time.monotonic() + seconds
    pause = 0.0005
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= until:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return True


def _strays(kept: set[int]) -> list[int]:
    """The server's children besides those in its slots. Most often the kernel answers at once that there are none."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123
            return [pid for pid in map(int, file.read().split()) if pid not in kept]
    except ChildProcessError:
        return []


def _fork() -> int:
    """Fork by the C library: python's own fork runs handlers that repair locks and threads, of which there are none here.

    They would cost as much again. Pseudo-random numbers are the same in each process, so that runs agree.
    """
    pid: int = seccomp.libc().fork()
    if pid < 0:
        raise OSError(ctypes.get_errno(), f"fork: {os.strerror(ctypes.get_errno())}")
    return pid


def _receive(control: socket.socket, parent: int) -> tuple[bytes, list[int]]:
    """The next message and its descriptors; empty once the client is gone."""
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, wire.MOST_BYTES, 1)
            return message, descriptors
        except BlockingIOError:
            if os.getppid() != parent:  # the client's end may live on in a fork of the client
                return b"", []


def _obey(server: Server, message: bytes, descriptors: list[int]) -> bytes | None:
    """Do as a message says; the reply, if any."""
    if message[:1] == wire.FORK:
        try:
            server.fork(message[1], descriptors[0])
        except OSError as error:
            return wire.FAILED + str(error).encode()
        finally:
            os.close(descriptors[0])
        return None
    kind, slot = message[:1], message[1]
    return (server.waited(slot) if kind == wire.WAITED else server.end(slot, kind == wire.CLOSED)).packed()


def serve(server: Server, parent: int) -> None:
    """Obey until the client is gone."""
    server.control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _IDLE_SECONDS, 0))
    while True:
        message, descriptors = _receive(server.control, parent)
        if not message:
            break
        reply = _obey(server, message, descriptors)
        if reply is not None:
            server.control.send(reply)
    for slot in list(server.children):
        server.end(slot)


def _filter_works() -> bool:
    """Whether a process that confines itself dies of a forbidden call. Tried, not asked for."""
    pid = _fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            signal.alarm(5)
            seccomp.prepared()()
            socket.socket()
        os._exit(0)
    return os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGSYS


def _begin(control: socket.socket, asked: dict[str, Any]) -> Server:
    bounds = Bounds(**asked["bounds"])
    if bounds.filtered and not _filter_works():
        raise NoLevel("the kernel does not let a process filter its system calls (seccomp)")
    runner = importlib.import_module(RUNNERS[asked["language"]])
    runner.warm(asked["modules"])
    page = mmap.mmap(-1, mmap.PAGESIZE)
    seccomp.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    settle()
    confine = prepare(bounds)
    return Server(control, runner, confine, page, not bounds.filtered, {})


def _quiet() -> None:
    """Programs write to nowhere and read nothing."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)


def _client(place: str) -> socket.socket:
    """The socket of whoever started this: by its number, or in a container by its path."""
    if place.isdigit():
        return socket.socket(fileno=int(place))
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.connect(place)
    return control


def main() -> None:
    """Be a server: the socket's number or path, and what to load, are the arguments."""
    control = _client(sys.argv[1])
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the terminal is the client's to handle
    _quiet()
    begun = time.process_time()
    try:
        if platform.system() != "Linux":
            raise NoLevel("programs are confined on Linux only")
        server = _begin(control, json.loads(sys.argv[2]))
    except Exception as error:  # noqa: BLE001
        kind = wire.NO_LEVEL if isinstance(error, NoLevel) else wire.FAILED
        control.send(kind + f"{type(error).__name__}: {error}"[: wire.MOST_BYTES - 1].encode())
        return
    control.send(wire.READY + json.dumps({"cpu_seconds": time.process_time() - begun}).encode())
    serve(server, parent)


if __name__ == "__main__":
    main()
