"""Do programs that cheat, attack or misbehave get the grade that they deserve?"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from trimtab.qcode.engine.protocol import AssertionTest, CallTest, Limits, Program, Status, TextTest, Verdict
from trimtab.qcode.engine.sandboxed import Sandboxed

LIMITS = Limits(cpu_seconds=0.8, wall_seconds=4, memory_mib=128, result_bytes=100_000)
DOUBLED = [CallTest((1,), [2]), CallTest((5,), [10]), CallTest((-3,), [-6])]
SUMS = [CallTest(("1 2 3",), "6"), CallTest(("4 5",), "9"), TextTest("3", ("1 2",))]


@pytest.fixture(scope="module")
def python() -> Iterator[Sandboxed]:
    with Sandboxed("python", LIMITS, workers=1) as executor:
        yield executor


@pytest.fixture(scope="module")
def q() -> Iterator[Sandboxed]:
    with Sandboxed("q-embedded", LIMITS, workers=1) as executor:
        yield executor


def of_python(python: Sandboxed, code: str) -> Verdict:
    (verdict,) = python.run([Program(textwrap.dedent(code), "f", "python")], [DOUBLED])
    return verdict


def of_q(q: Sandboxed, code: str) -> Verdict:
    (verdict,) = q.run([Program(code, "f", "q")], [SUMS])
    return verdict


def children() -> set[int]:
    """All processes below this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


