"""How does a rubric grade what a policy writes? Ids become text, text a reply to its example, and parts become columns.

A part's column is what the rubric multiplies by the part's weight (clipped where the part is). What gates and a limit on
the total take away or add is the column ``gates``, so that columns times weights are always the rubric's own value.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from trimtab.dialogue.example import Example, Reply
from trimtab.dialogue.ppo.grading import Graded, Written
from trimtab.plain import Plain
from trimtab.rewards import Breakdown, Rubric

GATES = "gates"


def prompt_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a prompt, which brings its own special tokens (a template's, or a format's)."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def reply_text(tokenizer: Any, ids: Sequence[int], ends: Collection[int]) -> str:
    """The words of a reply without the token that ended it. Other special tokens stay visible: a reply that holds a
    speaker's mark, or ``<movie>``, is graded with it."""
    kept = list(ids[:-1]) if ids and ids[-1] in ends else list(ids)
    return tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False).strip()


def end_ids(tokenizer: Any, model: Any | None = None) -> list[int]:
    """The tokens that end a reply: those of the model's generation config, and the tokenizer's own.

    Raises ValueError where there is none: a reply could never end.
    """
    config = getattr(model, "generation_config", None)
    told = getattr(config, "eos_token_id", None)
    listed = told if isinstance(told, list) else [told]
    found = sorted({int(i) for i in (*listed, tokenizer.eos_token_id) if i is not None})
    if not found:
        raise ValueError("neither tokenizer nor model names an end token: set tokenizer.eos_token")
    return found


def columns(rubric: Rubric[Reply], graded: Breakdown) -> tuple[np.ndarray, np.ndarray]:
    """Raw numbers [B, P] and weights [P] of a graded batch; their product is the rubric's value of each reply."""
    names = [part.name for part in rubric.parts]
    raw_BP = np.array([graded.raw[name] for name in names], dtype=np.float64).T
    for index, part in enumerate(rubric.parts):
        if part.clip is not None:
            raw_BP[:, index] = raw_BP[:, index].clip(*part.clip)
    weights_P = np.array([graded.weights[name] for name in names])
    if not (rubric.gates or rubric.clip):
        return raw_BP, weights_P
    taken_B = np.asarray(graded.values) - raw_BP @ weights_P
    return np.column_stack((raw_BP, taken_B)), np.append(weights_P, 1.0)


class RubricGrader:
    """A rubric over replies to ``examples``, for ``PPOTrainer``. ``replies``, ``graded``: the last batch in full."""

    def __init__(
        self, rubric: Rubric[Reply], examples: Sequence[Example], tokenizer: Any, ends: Collection[int]
    ) -> None:
        if not examples:
            raise ValueError("no examples to train on: expected one at least")
        self.rubric, self._examples, self._tokenizer = rubric, examples, tokenizer
        self._ends = frozenset(ends)
        self._prompts = [prompt_ids(tokenizer, example.prompt) for example in examples]
        self.graded: Breakdown | None = None
        self.replies: list[Reply] = []

    @property
    def parts(self) -> tuple[str, ...]:
        names = tuple(part.name for part in self.rubric.parts)
        return (*names, GATES) if self.rubric.gates or self.rubric.clip else names

    @property
    def prompts(self) -> Sequence[list[int]]:
        return self._prompts

    def reply(self, written: Written) -> Reply:
        """What was written, as the rubric sees it."""
        text = reply_text(self._tokenizer, written.ids, self._ends)
        return Reply(self._examples[written.prompt], text, written.ended, len(written.ids))

    def grade(self, replies: Sequence[Written], progress: float, /) -> Graded:
        self.replies = [self.reply(written) for written in replies]
        self.graded = self.rubric.breakdown(self.replies, progress=progress)
        raw_BP, weights_P = columns(self.rubric, self.graded)
        return Graded(self.parts, raw_BP, weights_P, [reply.text for reply in self.replies])

    def describe(self, reply: Written, /) -> str:
        shown = self.reply(reply)
        return f"prompt {shown.example.prompt!r}, reply {shown.text!r}"

    def state(self) -> dict[str, Plain]:
        return self.rubric.state()

    def restore(self, state: dict[str, Plain], /) -> None:
        self.rubric.restore(state)
