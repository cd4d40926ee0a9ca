"""Is there one prompt for SFT, GRPO and evaluation, and are hidden tests never in it?"""

from __future__ import annotations

import pytest

from trimtab.qcode import prompts
from trimtab.qcode.engine.protocol import CallTest
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.prompts import PromptSettings

PROBLEM = Problem(
    "p",
    "Sum.",
    "solve",
    "q",
    (CallTest(("1 2",), "3", hidden=False), CallTest(("7 8",), "15")),
    references=("solve:{sum x}", "solve:{(+/)x}"),
)


class Tokenizer:
    chat_template = None


def test_visible_tests_are_shown_and_hidden_ones_never() -> None:
    text = str(prompts.build(PROBLEM, PromptSettings(visible_tests=5)))
    assert "solve[1 2] is 3" in text
    assert "15" not in text


def test_forms() -> None:
    chat = prompts.build(PROBLEM, PromptSettings())
    assert [message["role"] for message in chat] == ["system", "user"]  # type: ignore[index]
    assert prompts.build(PROBLEM, PromptSettings(terse=True)) == [{"role": "user", "content": "Sum."}]
    plain = prompts.build(PROBLEM, PromptSettings("reasoning", "plain"))
    assert isinstance(plain, str)
    assert "<reasoning>" in plain
    assert plain.endswith("Answer:\n")


def test_every_reference_is_taught() -> None:
    rows = prompts.taught([PROBLEM], PromptSettings(terse=True))
    assert [answer for _, answer in rows] == ["solve:{sum x}", "solve:{(+/)x}"]


def test_a_problem_without_a_reference_cannot_be_taught() -> None:
    with pytest.raises(ValueError, match="p has no reference"):
        prompts.taught([Problem("p", "Sum.", "solve", "q", PROBLEM.tests)], PromptSettings())


def test_a_tokenizer_without_a_template_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"no chat template.*plain"):
        prompts.check_tokenizer(Tokenizer(), PromptSettings(), "m")
    prompts.check_tokenizer(Tokenizer(), PromptSettings(form="plain"), "m")
