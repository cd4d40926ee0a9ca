"""Are the shipped prompt sets well formed, balanced, and free of repetitions? (Read as plain JSONL.)"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

PROMPTS = Path(__file__).parents[2] / "src" / "trimtab" / "speculation" / "prompts"
CATEGORIES = ("dialogue", "arithmetic", "code")
PER_CATEGORY = {"train": 108, "held_out": 36}
CODE_REQUESTS = {
    "Complete the code I provided.",
    "Complete the following Python function.",
    "Write the body of this function.",
    "Please implement this function.",
}
SCRIPT_REQUESTS = {
    "Continue this conversation to its end.",
    "Write the rest of this dialogue.",
    "How does this conversation go on?",
}
MAX_SHARED = 0.8


def _read(split: str) -> list[dict]:
    return [json.loads(line) for line in (PROMPTS / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


SPLITS = {split: _read(split) for split in PER_CATEGORY}
ROWS = [row for rows in SPLITS.values() for row in rows]


def _subject(text: str) -> str:
    """A turn without the fixed request line, which many prompts share by design."""
    request, _, rest = text.partition("\n\n")
    return rest if request in CODE_REQUESTS | SCRIPT_REQUESTS else text


def _trigrams(text: str) -> set[tuple[str, ...]]:
    """The distinct word 3-grams of a text; a text of fewer words is one gram."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def _shared(first: set[tuple[str, ...]], second: set[tuple[str, ...]]) -> float:
    """Share of the smaller set that the other one holds too."""
    return len(first & second) / min(len(first), len(second))


def test_share_of_trigrams_by_hand():
    assert _trigrams("a b, C d") == {("a", "b", "c"), ("b", "c", "d")}
    assert _shared(_trigrams("a b c d"), _trigrams("x b c d e")) == 1 / 2
    assert _shared(_trigrams("Hi"), _trigrams("hi!")) == 1


@pytest.mark.parametrize("split", PER_CATEGORY)
def test_each_category_has_its_number_of_prompts(split: str):
    assert Counter(row["category"] for row in SPLITS[split]) == dict.fromkeys(CATEGORIES, PER_CATEGORY[split])


def test_at_least_400_prompts_and_unique_ids():
    assert len(ROWS) >= 400
    assert len({row["question_id"] for row in ROWS}) == len(ROWS)


def test_rows_are_mt_bench_questions():
    for row in ROWS:
        assert set(row) == {"question_id", "category", "turns"}
        assert type(row["question_id"]) is int
        assert len(row["turns"]) in (1, 2)
        assert all(isinstance(turn, str) and turn and turn == turn.strip() for turn in row["turns"])


@pytest.mark.parametrize("split", PER_CATEGORY)
@pytest.mark.parametrize("category", CATEGORIES)
def test_a_third_of_each_category_has_two_turns(split: str, category: str):
    turns = [len(row["turns"]) for row in SPLITS[split] if row["category"] == category]
    assert turns.count(2) / len(turns) == pytest.approx(1 / 3, abs=0.05)


def test_every_beginning_of_a_file_is_balanced():
    for rows in SPLITS.values():
        categories = [row["category"] for row in rows]
        assert categories == list(CATEGORIES) * (len(rows) // len(CATEGORIES))


def test_no_first_turn_occurs_twice():
    repeated = [text for text, n in Counter(_subject(row["turns"][0]) for row in ROWS).items() if n > 1]
    assert not repeated


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_two_first_turns_are_near_duplicates(category: str):
    rows = [row for row in ROWS if row["category"] == category]
    grams = {row["question_id"]: _trigrams(_subject(row["turns"][0])) for row in rows}
    near = [(a, b) for a, b in combinations(grams, 2) if _shared(grams[a], grams[b]) > MAX_SHARED]
    assert not near


def test_code_turns_are_a_request_and_one_documented_function():
    for turn in (turn for row in ROWS if row["category"] == "code" for turn in row["turns"]):
        request, _, source = turn.partition("\n\n")
        assert request in CODE_REQUESTS
        (function,) = ast.parse(f"{source}\n    pass").body
        assert isinstance(function, ast.FunctionDef)
        assert ast.get_docstring(function)
        assert len(function.body) == 2, "nothing may follow the docstring"


def test_no_function_is_asked_for_twice():
    turns = [_subject(turn) for row in ROWS if row["category"] == "code" for turn in row["turns"]]
    assert len(set(turns)) == len(turns)


def test_scripts_open_with_the_user_and_are_at_least_half_of_the_dialogues():
    dialogues = [row["turns"] for row in ROWS if row["category"] == "dialogue"]
    scripts = [turns for turns in dialogues if turns[0].partition("\n")[0] in SCRIPT_REQUESTS]
    assert len(scripts) >= len(dialogues) / 2
    for turns in scripts:
        assert len(turns) == 1
        assert re.fullmatch(r"User: \S[^\n]*", _subject(turns[0]))


def test_arithmetic_turns_ask_for_a_number():
    for turns in (row["turns"] for row in ROWS if row["category"] == "arithmetic"):
        assert re.search(r"\d", turns[0])
        assert all("?" in turn for turn in turns)
