"""Which prompts does a head learn from? Chats of a JSON Lines file or a hub data set, each cut before a reply.

Three ways to write a conversation are read: chat ``messages`` (``[{role, content}]``), the prompt sets' ``turns`` (the
user's texts, of which the first is taken), and ShareGPT's ``conversations`` (``[{from, value}]``). From the cut on, the
data's replies are dropped: the target answers itself (EAGLE-3, arXiv:2503.01840; research notes 1.8).
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

Message = tuple[str, str]
FIELDS = ("messages", "turns", "conversations")
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


@dataclass(frozen=True)
class Prompt:
    """Token ids that end where the assistant is to speak. ``key`` names the conversation and decides its split."""

    key: str
    ids: tuple[int, ...]


def held_out(key: str, share: float) -> bool:
    """Whether the conversation ``key`` belongs to the held-out share: by its hash, whatever the order of reading.

    The hash is salted, so that the share is independent of a split that the data's owner made by the key's own hash.
    """
    digest = hashlib.sha256(f"head/{key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < share


def _role(name: Any) -> str:
    if name not in _ROLES:
        raise ValueError(f"a speaker is called {name!r}; expected one of {', '.join(_ROLES)}")
    return _ROLES[name]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"a message holds {value!r} where text was expected")
    return value


def _field(row: Mapping[str, Any], field: str | None) -> str:
    found = [name for name in ((field,) if field else FIELDS) if name in row]
    if not found:
        wanted = repr(field) if field else " or ".join(map(repr, FIELDS))
        raise ValueError(f"no field {wanted} among {', '.join(map(repr, row)) or 'none'}; name another with --field")
    return found[0]


def messages_of(row: Mapping[str, Any], field: str | None = None) -> tuple[Message, ...]:
    """The (role, text) pairs of one row, in any of the three forms. Raises ValueError saying what is wrong with it."""
    value = row[_field(row, field)]
    if isinstance(value, str):
        return (("user", _text(value)),)
    if not isinstance(value, Sequence) or not value:
        raise ValueError(f"the conversation is {value!r}; expected a list of messages")
    if isinstance(value[0], str):
        return (("user", _text(value[0])),)
    messages: list[Message] = []
    for turn in value:
        if not isinstance(turn, Mapping):
            raise ValueError(f"a message is {turn!r}; expected {{role, content}} or {{from, value}}")
        role, text = ("role", "content") if "role" in turn else ("from", "value")
        messages.append((_role(turn.get(role)), _text(turn.get(text))))
    return tuple(messages)


def _rows_of_file(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: not JSON ({error.msg}); mend or remove that line") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: {type(row).__name__} found, an object was expected")
            yield f"{path}, line {number}", row


def _rows_of_hub(name: str, split: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    from datasets import load_dataset

    for number, row in enumerate(load_dataset(name, split=split, streaming=True)):
        assert isinstance(row, dict)
        yield f"{name}, row {number}", row


def conversations(
    source: str, *, field: str | None = None, split: str = "train", limit: int | None = None
) -> Iterator[tuple[str, tuple[Message, ...]]]:
    """(key, messages) of ``source``: a local JSON Lines file, or else a hub data set, of which ``split`` is streamed.

    The key is a hash of the messages. ``limit``: rows at most. Raises FileNotFoundError for a path that is not a file,
    ValueError naming the broken line.
    """
    path = Path(source).expanduser()
    if not path.is_file() and (path.suffix in (".jsonl", ".json") or source.startswith((".", "/", "~"))):
        raise FileNotFoundError(f"{source} is not a file: expected JSON Lines with one conversation per line")
    rows = _rows_of_file(path) if path.is_file() else _rows_of_hub(source, split)
    for place, row in islice(rows, limit):
        try:
            messages = messages_of(row, field)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        yield hashlib.sha256(json.dumps(messages).encode()).hexdigest()[:16], messages


def cut(key: str, messages: Sequence[Message], seed: int) -> tuple[Message, ...]:
    """``messages`` up to a user's turn chosen at random from (seed, key) among those that an assistant's turn follows.

    Where none does, up to the last user's turn; empty where the user says nothing.
    """
    spoken = [index for index, (role, _) in enumerate(messages) if role == "user"]
    answered = [index for index in spoken if index + 1 < len(messages) and messages[index + 1][0] == "assistant"]
    if answered:
        return tuple(messages[: random.Random(f"{seed}/{key}").choice(answered) + 1])
    return tuple(messages[: spoken[-1] + 1]) if spoken else ()


def encode(tokenizer: PreTrainedTokenizerBase, messages: Iterable[Message]) -> tuple[int, ...]:
    """Token ids of ``messages`` under the tokenizer's chat template, ending where the assistant is to speak."""
    if not tokenizer.chat_template:
        raise ValueError(
            "the target's tokenizer has no chat template, so conversations cannot be written for it: set "
            "tokenizer.chat_template, or train the head for the chat version of the model"
        )
    chat: Any = [{"role": role, "content": text} for role, text in messages]
    ids: Any = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    return tuple(ids)


def prompts(
    chats: Iterable[tuple[str, Sequence[Message]]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int,
    max_prompt_tokens: int,
) -> list[Prompt]:
    """One prompt per conversation, in an order drawn from ``seed``; those over ``max_prompt_tokens`` are left out."""
    found: dict[str, Prompt] = {}
    for key, messages in chats:
        shortened = cut(key, messages, seed)
        ids = encode(tokenizer, shortened) if shortened else ()
        if 0 < len(ids) <= max_prompt_tokens:
            found[key] = Prompt(key, ids)
    if not found:
        raise ValueError(
            f"the data hold no conversation with a prompt of 1 to {max_prompt_tokens} tokens: nothing to learn from"
        )
    ordered = [found[key] for key in sorted(found)]
    random.Random(seed).shuffle(ordered)
    return ordered
