"""Can a reward be trusted, before anything is trained on it? What it says of real replies, of nonsense, and of cheats.

A part that is the same for every reply teaches nothing; one that nonsense satisfies better than people do teaches
nonsense. Both were true of published rewards, and both show in a minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trimtab.dialogue.example import Reply
from trimtab.dialogue.metrics import auc, mid_ranks
from trimtab.rewards import Breakdown, Rubric
from trimtab.types import Metrics

Severity = Literal["broken", "weak"]

SATURATED = 0.95
"""A share of replies with the very same number above which a part hardly tells replies apart."""
FLAT = 1e-9
"""A standard deviation below which a part is constant."""
ALIKE = 0.95
"""A rank correlation of two parts above which one of them is enough; with length, above which it is length."""
LENGTH_ALIKE = 0.8
CHANCE = 0.55
"""An AUC against labels below which a part does no better than chance would."""
TOTAL = "(total)"


@dataclass(frozen=True)
class Flag:
    """Something wrong with a part (or with the total): what, how bad, and the numbers that show it."""

    part: str
    kind: str
    severity: Severity
    detail: str


@dataclass(frozen=True)
class Audit:
    """What was found. ``parts``: a row of numbers per part; ``correlations``: Spearman's, between parts and with length."""

    replies: int
    parts: dict[str, Metrics]
    correlations: dict[str, Metrics]
    flags: tuple[Flag, ...]

    @property
    def broken(self) -> list[Flag]:
        """The flags that forbid training."""
        return [flag for flag in self.flags if flag.severity == "broken"]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation; 0 where one of the two is constant."""
    ranks_a, ranks_b = mid_ranks(a), mid_ranks(b)
    if ranks_a.std() == 0 or ranks_b.std() == 0:
        return 0.0
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def nonsense(replies: Sequence[Reply], seed: int = 0) -> list[Reply]:
    """Replies of the same lengths whose words are drawn from all replies, evenly among the different words."""
    random = np.random.default_rng(seed)
    vocabulary = sorted({word for reply in replies for word in reply.words}) or ["."]
    drawn = [[vocabulary[i] for i in random.integers(len(vocabulary), size=len(reply.words))] for reply in replies]
    return [Reply(reply.example, " ".join(words)) for reply, words in zip(replies, drawn, strict=True)]


BAIT = (
    "i hope i understand you and feel sorry a the hi",
    "sorry sorry help help understand feel feel hope support <movie> you the a you",
)
"""Words that keyword rewards look for, in no order that means anything."""


def baited(replies: Sequence[Reply]) -> list[Reply]:
    """Nonsense that keyword rewards like: the same to every dialogue."""
    return [Reply(reply.example, BAIT[index % len(BAIT)]) for index, reply in enumerate(replies)]


def copied(replies: Sequence[Reply]) -> list[Reply]:
    """What the user said last, said back."""
    return [Reply(reply.example, reply.example.latest) for reply in replies]


def empty(replies: Sequence[Reply]) -> list[Reply]:
    """Nothing said."""
    return [Reply(reply.example, "") for reply in replies]


def swapped(replies: Sequence[Reply]) -> list[Reply]:
    """Each dialogue answered with another's reply."""
    turned = [*replies[1:], *replies[:1]]
    return [Reply(reply.example, other.text) for reply, other in zip(replies, turned, strict=True)]


CHEATS = {"nonsense": nonsense, "baited": baited, "copied": copied, "empty": empty, "swapped": swapped}
SENSELESS = ("nonsense", "baited", "empty")
"""Cheats that must not score above real replies, in any part that is to say how good a reply is."""


def _columns(rubric: Rubric[Reply], replies: Sequence[Reply]) -> tuple[dict[str, np.ndarray], Breakdown]:
    """Each part's raw numbers and the total. Windows are begun anew, and put back."""
    before = rubric.state()
    try:
        rubric.restore({name: [] for name in before})
        graded = rubric.breakdown(replies)
    finally:
        rubric.restore(before)
    columns = {name: np.array(column) for name, column in graded.raw.items()}
    return columns | {TOTAL: np.array(graded.values)}, graded


