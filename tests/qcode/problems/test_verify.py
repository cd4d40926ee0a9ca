"""Does verification find what is wrong with a problem?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from trimtab.cli import run
from trimtab.qcode.engine.engines import engine
from trimtab.qcode.engine.protocol import CallTest, Executor, Limits, Status, TextTest
from trimtab.qcode.problems import format as layout
from trimtab.qcode.problems import mutants, verify
from trimtab.qcode.problems.format import Problem

GOOD = Problem(
    "good", "Add up twice the items.", "solve", "q",
    (CallTest(("1 2 3",), "12", hidden=False), CallTest(("4 5",), "18"), CallTest(("enlist 7",), "14"), CallTest(("`long$()",), "0")),
    ("solve:{[x] sum 2*x}",), tags=("lists",),
)  # fmt: skip


@pytest.fixture(scope="module")
def q() -> Iterator[Executor]:
    executor = engine("q-embedded", workers=1, limits=Limits(cpu_seconds=0.5, wall_seconds=5))
    yield executor
    executor.close()


def check(problem: Problem, q: Executor) -> verify.Check:
    return verify.verify([problem], q, verify.Settings())[0]


def test_a_good_problem_is_sound(q: Executor) -> None:
    found = check(GOOD, q)
    assert found.sound
    assert found.mutants > 3
    assert found.kill_rate == 1.0


def test_a_wrong_reference_is_found(q: Executor) -> None:
    found = check(replace(GOOD, references=("solve:{[x] sum 3*x}",)), q)
    assert not found.sound
    assert "gave 18, expected 12" in found.detail


def test_a_problem_without_reference_is_not_sound(q: Executor) -> None:
    assert not check(replace(GOOD, references=()), q).sound


def test_weak_tests_show_in_the_kill_rate(q: Executor) -> None:
    weak = replace(GOOD, tests=(CallTest(("0 0",), "0", hidden=False), CallTest(("enlist 0",), "0")))
    assert check(weak, q).kill_rate < 0.7
    assert "solve:{[a0] 0}" in check(weak, q).survivors


def test_programs_cannot_change_what_is_expected(q: Executor) -> None:
    cheat = GOOD.program(".q.sum:{0}; .q.neg:{0}; solve:{[x] sum x}")
    (verdict,) = q.run([cheat], [GOOD.tests])
    assert not any(test.status == Status.PASSED for test in verdict.tests[:3])


def test_console_text(q: Executor) -> None:
    tests = [TextTest("2 4", ("1 2",)), TextTest("2 4 ", None, "solve 1 2"), TextTest("2 5", ("1 2",))]
    (verdict,) = q.run([GOOD.program("solve:{[x] 2*x}")], [tests])
    assert [test.status for test in verdict.tests] == [Status.PASSED, Status.PASSED, Status.WRONG]


def test_endless_loops_end(q: Executor) -> None:
    (verdict,) = q.run([GOOD.program("solve:{[x] while[1b;x+:1]; x}")], [GOOD.tests[:1]])
    assert verdict.status == Status.TIMEOUT


def test_mutants_differ_in_one_token() -> None:
    found = mutants.of_code('solve:{[x] a:"x+y"; first each x where x>=3}')
    assert 'solve:{[x] a:"x+y"; last each x where x>=3}' in found
    assert 'solve:{[x] a:"x+y"; first each x where x>3}' in found
    assert 'solve:{[x] a:"x+y"; first each x where x>=4}' in found
    assert 'solve:{[x] a:"x+y"; first  x where x>=3}' in found
    assert all('"x+y"' in mutant for mutant in found)
    assert len(set(found)) == len(found)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "p.jsonl", tmp_path / "out.json"
    layout.write(path, [GOOD])
    assert run(["qcode", "verify", str(path), "--json", str(out)]) == 0
    assert "kill rate" in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["rows"][-1]["kill_rate"] == 1.0
    assert found["problems"][0]["sound"] is True
    layout.write(path, [GOOD, replace(GOOD, id="bad", references=("solve:{[x] 1}",))])
    assert run(["qcode", "verify", str(path)]) == 1
    assert "bad: wrong" in capsys.readouterr().out
    assert run(["qcode", "verify", str(tmp_path / "none")]) == 2
