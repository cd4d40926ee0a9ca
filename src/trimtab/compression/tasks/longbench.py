"""How are LongBench's tasks read? Rows of its format, from JSON Lines files or the hub, with our wording of its prompts.

A row: ``input, context, answers, length, dataset, language, all_classes, _id`` (Bai et al., arXiv:2308.14508). Maximum
lengths, metrics, which tasks take no chat template, and which are judged by their first line: as published. The wording of
the prompts is ours; for numbers comparable to the published ones give its ``dataset2prompt.json`` as ``prompts``.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trimtab.compression.tasks.text import TextTask

HUB = "zai-org/LongBench"
_BROKEN_SHOWN = 10


@dataclass(frozen=True)
class Dataset:
    """One of LongBench's data sets: its prompt (``{context}``, ``{input}``), metric, and answer length."""

    prompt: str
    metric: str
    max_new_tokens: int
    chat: bool = True
    first_line: bool = False
    newline_stops: bool = False


_QA = (
    "Read the text and answer the question with a short phrase and nothing else.\n\nText: {context}\n\n"
    "Question: {input}\nAnswer:"
)
_PASSAGES = (
    "Answer the question from the passages below, with a short phrase and nothing else.\n\n{context}\n\n"
    "Question: {input}\nAnswer:"
)
_QA_ZH = "阅读以下文字，用中文简短回答问题，不要解释。\n\n{context}\n\n问题：{input}\n回答："
_SHOTS = "{context}\n{input}"

DATASETS: dict[str, Dataset] = {
    "narrativeqa": Dataset(_QA.replace("text", "story").replace("Text", "Story"), "qa_f1", 128),
    "qasper": Dataset(
        'Answer the question from the article, briefly. Write "unanswerable" where the article does not say, and yes, no '
        "or unanswerable to a yes/no question.\n\nArticle: {context}\n\nQuestion: {input}\nAnswer:",
        "qa_f1",
        128,
    ),
    "multifieldqa_en": Dataset(_QA, "qa_f1", 64),
    "multifieldqa_zh": Dataset(_QA_ZH, "qa_f1_zh", 64),
    "hotpotqa": Dataset(_PASSAGES, "qa_f1", 32),
    "2wikimqa": Dataset(_PASSAGES, "qa_f1", 32),
    "musique": Dataset(_PASSAGES, "qa_f1", 32),
    "dureader": Dataset(_QA_ZH, "rouge_zh", 128),
    "gov_report": Dataset("Summarise this report in one page.\n\n{context}\n\nSummary:", "rouge", 512),
    "qmsum": Dataset(
        "From the transcript of a meeting, answer the query in a few sentences.\n\n{context}\n\nQuery: {input}\nAnswer:",
        "rouge",
        512,
    ),
    "multi_news": Dataset("Summarise these news articles in one page.\n\n{context}\n\nSummary:", "rouge", 512),
    "vcsum": Dataset("请用一段话总结以下会议记录。\n\n{context}\n\n总结：", "rouge_zh", 512),
    "trec": Dataset(
        "Name the type of the question, as in the examples.\n\n" + _SHOTS, "classification", 64, False, True
    ),
    "triviaqa": Dataset(
        "Answer the question from the passage, with the answer alone, as in the examples.\n\n" + _SHOTS,
        "qa_f1",
        32,
        False,
        True,
    ),
    "samsum": Dataset(
        "Summarise the dialogue in a few short sentences, as in the examples.\n\n" + _SHOTS,
        "rouge",
        128,
        False,
        True,
        True,
    ),
    "lsht": Dataset("按照示例判断新闻的类别。\n\n" + _SHOTS, "classification", 64, False, True),
    "passage_count": Dataset(
        "Some of these paragraphs may be repeated. How many different ones are there? Answer with the number alone.\n\n"
        "{context}\n\nNumber:",
        "count",
        32,
    ),
    "passage_retrieval_en": Dataset(
        "Which paragraph does the abstract summarise? Answer as in: Paragraph 3.\n\n{context}\n\nAbstract: {input}\n"
        "Answer:",
        "retrieval",
        32,
    ),
    "passage_retrieval_zh": Dataset(
        "以下摘要概括的是哪一段？请按“段落3”的形式回答。\n\n{context}\n\n摘要：{input}\n回答：", "retrieval_zh", 32
    ),
    "lcc": Dataset("Complete the code by its next line.\n{context}Next line:\n", "code_similarity", 64, False),
    "repobench-p": Dataset(
        "Complete the code by its next line.\n{context}{input}Next line:\n", "code_similarity", 64, False
    ),
}
_FIELDS = {"input": str, "context": str, "answers": list, "dataset": str}


