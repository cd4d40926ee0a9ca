"""The engines q-binary and pykx against stand-ins: a program q and a package pykx, both over the embedded interpreter."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from qcode.engine import standing
from trimtab.qcode.engine import engines
from trimtab.qcode.engine.kdb import fresh, real
from trimtab.qcode.engine.kdb.binary import Binary
from trimtab.qcode.engine.kdb.licensed import Pykx
from trimtab.qcode.engine.protocol import CallTest, InfraError, Limits, Program, Status, TextTest
from trimtab.qcode.engine.sandbox.levels import Unavailable

SOURCES = [str(Path(fresh.__file__).parents[4]), str(Path(standing.__file__).parents[2])]
TESTS = [CallTest(("1 2", "3"), "4 5"), TextTest("4 5", arguments=("1 2", "3"))]
SCRIPT = f"""#!{sys.executable}
import sys, time
sys.path[:0] = {SOURCES}
{{before}}
from qcode.engine import standing
standing.main(sys.argv[1:])
"""
PACKAGE = """
import os
licensed = {licensed}
{before}
from qcode.engine import standing
from trimtab.qcode.q.errors import Exit, Limits, QError
from trimtab.qcode.q.session import Session
from trimtab.qcode.q.values import chars, text_of

_session = Session(Limits(steps=10**12, seconds=None))

class _Found:
    def __init__(self, value): self.value = value
    def py(self): return text_of(self.value).encode("latin-1")
    def __call__(self, given):
        try: return _Found(_session.apply(self.value, [chars(given.decode())]))
        except Exit as left: os._exit(left.status)

def q(text):
    return _Found(_session.value(text))