PYTHON: dict[str, tuple[str, Status]] = {
    "honest": ("def f(x): return [2 * x]", Status.PASSED),
    "a tuple is as good": ("def f(x): return (2.0 * x,)", Status.PASSED),
    "wrong": ("def f(x): return [x]", Status.WRONG),
    "nothing": ("", Status.ERROR),
    "print and exit": ("print('[2]'); import sys; sys.exit(0)", Status.ERROR),
    "os._exit": ("import os; print('[2]', flush=True); os._exit(0)", Status.ERROR),
    "SystemExit in the call": ("def f(x): raise SystemExit(0)", Status.ERROR),
    "exit while called": ("def f(x):\n import os; os._exit(0)", Status.ERROR),
    "always equal": (
        """
        class Yes(list):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 1
        def f(x): return Yes([x])
        """,
        Status.WRONG,
    ),
    "an object that equals all": (
        """
        class Yes:
            def __eq__(self, other): return True
        def f(x): return Yes()
        """,
        Status.ERROR,
    ),
    "a str that lies": (
        """
        class S(str):
            def __eq__(self, other): return True
            def __str__(self): return "[2]"
        def f(x): return S("no")
        """,
        Status.WRONG,
    ),
    "an endless generator": ("def f(x):\n while True: yield x", Status.ERROR),
    "an endless sequence": (
        """
        import collections.abc
        class Endless(collections.abc.Sequence):
            def __len__(self): return 1
            def __getitem__(self, i): return 2
        def f(x): return Endless()
        """,
        Status.TIMEOUT,
    ),
    "nested without end": ("def f(x):\n a = []\n a.append(a)\n return a", Status.ERROR),
    "deep recursion": ("def f(x): return f(x)", Status.ERROR),
    "deeper recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return [*map(f, [x])]",
        Status.ERROR,
    ),
    "huge value": ("def f(x): return ['a' * 1000] * 1000", Status.ERROR),
    "huge output": ("def f(x):\n while True: print('x' * 10000)", Status.TIMEOUT),
    "some output": ("def f(x):\n print('x' * 100000)\n return [2 * x]", Status.PASSED),
    "endless loop": ("while True: pass", Status.TIMEOUT),
    "sleep": ("import time\ndef f(x): time.sleep(100)", Status.TIMEOUT),
    "memory": ("def f(x): return len(bytearray(10**9))", Status.MEMORY),
    "memory in pieces": ("def f(x):\n a = []\n while True: a.append(bytearray(10**7))", Status.MEMORY),
    "memory, caught": (
        "def f(x):\n try: bytearray(10**10)\n except MemoryError: return [2 * x]",
        Status.PASSED,
    ),
    "fork": ("import os\ndef f(x):\n os.fork()\n return [2 * x]", Status.FORBIDDEN),
    "fork bomb": ("import os\nwhile True:\n try: os.fork()\n except BaseException: pass", Status.FORBIDDEN),
    "exec": ("import os\nos.execv('/bin/true', ['true'])", Status.FORBIDDEN),
    "a shell": ("import os\ndef f(x):\n os.system('true')\n return [2 * x]", Status.FORBIDDEN),
    "subprocess": ("import subprocess\nsubprocess.run(['true'])", Status.FORBIDDEN),
    "a thread": (
        "import threading\ndef f(x):\n t = threading.Thread(target=print)\n t.start()\n return [2 * x]",
        Status.FORBIDDEN,
    ),
    "kill the parent": ("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)", Status.FORBIDDEN),
    "kill the parent, quietly": (
        "import os\ndef f(x):\n try: os.kill(os.getppid(), 0)\n except BaseException: pass\n return [2 * x]",
        Status.FORBIDDEN,
    ),
    "kill all": ("import os\nos.kill(-1, 9)", Status.FORBIDDEN),
    "trace the parent": (
        "import ctypes, os\nctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)\ndef f(x): return [2 * x]",
        Status.FORBIDDEN,
    ),
    "network": ("import socket\nsocket.socket()", Status.FORBIDDEN),
    "write a file": ("def f(x): open('/tmp/trimtab-hack', 'w')", Status.FORBIDDEN),
    "delete": ("import os\nos.unlink('/tmp/trimtab-nothing')", Status.FORBIDDEN),
    "read a file": ("def f(x): return open('/etc/passwd').read()", Status.FORBIDDEN),
    "read the tests": (f"T = open({__file__!r}).read()\ndef f(x): return [2 * x]", Status.FORBIDDEN),
    "read memory of the parent": ("import os\nopen(f'/proc/{os.getppid()}/mem', 'rb').read(1)", Status.FORBIDDEN),
    "a system call of old": (
        "import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)\ndef f(x): return [2 * x]",
        Status.FORBIDDEN,
    ),
    "machine code": (
        "import mmap\ndef f(x): return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
        Status.FORBIDDEN,
    ),
    "no timer": (
        "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0)\ndef f(x):\n while True: pass",
        Status.FORBIDDEN,
    ),
    "no handler": (
        """
        import signal
        try:
            signal.signal(signal.SIGPROF, lambda *a: None)
        except OSError:
            pass
        while True: pass
        """,
        Status.TIMEOUT,
    ),
    "more than it may": (
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))\ndef f(x): return [2 * x]",
        Status.ERROR,
    ),
    "json that answers": (
        """
        import json
        json.dumps = lambda *a, **k: '[2]'
        json.loads = lambda *a, **k: [1]
        def f(x): return [x]
        """,
        Status.WRONG,
    ),
    "builtins that answer": (
        """
        import builtins
        builtins.len = lambda x: 0
        builtins.isinstance = lambda *a: True
        builtins.type = lambda *a: list
        def f(x): return [x]
        """,
        Status.ERROR,
    ),
    "the runner's own answers": (
        """
        import sys
        a = sys.modules['trimtab.qcode.engine.sandbox.answers']
        a.VALUE = a.FAILED = a.PASSED
        def f(x): return [x]
        """,
        Status.ERROR,
    ),
    "closed channel": (
        "import os\nfor n in range(64):\n try: os.close(n)\n except OSError: pass\nimport time\ntime.sleep(99)",
        Status.ERROR,
    ),
    "crash": ("import ctypes\nctypes.string_at(0)", Status.ERROR),
    "abort": ("import os\nos.abort()", Status.ERROR),
    "a syntax error": ("def f(x: return", Status.ERROR),
    "null bytes": ("\0", Status.ERROR),
    "surrogates": ("def f(x): return '\\ud800'", Status.WRONG),
}


