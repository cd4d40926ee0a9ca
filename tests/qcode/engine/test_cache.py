"""Is a verdict remembered for exactly what it was given for?"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from trimtab.qcode.engine import cache
from trimtab.qcode.engine.cache import VerdictCache, key
from trimtab.qcode.engine.protocol import CallTest, Limits, Program, Status, TestResult, Verdict
from trimtab.qcode.engine.sandboxed import Sandboxed

PROGRAM = Program("def f(x): return x", "f", "python")
TEST = CallTest((1,), [1])
GOOD = Verdict((TestResult(Status.PASSED), TestResult(Status.WRONG, "gave 1")), "seccomp", True, 0.25, 0.5)


def a_key(
    engine: str = "python",
    level: str = "seccomp",
    limits: Limits = Limits(),  # noqa: B008
    program: Program = PROGRAM,
    tests: tuple[CallTest, ...] = (TEST,),
    more: tuple[str, ...] = (),
) -> str:
    return key(engine, level, limits, program, tests, more)


def test_whatever_a_verdict_depends_on_is_in_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        a_key(),
        a_key(engine="q-embedded"),
        a_key(level="rlimits"),
        a_key(limits=Limits(cpu_seconds=3)),
        a_key(program=replace(PROGRAM, code="def f(x): return  x")),
        a_key(program=replace(PROGRAM, entry_point="g")),
        a_key(tests=(TEST, TEST)),
        a_key(tests=(replace(TEST, arguments=(2,)),)),
        a_key(tests=(replace(TEST, arguments=(1.0,)),)),
        a_key(tests=(replace(TEST, expected=(1,)),)),
        a_key(tests=(replace(TEST, expected={1: 2}),)),
        a_key(tests=(replace(TEST, expected={"1": 2}),)),
        a_key(tests=(replace(TEST, expected={1, 2}),)),
        a_key(tests=(replace(TEST, expected=frozenset({1, 2})),)),
        a_key(tests=(replace(TEST, comparison="exact"),)),
        a_key(more=("numpy",)),
    ]
    assert a_key() == keys[0]
    monkeypatch.setattr(cache, "engine_digest", lambda language: "another version")
    keys.append(a_key())
    assert len(set(keys)) == len(keys)


def test_the_engines_source_is_part_of_its_version() -> None:
    assert cache.engine_digest("q") != cache.engine_digest("python")
    assert len(cache.engine_digest("q")) == 64


def test_a_file_keeps_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "verdicts.sqlite"
    late = Verdict((TestResult(Status.TIMEOUT, "slow"),))
    VerdictCache(path).keep({"a": GOOD, "late": late})
    other = VerdictCache(path)
    found = other.find(["a", "late", "b", "a"])
    assert found == {"a": GOOD}
    assert found["a"].cpu_seconds == 0.25
    assert (other.hits, other.misses) == (2, 2)
    assert sqlite3.connect(path).execute("SELECT count(*) FROM verdicts").fetchone() == (1,)


def test_memory_forgets_the_oldest() -> None:
    kept = VerdictCache(most=2)
    for name in "abc":
        kept.keep({name: GOOD})
    assert set(kept.find(list("abc"))) == {"b", "c"}


def test_a_file_that_is_no_cache(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("nothing that a database would be" * 100)
    with pytest.raises(ValueError, match="no cache of verdicts"):
        VerdictCache(path)


def test_an_executor_runs_what_is_new_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandboxed("python", Limits(cpu_seconds=0.3, wall_seconds=5), workers=1, cached=True) as executor:
        ran: list[int] = []
        graded = executor._graded  # pyright: ignore[reportPrivateUsage]

        def counted(programs: list[Program], tests: list[list[CallTest]]) -> list[Verdict]:
            ran.append(len(programs))
            return graded(programs, tests)

        monkeypatch.setattr(executor, "_graded", counted)
        wrong = replace(PROGRAM, code="def f(x): return [x, x]")
        right = replace(PROGRAM, code="def f(x): return [x]")
        endless = replace(PROGRAM, code="while True: pass")
        first = executor.run([right, wrong, right, endless], [[TEST]] * 4)
        second = executor.run([endless, right, wrong], [[TEST]] * 3)
    assert [v.status for v in first] == [Status.PASSED, Status.WRONG, Status.PASSED, Status.TIMEOUT]
    assert [v.status for v in second] == [Status.TIMEOUT, Status.PASSED, Status.WRONG]
    assert ran == [3, 1]  # the timeout is tried again