"""


def _program(folder: Path, before: str = "") -> None:
    path = folder / "q"
    path.write_text(SCRIPT.format(before=before), encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(real, "PAUSES", (0.01, 0.01))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.syspath_prepend(str(tmp_path))
    for source in SOURCES:
        monkeypatch.syspath_prepend(source)
    return tmp_path


def _package(folder: Path, licensed: bool = True, before: str = "") -> None:
    (folder / "pykx.py").write_text(PACKAGE.format(licensed=licensed, before=before), encoding="utf-8")


CODES = {
    "f:{x+y}": Status.PASSED,
    "f:{x-y}": Status.WRONG,
    "f:{x+`a}": Status.ERROR,
    "f:{[x;y] exit 3}": Status.ERROR,
    "f:{[x;y] til 1000000}": Status.ERROR,
    "f:{[x;y] while[1b;]}": Status.TIMEOUT,
    "exit 0": Status.ERROR,
}
LIMITS = Limits(cpu_seconds=1, wall_seconds=3)


def test_verdicts_of_a_program_q(path: Path) -> None:
    _program(path)
    engine = engines.engine("q-binary", isolation="rlimits", limits=LIMITS, workers=2)
    verdicts = engine.run([Program(code, "f") for code in CODES], [TESTS] * len(CODES))
    assert dict(zip(CODES, [verdict.status for verdict in verdicts], strict=True)) == CODES
    assert {verdict.isolation for verdict in verdicts} == {"rlimits"}
    assert "status 3" in verdicts[3].detail
    assert "processor time" in verdicts[5].detail or "in time" in verdicts[5].detail


def test_verdicts_of_pykx(path: Path) -> None:
    _package(path)
    engine = engines.engine("pykx", isolation="rlimits", limits=LIMITS, workers=2)
    verdicts = engine.run([Program(code, "f") for code in CODES], [TESTS] * len(CODES))
    assert dict(zip(CODES, [verdict.status for verdict in verdicts], strict=True)) == CODES
    assert engine.run([Program("f:{x,y}", "f")], [[CallTest(('"\u00e4"', "`b"), '"\u00e4",`b')]])[0].passed


def test_no_program_sees_what_another_left(path: Path) -> None:
    _program(path)
    with Binary(isolation="rlimits", workers=1) as engine:
        codes = ["g:{x+y}\nf:{g[x;y]}", "f:{g[x;y]}"]
        verdicts = engine.run([Program(code, "f") for code in codes], [TESTS] * 2)
    assert [verdict.status for verdict in verdicts] == [Status.PASSED, Status.ERROR]


def test_processes_see_no_secrets_and_are_gone_afterwards(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    _program(path, f"import os\nopen({str(path / 'seen')!r}, 'a').write(f'{{os.getpid()}} {{sorted(os.environ)}}\\n')")
    assert Binary(isolation="rlimits").run([Program("f:{x+y}", "f")], [TESTS])[0].passed
    pid, seen = (path / "seen").read_text(encoding="utf-8").split(" ", 1)
    assert "SECRET_TOKEN" not in seen
    assert not Path(f"/proc/{pid}").exists()


ENDS = {
    'sys.exit("\'2026.11.26T10:00:00.000 k4.lic")': "has no licence .*k4.lic.*QHOME",
    "print('usage: q [-t] SQL', file=sys.stderr); sys.exit(2)": "status 2 .*usage: q.*is it kdb",
}


@pytest.mark.parametrize("before", ENDS)
def test_a_program_q_that_ends_at_once(path: Path, before: str) -> None:
    _program(path, before)
    with pytest.raises(fresh.Unusable, match=ENDS[before]):
        Binary(isolation="rlimits").run([Program("f:{x+y}", "f")], [TESTS])


def test_a_licence_daemon_is_tried_again(path: Path) -> None:
    once = path / "once"
    _program(
        path,
        f"import pathlib\nif not pathlib.Path({str(once)!r}).exists():\n    pathlib.Path({str(once)!r}).touch()\n"
        "    sys.exit(\"'couldn't connect to license daemon\")",
    )
    assert Binary(isolation="rlimits").run([Program("f:{x+y}", "f")], [TESTS])[0].passed
    _program(path, "sys.exit(\"'couldn't connect to license daemon\")")
    with pytest.raises(InfraError, match=r"failed 3 times.*licence daemon"):
        Binary(isolation="rlimits").run([Program("f:{x+y}", "f")], [TESTS])


def test_a_program_q_that_hangs_at_start(path: Path) -> None:
    _program(path, "time.sleep(60)")
    begun = time.monotonic()
    with pytest.raises(InfraError, match=r"failed 3 times.*took no link in 0\.2 s"):
        Binary(isolation="rlimits", start_seconds=0.2).run([Program("f:{x+y}", "f")], [TESTS])
    assert time.monotonic() - begun < 10


def test_a_program_q_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(fresh.Unusable, match="no program q on PATH"):
        Binary(isolation="rlimits").run([Program("f:{x+y}", "f")], [TESTS])


BROKEN = {
    "licensed = False": "has no licence",
    "raise ImportError('licence error: k4.lic')": "has no licence .*k4.lic",
    "raise ImportError('libq.so')": "cannot be imported: ImportError: libq.so",
}


@pytest.mark.parametrize("before", BROKEN)
def test_pykx_that_cannot_be_used(path: Path, before: str) -> None:
    _package(path, before=before)
    with pytest.raises(fresh.Unusable, match=BROKEN[before]):
        Pykx(isolation="rlimits").run([Program("f:{x+y}", "f")], [TESTS])


def test_pykx_that_is_not_installed() -> None:
    with pytest.raises(fresh.Unusable, match="not installed: pip install pykx"):
        Pykx(isolation="rlimits").run([Program("f:{x+y}", "f")], [TESTS])
    assert "pykx" not in sys.modules


@pytest.mark.parametrize("name", ["q-binary", "pykx"])
@pytest.mark.parametrize("wish", ["auto", "seccomp", "docker"])
def test_isolation_that_is_not_there_is_refused(name: str, wish: str) -> None:
    with pytest.raises(Unavailable, match="'rlimits' only"):
        engines.engine(name, isolation=wish)


def test_verdicts_are_remembered_for_one_version(path: Path) -> None:
    _program(path)
    engine = Binary(isolation="rlimits", cached=True)
    assert engine.identity().startswith("4")
    for _ in range(2):
        assert engine.run([Program("f:{x+y}", "f")], [TESTS])[0].passed
    assert engine.verdicts is not None
    assert (engine.verdicts.misses, engine.verdicts.hits) == (1, 1)
