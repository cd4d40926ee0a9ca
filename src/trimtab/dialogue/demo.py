"""What does ``trimtab dialogue demo`` do? Post-train the embedded model by PPO, judge both on dialogues unseen: minutes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from trimtab.console import duration, say
from trimtab.dialogue import models, sources
from trimtab.dialogue.answering import Manner, answer
from trimtab.dialogue.comparison import Arm, Comparison, compare
from trimtab.dialogue.evaluating import columns_of
from trimtab.dialogue.example import Reply
from trimtab.dialogue.reward_making import rubric_for
from trimtab.dialogue.running import train
from trimtab.dialogue.tasks.moods_reward import gold_columns
from trimtab.outcomes import Level, Outcome, Verdict, verdict_of
from trimtab.statistics import Interval, crossed_difference

if TYPE_CHECKING:
    from trimtab.dialogue.reward_recipe import RewardSettings
    from trimtab.dialogue.training_recipe import Demo

GOLD = ("gold_empathy", "gold_recommendation")
NOTE = (
    "Empathy and fitting recommendation by the exact judge of the embedded world, their mean, from 0 to 1. Training never "
    "met it: it learns from a reward made of proxies."
)
TEMPERATURES = (1.0, 0.5, 0.0)
"""At which either model may answer."""


def demo(command: Demo) -> None:
    """``trimtab dialogue demo``."""
    started = time.perf_counter()
    name = command.train.name or f"demo-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    recipe = replace(command.train, save_dir=command.out or command.train.save_dir, name=name, resume=None)
    train(recipe)
    run = recipe.save_dir / name
    say("choosing the temperature of each model on validation dialogues")
    candidates = [Candidate(model, *_best_temperature(model, command)) for model in (recipe.model_name, str(run))]
    say(f"answering {command.examples} dialogues that no training saw")
    sampled = _replies(recipe.model_name, command, 1.0, "test")
    before, after = (_replies(one.model, command, one.temperature, "test") for one in candidates)
    outcome = outcome_of(sampled, before, after, candidates, recipe.reward, time.perf_counter() - started)
    outcome.write(run)
    _show(before, after)
    say(outcome.sentence, f"the run is in {run}; all in {duration(time.perf_counter() - started)}")


@dataclass(frozen=True)
class Candidate:
    """A model, the temperature at which it answers best, and the exact judge's mean there, on validation dialogues."""

    model: str
    temperature: float
    judged: float


def _replies(model_name: str, command: Demo, temperature: float, split: str) -> list[Reply]:
    model, tokenizer = models.load(model_name)
    settings = command.train
    manner = Manner(
        temperature=temperature,
        seed=settings.seed,
        context_max_length=settings.context_max_length,
        reply_max_length=settings.resp_max_length,
    )
    return answer(model, tokenizer, sources.examples_of(f"moods:{split}:{command.examples}"), manner)


def _best_temperature(model_name: str, command: Demo) -> tuple[float, float]:
    """The temperature of the exact judge's highest mean on validation dialogues, and that mean."""
    found = {t: gold(gold_columns(_replies(model_name, command, t, "validation"))).mean() for t in TEMPERATURES}
    best = max(found, key=lambda t: found[t])
    return best, float(found[best])


def gold(columns: Mapping[str, Sequence[float]]) -> np.ndarray:
    """The exact judge's opinion of each reply, [replies]: the mean of its two."""
    return np.mean([columns[name] for name in GOLD], axis=0)


def outcome_of(
    sampled: list[Reply],
    before: list[Reply],
    after: list[Reply],
    candidates: Sequence[Candidate],
    reward: RewardSettings,
    seconds: float,
) -> Outcome:
    """The trained model beside the supervised one, each at its best temperature. ``sampled``: the latter at 1."""
    rubric = rubric_for(reward, [reply.example for reply in after])
    columns = [columns_of(replies, rubric) for replies in (before, after)]
    before_R, after_R = (gold(one) for one in columns)
    gain, _ = crossed_difference(after_R[None], before_R[None])
    arms = [
        Arm(name, [replies], [column])
        for name, replies, column in zip(("supervised", "PPO"), (before, after), columns, strict=True)
    ]
    compared = compare(*arms, force=True, resamples=2000)
    verdict: Verdict = "hacked" if compared.verdict == "hacked" else verdict_of(gain, "difference")
    hot = [f"{one.temperature:g}" for one in candidates]
    return Outcome(
        room="dialogue",
        learned="how to reply: empathy and a fitting film",
        measure="exact judge's mean",
        default=Level(float(gold(gold_columns(sampled)).mean()), "the supervised model, sampled at temperature 1"),
        fixed=Level(float(before_R.mean()), f"the supervised model at its best temperature, {hot[0]}"),
        policy=Level(float(after_R.mean()), f"the model after PPO at its best temperature, {hot[1]}"),
        ceiling=Level(1.0, "the most that the exact judge gives"),
        gain=gain,
        kind="difference",
        over=f"{len(after)} held-out dialogues, one training",
        verdict=verdict,
        sentence=_sentence(gain, verdict, compared),
        seconds=seconds,
        note=NOTE,
    )


def _sentence(gain: Interval, verdict: Verdict, compared: Comparison) -> str:
    said = {
        "improved": f"PPO replies better than the supervised model by {gain} of the exact judge's scale",
        "worse": f"PPO replies worse than the supervised model, by {gain}",
        "not shown": f"no gain of PPO is shown: {gain}",
        "hacked": f"PPO learnt to please its reward: the exact judge's gain is {gain}",
    }
    return f"{said[verdict]}; {compared.reason}."


def _show(before: list[Reply], after: list[Reply]) -> None:
    """Two dialogues, answered before and after."""
    for old, new in list(zip(before, after, strict=True))[:2]:
        say("", f"  user:   {old.example.latest}", f"  before: {old.text}", f"  after:  {new.text}")
    say("")
