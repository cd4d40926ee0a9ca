"""Is one model better than another, or has it only learnt to please its reward?

Arms answer the same prompts, each from several seeds of training. Differences are paired by prompt; seeds and prompts are
both drawn anew (crossed bootstrap); the metrics' p-values are corrected together (Holm, 1979). The verdict looks at the
proxies that were trained on, at what stands for the truth (an exact judge, another judge), and at guards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trimtab.dialogue.diversity_difference import distinct_difference
from trimtab.dialogue.example import Reply
from trimtab.dialogue.metrics import words_of
from trimtab.statistics import Interval, crossed_difference, holm

Kind = Literal["proxy", "gold", "guard", "other"]
Verdict = Literal["improved", "not shown", "hacked"]
Columns = Mapping[str, Sequence[float]]

LEVEL = 0.05
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Measured:
    """A metric: what it is to the verdict, and for guards how far it may fall (``margin``; a share where ``relative``)."""

    name: str
    kind: Kind
    margin: float = 0.0
    relative: bool = False


MEASURES = (
    Measured("reward", "proxy"),
    Measured("empathy", "proxy"),
    Measured("recommendation", "proxy"),
    Measured("gold_empathy", "gold"),
    Measured("gold_recommendation", "gold"),
    Measured("judge", "gold"),
    Measured("grammatical", "guard", 0.05),
    Measured("fluency", "guard", 0.05),
    Measured("bleu", "guard", 0.02),
    Measured("dist2_at_budget", "guard", 0.15, relative=True),
    Measured("rouge_l", "other"),
    Measured("bleu_ecr@1", "other"),
    Measured("bleu_ecr@2", "other"),
    Measured("dist@1", "other"),
    Measured("ended", "other"),
    Measured("words", "other"),
)
EXPECTED = {
    "BLEU-1": "bleu_ecr@1",
    "BLEU-2": "bleu_ecr@2",
    "DIST-1": "dist@1",
    "empathy": "empathy",
    "recommendation": "recommendation",
}
"""The five rows that the reference promised, measured here."""


@dataclass(frozen=True)
class Arm:
    """A contestant: for each seed its replies to the same prompts, and a column of numbers per metric."""

    name: str
    replies: Sequence[Sequence[Reply]]
    columns: Sequence[Columns]
    judge: str | None = None
    """Who gave the column ``judge`` (nan: a missing score)."""


@dataclass(frozen=True)
class Row:
    """One metric of one pair. ``adjusted``: the p-value after Holm's correction."""

    metric: str
    kind: Kind
    base: float
    arm: float
    difference: Interval
    adjusted: float
    fallen: bool
    """Of a guard: whether it fell by more than its margin."""
    prompts: int = 0
    """Over how many prompts: fewer than all where a judge's scores are missing."""

    @property
    def rises(self) -> bool:
        return self.adjusted < LEVEL and self.difference.estimate > 0

    @property
    def falls(self) -> bool:
        return self.adjusted < LEVEL and self.difference.estimate < 0

    @property
    def percent(self) -> float | None:
        """The change in percent of the base, None where that is 0."""
        return 100 * self.difference.estimate / self.base if self.base else None


@dataclass(frozen=True)
class Comparison:
    """An arm against the base."""

    base: str
    arm: str
    rows: tuple[Row, ...]
    verdict: Verdict
    reason: str

    def expected(self) -> dict[str, float | None]:
        """The reference's five rows, in percent of the base; None where not measured."""
        by = {row.metric: row.percent for row in self.rows}
        return {name: by.get(metric) for name, metric in EXPECTED.items()}


def _check(base: Arm, arm: Arm, force: bool) -> None:
    for one in (base, arm):
        keys = [[reply.example.key for reply in replies] for replies in one.replies]
        if any(seed != [reply.example.key for reply in base.replies[0]] for seed in keys):
            raise ValueError(f"{one.name} answers other prompts than {base.name}: pair them, in the same order.")
        if len(keys) < LEAST_SEEDS and not force:
            raise ValueError(
                f"{one.name} has {len(keys)} seeds, expected {LEAST_SEEDS} at least (or force the comparison)."
            )
    if len(base.replies) != len(arm.replies):
        raise ValueError(
            f"{len(base.replies)} seeds of {base.name}, {len(arm.replies)} of {arm.name}: expected as many."
        )
    if base.judge != arm.judge:
        raise ValueError(f"{base.name} was judged by {base.judge}, {arm.name} by {arm.judge}: expected the same judge.")


