"""How do published sets of problems become ours? A reader for each layout; what cannot be kept is listed with the reason.

- ``sft``: folders ``{train,test}/NAME/`` of the q LeetCode data, a file for each part; ``hub``: its rows (JSON Lines);
- ``q-humaneval``: KX's Q-HumanEval, whose tests are Python assertions, turned into q values;
- ``humaneval``, ``mbpp``: Python problems with assertions.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from trimtab.qcode.engine.protocol import AssertionTest, Test, TextTest
from trimtab.qcode.problems import assertions
from trimtab.qcode.problems.format import Place, Problem, parse_line, text

_RESULT = re.compile(r"^\s*result\s*:\s*(.*?);?\s*$")


@dataclass
class Collected:
    """The problems read, and what was left out: the id and why."""

    problems: list[Problem] = field(default_factory=list[Problem])
    left_out: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, problem_id: str, tests: list[Test], build: Callable[..., Problem], why: str) -> None:
        """Keep a problem that has tests; else say why not."""
        if tests:
            self.problems.append(build(tests=tuple(tests)))
        else:
            self.left_out.append((problem_id, why))


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], Place]]:
    """The objects of a JSON Lines file (plain or .gz) with their places."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected JSON Lines (.jsonl or .jsonl.gz)")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"{path}, line {number}"
                row = parse_line(line, where)
                if not isinstance(row, dict):
                    raise ValueError(f"{where}: got a {type(row).__name__}, expected an object")
                yield cast("dict[str, Any]", row), Place(where)


def _need(row: Mapping[str, Any], name: str, place: Place) -> str:
    """A field that must be a string and not empty."""
    if name not in row:
        place.at(name).fail(None, f"a string; the row has {', '.join(sorted(row))}")
    return text(row[name], place.at(name), empty=False)


def q_expression(code: str) -> str | None:
    """What a q test of the published form shows: of ``result:solve[58];`` and ``show result;`` it is ``solve[58]``."""
    lines = [
        line.strip()
        for line in code.replace("\r", "").split("\n")
        if line.strip() and not line.strip().startswith("/ ")
    ]
    last = lines[-1].rstrip(";").strip() if lines else ""
    if not last.startswith("show"):
        return None
    shown = last.removeprefix("show").strip()
    for line in lines[:-1]:
        if (found := _RESULT.match(line)) and shown == "result":
            return found.group(1)
    return shown if len(lines) == 1 and shown else None


def _shown_tests(cases: list[tuple[str, str | None]]) -> list[Test]:
    """Of pairs of test code and console text. Tests whose text is missing, or empty, can be passed by printing nothing."""
    tests: list[Test] = []
    for code, shown in cases:
        expression = q_expression(code)
        if expression and shown is not None and shown.strip():
            tests.append(TextTest(shown.strip("\n"), None, expression))
    return tests


def _numbered(folder: Path, pattern: str) -> list[tuple[int, Path]]:
    """Files named by number, in the order of the numbers (2 before 10)."""
    found = [(int(match.group(1)), path) for path in folder.iterdir() if (match := re.fullmatch(pattern, path.name))]
    return sorted(found)


def _read_text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _folder(folder: Path, split: str, into: Collected) -> None:
    description = _read_text(folder / "problem_description.txt")
    if not description or not description.strip():
        into.left_out.append((folder.name, "no problem_description.txt"))
        return
    entry = json.loads(_read_text(folder / "entry.json") or "{}")
    cases = [
        (path.read_text(encoding="utf-8"), _read_text(folder / f"q_exact_ans_test_case_{number}.txt"))
        for number, path in _numbered(folder, r"q_test_case_(\d+)\.q")
    ]
    solution = _read_text(folder / "q_sol.q")

    tags = tuple(str(tag) for tag in (entry.get("difficulty"), *(entry.get("tags") or ())) if tag)
    references = (solution,) if solution and solution.strip() else ()
    build = partial(
        Problem, folder.name, description, "solve", "q", references=references, tags=tags, split=split, source="sft"
    )
    into.add(
        folder.name, _shown_tests(cases), build, f"none of {len(cases)} test cases is a shown result with its text"
    )


def read_sft(path: Path) -> Collected:
    """The folders ``SFT_Data/{train,test}/NAME``. Raises ValueError where there are none."""
    into = Collected()
    for split in ("train", "test"):
        for folder in sorted((path / split).iterdir()) if (path / split).is_dir() else ():
            if folder.is_dir():
                _folder(folder, split, into)
    if not into.problems and not into.left_out:
        raise ValueError(
            f"{path}: holds no folders train/NAME or test/NAME; expected the layout of the q LeetCode data"
        )
    return into


