"""Are files of problems read strictly, with errors that say where?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimtab.qcode.engine.protocol import AssertionTest, CallTest, TextTest
from trimtab.qcode.problems import format as layout
from trimtab.qcode.problems.format import Problem

CALL = {"kind": "call", "arguments": ["1 2 3"], "expected": "6"}


def record(**changes: Any) -> dict[str, Any]:
    return {"id": "a", "description": "Add up.", "entry_point": "solve", "language": "q", "tests": [CALL], **changes}


def write(tmp_path: Path, *records: object) -> Path:
    path = tmp_path / "problems.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
    return path


def test_a_problem_comes_back_as_it_was_written(tmp_path: Path) -> None:
    problems = [
        Problem("a", "Add up.", "solve", "q", (CallTest(("1 2",), "3", "exact"), TextTest("3", ("1 2",), None, False)),
                ("solve:{sum x}",), ({"type": "J", "most": 3},), ("lists",), "test"),
        Problem("b", "Add.", "add", "python", (CallTest((1, [2.5]), {"k": None}), AssertionTest("assert add(1)==1", "import os")),
                starter="def add", source="x", evaluation_only=True),
        Problem("c", "Show.", "solve", "q", (TextTest("1 2", None, "solve[58]"),)),
    ]  # fmt: skip
    path = tmp_path / "p.jsonl"
    layout.write(path, problems)
    assert layout.read(path) == problems


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": ""}, "field 'id': got '', expected a string that is not empty"),
        ({"language": "k"}, "field 'language': got 'k', expected one of q, python"),
        ({"split": "dev"}, "field 'split': got 'dev', expected one of train"),
        ({"tests": []}, "field 'tests'"),
        ({"tests": [{**CALL, "kind": "guess"}]}, r"field 'tests\[0\].kind': got 'guess'"),
        ({"tests": [CALL, {**CALL, "arguments": [1]}]}, r"field 'tests\[1\].arguments\[0\]': got 1, expected a string"),
        ({"tests": [{**CALL, "hidden": "yes"}]}, r"field 'tests\[0\].hidden': got 'yes', expected true or false"),
        ({"tests": [{**CALL, "expect": "6"}]}, r"field 'tests\[0\].expect': got '6', expected no such field"),
        ({"tests": [{"kind": "call", "arguments": []}]}, r"field 'tests\[0\].expected'.*missing"),
        ({"tests": [{"kind": "text", "expected": "1"}]}, "either arguments or an expression"),
        ({"tests": [{"kind": "assertion", "code": "assert 1"}]}, "assertions are for python"),
        ({"generator": [{"type": "J", "lowest": 1}]}, r"generator\[0\].*'lowest' is not known"),
        ({"generator": [{"type": "J", "low": 3, "high": 1}]}, "low 3 is above high 1"),
        ({"references": "solve"}, "field 'references': got 'solve', expected a list"),
        ({"evaluation_only": 1}, "field 'evaluation_only'"),
        ({"levels": 1}, "field 'levels'"),
    ],
)
def test_what_is_wrong_is_named_by_file_line_and_field(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = write(tmp_path, record(id="good"), record(**changes))
    with pytest.raises(ValueError, match=says) as error:
        layout.read(path)
    assert f"{path}, line 2" in str(error.value)


def test_files_that_are_no_problems(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 1: not JSON"):
        layout.read(write(tmp_path, "{"))
    with pytest.raises(ValueError, match="expected an object"):
        layout.read(write(tmp_path, [1]))
    with pytest.raises(ValueError, match="line 1 has it already"):
        layout.read(write(tmp_path, record(), record()))
    with pytest.raises(ValueError, match="holds no problem"):
        layout.read(write(tmp_path, ""))
    with pytest.raises(ValueError, match="no such file"):
        layout.read(tmp_path / "none.jsonl")


def test_fresh_arguments_follow_the_seed() -> None:
    problem = layout.from_record(record(generator=[{"type": "J", "least": 1}, {"type": "j", "index_of": 0}]), "here")
    assert problem.fresh_arguments(1, 5) == problem.fresh_arguments(1, 5) != problem.fresh_arguments(2, 5)
    with pytest.raises(ValueError, match="no generator"):
        layout.from_record(record(), "here").fresh_arguments(0, 1)
