"""How is a problem put to a model, and how should the answer look? One builder for SFT, GRPO and evaluation alike.

Three formats: ``direct`` (the answer is the program), ``fenced`` (a fenced block), ``reasoning`` (``<reasoning>`` and
``<answer>``, for models that think first). A prompt that differs between training and use is the commonest way to a
baseline that is none, so nobody else writes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trimtab.qcode.engine.protocol import AssertionTest, CallTest, Test
from trimtab.qcode.problems.format import Problem

Format = Literal["direct", "fenced", "reasoning"]
Form = Literal["chat", "plain"]
Message = dict[str, str]
Prompt = str | list[Message]

NAMES = {"q": "q", "python": "Python"}
EXPERTS = {
    "q": "You are an expert programmer of q, the language of kdb+.",
    "python": "You are an expert programmer of Python.",
}
ASKED: dict[Format, str] = {
    "direct": "Answer with the complete {language} program that defines {entry}, and nothing else: "
    "no explanation, no fence.",
    "fenced": "Answer with the complete {language} program that defines {entry}, in one fenced block (```{tag}).",
    "reasoning": "First think, between <reasoning> and </reasoning>. Then give the complete {language} program that "
    "defines {entry}, and nothing else, between <answer> and </answer>.",
}
REASONS = "The program follows from the description."


@dataclass(frozen=True)
class PromptSettings:
    """How problems are put. ``terse`` leaves the description alone, for small models that know one task only."""

    format: Format = "direct"
    form: Form = "chat"
    """chat: messages, for the tokenizer's own template. plain: one text, for models without a template."""
    terse: bool = False
    visible_tests: int = 0
    """So many of the problem's visible tests are shown; hidden ones never are."""

    def __post_init__(self) -> None:
        if self.visible_tests < 0:
            raise ValueError(f"visible_tests {self.visible_tests}: expected 0 or more")


def shown(test: Test, entry_point: str) -> str:
    """A test as a line for a prompt; empty where it has no short form."""
    if isinstance(test, CallTest):
        inner = "; ".join(test.arguments) if all(isinstance(a, str) for a in test.arguments) else ""
        return f"{entry_point}[{inner}] is {test.expected}" if inner else ""
    if isinstance(test, AssertionTest):
        return test.code.strip() if test.call is None else ""
    return f"{test.expression or entry_point + '[' + '; '.join(test.arguments or ()) + ']'} prints {test.expected}"


def _examples(problem: Problem, count: int) -> str:
    lines = [line for test in problem.visible[:count] if (line := shown(test, problem.entry_point))]
    return "\n\nExamples:\n" + "\n".join(lines) if lines else ""


def task(problem: Problem, settings: PromptSettings) -> str:
    """What is asked: the description, examples where wanted, and a beginning where the problem has one."""
    starter = f"\n\nBegin with:\n{problem.starter.rstrip()}" if problem.starter.strip() and not settings.terse else ""
    return problem.description.strip() + _examples(problem, settings.visible_tests) + starter


def instructions(problem: Problem, settings: PromptSettings) -> str:
    """Who answers, and how."""
    language = NAMES[problem.language]
    asked = ASKED[settings.format].format(language=language, entry=problem.entry_point, tag=problem.language)
    return f"{EXPERTS[problem.language]} {asked}"


def build(problem: Problem, settings: PromptSettings) -> Prompt:
    """The prompt: messages for a chat template, or one text that ends where the answer begins."""
    asked = task(problem, settings)
    if settings.form == "chat":
        told = [] if settings.terse else [{"role": "system", "content": instructions(problem, settings)}]
        return [*told, {"role": "user", "content": asked}]
    told = "" if settings.terse else instructions(problem, settings) + "\n\n"
    return f"{told}Problem:\n{asked}\n\nAnswer:\n"


def answer(code: str, problem: Problem, settings: PromptSettings, reasons: str = REASONS) -> str:
    """A program as an answer in the format that the prompt asks for: what SFT teaches, and what extraction reads back."""
    code = code.strip()
    if settings.format == "direct":
        return code
    if settings.format == "fenced":
        return f"```{problem.language}\n{code}\n```"
    return f"<reasoning>\n{reasons}\n</reasoning>\n\n<answer>\n{code}\n</answer>"


def check_tokenizer(tokenizer: Any, settings: PromptSettings, name: str) -> None:
    """Raises ValueError where prompts are messages and the tokenizer has no template for them."""
    if settings.form == "chat" and not getattr(tokenizer, "chat_template", None):
        raise ValueError(
            f"the tokenizer of {name} has no chat template: give --form plain (one text, as for base models), or a "
            "model that was trained on chats"
        )


def text_of(prompt: Prompt, tokenizer: Any) -> str:
    """The very text that the model reads."""
    if isinstance(prompt, str):
        return prompt
    return str(tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True))


def ids_of(prompt: Prompt, tokenizer: Any) -> list[int]:
    """The tokens that the model reads, as TRL makes them of the same prompt."""
    if isinstance(prompt, str):
        return list(tokenizer(text=prompt)["input_ids"])
    found: Any = tokenizer.apply_chat_template(prompt, tokenize=True, add_generation_prompt=True, return_dict=True)
    return list(found["input_ids"])


def taught(problems: Sequence[Problem], settings: PromptSettings) -> list[tuple[Prompt, str]]:
    """Prompt and answer of each reference of each problem. Raises ValueError for a problem without one."""
    for problem in problems:
        if not problem.references:
            raise ValueError(f"problem {problem.id} has no reference to learn from: leave it out of SFT")
    return [(build(p, settings), answer(code, p, settings)) for p in problems for code in p.references]
