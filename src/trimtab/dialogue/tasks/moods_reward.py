"""What is the embedded task's reward? The proxies that a policy is trained on; the exact judge stays out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trimtab.dialogue.example import Reply
from trimtab.dialogue.rewards.parts import DEFAULT_WEIGHTS, Materials, rubric_of
from trimtab.dialogue.tasks.moods_judge import CATALOGUE, gold
from trimtab.rewards import Rubric


def moods_rubric(weights: Mapping[str, Any] = DEFAULT_WEIGHTS, *, embed: Any = None) -> Rubric[Reply]:
    """The rubric of the embedded task: the shipped empathy head, its catalogue, BLEU, distinct-n, the safety gate."""
    return rubric_of(weights, Materials(catalogue=CATALOGUE, embed=embed))


def gold_columns(replies: Sequence[Reply]) -> dict[str, list[float]]:
    """The exact judgement of each reply, by column: gold_empathy, gold_recommendation, grammatical."""
    judged = [gold(reply.example, reply.text) for reply in replies]
    return {
        "gold_empathy": [one.empathy for one in judged],
        "gold_recommendation": [one.recommendation for one in judged],
        "grammatical": [float(one.grammatical) for one in judged],
    }
