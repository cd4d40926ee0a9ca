"""Can a reward be trusted, before anything is trained on it? What it says of real replies, of nonsense, and of cheats.

A part that is the same for every reply teaches nothing; one that nonsense satisfies better than people do teaches
nonsense. Both were true of published rewards, and both show in a minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trimtab.dialogue.cheats import CHEATS, SEARCHED, SENSELESS, searched, swapped
from trimtab.dialogue.example import Example, Reply, references
from trimtab.dialogue.metrics import auc, mid_ranks
from trimtab.dialogue.rewards.overlap import Bleu, Rouge
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
WORDS = "(words)"
"""The number of words, in correlations: parts are named without brackets."""


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


Columns = dict[str, np.ndarray]


def _graded(rubric: Rubric[Reply], replies: Sequence[Reply]) -> Breakdown:
    """Windows are begun anew, and put back."""
    before = rubric.state()
    try:
        rubric.restore({name: [] for name in before})
        return rubric.breakdown(replies)
    finally:
        rubric.restore(before)


def _columns(graded: Breakdown) -> Columns:
    """Each part's raw numbers and the total."""
    return {name: np.array(column) for name, column in graded.raw.items()} | {TOTAL: np.array(graded.values)}


def _searched(rubric: Rubric[Reply], replies: Sequence[Reply], columns: Columns) -> Columns:
    """For each part, and the total, what the nonsense scores that was searched for it. Windows and gates are left out."""
    remembering, found = set(rubric.state()), Columns()
    measures = {part.name: part.measure for part in rubric.parts if part.name not in remembering}
    measures[TOTAL] = lambda asked: _graded(rubric, asked).values
    for name, measure in measures.items():
        text = searched(measure, replies)
        found[name] = np.array(measure([Reply(reply.example, text) for reply in replies]))
    return {name: found.get(name, column) for name, column in columns.items()}


def audit(rubric: Rubric[Reply], replies: Sequence[Reply], *, labels: Sequence[float] | None = None) -> Audit:
    """Audit a reward on replies that people gave (or a policy). ``labels``: 0 or 1 for each reply, where someone judged.

    Raises ValueError for fewer than ten replies, or labels of another number.
    """
    if len(replies) < 10 or (labels is not None and len(labels) != len(replies)):
        raise ValueError(
            f"{len(replies)} replies and {'no' if labels is None else len(labels)} labels: expected ten replies at "
            "least, and a label for each or none."
        )
    graded = _graded(rubric, replies)
    columns = _columns(graded)
    cheats = {name: _columns(_graded(rubric, make(replies))) for name, make in CHEATS.items()}
    own = _own_references(rubric, replies)
    found = cheats | {SEARCHED: _searched(rubric, replies, columns)}
    variances = {name: float(np.var(column)) for name, column in graded.weighted.items()}
    parts = {
        name: _row(column, {cheat: scores[name] for cheat, scores in found.items()}, labels)
        | {"variance_share": variances.get(name, 0.0) / (sum(variances.values()) or 1.0)}
        for name, column in columns.items()
    }
    correlations = _correlations(columns, np.array([float(len(reply.words)) for reply in replies]))
    telling = {name: float(cheats["swapped"][name].std()) for name in own}
    kinds = _Kinds({gate.name for gate in rubric.gates}, set(rubric.state()), telling)
    return Audit(len(replies), parts, correlations, tuple(_flags(parts, correlations, kinds)))


@dataclass(frozen=True)
class _Kinds:
    """Parts that are judged otherwise: gates; those that remember; those that compare the references with themselves (and
    how far they spread over swapped replies)."""

    gates: set[str]
    remembering: set[str]
    own: Mapping[str, float]


def _own_references(rubric: Rubric[Reply], replies: Sequence[Reply]) -> list[str]:
    """The parts that compare with references, where the replies are the references."""
    if any(reply.text != reply.example.reference for reply in replies):
        return []
    return [part.name for part in rubric.parts if isinstance(part.measure, (Bleu, Rouge))]


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
        name: {other: spearman(column, columns[other]) for other in columns} | {WORDS: spearman(column, lengths)}
        for name, column in columns.items()
    }