def dataset(name: str) -> Dataset:
    """The data set of that name. Raises ValueError naming the known."""
    if name not in DATASETS:
        close = get_close_matches(name, DATASETS, 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no LongBench data set {name!r}. {hint}Expected one of: {', '.join(DATASETS)}")
    return DATASETS[name]


def read_prompts(path: Path) -> dict[str, str]:
    """Prompts by data set, from a file of LongBench's ``dataset2prompt.json`` form. Raises ValueError."""
    read: Any = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(read, dict) or not all(isinstance(v, str) and "{context}" in v for v in read.values()):
        raise ValueError(f"{path} holds no prompts: expected an object of data set -> text with {{context}}")
    return {str(name): str(text) for name, text in read.items()}


def _fault(row: Any) -> str | None:
    """What is wrong with a row, if anything."""
    if not isinstance(row, dict):
        return "no object"
    for name, kind in _FIELDS.items():
        if not isinstance(row.get(name), kind):
            return f"no {name!r} ({kind.__name__})"
    if not row["answers"] or not all(isinstance(answer, str) for answer in row["answers"]):
        return "no answers (a list of texts)"
    return None


def _task(row: Mapping[str, Any], number: int, prompts: Mapping[str, str]) -> TextTask:
    name = str(row["dataset"]).removesuffix("_e")  # LongBench-E's rows are named so
    kind = dataset(name)
    text = prompts.get(name, kind.prompt)
    for field in ("context", "input"):
        text = text.replace("{" + field + "}", str(row[field]))
    document = hashlib.sha256(str(row["context"]).encode()).hexdigest()[:8]  # by which the splits are made
    return TextTask(
        f"longbench/{name}/{row.get('_id') or number}#{document}",
        f"longbench/{name}",
        text,
        tuple(row["answers"]),
        kind.metric,
        kind.max_new_tokens,
        str(row["context"]),
        tuple(row.get("all_classes") or ()),
        kind.chat,
        kind.first_line,
        kind.newline_stops,
    )


def parse(lines: Iterable[str], where: str, prompts: Mapping[str, str] | None = None) -> list[TextTask]:
    """The tasks of JSON Lines. Raises ValueError naming every broken line (the first ten), or an unknown data set."""
    tasks: list[TextTask] = []
    broken: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except json.JSONDecodeError:
            broken.append(f"line {number}: no JSON")
            continue
        fault = _fault(row)
        if fault:
            broken.append(f"line {number}: {fault}")
        else:
            tasks.append(_task(row, number, prompts or {}))
    if broken:
        more = f"; and {len(broken) - _BROKEN_SHOWN} more" if len(broken) > _BROKEN_SHOWN else ""
        raise ValueError(f"{where} has broken lines: {'; '.join(broken[:_BROKEN_SHOWN])}{more}. Mend or remove them.")
    if not tasks:
        raise ValueError(f"{where} holds no tasks: expected rows of LongBench's format, one a line")
    return tasks


def read(path: Path, prompts: Mapping[str, str] | None = None) -> list[TextTask]:
    """The tasks of a JSON Lines file in LongBench's format. Raises ValueError as ``parse``, FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file: expected LongBench rows as JSON Lines (see longbench.py)")
    return parse(path.read_text(encoding="utf-8").splitlines(), str(path), prompts)


def from_hub(name: str, prompts: Mapping[str, str] | None = None, *, repository: str = HUB) -> list[TextTask]:
    """The tasks of a data set, from the hub's archive (``data.zip``), without running any code of the repository."""
    from huggingface_hub import hf_hub_download

    dataset(name)
    archive = hf_hub_download(repository, "data.zip", repo_type="dataset")
    with zipfile.ZipFile(archive) as files:
        member = next((one for one in files.namelist() if one.rsplit("/", 1)[-1] == f"{name}.jsonl"), None)
        if member is None:
            raise ValueError(f"{repository} has no {name}.jsonl in its data.zip: give files of your own instead")
        return parse(files.read(member).decode("utf-8").splitlines(), f"{repository}/{member}", prompts)
