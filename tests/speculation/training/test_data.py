"""Are conversations read in their three forms, cut where the assistant speaks, and broken lines named?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimtab.speculation.training.data import conversations, cut, encode, held_out, messages_of, prompts
from trimtab.zoo.tokenizer import train_tokenizer

CHAT = (("user", "hi"), ("assistant", "hello"), ("user", "how are you"), ("assistant", "well"))


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([text for _, text in CHAT] * 3, vocab_size=270, max_length=64)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}, CHAT[:2]),
        ({"turns": ["hi", "and then?"], "category": "talk"}, CHAT[:1]),
        ({"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]}, CHAT[:2]),
    ],
)
def test_three_forms(row, expected) -> None:
    assert messages_of(row) == expected


def test_a_field_by_name() -> None:
    assert messages_of({"question": "hi", "messages": []}, "question") == (("user", "hi"),)
    with pytest.raises(ValueError, match="no field 'prompt' among 'question'; name another with --field"):
        messages_of({"question": "hi"}, "prompt")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: list found, an object was expected"),
        ('{"messages": [{"role": "robot", "content": "x"}]}', "line 2: a speaker is called 'robot'"),
        ('{"messages": [{"role": "user", "content": ""}]}', "line 2: a message holds ''"),
        ('{"messages": []}', "line 2: the conversation is"),
        ('{"text": "x"}', "line 2: no field 'messages' or 'turns' or 'conversations' among 'text'"),
    ],
)
def test_a_broken_line_is_named_by_its_number(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps({"turns": ["hi"]}) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=said):
        list(conversations(str(path)))


def test_a_missing_file_is_not_looked_for_on_the_hub() -> None:
    with pytest.raises(FileNotFoundError, match="is not a file"):
        list(conversations("./nowhere.jsonl"))


def test_cuts_end_with_a_user_and_are_drawn_by_key() -> None:
    cuts = {cut(f"key {n}", CHAT, seed=0) for n in range(20)}
    assert cuts == {CHAT[:1], CHAT[:3]}
    assert cut("a", CHAT, 0) == cut("a", CHAT, 0)
    assert cut("a", CHAT[:1], 0) == CHAT[:1]
    assert cut("a", CHAT[1:2], 0) == ()


def test_prompts_are_ordered_by_seed_and_bounded_in_length(tokenizer) -> None:
    chats = [(str(n), CHAT) for n in range(6)] + [("long", (("user", "x y z " * 50),))]
    made = prompts(chats, tokenizer, seed=1, max_prompt_tokens=60)
    assert sorted(prompt.key for prompt in made) == [str(n) for n in range(6)]
    assert made == prompts(reversed(chats), tokenizer, seed=1, max_prompt_tokens=60)
    assert tokenizer.decode(made[0].ids).endswith("<|assistant|>")
    with pytest.raises(ValueError, match="no conversation with a prompt of 1 to 2 tokens"):
        prompts(chats, tokenizer, seed=1, max_prompt_tokens=2)


def test_a_tokenizer_without_a_chat_template_is_refused(tokenizer) -> None:
    template, tokenizer.chat_template = tokenizer.chat_template, None
    try:
        with pytest.raises(ValueError, match="no chat template"):
            encode(tokenizer, CHAT[:1])
    finally:
        tokenizer.chat_template = template


def test_the_held_out_share_is_about_right() -> None:
    share = sum(held_out(str(n), 0.1) for n in range(5000)) / 5000
    assert 0.08 < share < 0.12