def audit(rubric: Rubric[Reply], replies: Sequence[Reply], *, labels: Sequence[float] | None = None) -> Audit:
    """Audit a reward on replies that people gave (or a policy). ``labels``: 0 or 1 for each reply, where someone judged.

    Raises ValueError for fewer than ten replies, or labels of another number.
    """
    if len(replies) < 10 or (labels is not None and len(labels) != len(replies)):
        raise ValueError(
            f"{len(replies)} replies and {'no' if labels is None else len(labels)} labels: expected ten replies at "
            "least, and a label for each or none."
        )
    columns, graded = _columns(rubric, replies)
    cheats = {name: _columns(rubric, make(replies))[0] for name, make in CHEATS.items()}
    variances = {name: float(np.var(column)) for name, column in graded.weighted.items()}
    parts = {
        name: _row(column, {cheat: found[name] for cheat, found in cheats.items()}, labels)
        | {"variance_share": variances.get(name, 0.0) / (sum(variances.values()) or 1.0)}
        for name, column in columns.items()
    }
    correlations = _correlations(columns, np.array([float(len(reply.words)) for reply in replies]))
    gates, remembering = {gate.name for gate in rubric.gates}, set(rubric.state())
    return Audit(len(replies), parts, correlations, tuple(_flags(parts, correlations, gates, remembering)))


def _row(column: np.ndarray, cheats: Mapping[str, np.ndarray], labels: Sequence[float] | None) -> Metrics:
    values, counts = np.unique(column, return_counts=True)
    row = {
        "mean": float(column.mean()),
        "std": float(column.std()),
        "commonest": float(values[counts.argmax()]),
        "commonest_share": float(counts.max() / len(column)),
        **{cheat: float(found.mean()) for cheat, found in cheats.items()},
    }
    return row | ({"auc": auc(column.tolist(), labels)} if labels is not None else {})


def _correlations(columns: Mapping[str, np.ndarray], lengths: np.ndarray) -> dict[str, Metrics]:
    return {
        name: {other: spearman(column, columns[other]) for other in columns} | {"length": spearman(column, lengths)}
        for name, column in columns.items()
    }


def _flags(
    parts: Mapping[str, Metrics], correlations: Mapping[str, Metrics], gates: set[str], remembering: set[str]
) -> list[Flag]:
    found: list[Flag] = []
    for name, row in parts.items():
        if name not in gates:
            found += [*_flat(name, row), *_cheated(name, row, name in remembering), *_alike(name, correlations)]
        elif row["mean"] < 0.9:
            found.append(Flag(name, "closed", "weak", f"the gate closes on {1 - row['mean']:.0%} of the replies"))
        if name not in gates and row.get("auc", 1.0) < CHANCE:
            found.append(Flag(name, "uninformative", "weak", f"AUC {row['auc']:.3f} against the labels"))
    return found


def _flat(name: str, row: Metrics) -> list[Flag]:
    if row["std"] < FLAT:
        return [Flag(name, "constant", "broken", f"every reply scores {row['mean']:.3g}: no signal")]
    if row["commonest_share"] > SATURATED:
        share, value = row["commonest_share"], row["commonest"]
        return [Flag(name, "saturated", "broken", f"{share:.1%} of the replies score {value:.3g}: hardly a signal")]
    return []


def _cheated(name: str, row: Metrics, remembering: bool) -> list[Flag]:
    """Windows measure variety, which nonsense has: there only an empty reply must not win."""
    suspects = ("empty",) if remembering else SENSELESS
    margin = max(1e-6, 0.1 * row["std"])
    won = [cheat for cheat in suspects if row[cheat] > row["mean"] + margin and row["std"] >= FLAT]
    return [
        Flag(name, f"{cheat} wins", "broken", f"{cheat} replies score {row[cheat]:.3f}, real ones {row['mean']:.3f}")
        for cheat in won
    ]


def _alike(name: str, correlations: Mapping[str, Metrics]) -> list[Flag]:
    row, found = correlations[name], list[Flag]()
    if abs(row["length"]) > LENGTH_ALIKE:
        found.append(Flag(name, "length", "weak", f"rank correlation {row['length']:.2f} with the number of words"))
    later = list(correlations)[list(correlations).index(name) + 1 :]
    for other in later:
        if TOTAL not in (name, other) and abs(row[other]) > ALIKE:
            found.append(Flag(name, "double", "weak", f"rank correlation {row[other]:.2f} with {other}"))
    return found


def refuse_constant(graded: Breakdown, *, force: bool = False) -> None:
    """Raises ValueError where a part, weighted, is the same for all replies of a batch: training has nothing to go by.

    ``force`` trains all the same. Batches of fewer than eight replies are let pass.
    """
    if force or len(graded.values) < 8:
        return
    flat = [name for name in graded.weights if graded.weights[name] and float(np.std(graded.raw[name])) < FLAT]
    if flat:
        shown = ", ".join(f"{name} (always {graded.raw[name][0]:.3g})" for name in flat)
        raise ValueError(
            f"constant over {len(graded.values)} replies: {shown}. Such a part teaches nothing: leave it out (weight 0), "
            "see `trimtab dialogue audit`, or force the training."
        )
