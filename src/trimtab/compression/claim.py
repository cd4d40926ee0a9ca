"""What does a contest of cache compressions claim, in the words that all rooms share?"""

from __future__ import annotations

from trimtab.compression.contest import BEST_FIXED, ORACLE, Contest
from trimtab.compression.judging import LEARNED, best_fixed, sentence
from trimtab.outcomes import Level, Outcome, verdict_of

REFERENCE = "snapkv"
"""The published method that stands for a fixed default."""
NOTE = (
    "Fidelity is exp(−KL): how near the predictions from the compressed cache come to those from the full one over the "
    "answer's tokens, the free first one left out. 1 is no loss."
)


def outcome_of(found: Contest, seconds: float) -> Outcome:
    """The learned choice of ``found``; ``seconds``: wall time of tabulating, learning and judging together."""
    gain = found.against(LEARNED)

    def mean(name: str) -> float:
        return float(found.earned(name).mean())

    published = any(contender.name == REFERENCE for contender in found.contenders)
    return Outcome(
        room="compression",
        learned="what the cache keeps, per prompt",
        measure=f"{found.part} at {found.budget} tokens",
        default=Level(mean(REFERENCE), f"the published method {REFERENCE} for every prompt") if published else None,
        fixed=Level(mean(BEST_FIXED), f"{best_fixed(found)} for every prompt, the best action on the training prompts"),
        policy=Level(mean(LEARNED), "the learned choice for each prompt"),
        ceiling=Level(mean(ORACLE), "the best action of each prompt, known only afterwards"),
        gain=gain,
        kind="difference",
        over=f"{len(found.rewards_PA)} held-out prompts",
        verdict=verdict_of(gain, "difference"),
        sentence=sentence(found),
        seconds=seconds,
        note=NOTE if found.part == "fidelity" else "",
    )
