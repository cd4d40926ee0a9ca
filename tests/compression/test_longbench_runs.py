"""LongBench's format from a file to the report: every metric, graded as the reward, split by document."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trimtab import cli
from trimtab.compression.judging import Split
from trimtab.compression.prompt_sets import named, rows_by_part
from trimtab.compression.prompts import Prompt
from trimtab.compression.table import RewardTable
from trimtab.compression.tasks.longbench import DATASETS
from trimtab.compression.tasks.metrics import METRICS
from trimtab.compression.tasks.splits import document_of
from trimtab.compression.tasks.text import graded
from trimtab.lm.load import load_tokenizer

OF_RULER = {"match_all", "match_part"}
KINDS: dict[str, tuple[str, list[str], list[str] | None]] = {
    "hotpotqa": ("Who baked the bread?", ["Mila"], None),
    "multifieldqa_zh": ("谁？", ["北京"], None),
    "gov_report": ("", ["Mila baked bread and Tom ate it."], None),
    "dureader": ("谁？", ["我爱北京"], None),
    "trec": ("Question: Who baked?\nType:", ["Person"], ["Person", "Place"]),
    "passage_retrieval_en": ("Tom ate it.", ["Paragraph 2"], None),
    "passage_retrieval_zh": ("吃", ["段落2"], None),
    "passage_count": ("", ["2"], None),
    "lcc": ("", ["return bread"], None),
}
"""One data set of each metric: input, answers, classes."""
DOCUMENTS = range(4, 10)
"""Of these, two are trained on, one calibrates, three are held out."""


class _Characters:
    @staticmethod
    def cut(text: str, *, cut_all: bool) -> list[str]:
        return list(text)


@pytest.fixture(autouse=True)
def jieba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", _Characters)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A row of every kind for each of some documents."""
    made: list[dict[str, Any]] = []
    for number in DOCUMENTS:
        context = f"Paragraph 1: On day {number} Mila baked bread. Paragraph 2: Tom ate it. " * 4
        for name, (asked, answers, classes) in KINDS.items():
            row = {"input": asked, "context": context, "answers": answers, "length": 60, "dataset": name}
            made.append({**row, "language": "en", "all_classes": classes, "_id": f"{name}-{number}"})
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return path


def test_the_rows_cover_every_metric() -> None:
    assert {DATASETS[name].metric for name in KINDS} == set(METRICS) - OF_RULER


def test_prompts_carry_their_grade_and_documents_are_never_split(rows: Path) -> None:
    prompts = named(str(rows), load_tokenizer("zoo:chat"), None, 300)
    assert len(prompts) == len(DOCUMENTS) * len(KINDS)
    for prompt in prompts:
        answer = prompt.references[0]
        assert graded(f"{answer}\nand more" if prompt.first_line else answer, prompt) == pytest.approx(1.0)
    parts = rows_by_part([prompt.name for prompt in prompts], calibration=0.2, held_out=0.4)
    where: dict[str, set[str]] = {}
    for part, members in parts.items():
        for row in members:
            where.setdefault(document_of(prompts[row].name), set()).add(part)
    assert len(where) == len(DOCUMENTS)
    assert all(len(parts_of_document) == 1 for parts_of_document in where.values())
    with pytest.raises(ValueError, match="has no metric of its own"):
        graded("x", Prompt("one", (1, 2)))


@pytest.mark.slow
def test_from_a_file_to_the_report(rows: Path, tmp_path: Path) -> None:
    shares = ["--calibration-share", "0.2", "--held-out-share", "0.4"]
    line = ["--model-name", "zoo:chat", "--prompts", str(rows), "--prompt-count", "None", "--max-tokens", "300"]
    line += ["--menu", "u5b", "--new-tokens", "4", "--scored-tokens", "3"]
    out = tmp_path / "table"
    assert cli.run(["compression", "tabulate", *line, "--budgets", "24", "48", "--out", str(out)]) == 0
    table = RewardTable.load(out / "table")
    assert {"fidelity", "rouge_l", "metric"} <= set(table.parts)
    assert set(table.groups) == {f"longbench/{name}" for name in KINDS}
    assert all(((values >= 0) & (values <= 1)).all() for name, values in table.parts.items() if name == "metric")
    learned = ["--table", str(out / "table.npz"), "--budget", "24", "--reward", "metric", *shares]
    train = ["compression", "train", *line, *learned, "--save-dir", str(tmp_path), "--name", "run", "--track"]
    assert cli.run(train) == 0
    assert cli.run(["compression", "evaluate", "--run", str(tmp_path / "run"), "--no-needle"]) == 0
    record = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    held_out = Split.of(table, 0.2, 0.4).held_out
    lookup = next(row for row in record["rows"] if row["name"] == "lookup" and row["budget"] == 24)
    assert lookup["metric"] <= np.max(held_out.rewards("metric", 24), axis=1).mean() + 1e-6
    page = (tmp_path / "run" / "report.html").read_text()
    assert set(held_out.groups) == {f"longbench/{name}" for name in KINDS}
    assert all(group in page for group in held_out.groups)
