"""Is the learned choice worth having? The parts of a table, the contest of a router, and the verdict that is exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trimtab.compression.contest import Contest, contest
from trimtab.compression.features import chosen
from trimtab.compression.prompt_sets import rows_by_part
from trimtab.compression.router import Router
from trimtab.compression.table import RewardTable
from trimtab.console import Table, say
from trimtab.plain import Plain

LEARNED, SHUFFLED = "learned", "shuffled features"


@dataclass(frozen=True, eq=False)
class Split:
    """A table's parts: learnt from, judged by while learning (and for promises), held out."""

    train: RewardTable
    calibration: RewardTable
    held_out: RewardTable

    @classmethod
    def of(cls, table: RewardTable, calibration: float, held_out: float) -> Split:
        """Split by the prompts' names. Raises ValueError where a part is empty."""
        rows = rows_by_part(table.prompts, calibration=calibration, held_out=held_out)
        return cls(*(table.subset(rows[part]) for part in ("train", "calibration", "held_out")))


def judged(router: Router, split: Split, part: str, *, seed: int = 0) -> Contest:
    """The router on the held-out prompts, beside the baselines and its null control (features of other prompts)."""
    router.check(split.held_out.actions)
    features_PF = chosen(split.held_out.features, router.encoder)
    order = np.random.default_rng(seed).permutation(len(features_PF))
    learner = str(router.about.get("learner", LEARNED))
    return contest(
        split.train,
        split.held_out,
        part,
        router.budget,
        {LEARNED: router.learned(features_PF), SHUFFLED: router.learned(features_PF[order])},
        {LEARNED: learner, SHUFFLED: "null control: features dealt to the wrong prompts"},
    )


def best_fixed(found: Contest) -> str:
    """The action that is best throughout on the training prompts."""
    return found.actions[int(found.contenders[0].columns_P[0])]


def sentence(found: Contest) -> str:
    """What was found, and what to do."""
    gain, fixed = found.against(LEARNED), best_fixed(found)
    said = (
        f"At a budget of {found.budget} tokens the learned choice earns {gain.estimate:+.3f} {found.part} over {fixed}, "
        f"the best fixed action (95% interval {gain.low:+.3f} to {gain.high:+.3f}; "
        f"{len(found.rewards_PA)} held-out prompts)."
    )
    advice = {
        "better": " Use the learned policy.",
        "undecided": f" The interval includes zero: use the fixed action {fixed}.",
        "worse": f" It is worse: use the fixed action {fixed}.",
    }
    return said + advice[found.verdict(LEARNED)]


def settle(router: Router, found: Contest, folder: Path) -> Router:
    """Write the router to ``folder``; the best fixed action is exported where the learned choice was not shown better."""
    gain = found.against(LEARNED)
    verdict: dict[str, Plain] = {
        "verdict": found.verdict(LEARNED),
        "gain": gain.estimate,
        "low": gain.low,
        "high": gain.high,
        "best_fixed": best_fixed(found),
        "prompts": len(found.rewards_PA),
    }
    settled = router.with_verdict(None if found.verdict(LEARNED) == "better" else best_fixed(found), verdict)
    settled.save(folder)
    return settled


def comparison(found: Contest) -> Table:
    """The contest as a table for the console."""
    columns = ("name", found.part, "against_best_fixed", "low", "high", "share_of_oracle_gain", "verdict", "note")
    table = Table(f"budget {found.budget}: {len(found.rewards_PA)} held-out prompts", columns)
    for row in found.rows():
        table.add(*(row[column] for column in columns))
    table.note = (
        f"95% intervals by paired bootstrap over prompts; {found.ties:.0%} of prompts tie (best two within 0.02)"
    )
    return table


def announce(found: Contest, folder: Path) -> None:
    """Print the comparison and the verdict."""
    comparison(found).print()
    say(sentence(found), f"exported to {folder}")
