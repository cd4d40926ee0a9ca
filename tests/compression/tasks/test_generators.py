"""Generated tasks hold their answers, fit their length, and depend on (seed, number) alone; splits share no document."""

from __future__ import annotations

from collections import Counter

import pytest

from trimtab.compression.prompts import Prompt
from trimtab.compression.tasks import ruler
from trimtab.compression.tasks.recall import Recall
from trimtab.compression.tasks.splits import PARTS, part_of, refuse_overlap
from trimtab.compression.tasks.text import tokenized
from trimtab.lm.load import load_tokenizer
from trimtab.zoo.recall_text import VOCABULARY

SMALL = Recall(tokens=(200, 260), bindings=(6, 12), asked=(2, 3), repeated_tail=(8, 40))


@pytest.mark.parametrize("name", ruler.TASKS)
def test_tasks_fit_and_hold_their_answers(name: str) -> None:
    tokenizer = load_tokenizer("zoo:chat")
    for tokens in (1500, 3000):
        task = ruler.generate(name, tokenizer, tokens, 0, 1)
        used = len(tokenizer(task.text, add_special_tokens=False)["input_ids"])
        assert tokens - 100 < used <= tokens
        assert all(reference in task.text for reference in task.references)
        assert task.grade(" and ".join(task.references)) == 1.0
        assert task.grade("") == 0.0
        assert task == ruler.generate(name, tokenizer, tokens, 0, 1)
    assert task.text != ruler.generate(name, tokenizer, tokens, 1, 1).text


def test_frequent_words_are_the_most_frequent() -> None:
    tokenizer = load_tokenizer("zoo:chat")
    for name, count in (("common_words", 5), ("frequent_words", 3)):
        task = ruler.generate(name, tokenizer, 3000, 0, 0)
        words = Counter(task.text.split("\n\n")[1].split())
        assert {word for word, _ in words.most_common(count)} == set(task.references)


def test_a_needle_lies_where_it_was_put() -> None:
    tokenizer = load_tokenizer("zoo:chat")
    places = [
        ruler.generate("niah_single", tokenizer, 1000, 0, 0, depth=depth).text.find("The code of") / 4000
        for depth in (0.0, 0.5, 1.0)
    ]
    assert places[0] < 0.05 < places[1] < places[2]
    with pytest.raises(ValueError, match=r"0 .start. to 1"):
        ruler.generate("niah_single", tokenizer, 1000, 0, 0, depth=2)


def test_what_does_not_fit_or_is_unknown_is_refused() -> None:
    tokenizer = load_tokenizer("zoo:chat")
    with pytest.raises(ValueError, match=r"does not fit into 20 tokens: expected \d+"):
        ruler.generate("qa", tokenizer, 20, 0, 0)
    with pytest.raises(ValueError, match=r"Did you mean 'niah_single'"):
        ruler.generate("niah_singel", tokenizer, 500, 0, 0)


def _words(prompt: Prompt) -> list[str]:
    return [VOCABULARY[index] for index in prompt.token_ids]


def test_recall_announces_where_it_says() -> None:
    for number in range(30):
        prompt = SMALL.prompt(0, number)
        words = _words(prompt)
        assert 200 <= len(words) <= 260
        assert words[-1] == "do"
        answer = [VOCABULARY[index] for index in prompt.answer_ids]
        places = [index for index, word in enumerate(words) if word == "task"]
        asked = words[places[-1] + 1 : words.index(".", places[-1])]
        assert answer[0] == asked[0]
        mode = prompt.group.removeprefix("recall/")
        assert len(places) == (2 if mode == "repeated" else 1)
        tail = len(words) - places[-1] - len(asked) - 3
        assert {"late": 0 <= tail <= 12, "repeated": 8 <= tail <= 40, "early": tail > 50}[mode]


def test_recall_values_are_those_bound() -> None:
    for number in range(30):
        prompt = SMALL.prompt(1, number)
        words = _words(prompt)
        bound: dict[str, str] = {}
        for index, word in enumerate(words):
            if word == "facts":
                end = words.index(".", index)
                bound |= dict(zip(words[index + 1 : end : 2], words[index + 2 : end : 2], strict=True))
            elif word in ("note", "let"):
                bound[words[index + 1]] = bound.get(words[index + 2], words[index + 2])
        answer = [VOCABULARY[index] for index in prompt.answer_ids]
        assert all(bound[key] == value for key, value in zip(answer[::2], answer[1::2], strict=False))


def test_recall_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="expected some of early, late, repeated"):
        Recall(announced=("never",))
    with pytest.raises(ValueError, match="cannot hold"):
        Recall(tokens=(100, 200))
    with pytest.raises(ValueError, match="1 to 16 keys"):
        Recall(asked=(3, 40), tokens=(900, 901))
    with pytest.raises(ValueError, match="2 or more"):
        Recall(answer_tokens=1)


def test_splits_follow_the_document() -> None:
    parts = Counter(part_of(f"document {number}") for number in range(4000))
    assert set(parts) == set(PARTS)
    assert abs(parts["train"] / 4000 - 0.5) < 0.03
    assert part_of("a") == part_of("a")
    with pytest.raises(ValueError, match="less than 1 together"):
        part_of("a", calibration=0.5, held_out=0.5)


def test_the_same_tokens_in_two_parts_are_refused() -> None:
    tokenizer = load_tokenizer("zoo:chat")
    task = ruler.generate("qa", tokenizer, 400, 0, 0)
    prompt = tokenized(task, tokenizer)
    renamed = Prompt("other", prompt.token_ids)
    refuse_overlap(train=[prompt, renamed], held_out=[SMALL.prompt(0, 0)])
    with pytest.raises(ValueError, match=r"other of held_out is ruler/qa.* of train"):
        refuse_overlap(train=[prompt], held_out=[renamed])
