"""How is a dialogue written for a model? Prompt templates: Llama 2's, any tokenizer's own, and two plain ones.

A model answers well only in the form that it was trained in, so training and use render through the same template.
Llama-2 tokenizers carry no chat template; ``llama2`` is the form of Touvron et al. (arXiv:2307.09288).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from trimtab.dialogue.example import Example, Turn
from trimtab.dialogue.tasks.moods import prompt_of

Template = Callable[[str, Sequence[Turn]], str]
"""(instruction, turns) -> the prompt, up to where the system's reply begins."""

INSTRUCTION = (
    "You are a movie recommender in a chat. Meet what the user feels, and recommend movies that fit what they like."
)


def plain(instruction: str, turns: Sequence[Turn]) -> str:
    """``User: ...`` and ``System: ...`` lines below the instruction."""
    names = {"user": "User", "system": "System"}
    lines = [f"{names[turn.speaker]}: {turn.text}" for turn in turns]
    return "\n".join([*([instruction, ""] if instruction else []), *lines, "System:"])


def llama2(instruction: str, turns: Sequence[Turn]) -> str:
    """Llama-2-Chat: each exchange in ``<s>[INST] .. [/INST] .. </s>``, the instruction in ``<<SYS>>`` in the first one.

    A dialogue that the system opens gets an empty first message of the user, as the form demands.
    """
    exchanges = _exchanges(turns)
    said: list[str] = []
    for number, (user, answer) in enumerate(exchanges):
        system = f"<<SYS>>\n{instruction}\n<</SYS>>\n\n" if instruction and number == 0 else ""
        said.append(f"<s>[INST] {system}{user} [/INST]" + ("" if answer is None else f" {answer} </s>"))
    return "".join(said)


def _merged(turns: Sequence[Turn]) -> list[Turn]:
    """Turns of one speaker in a row as one."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].speaker == turn.speaker:
            merged[-1] = Turn(turn.speaker, f"{merged[-1].text}\n{turn.text}".strip())
        else:
            merged.append(turn)
    return merged


def _alternating(turns: Sequence[Turn]) -> list[Turn]:
    """Merged, beginning and ending with the user."""
    merged = _merged(turns)
    if not merged or merged[0].speaker == "system":
        merged.insert(0, Turn("user", ""))
    if merged[-1].speaker == "system":
        merged.append(Turn("user", ""))
    return merged


def _exchanges(turns: Sequence[Turn]) -> list[tuple[str, str | None]]:
    """(user, system) pairs; the last is not answered yet."""
    merged = _alternating(turns)
    answers = [turn.text for turn in merged[1::2]]
    return list(zip([turn.text for turn in merged[::2]], [*answers, None], strict=True))


def messages(instruction: str, turns: Sequence[Turn]) -> list[dict[str, str]]:
    """The dialogue as chat messages (roles system, user, assistant)."""
    roles = {"user": "user", "system": "assistant"}
    lead = [{"role": "system", "content": instruction}] if instruction else []
    return lead + [{"role": roles[turn.speaker], "content": turn.text} for turn in _alternating(turns)]


def of_tokenizer(tokenizer: Any) -> Template:
    """The tokenizer's own chat template. Raises ValueError where it has none."""
    if not getattr(tokenizer, "chat_template", None):
        raise ValueError(
            f"the tokenizer {getattr(tokenizer, 'name_or_path', '')!r} has no chat template: choose one of "
            f"{', '.join(TEMPLATES)}."
        )

    def render(instruction: str, turns: Sequence[Turn]) -> str:
        return tokenizer.apply_chat_template(messages(instruction, turns), tokenize=False, add_generation_prompt=True)

    return render


TEMPLATES: dict[str, Template] = {"plain": plain, "llama2": llama2, "moods": lambda _, turns: prompt_of(turns)}
"""Name -> template; ``chat`` is the tokenizer's own."""


def template_of(name: str, tokenizer: Any = None) -> Template:
    """A template by name; ``chat`` needs the tokenizer. Raises ValueError naming those that exist."""
    if name == "chat":
        return of_tokenizer(tokenizer)
    if name not in TEMPLATES:
        close = difflib.get_close_matches(name, [*TEMPLATES, "chat"], 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no template {name!r}. {hint}Expected one of {', '.join(TEMPLATES)}, chat.")
    return TEMPLATES[name]


def rendered(example: Example, template: Template, instruction: str = INSTRUCTION) -> Example:
    """The example with its prompt written by ``template``; its own instruction, where it has one, goes first."""
    return replace(example, prompt=template(example.instruction or instruction, example.turns))
