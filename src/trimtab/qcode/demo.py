"""What does ``trimtab qcode demo`` do? Judge the embedded model, train it for a few steps of GRPO, judge it again: minutes.

Judged are compositions of one-liners that training never met, by inputs that no reward used.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from trimtab.console import Table, duration, say
from trimtab.outcomes import Level, Outcome, verdict_of
from trimtab.qcode import models, sources
from trimtab.qcode.attempts import Grader
from trimtab.qcode.evaluation import results, transcript
from trimtab.qcode.evaluation.verb import judged
from trimtab.qcode.evaluation.writing import LocalWriter, Manner
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.training.running import settled, train
from trimtab.records import write_json
from trimtab.statistics import Interval, paired_difference

if TYPE_CHECKING:
    from trimtab.qcode.demo_recipe import Demo
    from trimtab.qcode.training_recipe import Train

HELD_OUT = "onelines-evaluation"
BATCH = 128
ADVICE = {
    "improved": "Executed tests taught what the references did not.",
    "not shown": "The interval includes zero: train for more steps (`trimtab qcode train tiny`).",
    "worse": "It is worse: lower --train.learning-rate, or train for more steps.",
}


def demo(command: Demo) -> None:
    """``trimtab qcode demo``."""
    started = time.perf_counter()
    name = command.train.name or f"demo-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    recipe = settled(replace(command.train, output_dir=command.out or command.train.output_dir, name=name, resume=None))
    problems = sources.of_split(sources.load(HELD_OUT), "test", HELD_OUT)[: command.problems]
    say(f"1 of 3: {recipe.model} on {len(problems)} held-out problems, greedily")
    before = greedily(recipe.model, problems, recipe)
    say(f"2 of 3: {recipe.max_steps} steps of GRPO")
    train(recipe)
    run = recipe.output_dir / name
    say("3 of 3: the trained model on the same problems")
    after = greedily(str(run), problems, recipe)
    told = results.summary(after, ())
    write_json(run / "eval_results.json", told)
    page = transcript.write(run / "samples.html", after, told)
    outcome = outcome_of(before, after, recipe, time.perf_counter() - started)
    outcome.write(run)
    show(outcome)
    say(f"samples to read: {page}", f"the run is in {run}; all in {duration(time.perf_counter() - started)}")


def greedily(name: str, problems: Sequence[Problem], recipe: Train) -> results.Evaluation:
    """A model's greedy answers, run against every test."""
    model, tokenizer = models.load(name, dtype="float32")
    manner = Manner(samples=0, max_new_tokens=recipe.max_completion_length, batch_size=BATCH)
    with Grader(recipe.engine, recipe.prompt.format) as grader:
        return judged(LocalWriter(model, tokenizer, recipe.prompt, name), problems, grader, manner, greedy=True)


def passed(found: results.Evaluation) -> np.ndarray:
    """1 for each problem that is solved, else 0 [P]."""
    return np.array([float(attempt.verdict.passed) for attempt in found.greedy])


def outcome_of(before: results.Evaluation, after: results.Evaluation, recipe: Train, seconds: float) -> Outcome:
    """What was learned, over the model that training began from; ``seconds``: wall time, all together."""
    gain = paired_difference(passed(after), passed(before))
    verdict = verdict_of(gain, "difference")
    return Outcome(
        room="qcode",
        learned="programs of q",
        measure="held-out problems solved greedily",
        default=None,
        fixed=Level(float(passed(before).mean()), f"{recipe.model}, taught by references alone"),
        policy=Level(float(passed(after).mean()), f"after {recipe.max_steps} steps of GRPO"),
        ceiling=Level(1.0, "the references"),
        gain=gain,
        kind="difference",
        over=f"{len(after.problems)} held-out problems",
        verdict=verdict,
        sentence=sentence(gain, before, after, recipe) + " " + ADVICE[verdict],
        seconds=seconds,
        note="One training, one seed: the interval is over problems, not over trainings. Longer SFT is no part of this "
        "comparison; benchmarks/qcode.py has it.",
    )


def sentence(gain: Interval, before: results.Evaluation, after: results.Evaluation, recipe: Train) -> str:
    """What was found."""
    return (
        f"After {recipe.max_steps} steps of GRPO the model solves {passed(after).mean():.1%} of "
        f"{len(after.problems)} held-out problems, {passed(before).mean():.1%} before ({gain.estimate:+.3f}, 95% interval "
        f"{gain.low:+.3f} to {gain.high:+.3f})."
    )


def show(outcome: Outcome) -> None:
    """The table, and the sentence."""
    table = Table("held-out one-liners, greedy", ("model", "solved"), note=outcome.note)
    for level in (outcome.fixed, outcome.policy):
        table.add(level.what, level.value)
    table.print()
    print(outcome.sentence)
