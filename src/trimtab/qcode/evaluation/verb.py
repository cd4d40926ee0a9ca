"""What does ``trimtab qcode evaluate`` do? Answers are written, run and counted; a table, eval_results.json and a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.checkpoints import replace_file
from trimtab.console import Table, progress_bar, say
from trimtab.qcode import models, sources
from trimtab.qcode.attempts import Answer, Attempt, Grader
from trimtab.qcode.engine.protocol import InfraError
from trimtab.qcode.evaluation import results, transcript
from trimtab.qcode.evaluation.endpoint import EndpointWriter
from trimtab.qcode.evaluation.writing import LocalWriter, Manner, Writer
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.prompts import PromptSettings
from trimtab.qcode.reward import check
from trimtab.records import write_json

if TYPE_CHECKING:
    from trimtab.qcode.training_recipe import Evaluate

NOTE = "intervals: 95 %, bootstrap over problems; pass@k: unbiased (Chen et al. 2021)"


def problems_of(command: Evaluate) -> list[Problem]:
    """The problems that the command means."""
    found = sources.load(command.problems)
    chosen = found if command.split == "all" else sources.of_split(found, command.split, command.problems)
    return chosen[: command.limit] if command.limit else chosen


def prompt_of(command: Evaluate) -> PromptSettings:
    """How problems are put: as the model was taught, where that is known."""
    return command.prompt if command.endpoint else models.prompt_of(command.model, command.prompt)


def writer_of(command: Evaluate) -> Writer:
    """Who answers."""
    if command.endpoint:
        return EndpointWriter(command.endpoint, command.model, command.prompt, command.key_variable)
    model, tokenizer = models.load(command.model)
    return LocalWriter(model, tokenizer, prompt_of(command), command.model)


def judged(
    writer: Writer,
    problems: Sequence[Problem],
    grader: Grader,
    manner: Manner,
    *,
    greedy: bool,
) -> results.Evaluation:
    """Answers of a writer, run against every test."""
    first: list[Attempt] = []
    rows: list[list[Attempt]] = []
    with progress_bar("answering") as advance:
        if greedy:
            once = Manner(0.0, 1, manner.max_new_tokens, manner.batch_size, manner.seed)
            first = [row[0] for row in _graded(writer.write(problems, once, advance), grader)]
        if manner.samples:
            rows = _graded(writer.write(problems, manner, advance), grader)
    return results.Evaluation(writer.name, list(problems), first, rows)


def _graded(answers: Sequence[Sequence[Answer]], grader: Grader) -> list[list[Attempt]]:
    flat = [answer for row in answers for answer in row]
    done = iter(grader.run(flat, [answer.problem.tests for answer in flat]))
    return [[next(done) for _ in row] for row in answers]


def evaluate(command: Evaluate) -> int:
    """``trimtab qcode evaluate``."""
    if not command.greedy and command.samples < 1:
        raise ValueError("neither greedy answers nor samples: leave --greedy on, or give --samples of at least 1")
    problems = problems_of(command)
    manner = Manner(command.temperature, command.samples, command.max_new_tokens, command.batch_size, command.seed)
    prompt = prompt_of(command)
    with Grader(command.engine, prompt.format) as grader:
        check(problems, prompt, grader)
        writer = writer_of(command)
        try:
            found = judged(writer, problems, grader, manner, greedy=command.greedy)
        except InfraError as error:
            raise ValueError(f"nothing was scored: {error}") from error
    _write(command.out, found, command.k, command.problems)
    return 0


def _write(out: Path, found: results.Evaluation, ks: Sequence[int], name: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    told = results.summary(found, ks)
    write_json(out / "eval_results.json", told)
    lines = "".join(json.dumps(row) + "\n" for row in sample_rows(found))
    replace_file(out / "samples.jsonl", lambda scratch: scratch.write_text(lines, encoding="utf-8"))
    page = transcript.write(out / "index.html", found, told)
    table_of(f"{found.model} on {name}", told).print()
    say(f"{out / 'eval_results.json'}; samples to read: {page}")


def table_of(title: str, told: dict[str, Any]) -> Table:
    """The table of families and of all."""
    names = [name for name in told["all"] if name != "problems"]
    table = Table(title, ("family", "problems", *names), note=NOTE)
    for family, row in [*sorted(told["families"].items()), ("all", told["all"])]:
        cells = [f"{row[n]['estimate']:.3f} [{row[n]['low']:.3f}, {row[n]['high']:.3f}]" for n in names]
        table.add(family, row["problems"], *cells)
    return table


def sample_rows(found: results.Evaluation) -> list[dict[str, Any]]:
    """Every answer as plain data."""
    told: list[dict[str, Any]] = []
    for place, problem in enumerate(found.problems):
        greedy = [("greedy", a) for a in found.greedy[place : place + 1]]
        sampled = [("sample", a) for a in (found.sampled[place] if found.sampled else [])]
        for kind, attempt in [*greedy, *sampled]:
            told.append(
                {
                    "problem": problem.id,
                    "kind": kind,
                    "text": attempt.text,
                    "code": attempt.extraction.code,
                    "status": str(attempt.status),
                    "tests": [str(test.status) for test in attempt.verdict.tests],
                    "detail": attempt.verdict.detail,
                    "tokens": attempt.tokens,
                    "ended": attempt.ended,
                }
            )
    return told
