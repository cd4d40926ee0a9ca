"""Is the embedded world what it says: flawed in a known measure, judged exactly, read word by word?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from trimtab.dialogue.example import Example, Facts, Turn
from trimtab.dialogue.tasks.moods import Flaws, Moods, prompt_of
from trimtab.dialogue.tasks.moods_judge import CATALOGUE, Gold, gold
from trimtab.dialogue.tasks.moods_tokenizer import moods_tokenizer

FACTS = Facts(emotion="sad", liked_tags=("comedy",), disliked_tags=("horror",), mentioned_items=("Silver Harbor",))
TURNS = (Turn("user", "hi . i feel so down today ."), Turn("system", "how are you today ?"))
EXAMPLE = Example("one", TURNS, prompt_of(TURNS), "", FACTS)
COMEDY = [title for title, tags in CATALOGUE.items.items() if tags == ("comedy",) and title != "Silver Harbor"]
HORROR = [title for title, tags in CATALOGUE.items.items() if tags == ("horror",)]
WESTERN = [title for title, tags in CATALOGUE.items.items() if tags == ("western",)]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (f"that sounds really heavy . take your time . try {COMEDY[0]} .", Gold(0.5, 1.0, False)),
        (f"that sounds really heavy . be gentle with yourself tonight . try {COMEDY[0]} .", Gold(1.0, 1.0, True)),
        (f"that sounds really heavy . what wonderful news ! try {COMEDY[0]} .", Gold(0.0, 1.0, True)),
        (f"okay , let me see . try {COMEDY[0]} . how about {COMEDY[1]} tonight ?", Gold(0.0, 1.0, True)),
        (f"try {COMEDY[0]} . how about {WESTERN[0]} tonight ? have fun !", Gold(0.0, 0.5, True)),
        (f"try {COMEDY[0]} . how about {HORROR[0]} tonight ?", Gold(0.0, 0.0, True)),
        ("try Silver Harbor .", Gold(0.0, 0.0, True)),  # the user named it
        (f"try {COMEDY[0]} . try {COMEDY[0]} .", Gold(0.0, 0.0, False)),
        (" ".join(COMEDY[:3]), Gold(0.0, 0.0, False)),
        (f"have fun ! try {COMEDY[0]} .", Gold(0.0, 1.0, False)),  # the closing comes last
        (f"that sounds really heavy . try {COMEDY[0]}", Gold(0.5, 1.0, False)),  # it never ends
        ("", Gold(0.0, 0.0, False)),
    ],
)
def test_gold_by_hand(reply: str, expected: Gold) -> None:
    assert gold(EXAMPLE, reply) == expected


def test_references_fall_short_as_the_flaws_say() -> None:
    examples = Moods(seed=3).examples("train", 3000)
    judged = [gold(example, example.reference) for example in examples]
    flaws = Flaws()
    assert all(one.grammatical for one in judged)
    assert np.mean([one.empathy for one in judged]) == pytest.approx(flaws.empathic + flaws.acknowledging / 2, abs=0.03)
    assert np.mean([one.recommendation == 1 for one in judged]) == pytest.approx(flaws.fitting, abs=0.03)
    perfect = Moods(flaws=Flaws(1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)).examples("test", 200)
    assert {gold(example, example.reference) for example in perfect} == {Gold(1.0, 1.0, True)}


def test_examples_follow_from_seed_split_and_number_alone() -> None:
    task = Moods(seed=1)
    assert task.examples("train", 5)[3:] == task.examples("train", 2, start=3)
    prompts = {split: {e.prompt for e in task.examples(split, 300)} for split in ("train", "validation", "test")}
    assert len(prompts["train"] & prompts["test"]) < 15
    assert Moods(seed=2).examples("train", 1) != task.examples("train", 1)


def test_the_tokenizer_reads_all_and_comes_back_whole(tmp_path: Path) -> None:
    tokenizer = moods_tokenizer()
    examples = Moods().examples("train", 300)
    texts = [f"{example.prompt} {example.reference} <end>" for example in examples]
    ids = tokenizer(texts).input_ids
    assert tokenizer.unk_token_id not in {number for row in ids for number in row}
    assert tokenizer.batch_decode(ids) == texts
    roles = {"user": "user", "system": "assistant"}
    for example in examples:
        messages = [{"role": roles[turn.speaker], "content": turn.text} for turn in example.turns]
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert rendered == example.prompt
    tokenizer.save_pretrained(tmp_path)
    assert PreTrainedTokenizerFast.from_pretrained(tmp_path)(texts).input_ids == ids


def test_what_the_world_refuses() -> None:
    with pytest.raises(ValueError, match="no split 'dev': expected one of train, validation, test"):
        Moods().examples("dev", 1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="expected shares"):
        Flaws(fitting=0.9, unfitting=0.3)
    with pytest.raises(ValueError, match="the only world that this judge knows"):
        gold(Example("x", (), "", ""), "hi .")
