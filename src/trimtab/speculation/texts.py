"""Which texts does replay replay? The target's greedy answers to a conversation's turns, and a little beyond their end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.speculator import Message, Prompt, Speculator

_ANY_TREE = TreeShape(12, 4, 2)  # any tree gives the same text


class Conversation(Protocol):
    """A prompt of one or more turns: texts, or (a single turn only) token ids."""

    @property
    def task(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def turns(self) -> Sequence[Any]: ...


@dataclass(frozen=True)
class GreedyText:
    """A turn's prompt ``ids``, its greedy answer ``tokens``, and the tokens ``after`` it that a last tree may reach."""

    task: str
    category: str
    ids: list[int]
    tokens: list[int]
    after: list[int]

    def truth(self, position: int, length: int) -> list[int]:
        """The ``length`` tokens behind the root at ``position``."""
        return (self.tokens + self.after)[position + 1 : position + 1 + length]


def conversation(speculator: Speculator, messages: Sequence[Message]) -> Prompt:
    """What to encode of a conversation so far: the messages; for a tokenizer without a chat template, their texts, a blank
    line between them."""
    return list(messages) if speculator.chats else "\n\n".join(message["content"] for message in messages)


def greedy_texts(speculator: Speculator, given: Conversation, max_new_tokens: int, beyond: int) -> Iterator[GreedyText]:
    """The texts of one conversation: one per turn, each in the context of the greedy answers before it.

    Turn n of several is task ``<task>/turn<n>``. Raises ValueError where a prompt and what follows it exceed the context,
    or where several turns are given as token ids.
    """
    messages: list[Message] = []
    for number, turn in enumerate(given.turns, start=1):
        prompt: Prompt = turn
        if isinstance(turn, str):
            messages.append({"role": "user", "content": turn})
            prompt = conversation(speculator, messages)
        elif number > 1:
            raise ValueError(f"prompt {given.task!r} has several turns given as token ids: give texts, or one turn")
        task = given.task if len(given.turns) == 1 else f"{given.task}/turn{number}"
        ids = speculator.encode(prompt)
        _check_room(task, len(ids), max_new_tokens, beyond, speculator.context_tokens)
        made = speculator.generate(ids, max_new_tokens, shape=_ANY_TREE)
        after = speculator.generate(ids + made.tokens, beyond, shape=_ANY_TREE, stop_at_eos=False).tokens
        messages.append({"role": "assistant", "content": made.text})
        yield GreedyText(task, given.category, ids, made.tokens, after)


def _check_room(task: str, prompt_tokens: int, max_new_tokens: int, beyond: int, room: int) -> None:
    needed = prompt_tokens + max_new_tokens + beyond
    if needed > room:
        raise ValueError(
            f"prompt {task!r} has {prompt_tokens} tokens; with max_new_tokens {max_new_tokens} and the {beyond} tokens "
            f"that a tree may reach beyond the end that makes {needed}, and the target's context ends at {room}: lower "
            "max_new_tokens, or leave this prompt out"
        )