@pytest.mark.parametrize("name", PYTHON)
def test_python(python: Sandboxed, name: str) -> None:
    code, status = PYTHON[name]
    verdict = of_python(python, code)
    assert verdict.status == status, verdict
    assert verdict.isolation == "seccomp"
    assert not verdict.weak
    assert python.pool.replaced == 0


def test_forged_frames(python: Sandboxed) -> None:
    code = """
    import os, struct
    frames = [b"p", b"v[2]", b"v[10]", b"v[-6]", b"R{}", b'f["passed","","",false]', b"E" + bytes(30)]
    for descriptor in range(64):
        for frame in %s:
            try:
                os.write(descriptor, struct.pack(">I", len(frame)) + frame)
            except OSError:
                pass
    def f(x): return [0]
    """
    for forged in ("frames", "frames[:1] * 9", "frames[4:]", "[b'v[0]'] * 9"):
        verdict = of_python(python, code % forged)
        assert not any(test.status == Status.PASSED for test in verdict.tests), verdict
    assert of_python(python, PYTHON["honest"][0]).passed
    assert python.pool.replaced == 0


def test_frames_that_announce_too_much(python: Sandboxed) -> None:
    code = "import os\nos.write(3, b'\\xff\\xff\\xff\\xff' + bytes(10))\ndef f(x): return [2 * x]"
    verdict = of_python(python, code)
    assert verdict.status == Status.ERROR
    assert "sent more than" in verdict.detail
    flood = "import os\nwhile True: os.write(3, bytes(100000))"
    assert of_python(python, flood).status == Status.ERROR


def test_keys_that_collide_cost_the_grader_nothing(python: Sandboxed) -> None:
    code = "def f(x): return {i * (2**61 - 1): 1 for i in range(100)}"
    assert of_python(python, code).status == Status.WRONG
    forged = """
    import os, struct
    pairs = ",".join('[{"i":"%s"},1]' % hex(i * (2**61 - 1)) for i in range(2500))
    frame = ('v{"d":[' + pairs + ']}').encode()
    os.write(3, struct.pack(">I", len(frame)) + frame)
    """
    assert of_python(python, forged).status == Status.WRONG


def test_expected_values_are_nowhere_in_the_process(python: Sandboxed) -> None:
    code = """
    import gc, sys
    def texts():
        seen = []
        for o in gc.get_objects():
            if isinstance(o, (dict, list, tuple)):
                seen += [x for x in (o.values() if isinstance(o, dict) else o) if isinstance(x, (str, bytes))]
        frame = sys._getframe()
        while frame:
            seen += [repr(v)[:100000] for v in frame.f_locals.values() if not isinstance(v, list)]
            frame = frame.f_back
        return seen
    def f(x):
        marks = [t for t in texts() if ("needle-%d" % 4711 in t if isinstance(t, str) else b"needle-%d" % 4711 in t)]
        return "found" if marks else "clean"
    """
    program = Program(textwrap.dedent(code), "f", "python")
    (verdict,) = python.run([program], [[CallTest((1,), "clean"), CallTest((1,), "needle-4711")]])
    assert [test.status for test in verdict.tests] == [Status.PASSED, Status.WRONG]


def test_assertions_are_not_beside_the_program(python: Sandboxed) -> None:
    test = AssertionTest(
        "def check(candidate):\n    assert candidate(1) == [2]\n    assert candidate(2) == [4]", call="check"
    )
    codes = {
        "def f(x): return [2 * x]": Status.PASSED,
        "def f(x): return [2]": Status.WRONG,
        "def f(x):\n import os; os._exit(0)": Status.ERROR,
        "def f(x): return 1 / 0": Status.ERROR,
        "def f(x):\n while True: pass": Status.TIMEOUT,
        "class Y(list):\n def __eq__(s, o): return True\ndef f(x): return Y([7])": Status.WRONG,
        "class Y:\n def __eq__(s, o): return True\ndef f(x): return Y()": Status.ERROR,
        "import os\nos.write(3, b'\\0\\0\\0\\1p' * 5)\ndef f(x): return [0]": Status.ERROR,
        "import os\nos.write(3, b'\\0\\0\\0\\4v[2]')\ndef f(x): return [2]": Status.WRONG,
        "import builtins\nbuiltins.AssertionError = Exception\ndef f(x): return [2]": Status.WRONG,
        "def f(x): raise AssertionError('no')": Status.ERROR,
        "import os\ndef f(x): os.fork()": Status.FORBIDDEN,
        "raise SystemExit": Status.ERROR,
    }
    verdicts = python.run([Program(code, "f", "python") for code in codes], [[test]] * len(codes))
    assert {code: verdict.status for code, verdict in zip(codes, verdicts, strict=True)} == codes
    assert not any(verdict.weak for verdict in verdicts)


