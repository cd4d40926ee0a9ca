"""What do ``trimtab dialogue prepare | audit | fit-empathy | evaluate | compare | score`` do?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trimtab.checkpoints import replace_file
from trimtab.console import Table, progress, say
from trimtab.dialogue.example import Example, Reply, references
from trimtab.dialogue.formats.lines import Read, read_lines, text_lines, write_jsonl
from trimtab.dialogue.formats.others import instruction_row, own_row
from trimtab.dialogue.formats.reading import format_of, read_examples, read_replies
from trimtab.dialogue.formats.redial import processed_rows, raw_dialogue
from trimtab.dialogue.recipe import Audit, Compare, Evaluate, FitEmpathy, Prepare, Score
from trimtab.dialogue.reward_making import catalogue_for, catalogue_if_any, fluency_of, rubric_for
from trimtab.plain import to_plain


def _write_json(path: Path | None, value: Any) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(value, indent=2) + "\n"
        replace_file(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def audit_data(command: Audit) -> int:
    """``trimtab dialogue audit``: status 1 where something is broken."""
    from trimtab.dialogue.audit import audit
    from trimtab.dialogue.report import audit_tables

    replies = _audited(command)[: command.limit]
    examples = [reply.example for reply in replies]
    labels = [example.facts.label for example in examples]
    judged = [label for label in labels if label is not None] if None not in labels else None
    found = audit(rubric_for(command.reward, examples), replies, labels=judged)
    for table in audit_tables(found):
        table.print()
    _write_json(command.json, to_plain(found))
    return 1 if found.broken else 0


def _audited(command: Audit) -> list[Reply]:
    """A model's replies where a file of them is given, else the references of the data."""
    if command.replies is not None:
        written = read_replies(command.replies)
        say(written.summary(command.replies))
        return written.good
    read = read_examples(command.data, command.format)
    say(read.summary(command.data))
    return references(read.good)


def prepare_data(command: Prepare) -> None:
    """``trimtab dialogue prepare``."""
    from trimtab.dialogue.templates import INSTRUCTION, rendered, template_of

    if command.to in ("processed", "titles"):
        rows = _processed(command)
    else:
        examples = read_examples(command.input, command.format)
        if command.to == "instructions":
            made = [instruction_row(example, INSTRUCTION) for example in examples.good]
        else:
            template = template_of(command.template, _tokenizer(command))
            made = [own_row(rendered(example, template)) for example in examples.good]
        rows = Read(made, examples.broken)
    write_jsonl(command.output, rows.good)
    rows.keep_aside(command.output.with_name(f"{command.output.name}.rejected.jsonl"))
    say(rows.summary(command.input), f"{len(rows.good)} rows in {command.output}")


def _tokenizer(command: Prepare) -> Any:
    if command.template != "chat":
        return None
    if command.tokenizer is None:
        raise ValueError("the template chat is a tokenizer's own: name one by --tokenizer.")
    from trimtab.lm.load import load_tokenizer

    return load_tokenizer(command.tokenizer)


def _processed(command: Prepare) -> Read[dict[str, Any]]:
    lines = text_lines(command.input)
    kind = format_of(lines) if command.format == "auto" else command.format
    if kind != "redial":
        raise ValueError(f"{command.input} is in the format {kind!r}: processed rows are made of raw ReDial alone.")
    masked = command.to == "processed"
    return read_lines(lines, lambda row: processed_rows(raw_dialogue(row), masked=masked))


def fit_empathy(command: FitEmpathy) -> None:
    """``trimtab dialogue fit-empathy``."""
    from trimtab.dialogue.rewards.empathy import HeadFit, fit
    from trimtab.dialogue.rewards.empathy_fitting import fit_moods_head, labelled_examples

    settings = HeadFit(hidden=command.hidden, epochs=command.epochs, seed=command.seed)
    if command.data is None:
        head = fit_moods_head(command.out, settings=settings)
    else:
        read = read_examples(command.data, command.format)
        say(read.summary(command.data))
        head = fit(*labelled_examples(references(read.good)), settings=settings)
        head.save(command.out)
    table = Table("empathy head", ("examples", "held_out_examples", "held_out_auc"))
    table.add(*(head.about[name] for name in table.columns))  # pyright: ignore[reportArgumentType] (numbers)
    table.print()
    say(f"the head is in {command.out}")


def evaluate_file(command: Evaluate) -> None:
    """``trimtab dialogue evaluate``."""
    from trimtab.dialogue.evaluating import evaluated, scores_of, scores_path

    read = read_replies(command.replies)
    say(read.summary(command.replies))
    examples = [reply.example for reply in read.good]
    catalogue = catalogue_if_any(examples)
    rubric = rubric_for(command.reward, examples)
    found = evaluated(read.good, rubric, catalogue, fluency=fluency_of(command.reward))
    beside = scores_path(command.replies)
    if command.judged or scores_of(command.replies, read.good):
        found |= judged_means(command.judged or beside)
    if command.model:
        found |= _divergence(command, read.good)
    if command.recommender:
        found |= _recommended(command, examples)
    table = Table(str(command.replies), ("metric", "value"))
    for name, value in found.items():
        table.add(name, value)
    table.print()
    _write_json(command.json, found)


