"""Are published layouts read, and is what cannot be kept reported?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimtab.cli import run
from trimtab.qcode.engine.protocol import AssertionTest, CallTest, TextTest
from trimtab.qcode.problems import format as layout
from trimtab.qcode.problems import readers


def rows(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def folder(root: Path, split: str, name: str, files: dict[str, str]) -> None:
    place = root / split / name
    place.mkdir(parents=True)
    for file, content in files.items():
        (place / file).write_text(content)


def test_folders_of_the_q_leetcode_data(tmp_path: Path) -> None:
    cases = {f"q_test_case_{n}.q": f"result:solve[{n}];\nshow result;" for n in (1, 2, 10)}
    shown = {f"q_exact_ans_test_case_{n}.txt": f"{2 * n}\n" for n in (1, 2, 10)}
    entry = {"entry.json": json.dumps({"difficulty": "Easy", "tags": ["Math"]})}
    folder(
        tmp_path,
        "train",
        "two",
        {"problem_description.txt": "Double.", "q_sol.q": "solve:{2*x}", **cases, **shown, **entry},
    )
    silent = {"q_test_case_1.q": "result:solve[1];\nshow result;", "q_exact_ans_test_case_1.txt": ""}
    folder(tmp_path, "test", "silent", {"problem_description.txt": "Nothing.", **silent})
    folder(tmp_path, "test", "bare", {})
    found = readers.read_sft(tmp_path)
    (problem,) = found.problems
    assert problem.tests == tuple(TextTest(str(2 * n), None, f"solve[{n}]") for n in (1, 2, 10))
    assert problem.split == "train"
    assert problem.tags == ("Easy", "Math")
    assert problem.references == ("solve:{2*x}",)
    assert dict(found.left_out).keys() == {"silent", "bare"}
    with pytest.raises(ValueError, match="holds no folders"):
        readers.read_sft(tmp_path / "train")


def test_rows_of_the_hub(tmp_path: Path) -> None:
    row = {
        "problem_name": "two",
        "problem_description": "Double.",
        "q_solution": "solve:{2*x}",
        "tags": None,
        "difficulty": "Easy",
        "test_cases": [{"q_test_code": "result:solve[1 2];\nshow result;", "q_expected_output": "2 4"}],
    }
    found = readers.read_hub(rows(tmp_path / "test.jsonl", row, {**row, "problem_name": "x", "test_cases": []}))
    assert found.problems[0].tests == (TextTest("2 4", None, "solve[1 2]"),)
    assert found.problems[0].split == "test"
    assert found.left_out[0][0] == "x"
    with pytest.raises(ValueError, match=r"line 1: field 'problem_name'.*the row has"):
        readers.read_hub(rows(tmp_path / "bad.jsonl", {"name": "x"}))


@pytest.mark.parametrize(
    ("code", "expression"),
    [
        ("result:solve[58];\nshow result;", "solve[58]"),
        ("result: solve[(1 2;3 4)]\r\nshow result", "solve[(1 2;3 4)]"),
        ("show solve[1];", "solve[1]"),
        ('/ a test\nresult:solve["a;b"];\nshow result;', 'solve["a;b"]'),
        ("result:solve[1];", None),
        ("", None),
    ],
)
def test_what_a_q_test_shows(code: str, expression: str | None) -> None:
    assert readers.q_expression(code) == expression


def test_q_humaneval(tmp_path: Path) -> None:
    check = "\n".join(
        [
            "METADATA = {'author': 'x'}",
            "def check(candidate):",
            "    assert candidate([1, 2.5], 'a') == [True, False]",
            "    assert candidate([]) is None, 'why'",
            "    assert not candidate('ab')",
            "    assert candidate(-2) == {'a': [1, [2]]}",
            "    assert abs(candidate(2) - 0.5) < 1e-6",
            "    assert True",
            "    assert candidate(f(1)) == 2",
            "    for i in range(3):",
            "        assert candidate(i) == i",
            "    assert candidate(2 ** 3)",
        ]
    )
    row = {
        "task_id": "Q/0",
        "prompt": "/ Doc",
        "entry_point": "f",
        "test": check,
        "canonical_solution": "",
        "q_tests": "",
    }
    (problem,) = readers.read_q_humaneval(rows(tmp_path / "q.jsonl", row)).problems
    calls = [(test.arguments, test.expected) for test in problem.tests if isinstance(test, CallTest)]
    assert calls == [
        (("1 2.5", 'enlist "a"'), "10b"),
        (("()",), "(::)"),
        (('"ab"',), "0b"),
        (("-2",), '(enlist enlist "a")!enlist (1;enlist 2)'),
        (("2",), "0.5"),
        (("8",), "1b"),
    ]
    assert problem.evaluation_only
    with pytest.raises(ValueError, match="Python assertions"):
        readers.read_q_humaneval(rows(tmp_path / "bad.jsonl", {**row, "test": "def ("}))


def test_mbpp(tmp_path: Path) -> None:
    row = {
        "task_id": 11,
        "text": "Add.",
        "code": "def add(a):\n    return a",
        "test_list": ["assert add(1) == 1"],
        "test_setup_code": "import math",
    }
    sanitized = {
        "task_id": 602,
        "prompt": "Add.",
        "code": row["code"],
        "test_list": ["assert set(add(1)) == 1"],
        "test_imports": ["import os"],
    }
    odd = {**row, "task_id": 3, "test_list": ["assert other(1)"]}
    found = readers.read_mbpp(rows(tmp_path / "m.jsonl", row, sanitized, odd))
    assert [problem.split for problem in found.problems] == ["test", "train"]
    assert found.problems[0].tests == (AssertionTest("assert add(1) == 1", "import math"),)
    assert found.problems[1].entry_point == "add"
    assert found.left_out[0][0] == "MBPP/3"


def test_humaneval_as_published(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = shared / "data" / "humaneval" / "HumanEval.jsonl.gz", tmp_path / "h.jsonl"
    assert run(["qcode", "convert", str(source), "--layout", "humaneval", "--out", str(out)]) == 0
    assert "164 problems (164 test), 0 left out" in capsys.readouterr().out
    problems = layout.read(out)
    assert len(problems) == 164
    assert all(problem.evaluation_only and problem.references[0].startswith(problem.starter) for problem in problems)
