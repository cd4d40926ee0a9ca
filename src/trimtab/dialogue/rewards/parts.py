"""Which parts can a dialogue's reward have, and how is a rubric made of their names and weights?

``rubric_of({"empathy": 2, "bleu": "linear(0, 1, until=0.5)", "mypackage.rewards:politeness": 0.3}, materials)``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trimtab.dialogue.example import Catalogue, Reply
from trimtab.dialogue.rewards.diversity import DistinctWindow
from trimtab.dialogue.rewards.form import Length, Repetition, ended
from trimtab.dialogue.rewards.items import Recommendation
from trimtab.dialogue.rewards.overlap import Bleu, Rouge
from trimtab.dialogue.rewards.safety import Safety, read_blocklist
from trimtab.rewards import Gate, Measure, Part, Rubric, measure_from
from trimtab.schedules import Schedule, parse_schedule

DEFAULT_WEIGHTS: dict[str, float] = {"bleu": 1.0, "distinct": 0.5, "empathy": 2.0, "recommendation": 1.5}
"""Those of the flags ``--bleu-weight`` and so on."""


@dataclass(frozen=True)
class Materials:
    """What parts are made from; only what the chosen parts need has to be there.

    ``empathy``: the folder of a fitted head (None: the one of the embedded task). ``fluency``, ``judge``: the measures
    themselves, since they need a model (``rewards.fluency.Fluency``, ``judge.JudgePart``).
    """

    catalogue: Catalogue | None = None
    empathy: Path | None = None
    embed: Any = None
    fluency: Measure[Reply] | None = None
    judge: Measure[Reply] | None = None
    window: int = 512
    blocklist: Path | None = None
    allowed: tuple[str, ...] = ()
    length: Length = field(default_factory=Length)


def _needs(name: str, given: Any, what: str) -> Any:
    if given is None:
        raise ValueError(f"the part {name!r} needs {what}: give it, or leave the part out.")
    return given


def _empathy(materials: Materials) -> Measure[Reply]:
    from trimtab.dialogue.rewards.empathy import SHIPPED, EmpathyHead

    return EmpathyHead.load(materials.empathy or SHIPPED, materials.embed)


def _safety(materials: Materials) -> Measure[Reply]:
    blocklist = read_blocklist(materials.blocklist) if materials.blocklist else ()
    return Safety(blocklist=blocklist, allowed=materials.allowed)


PARTS: dict[str, tuple[Callable[[Materials], Measure[Reply]], str]] = {
    "bleu": (lambda _: Bleu(), "sentence BLEU against the reference"),
    "rouge": (lambda _: Rouge(), "ROUGE-L against the reference"),
    "distinct": (lambda m: DistinctWindow(m.window), "share in the distinct-1 and -2 of a window of replies"),
    "empathy": (_empathy, "a classifier's probability that the reply meets the user's mood"),
    "recommendation": (
        lambda m: Recommendation(_needs("recommendation", m.catalogue, "a catalogue of items")),
        "a title of the catalogue that fits the taste",
    ),
    "fluency": (
        lambda m: _needs("fluency", m.fluency, "a reference model (--fluency-model)"),
        "exp of the reference model's mean log-probability",
    ),
    "length": (lambda m: m.length, "1 within a band of words"),
    "repetition": (lambda _: Repetition(), "minus the share of repeated bigrams"),
    "ended": (lambda _: ended, "1 for a reply that came to its end"),
    "safety": (_safety, "1 for a reply without blocked words; a gate by default"),
    "judge": (lambda m: _needs("judge", m.judge, "a judge (--judge-model)"), "a language model's score"),
}
"""Name -> how the measure is made, and what it says."""


def measure_of(name: str, materials: Materials) -> Measure[Reply]:
    """The measure of a part's name, or of ``module:function``. Raises ValueError naming the parts that exist."""
    if ":" in name:
        return measure_from(name)
    if name not in PARTS:
        close = difflib.get_close_matches(name, PARTS, 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"no part {name!r}. {hint}Expected one of {', '.join(PARTS)}, or a function of your own as module:function."
        )
    return PARTS[name][0](materials)


def rubric_of(
    weights: Mapping[str, str | float | Schedule],
    materials: Materials = Materials(),
    *,
    gates: Sequence[str] = ("safety",),
) -> Rubric[Reply]:
    """The rubric of some parts by name, each with its weight: a number, or a schedule (as text, too).

    A weight of 0 leaves a part out. ``gates``: parts that are no summands, but close (see ``Gate``). Raises ValueError
    for an unknown part or schedule, and for a part whose material is missing.
    """
    schedules = {
        name: weight if isinstance(weight, Schedule) else parse_schedule(weight) for name, weight in weights.items()
    }
    counted = {name: schedule for name, schedule in schedules.items() if schedule != parse_schedule(0)}
    made = tuple(Part(name, schedule, measure_of(name, materials)) for name, schedule in counted.items())
    return Rubric(made, tuple(Gate(name, measure_of(name, materials)) for name in gates if name not in counted))
