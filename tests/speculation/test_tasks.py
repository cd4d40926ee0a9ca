"""Prompt files: read whole, or refused by the number of the broken line."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab.speculation.tasks import first, own_prompts, read_prompts

GOOD = '{"question_id": 7, "category": "writing", "turns": ["Write.", "Again."]}'


def write(folder: Path, *lines: str) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_file_in_mt_benchs_format(tmp_path: Path) -> None:
    (task,) = read_prompts(write(tmp_path, GOOD, ""))
    assert (task.task, task.category, task.turns) == ("7", "writing", ("Write.", "Again."))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2"),
        ("[1]", "line 2: expected an object, got list"),
        ('{"question_id": 1}', 'line 2: expected "turns"'),
        ('{"question_id": 1, "turns": []}', 'line 2: expected "turns"'),
        ('{"question_id": 1, "turns": [" "]}', "line 2: .*not empty"),
        ('{"turns": ["a"]}', 'line 2: expected a "question_id"'),
        (GOOD, "line 2: question_id 7 occurs twice"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_prompts(write(tmp_path, GOOD, line))


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="JSON Lines"):
        read_prompts(tmp_path / "none.jsonl")
    with pytest.raises(ValueError, match="holds no prompts"):
        read_prompts(write(tmp_path, ""))


def test_own_prompts_and_counts() -> None:
    assert {task.category for task in first(own_prompts("held_out"), 6)} == {"dialogue", "arithmetic", "code"}
    with pytest.raises(ValueError, match="train, held_out"):
        own_prompts("test")
    with pytest.raises(ValueError, match="at least 1"):
        first(own_prompts("train"), 0)


def test_published_prompt_sets_are_read(shared: Path) -> None:
    sizes = {path.stem: len(read_prompts(path)) for path in sorted((shared / "data" / "prompts").glob("*.jsonl"))}
    assert sizes == {"gsm8k": 80, "humaneval": 80, "mt_bench": 80}
