"""What does an evaluation of draft trees claim, in the words that all rooms share?"""

from __future__ import annotations

from trimtab.outcomes import Level, Outcome, verdict_of
from trimtab.speculation.actions import EAGLE_DEFAULT
from trimtab.speculation.contest import POLICY, STATIC
from trimtab.speculation.evaluation import Evaluation

LEARNED = "which draft tree, each round"
MEASURE = "tokens per second"
NOTE = (
    "Decoded greedily and timed in turns on this machine, the text the target's own; the prompts were kept from "
    "calibration and training. The ceiling alone is replayed."
)


def outcome_of(made: Evaluation, seconds: float) -> Outcome:
    """``seconds``: wall time of training and evaluation together."""
    fixed = made.entry(STATIC).tokens_per_second
    return Outcome(
        room="speculation",
        learned=LEARNED,
        measure=MEASURE,
        default=Level(made.entry("eagle-default").tokens_per_second, f"the tree that EAGLE publishes, {EAGLE_DEFAULT}"),
        fixed=Level(fixed, f"one tree throughout, {made.best_static}, the fastest on the training prompts"),
        policy=Level(made.entry(POLICY).tokens_per_second, "the learned policy, its own time included"),
        ceiling=Level(fixed * made.ceiling, "the oracle, which knows beforehand where drafts will fail"),
        gain=made.interval,
        kind="ratio",
        over=f"the prompts of {len(made.turns)} held-out turns",
        verdict=verdict_of(made.interval, "ratio"),
        sentence=made.sentence(),
        seconds=seconds,
        note=NOTE,
    )
