"""Is the program taken out of an answer whole, whatever its variables are called, and is a cut answer told apart?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.qcode import prompts
from trimtab.qcode.engine.protocol import CallTest
from trimtab.qcode.extraction import blocks, extract
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.prompts import PromptSettings

PROBLEM = Problem("p", "Sum.", "solve", "q", (CallTest(("1 2",), "3"),), references=("solve:{sum x}",))

NAMED = "solve:{[nums]\n answer: sum nums;\n answer}"
pieces = st.sampled_from(
    [
        "answer:0;",
        "answer",
        "x<answer>y",
        "reasoning",
        "`a``b",
        "```",
        "{x}",
        "\n",
        " ",
        "/ note",
        "0<answer",
        "solve:",
        "a",
    ]
)
codes = st.lists(pieces, min_size=1, max_size=12).map(" ".join).filter(lambda code: code.strip() != "")


def fenceless(code: str) -> bool:
    """Whether no line of it is a fence."""
    return not any(line.strip().startswith(("```", "~~~")) for line in code.split("\n"))


@given(codes.filter(fenceless))
def test_direct_code_is_left_alone(code: str) -> None:
    found = extract(code, "direct")
    assert found.code == code.strip()
    assert found.well_formed
    assert not found.truncated


@given(codes.filter(fenceless), st.sampled_from(["direct", "fenced", "reasoning"]))
def test_what_sft_teaches_is_read_back(code: str, form: str) -> None:
    settings = PromptSettings(form)  # type: ignore[arg-type]
    found = extract(prompts.answer(code, PROBLEM, settings), form)  # type: ignore[arg-type]
    assert found == (extract(code, "direct"))
    assert found.well_formed


@given(codes.filter(fenceless), st.text(alphabet="abc .\n<>answer", max_size=30))
def test_reasons_never_leak_into_the_code(code: str, reasons: str) -> None:
    text = f"<reasoning>\nI write <answer> soon. {reasons}\n</reasoning>\n<answer>\n{code}\n</answer>"
    assert extract(text, "reasoning").code == code.strip()


@given(codes.filter(fenceless), st.integers(min_value=0, max_value=200))
def test_a_cut_answer_is_never_well_formed(code: str, cut: int) -> None:
    whole = prompts.answer(code, PROBLEM, PromptSettings("reasoning"))
    text = whole[: min(cut, len(whole) - len("</answer>"))]
    assert not extract(text, "reasoning").well_formed


@given(st.text(max_size=200), st.sampled_from(["direct", "fenced", "reasoning"]))
def test_any_text_is_read(text: str, form: str) -> None:
    found = extract(text, form)  # type: ignore[arg-type]
    assert found.code == found.code.strip()
    if not found.code:
        assert not found.well_formed


def test_a_variable_named_answer_is_code() -> None:
    assert extract(NAMED, "direct").code == NAMED
    assert extract(f"<reasoning>r</reasoning><answer>{NAMED}</answer>", "reasoning").code == NAMED
    assert extract(f"```q\n{NAMED}\n```", "fenced").code == NAMED


def test_reasons_without_an_answer_are_no_program() -> None:
    found = extract("<reasoning>\nsolve:{sum x} would do", "reasoning")
    assert (found.code, found.truncated, found.well_formed) == ("", True, False)


def test_an_answer_that_was_cut_is_told_apart() -> None:
    found = extract("<reasoning>r</reasoning>\n<answer>\nsolve:{sum", "reasoning")
    assert (found.code, found.truncated, found.well_formed) == ("solve:{sum", True, False)


def test_reasoning_that_was_never_closed_still_has_its_answer() -> None:
    found = extract("<reasoning>use <answer> tags\n<answer>\nsolve:{sum x}\n</answer>", "reasoning")
    assert (found.code, found.well_formed) == ("solve:{sum x}", False)


def test_a_fence_within_the_answer_is_taken_off() -> None:
    text = "<reasoning>r</reasoning>\n<answer>\n```q\nsolve:{sum x}\n```\n</answer>"
    found = extract(text, "reasoning")
    assert (found.code, found.well_formed) == ("solve:{sum x}", False)


def test_the_last_block_that_defines_the_function_wins() -> None:
    text = "First:\n```q\nsolve:{x}\n```\nNo, better:\n```q\nsolve:{sum x}\n```\nIt prints\n```\n3\n```\n"
    assert extract(text, "fenced").code == "solve:{sum x}"


def test_a_nested_fence_belongs_to_its_block() -> None:
    text = "````q\n/ as in\n```q\nsolve:{x}\n```\nsolve:{sum x}\n````"
    assert extract(text, "fenced").code == "/ as in\n```q\nsolve:{x}\n```\nsolve:{sum x}"
    labelled = "```q\n/ so:\n```python\npass\n```\nsolve:{sum x}\n```"
    assert extract(labelled, "fenced").code == "/ so:\n```python\npass\n```\nsolve:{sum x}"


def test_a_block_that_was_cut_is_truncated() -> None:
    found = extract("```q\nsolve:{sum", "fenced")
    assert (found.code, found.truncated, found.well_formed) == ("solve:{sum", True, False)


def test_python_definitions_count() -> None:
    text = "```python\ndef solve(x):\n    return 1\n```\n```python\nsolve(3)\n```"
    assert extract(text, "fenced", language="python").code == "def solve(x):\n    return 1"


def test_prose_beside_a_block_is_noted() -> None:
    assert blocks("hello\n```\nx\n```")[1]
    assert not blocks("\n```\nx\n```\n\n")[1]
    assert not extract("hello\n```q\nsolve:1\n```", "fenced").well_formed


@pytest.mark.parametrize("text", ["", "   \n"])
def test_nothing_is_not_well_formed(text: str) -> None:
    assert not extract(text, "direct").well_formed