def _divergence(command: Evaluate, replies: Sequence[Reply]) -> dict[str, float]:
    from trimtab.dialogue import models
    from trimtab.dialogue.divergence import kl_on_replies

    policy, tokenizer = models.load(str(command.model), dtype="float32")
    reference, other = models.load(command.reference_model, dtype="float32")
    return kl_on_replies(
        policy, reference, tokenizer, replies, context=command.context_max_length, reference_tokenizer=other
    )


def _recommended(command: Evaluate, examples: Sequence[Example]) -> dict[str, float]:
    from trimtab.dialogue.recommending import recommendation_metrics, recommender_of

    training = read_examples(command.training).good if command.recommender == "popularity" else []
    catalogue = catalogue_for([*examples, *training])
    return recommendation_metrics(examples, catalogue, recommender_of(str(command.recommender), catalogue, training))


def judged_means(path: Path) -> dict[str, float]:
    """Means of a judge's scores, and how many are missing. Raises ValueError where all are."""
    rows = [json.loads(line) for line in text_lines(path)]
    scored = [row["scores"] for row in rows if row["scores"] is not None]
    if not scored:
        raise ValueError(f"{path} holds no score ({len(rows)} missing): the judge did not keep to the form.")
    means = {f"judge/{name}": sum(scores[name] for scores in scored) / len(scored) for name in scored[0]}
    return means | {"judge/missing": float(len(rows) - len(scored))}


def compare_arms(command: Compare) -> None:
    """``trimtab dialogue compare``."""
    from trimtab.dialogue.comparison import compare
    from trimtab.dialogue.evaluating import arm_of, files_of
    from trimtab.dialogue.report import comparison_plain, comparison_table, write_page

    if len(command.arms) < 2:
        raise ValueError(f"{len(command.arms)} arms: expected the base and at least one other, as NAME=FOLDER.")
    first = files_of(Path(command.arms[0].rpartition("=")[2]))[0]
    rubric = rubric_for(command.reward, [reply.example for reply in read_replies(first).good])
    fluency = fluency_of(command.reward)
    base, *others = [arm_of(named, rubric, fluency=fluency) for named in command.arms]
    found = [compare(base, other, force=command.force) for other in others]
    for one in found:
        comparison_table(one).print()
    _write_json(command.json, [comparison_plain(one) for one in found])
    if command.html:
        write_page(command.html, [base, *others], found)
        say(f"the page is {command.html}")


def score_file(command: Score) -> None:
    """``trimtab dialogue score``: appends to the output, skipping what it holds already."""
    from trimtab.dialogue.judge import judge_of, judged_rows
    from trimtab.tracking import Jsonl, read_jsonl

    read = read_replies(command.input)
    say(read.summary(command.input))
    read.keep_aside(command.output.with_name(f"{command.output.name}.rejected.jsonl"))
    command.output.parent.mkdir(parents=True, exist_ok=True)
    out = Jsonl(command.output)
    _check_resumed(command, list(read_jsonl(command.output)) if out.rows else [], read.good)
    left = read.good[out.rows :]
    if left:
        judge = judge_of(command.model, command.endpoint, command.key_variable, command.cache, device=command.device)
        for row in progress(judged_rows(left, judge), "judging", total=len(left)):
            out.append(row)
        say(f"{judge.asked} asked, {judge.remembered} remembered, {judge.retried} asked again, {judge.missing} missing")
    out.close()
    table = Table(f"{command.model} on {command.input}", ("rubric", "mean"))
    for name, value in judged_means(command.output).items():
        table.add(name, value)
    table.print()
    if command.against:
        _agreement(command.output, command.against)


def _check_resumed(command: Score, rows: Sequence[dict[str, Any]], replies: Sequence[Reply]) -> None:
    expected = [(reply.example.key, reply.text) for reply in replies[: len(rows)]]
    if len(rows) > len(replies) or [(row["key"], row["reply"]) for row in rows] != expected:
        raise ValueError(f"{command.output} holds scores of other replies than {command.input}: choose another output.")
    others = sorted({row["judge"] for row in rows} - {command.model})
    if others:
        raise ValueError(f"{command.output} holds scores of the judge {others[0]!r}: choose another output.")


def _agreement(first: Path, second: Path) -> None:
    from trimtab.dialogue.judge import agreement

    rows = [[json.loads(line) for line in text_lines(path)] for path in (first, second)]
    if [(row["key"], row["reply"]) for row in rows[0]] != [(row["key"], row["reply"]) for row in rows[1]]:
        raise ValueError(f"{first} and {second} score different replies: expected the same, in the same order.")
    found = agreement(*([row["scores"] for row in of] for of in rows))
    table = Table("agreement of the two judges", ("rubric", "spearman", "alpha", "replies"))
    for name, row in found.items():
        table.add(name, row["spearman"], row["alpha"], row["replies"])
    table.print()
