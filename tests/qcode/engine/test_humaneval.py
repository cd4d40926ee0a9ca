"""Do published python problems grade as they must? HumanEval's solutions all pass, its prompts alone all fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab.qcode.engine.engines import engine
from trimtab.qcode.engine.protocol import Limits
from trimtab.qcode.problems.readers import read_humaneval


@pytest.mark.timeout(240)
def test_solutions_pass_and_prompts_fail(shared: Path) -> None:
    path = shared / "data" / "humaneval" / "HumanEval.jsonl.gz"
    problems = read_humaneval(path).problems
    assert len(problems) == 164
    executor = engine("python", limits=Limits(cpu_seconds=5, wall_seconds=20))
    try:
        tests = [problem.tests for problem in problems]
        right = executor.run([problem.program(problem.references[0]) for problem in problems], tests)
        wrong = executor.run([problem.program(problem.starter) for problem in problems], tests)
    finally:
        executor.close()
    assert [(p.id, v.status, v.detail) for p, v in zip(problems, right, strict=True) if not v.passed] == []
    assert [p.id for p, v in zip(problems, wrong, strict=True) if v.passed] == []
    assert sum(verdict.weak for verdict in right) == 0