def compare(base: Arm, arm: Arm, *, force: bool = False, resamples: int = 10_000) -> Comparison:
    """``arm`` against ``base``. Raises ValueError for other prompts, or fewer than three seeds unless forced."""
    _check(base, arm, force)
    found: list[tuple[Measured, float, float, Interval, float, int]] = []
    for measured in MEASURES:
        if all(measured.name in columns for one in (base, arm) for columns in one.columns):
            a_SP, b_SP = _complete(measured.name, arm, base)
            interval, p = crossed_difference(a_SP, b_SP, resamples=resamples)
            found.append((measured, float(b_SP.mean()), float(a_SP.mean()), interval, p, a_SP.shape[1]))
        elif measured.name.startswith("dist"):
            found.append((measured, *_diversity(measured.name, base, arm), len(base.replies[0])))
    adjusted = holm([p for *_, p, _ in found])
    rows = tuple(
        Row(m.name, m.kind, b, a, interval, p, _fallen(m, b, interval), prompts)
        for (m, b, a, interval, _, prompts), p in zip(found, adjusted, strict=True)
    )
    return Comparison(base.name, arm.name, rows, *judge_rows(rows))


def _complete(name: str, *arms: Arm) -> tuple[np.ndarray, np.ndarray]:
    """A column of both arms, [seeds, prompts]. Prompts for which any score of a judge is missing are left out in all.

    Raises ValueError where fewer than ten are left.
    """
    a_SP, b_SP = (np.array([columns[name] for columns in one.columns], dtype=float) for one in arms)
    if name != "judge":
        return a_SP, b_SP
    whole_P = np.isfinite(np.concatenate([a_SP, b_SP])).all(axis=0)
    prompts = a_SP.shape[1]
    if whole_P.sum() < min(10, prompts):
        raise ValueError(
            f"the judge {arms[0].judge} scored all replies to {int(whole_P.sum())} of {prompts} prompts: expected "
            "ten at least. Take a judge that keeps to the form, or remove its scores."
        )
    return a_SP[:, whole_P], b_SP[:, whole_P]


def _diversity(name: str, base: Arm, arm: Arm) -> tuple[float, float, Interval, float]:
    texts = [[[words_of(reply.text) for reply in replies] for replies in one.replies] for one in (base, arm)]
    return distinct_difference(*texts, order=2 if name == "dist2_at_budget" else 1)


def _fallen(measured: Measured, base: float, interval: Interval) -> bool:
    """Non-inferiority on the estimate: a guard that fell by more than its margin."""
    margin = measured.margin * (abs(base) if measured.relative else 1)
    return measured.kind == "guard" and interval.estimate < -margin


def judge_rows(rows: Sequence[Row]) -> tuple[Verdict, str]:
    """The verdict and its reason. Gold decides where there is one; without it the proxies, which is said."""
    proxies = [row.metric for row in rows if row.kind == "proxy" and row.rises]
    lost = [row.metric for row in rows if (row.kind == "guard" and row.fallen) or (row.kind == "gold" and row.falls)]
    gold = [row for row in rows if row.kind == "gold"]
    won = [row.metric for row in gold if row.rises]
    if proxies and lost:
        return "hacked", f"{', '.join(proxies)} rose while {', '.join(lost)} fell"
    if lost:
        return "not shown", f"{', '.join(lost)} fell"
    if won:
        return "improved", f"{', '.join(won)} rose, no guard fell"
    if not gold and proxies:
        return "improved", f"{', '.join(proxies)} rose, no guard fell; nothing but the proxies was measured"
    return "not shown", "nothing that counts rose beyond chance"