def test_assertions_whose_arguments_have_no_plain_form_are_weak(python: Sandboxed) -> None:
    test = AssertionTest("assert f(lambda x: x + 1) == 2")
    good, bad = Program("def f(g): return g(1)", "f", "python"), Program("def f(g): return 7", "f", "python")
    verdicts = python.run([good, bad], [[test]] * 2)
    assert [(v.status, v.weak) for v in verdicts] == [(Status.PASSED, True), (Status.WRONG, True)]


Q: dict[str, tuple[str, Status]] = {
    "honest": ("f:{sum x}", Status.PASSED),
    "wrong": ("f:{first x}", Status.WRONG),
    "nothing": ("", Status.ERROR),
    "print and exit": ('-1 "6"; exit 0', Status.FORBIDDEN),
    "exit in the call": ("f:{show 6; exit 0}", Status.FORBIDDEN),
    "comment that swallows": ("f:{6}\n/", Status.WRONG),
    "comment before": ("/\nf:{sum x}", Status.ERROR),
    "show assigned": ('show:{-1 "6";}; f:{0}', Status.ERROR),
    "redefined show": (".q.show:{6}; f:{show 6; 0}", Status.WRONG),
    "redefined match": ('.q.sum:{6}; .q.til:{x}; .Q.s:{"6"}; f:{7}', Status.WRONG),
    "answer as a variable": ("f:{[v] answer:sum v; answer}", Status.PASSED),
    "deep recursion": ("f:{.z.s x}", Status.ERROR),
    "deep recursion, trapped": ("f:{@[.z.s;x;{sum y}[;x]]}", Status.PASSED),
    "endless loop": ("f:{while[1b;x+:1]}", Status.TIMEOUT),
    "endless loop, trapped": ("f:{@[{while[1b;x+:1]};x;{6}]}", Status.TIMEOUT),
    "memory": ("f:{sum til 100000000000}", Status.MEMORY),
    "huge output": ('f:{do[1000;-1 (1000#"x")]; sum x}', Status.PASSED),
    "huge value": ("f:{200000#x}", Status.ERROR),
    "console size": ("\\c 10 10\nf:{sum x}", Status.PASSED),
    "system": ('system "ls"\nf:{sum x}', Status.FORBIDDEN),
    "a file": ("f:{read0 `:/etc/passwd}", Status.FORBIDDEN),
    "a connection": ("f:{hopen 5000}", Status.FORBIDDEN),
    "an error": ("f:{'oops}", Status.ERROR),
    "a syntax error": ("f:{", Status.ERROR),
    "a function": ("f:{{x+y}}", Status.WRONG),
}


@pytest.mark.parametrize("name", Q)
def test_q(q: Sandboxed, name: str) -> None:
    code, status = Q[name]
    verdict = of_q(q, code)
    assert verdict.status == status, verdict
    assert q.pool.replaced == 0


def test_nothing_is_left_running() -> None:
    before = children()
    with Sandboxed("python", LIMITS, workers=2) as executor:
        programs = [Program(textwrap.dedent(code), "f", "python") for code, _ in PYTHON.values()]
        verdicts = executor.run(programs, [DOUBLED] * len(programs))
        assert len(children() - before) == 2
    assert [verdict.status for verdict in verdicts] == [status for _, status in PYTHON.values()]
    assert children() == before