def read_hub(path: Path) -> Collected:
    """The hub's rows of the q LeetCode data as JSON Lines; the split is ``test`` where the file's name says so."""
    into = Collected()
    split = "test" if "test" in path.name else "train"
    for row, place in _rows(path):
        name, description = _need(row, "problem_name", place), _need(row, "problem_description", place)
        cases = [(case.get("q_test_code") or "", case.get("q_expected_output")) for case in row.get("test_cases") or ()]
        tags = tuple(str(tag) for tag in (row.get("difficulty"), *(row.get("tags") or ())) if tag)
        references = (row["q_solution"],) if (row.get("q_solution") or "").strip() else ()
        build = partial(
            Problem, name, description, "solve", "q", references=references, tags=tags, split=split, source="hub"
        )
        into.add(name, _shown_tests(cases), build, f"none of {len(cases)} test cases is a shown result with its text")
    return into


def read_humaneval(path: Path) -> Collected:
    """HumanEval: prompts are the starters, references prompt and canonical solution; for evaluation only."""
    into = Collected()
    for row, place in _rows(path):
        prompt = _need(row, "prompt", place)
        # some tests use helpers that the prompt defines, hence the prelude
        test = AssertionTest(_need(row, "test", place), prelude=prompt, call="check")
        solution = row.get("canonical_solution") or ""
        into.problems.append(
            Problem(
                _need(row, "task_id", place),
                prompt,
                _need(row, "entry_point", place),
                "python",
                (test,),
                (prompt + solution,) if solution.strip() else (),
                split="test",
                starter=prompt,
                source="humaneval",
                evaluation_only=True,
            )
        )
    return into


def _mbpp_split(number: int) -> str:
    """The published splits: 1-10 for prompts and 601-974 train, 11-510 test, 511-600 validation."""
    return "test" if 11 <= number <= 510 else "validation" if 511 <= number <= 600 else "train"


def _called(assertion: str, code: str) -> str | None:
    """The function of ``code`` that ``assertion`` calls."""
    try:
        defined = {node.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)}
        names = [node.func.id for node in ast.walk(ast.parse(assertion.strip()))
                 if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]  # fmt: skip
    except SyntaxError:
        return None
    return next((name for name in names if name in defined), None)


def read_mbpp(path: Path) -> Collected:
    """MBPP, the full set (``text``) or the sanitized one (``prompt``)."""
    into = Collected()
    for row, place in _rows(path):
        number = row.get("task_id")
        if not isinstance(number, int):
            place.at("task_id").fail(number, "a whole number")
        code, asserts = _need(row, "code", place), row.get("test_list") or []
        entry = next((name for one in asserts if (name := _called(one, code))), None)
        prelude = "\n".join([row.get("test_setup_code") or "", *(row.get("test_imports") or ())]).strip()
        tests: list[Test] = [AssertionTest(one, prelude) for one in asserts] if entry else []
        description = _need(row, "prompt" if "prompt" in row else "text", place)
        name = f"MBPP/{number}"
        build = partial(
            Problem,
            name,
            description,
            entry or "",
            "python",
            references=(code,),
            split=_mbpp_split(number),
            source="mbpp",
        )
        into.add(name, tests, build, "no assertion calls a function that the solution defines")
    return into


def read_q_humaneval(path: Path) -> Collected:
    """KX's Q-HumanEval: the assertions of ``check`` as calls with q values; for evaluation only."""
    into = Collected()
    for row, place in _rows(path):
        name, prompt = _need(row, "task_id", place), _need(row, "prompt", place)
        tests, refused = assertions.to_calls(_need(row, "test", place), place)
        solution = (row.get("canonical_solution") or "").strip()
        build = partial(
            Problem,
            name,
            prompt,
            _need(row, "entry_point", place),
            "q",
            references=(solution,) if solution else (),
            split="test",
            starter=prompt,
            source="q-humaneval",
            evaluation_only=True,
        )
        into.add(name, list(tests), build, "; ".join(refused[:3]) or "no assertion in the test")
    return into


READERS: dict[str, Callable[[Path], Collected]] = {
    "sft": read_sft,
    "hub": read_hub,
    "q-humaneval": read_q_humaneval,
    "humaneval": read_humaneval,
    "mbpp": read_mbpp,
}
