"""How does a grader hold a server? A process and a socket; it is started when needed, and replaced when it dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


def _command(setup: Setup, place: str, folder: Path | None = None) -> list[str]:
    """``place``: the number of the server's end of the socket, or the path where it connects."""
    asked = {
        "language": setup.language,
        "modules": list(setup.modules),
        "bounds": {
            "cpu_seconds": setup.limits.cpu_seconds,
            "memory_bytes": setup.limits.memory_mib * MIB,
            "filtered": levels.filtered(setup.level),
        },
    }
    python = [sys.executable, "-B", "-P", "-s", "-X", "utf8", "-c", _SERVER, place, json.dumps(asked)]
    return [*levels.prefix(setup.level, folder, _environment()), *python]


def _popen(command: list[str], descriptors: tuple[int, ...] = (), docker: bool = False) -> subprocess.Popen[bytes]:
    home = {
        name: os.environ[name] for name in ("HOME", "DOCKER_HOST", "DOCKER_CONTEXT") if docker and name in os.environ
    }
    return subprocess.Popen(
        command,
        env=_environment() | home,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=descriptors,
        start_new_session=True,
    )


def _inheriting(setup: Setup) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """A server that is handed its end of the socket."""
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            return control, _popen(_command(setup, str(theirs.fileno())), (theirs.fileno(),))
        except BaseException:
            control.close()
            raise


def _connecting(setup: Setup) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """A server in a container, which connects to a socket in a folder that it shares with the grader."""
    with (
        tempfile.TemporaryDirectory(prefix="trimtab-") as name,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
    ):
        folder = Path(name)
        path = folder / "socket"
        listener.bind(str(path))
        folder.chmod(0o711)  # the server is another user
        path.chmod(0o666)
        listener.listen(1)
        process = _popen(_command(setup, str(path), folder), docker=True)
        try:
            return _accepted(listener, process, setup), process
        except BaseException:
            process.kill()
            process.wait()
            raise


def _accepted(listener: socket.socket, process: subprocess.Popen[bytes], setup: Setup) -> socket.socket:
    """A server's connection. Raises Unavailable where its container ends before, InfraError where it takes too long."""
    until = time.monotonic() + START_SECONDS
    listener.settimeout(0.2)
    while time.monotonic() < until:
        try:
            return listener.accept()[0]
        except TimeoutError:
            if process.poll() is not None:
                assert process.stderr is not None
                why = process.stderr.read().decode(errors="replace").strip()[-500:] or "the container ended at once"
                raise levels.Unavailable(f"isolation {setup.level!r} is not to be had here: {why}") from None
    raise InfraError(f"a {setup.language} server in a container did not start within {START_SECONDS:.0f} s")


class WorkerDied(Exception):
    """A server is gone."""


class Worker:
    """One server. Raises InfraError where it does not start, levels.Unavailable where its level does not exist."""

    def __init__(self, setup: Setup) -> None:
        begin = _connecting if levels.contained(setup.level) else _inheriting
        self.control, self.process = begin(setup)
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