def _flags(parts: Mapping[str, Metrics], correlations: Mapping[str, Metrics], kinds: _Kinds) -> list[Flag]:
    found: list[Flag] = []
    for name, row in parts.items():
        if name in kinds.gates:
            found += _closed(name, row)
            continue
        if name in kinds.own:
            found += _own(name, kinds.own[name])
        elif name != TOTAL or not kinds.own:  # such parts may be all that there is
            found += _flat(name, row)
        found += [*_cheated(name, row, name in kinds.remembering), *_alike(name, correlations)]
        if row.get("auc", 1.0) < CHANCE:
            found.append(Flag(name, "uninformative", "weak", f"AUC {row['auc']:.3f} against the labels"))
    return found


def _closed(name: str, row: Metrics) -> list[Flag]:
    if row["mean"] >= 0.9:
        return []
    return [Flag(name, "closed", "weak", f"the gate closes on {1 - row['mean']:.0%} of the replies")]


def _own(name: str, spread: float) -> list[Flag]:
    """Of a part that compares references with themselves: whether it tells other dialogues' replies apart."""
    if spread < FLAT:
        return [Flag(name, "constant", "broken", "the same for every reference, swapped or not: no signal")]
    detail = f"1 for a reference by definition; deviation {spread:.3f} over swapped ones: audit a model's (--replies)"
    return [Flag(name, "own reference", "weak", detail)]


def _flat(name: str, row: Metrics) -> list[Flag]:
    if row["std"] < FLAT:
        return [Flag(name, "constant", "broken", f"every reply scores {row['mean']:.3g}: no signal")]
    if row["commonest_share"] > SATURATED:
        share, value = row["commonest_share"], row["commonest"]
        return [Flag(name, "saturated", "broken", f"{share:.1%} of the replies score {value:.3g}: hardly a signal")]
    return []


def _cheated(name: str, row: Metrics, remembering: bool) -> list[Flag]:
    """Windows measure variety, which nonsense has: there only an empty reply must not win.

    What was searched for is weak: an optimiser will find it, unless a KL cost or another part keeps it away.
    """
    if row["std"] < FLAT:
        return []
    severities: dict[str, Severity] = {"empty": "broken"} if remembering else dict.fromkeys(SENSELESS, "broken")
    severities |= {} if remembering else {SEARCHED: "weak"}
    least = row["mean"] + max(1e-6, 0.1 * row["std"])
    return [
        Flag(name, f"{cheat} wins", severity, f"{cheat} replies score {row[cheat]:.3f}, real ones {row['mean']:.3f}")
        for cheat, severity in severities.items()
        if row[cheat] > least
    ]


def _alike(name: str, correlations: Mapping[str, Metrics]) -> list[Flag]:
    row, found = correlations[name], list[Flag]()
    if abs(row[WORDS]) > LENGTH_ALIKE:
        found.append(Flag(name, "length", "weak", f"rank correlation {row[WORDS]:.2f} with the number of words"))
    later = list(correlations)[list(correlations).index(name) + 1 :]
    for other in later:
        if TOTAL not in (name, other) and abs(row[other]) > ALIKE:
            found.append(Flag(name, "double", "weak", f"rank correlation {row[other]:.2f} with {other}"))
    return found


def refuse_constant_parts(rubric: Rubric[Reply], examples: Sequence[Example], *, force: bool = False) -> None:
    """Raises ValueError for a part of the reward that is the same for all replies: nothing can be learnt from it.

    Judged on references and on references to other dialogues: a part may like all references, and tell them from others.
    ``force`` lets it pass.
    """
    some = references(examples[:64])
    graded = rubric.breakdown([*some, *swapped(some)])
    flat = [part.name for part in rubric.parts if float(np.ptp(graded.raw[part.name])) < FLAT]
    if flat and not force:
        shown = ", ".join(f"{name} (always {graded.raw[name][0]:.3g})" for name in flat)
        raise ValueError(
            f"the reward's {shown} is the same for {2 * len(some)} different replies: it teaches nothing. Set its weight "
            "to 0, mend it (`trimtab dialogue audit` shows how), or train all the same by --force."
        )
