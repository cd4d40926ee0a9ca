"""What do graded answers say of a model? Greedy accuracy, pass@k with intervals; by family, by status, by test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trimtab.qcode.attempts import Attempt
from trimtab.qcode.engine.protocol import Status
from trimtab.qcode.evaluation.passk import pass_interval, usable
from trimtab.qcode.problems.format import Problem
from trimtab.statistics import Interval, mean_interval


@dataclass(frozen=True)
class Evaluation:
    """The attempts of a model at some problems. ``greedy``: one each, or none; ``sampled``: the samples of each."""

    model: str
    problems: list[Problem]
    greedy: list[Attempt]
    sampled: list[list[Attempt]]


def _passed(rows: Sequence[Sequence[Attempt]]) -> list[list[bool]]:
    return [[attempt.verdict.passed for attempt in row] for row in rows]


def _interval(found: Interval) -> dict[str, float]:
    return {"estimate": found.estimate, "low": found.low, "high": found.high}


def measures(evaluation: Evaluation, ks: Sequence[int], places: Sequence[int]) -> dict[str, Any]:
    """Greedy accuracy and pass@k, with intervals, over the problems at ``places``."""
    told: dict[str, Any] = {"problems": len(places)}
    if evaluation.greedy:
        greedy = np.array([float(evaluation.greedy[place].verdict.passed) for place in places])
        told["greedy"] = _interval(mean_interval(greedy))
    rows = _passed([evaluation.sampled[place] for place in places]) if evaluation.sampled else []
    for k in usable([len(row) for row in rows], ks):
        told[f"pass@{k}"] = _interval(pass_interval(rows, k))
    return told


def statuses(attempts: Sequence[Attempt]) -> dict[str, float]:
    """The share of attempts that ended in each status."""
    counts = Counter(attempt.status for attempt in attempts)
    return {str(status): counts[status] / max(1, len(attempts)) for status in Status if counts[status]}


def families(problems: Sequence[Problem]) -> dict[str, list[int]]:
    """The places of the problems of each family (their first tag)."""
    found: dict[str, list[int]] = {}
    for place, problem in enumerate(problems):
        found.setdefault(problem.tags[0] if problem.tags else "", []).append(place)
    return found


def by_test(evaluation: Evaluation) -> dict[str, list[float]]:
    """For each problem the share of its attempts that passed each of its tests, in order."""
    told: dict[str, list[float]] = {}
    for place, problem in enumerate(evaluation.problems):
        mine = [*(evaluation.greedy[place : place + 1]), *(evaluation.sampled[place] if evaluation.sampled else [])]
        passed = np.array([[t.status == Status.PASSED for t in a.verdict.tests] for a in mine], dtype=float)
        told[problem.id] = [round(float(share), 4) for share in passed.mean(axis=0)]
    return told


def summary(evaluation: Evaluation, ks: Sequence[int]) -> dict[str, Any]:
    """Everything that ``eval_results.json`` holds. Engine gaps are told apart: they say nothing about a program."""
    every = [*evaluation.greedy, *(attempt for row in evaluation.sampled for attempt in row)]
    return {
        "model": evaluation.model,
        "all": measures(evaluation, ks, range(len(evaluation.problems))),
        "families": {name: measures(evaluation, ks, places) for name, places in families(evaluation.problems).items()},
        "statuses": statuses(every),
        "well_formed": sum(a.extraction.well_formed for a in every) / max(1, len(every)),
        "truncated": sum(a.extraction.truncated or not a.ended for a in every) / max(1, len(every)),
        "weak": sum(a.verdict.weak for a in every),
        "tests": by_test(evaluation),
        "samples": min((len(row) for row in evaluation.sampled), default=0),
    }
