"""Does each level of isolation grade, hold what it promises, and fail closed where it is not to be had?"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from pathlib import Path

import pytest

from trimtab.qcode.engine.protocol import CallTest, Limits, Program, Status
from trimtab.qcode.engine.sandbox import levels
from trimtab.qcode.engine.sandboxed import Sandboxed

LIMITS = Limits(cpu_seconds=0.5, wall_seconds=5, memory_mib=128)
TESTS = [CallTest((1,), 2), CallTest((4,), 8)]
BWRAP = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
CODES = {
    "def f(x): return 2 * x": {Status.PASSED},
    "def f(x): return x": {Status.WRONG},
    "def f(x):\n while True: pass": {Status.TIMEOUT},
    "def f(x): bytearray(10**10)": {Status.MEMORY},
    "import os\nos.fork()\ndef f(x): return 2 * x": {Status.FORBIDDEN},
    "with open('HACKED', 'w') as file: file.write('x')\ndef f(x): return 2 * x": {Status.FORBIDDEN},
    "import os\nos.kill(os.getppid(), 9)\ndef f(x): return 2 * x": {Status.FORBIDDEN},
}


@pytest.mark.parametrize(
    "level",
    ["seccomp", "rlimits", pytest.param("bubblewrap", marks=BWRAP), pytest.param("bubblewrap+seccomp", marks=BWRAP)],
)
def test_a_level_grades(level: levels.Isolation) -> None:
    hacked = Path(f"/tmp/trimtab-hack-{level}-{os.getpid()}")  # any user may make a file there
    with Sandboxed("python", LIMITS, workers=1, isolation=level) as executor:
        assert executor.isolation == level
        codes = [code.replace("HACKED", str(hacked)) for code in CODES]
        verdicts = executor.run([Program(code, "f", "python") for code in codes], [TESTS] * len(CODES))
        assert executor.pool.replaced == 0
    if hacked.exists():  # limits alone let a file be made, but nothing be written to it
        assert level == "rlimits"
        assert hacked.stat().st_size == 0
        hacked.unlink()
    wrong = [(c, v) for (c, good), v in zip(CODES.items(), verdicts, strict=True) if v.status not in good]
    assert wrong == []
    assert {verdict.isolation for verdict in verdicts} == {level}


@BWRAP
def test_namespaces_have_no_network_and_no_other_processes() -> None:
    code = """
import os, socket
def f(x):
    if x == 1:
        return sorted(name for _, name in socket.if_nameindex())
    return len([name for name in os.listdir("/proc") if name.isdigit()]) < 6
"""
    with Sandboxed("python", LIMITS, workers=1, isolation="bubblewrap") as executor:
        (verdict,) = executor.run([Program(code, "f", "python")], [[CallTest((1,), ["lo"]), CallTest((2,), True)]])
    assert verdict.passed, verdict


def test_a_level_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    lacking = pytest.raises(levels.Unavailable, match=r"install the package bubblewrap.*isolation='rlimits'")
    with Sandboxed("python", LIMITS, workers=1, isolation="bubblewrap") as executor, lacking:
        executor.run([Program("", "f", "python")], [TESTS])
    with pytest.raises(ValueError, match="'strong' is not known: expected one of auto, seccomp"):
        Sandboxed("python", isolation="strong")  # pyright: ignore[reportArgumentType]


def test_auto_never_goes_below_bubblewrap() -> None:
    assert "rlimits" not in levels.candidates("auto")
    assert next(iter(levels.candidates("auto"))) == "seccomp"


FAKE_DOCKER = """#!{python}
# Notes its arguments, then runs the command behind the image here, in the environment that was asked for.
import os, sys
words = sys.argv[1:]
open({notes!r}, "w").write("\\n".join(words))
place = words.index("an/image:1") + 1
asked = [words[n + 1] for n, word in enumerate(words) if word == "--env"]
os.execve(words[place], words[place:], dict(text.split("=", 1) for text in asked))
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called docker on PATH; the file in which it notes how it was called."""
    notes = tmp_path / "notes"
    program = tmp_path / "docker"
    program.write_text(FAKE_DOCKER.format(python=sys.executable, notes=str(notes)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("TRIMTAB_SANDBOX_IMAGE", "an/image:1")
    return notes


def test_docker_grades_in_a_container_that_can_do_nothing(docker: Path) -> None:
    codes = {code: good for code, good in CODES.items() if "HACKED" not in code}
    with Sandboxed("python", LIMITS, workers=1, isolation="docker") as executor:
        assert executor.isolation == "docker"
        verdicts = executor.run([Program(code, "f", "python") for code in codes], [TESTS] * len(codes))
    assert all(v.status in good for v, good in zip(verdicts, codes.values(), strict=True)), verdicts
    words = docker.read_text().split("\n")
    pairs = set(itertools.pairwise(words))
    assert words[:2] == ["run", "--rm"]
    assert {("--network", "none"), ("--cap-drop", "ALL"), ("--security-opt", "no-new-privileges")} <= pairs
    assert {("--user", "65534:65534"), ("--pids-limit", "64")} <= pairs
    assert "--read-only" in words
    volumes = [word for flag, word in pairs if flag == "--volume"]
    assert len([word for word in volumes if not word.endswith(":ro")]) == 1  # where the socket lies, and nothing else


def test_docker_without_a_daemon_is_an_error(docker: Path) -> None:
    (docker.parent / "docker").write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    lacking = pytest.raises(levels.Unavailable, match="'docker' is not to be had here: Cannot connect")
    with Sandboxed("python", LIMITS, workers=1, isolation="docker") as executor, lacking:
        executor.isolation  # noqa: B018


def test_no_docker_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    lacking = pytest.raises(levels.Unavailable, match="needs the program docker on PATH")
    with Sandboxed("python", LIMITS, workers=1, isolation="docker") as executor, lacking:
        executor.isolation  # noqa: B018
