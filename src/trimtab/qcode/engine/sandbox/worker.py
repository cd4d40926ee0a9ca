"""How does a grader hold a server? A process and a socket; it is started when needed, and replaced when it dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.qcode.engine.protocol import InfraError, Limits
from trimtab.qcode.engine.sandbox import levels, wire

MIB = 1 << 20
START_SECONDS = 120.0
_SERVER = "from trimtab.qcode.engine.sandbox.server import main; main()"


@dataclass(frozen=True)
class Setup:
    """What servers are started with."""

    language: str
    level: str
    limits: Limits
    modules: tuple[str, ...] = ()
    """Modules besides the usual ones that python programs may import."""


def _environment() -> dict[str, str]:
    """Nothing of the caller's environment but where python's modules are."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONHASHSEED": "0",  # sets of texts have one order, so that runs agree
        **one,
    }


def _command(setup: Setup, descriptor: int) -> list[str]:
    asked = {
        "language": setup.language,
        "modules": list(setup.modules),
        "bounds": {
            "cpu_seconds": setup.limits.cpu_seconds,
            "memory_bytes": setup.limits.memory_mib * MIB,
            "filtered": levels.filtered(setup.level),
        },
    }
    python = [sys.executable, "-B", "-P", "-s", "-X", "utf8", "-c", _SERVER, str(descriptor), json.dumps(asked)]
    return [*levels.prefix(setup.level), *python]


class WorkerDied(Exception):
    """A server is gone."""


class Worker:
    """One server. Raises InfraError where it does not start, levels.Unavailable where its level does not exist."""

    def __init__(self, setup: Setup) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                _command(setup, theirs.fileno()),
                env=_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self.pid = self.process.pid
        try:
            self.startup_cpu_seconds = self._await_ready(setup)
        except BaseException:
            self.close()
            raise
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _await_ready(self, setup: Setup) -> float:
        self.control.settimeout(START_SECONDS)
        try:
            message = self.control.recv(wire.MOST_BYTES)
        except TimeoutError:
            raise InfraError(f"a {setup.language} server did not start within {START_SECONDS:.0f} s") from None
        self.control.settimeout(None)
        if message[:1] == wire.READY:
            return json.loads(message[1:])["cpu_seconds"]
        why = message[1:].decode(errors="replace")
        if message[:1] == wire.FAILED:
            raise InfraError(f"a {setup.language} server did not start: {why}")
        if not message:  # it ended: before it was python, where it is started by another program
            assert self.process.stderr is not None
            why = self.process.stderr.read().decode(errors="replace").strip()[-500:] or "it ended at once"
        raise levels.Unavailable(f"isolation {setup.level!r} is not to be had here: {why}")

    def fork(self, slot: int) -> socket.socket:
        """Start a process; the grader's end of its channel, which never blocks. Raises WorkerDied."""
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            try:
                socket.send_fds(self.control, [wire.order(wire.FORK, slot)], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise WorkerDied(str(error)) from None
        return ours

    def order(self, kind: bytes, slot: int) -> None:
        """Have a process ended, or looked after. Raises WorkerDied."""
        try:
            self.control.send(wire.order(kind, slot))
        except OSError as error:
            raise WorkerDied(str(error)) from None

    def reply(self) -> wire.Ended | wire.Waited:
        """The next reply, which must have arrived. Raises WorkerDied, InfraError for what the server could not do."""
        try:
            message = self.control.recv(wire.MOST_BYTES)
        except OSError as error:
            raise WorkerDied(str(error)) from None
        if not message:
            raise WorkerDied("its socket is closed")
        if message[:1] == wire.FAILED:
            raise WorkerDied(f"it could not start a process: {message[1:].decode(errors='replace')}")
        return wire.read_reply(message)

    def close(self) -> None:
        """End the server with all it runs, by closing its socket; by force where that does not do."""
        self.control.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


def start(language: str, isolation: str, limits: Limits, modules: Sequence[str] = ()) -> tuple[Worker, Setup]:
    """A worker at the best level that serves the wish, and its setup. Raises levels.Unavailable with what each lacks."""
    lacking: list[str] = []
    for level in levels.candidates(isolation):
        setup = Setup(language, level, limits, tuple(modules))
        try:
            return Worker(setup), setup
        except levels.Unavailable as error:
            lacking.append(str(error))
    weaker = "; isolation='rlimits' runs programs with limits only" if isolation != "rlimits" else ""
    raise levels.Unavailable("; ".join(lacking) + weaker)
