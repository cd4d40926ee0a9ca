"""What can be set in the demonstration? ``trimtab qcode demo``. Light to import."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from trimtab.qcode.training.curriculum import CurriculumSettings
from trimtab.qcode.training_recipe import TINY, Train

STEPS = 150

TRAIN = replace(
    TINY,
    max_steps=STEPS,
    eval_steps=0,
    save_steps=STEPS,
    curriculum=CurriculumSettings(filter=True, resample=True, refresh=2),
    track=(),
)


@dataclass(frozen=True)
class Demo:
    """The whole of it in minutes: judge zoo:q, train it by GRPO on programs that are run, judge it again."""

    train: Train = TRAIN
    problems: int | None = None
    """At most so many held-out problems; None: all of them."""
    out: Path | None = None
    """Where the run is kept; None: as the recipe of the training says."""

    def run(self) -> None:
        from trimtab.qcode.demo import demo

        demo(self)


VERBS: dict[str, type] = {"demo": Demo}
