"""LongBench's format: rows, prompts, lengths, broken lines, the hub's archive."""

from __future__ import annotations

import json
import re
import sys
import types
import zipfile
from pathlib import Path

import pytest

from trimtab.compression.tasks import longbench
from trimtab.compression.tasks.splits import document_of
from trimtab.compression.tasks.text import tokenized, truncate_middle
from trimtab.lm.load import load_tokenizer

ROW = {
    "input": "Who baked the {context} bread?",
    "context": "Mila baked bread. Tom ate it.",
    "answers": ["Mila", "Mila did"],
    "length": 6,
    "dataset": "hotpotqa",
    "language": "en",
    "all_classes": None,
    "_id": "a1",
}
LABELS = {**ROW, "dataset": "trec", "answers": ["Food"], "all_classes": ["Food", "Sport"], "_id": "a2"}


def _write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_rows_become_tasks_graded_by_their_own_metric(tmp_path: Path) -> None:
    question, labelled = longbench.read(_write(tmp_path / "rows.jsonl", ROW, "", LABELS))
    assert re.fullmatch(r"longbench/hotpotqa/a1#[0-9a-f]{8}", question.name)
    assert document_of(question.name) == document_of(labelled.name)
    assert question.max_new_tokens == 32
    assert question.text.count("Mila baked bread.") == 1
    assert question.text.endswith("Question: Who baked the {context} bread?\nAnswer:")
    assert question.grade("mila") == 1.0
    assert (labelled.chat, labelled.first_line) == (False, True)
    assert labelled.grade("Food\nSport") == 1.0
    assert question.key == labelled.key  # one document, one split


def test_every_broken_line_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", ROW, "{oops", {**ROW, "answers": []}, {"input": "x"})
    with pytest.raises(ValueError, match=r"line 2: no JSON; line 3: no answers.*; line 4: no 'context'"):
        longbench.read(path)
    with pytest.raises(FileNotFoundError):
        longbench.read(tmp_path / "none.jsonl")


def test_unknown_data_sets_list_the_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Did you mean 'hotpotqa'.*repobench-p"):
        longbench.read(_write(tmp_path / "rows.jsonl", {**ROW, "dataset": "hotpot"}))


def test_published_prompts_replace_ours(tmp_path: Path) -> None:
    prompts = tmp_path / "dataset2prompt.json"
    prompts.write_text(json.dumps({"hotpotqa": "Q {input} C {context}"}))
    (task,) = longbench.read(_write(tmp_path / "rows.jsonl", ROW), longbench.read_prompts(prompts))
    assert task.text.startswith("Q Who baked the ")
    prompts.write_text(json.dumps({"hotpotqa": "no place"}))
    with pytest.raises(ValueError, match="holds no prompts"):
        longbench.read_prompts(prompts)


def test_all_published_lengths_and_metrics() -> None:
    lengths = {name: kind.max_new_tokens for name, kind in longbench.DATASETS.items()}
    assert len(lengths) == 21
    assert {n for n, tokens in lengths.items() if tokens == 512} == {"gov_report", "qmsum", "multi_news", "vcsum"}
    plain = {name for name, kind in longbench.DATASETS.items() if not kind.chat}
    assert plain == {"trec", "triviaqa", "samsum", "lsht", "lcc", "repobench-p"}
    assert {n for n, kind in longbench.DATASETS.items() if kind.first_line} == {"trec", "triviaqa", "samsum", "lsht"}


def test_the_middle_is_cut_out() -> None:
    assert truncate_middle(range(10), 4) == [0, 1, 8, 9]
    assert truncate_middle(range(10), 5) == [0, 1, 2, 8, 9]
    assert truncate_middle(range(3), 4) == [0, 1, 2]
    with pytest.raises(ValueError, match="2 or more"):
        truncate_middle(range(3), 1)


def test_prompts_take_the_chat_template_where_the_task_does(tmp_path: Path) -> None:
    tokenizer = load_tokenizer("zoo:chat")
    asked, labelled = longbench.read(_write(tmp_path / "rows.jsonl", ROW, LABELS))
    assert tokenizer.decode(tokenized(asked, tokenizer).token_ids).endswith("<|assistant|>")
    assert "<|assistant|>" not in tokenizer.decode(tokenized(labelled, tokenizer).token_ids)
    short = tokenized(labelled, tokenizer, 8)
    assert len(short.token_ids) == 8
    assert short.references == ("Food",)


def test_the_hub_is_read_from_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data/hotpotqa.jsonl", json.dumps(ROW))
    asked: list[tuple[str, str]] = []

    def download(repository: str, name: str, *, repo_type: str) -> str:
        assert repo_type == "dataset"
        asked.append((repository, name))
        return str(archive)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=download))
    (task,) = longbench.from_hub("hotpotqa")
    assert task.name.startswith("longbench/hotpotqa/a1#")
    assert asked == [(longbench.HUB, "data.zip")]
    with pytest.raises(ValueError, match=r"no qasper\.jsonl"):
        longbench.from_hub("qasper")
