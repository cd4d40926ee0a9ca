"""What can a reward be told on the command line? Weights of its parts, and gates. Light to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class RewardSettings:
    """The reward: weights of its parts (a number, or a schedule such as "linear(0, 2, until=0.5)"), and its gates."""

    bleu_weight: str = "1"
    distinct_weight: str = "0.5"
    empathy_weight: str = "2"
    recommendation_weight: str = "1.5"
    part: tuple[str, ...] = ()
    """More parts, as NAME=WEIGHT: rouge, length, repetition, ended, safety, or a function module:function."""
    gate: tuple[str, ...] = ("safety",)
    """Parts that close: a reply which they refuse is worth -1."""
    empathy_head: Path | None = None
    """The folder of a fitted head (`trimtab dialogue fit-empathy`); None: that of the embedded task."""
    blocklist: Path | None = None
    """Words and phrases that the safety gate blocks beside its own, one a line."""
    window: int = 512
    """Replies over which distinct-n is counted."""

    def weights(self) -> dict[str, str]:
        """Part -> weight, as written. Raises ValueError for a part without one."""
        found = {
            "bleu": self.bleu_weight,
            "distinct": self.distinct_weight,
            "empathy": self.empathy_weight,
            "recommendation": self.recommendation_weight,
        }
        for written in self.part:
            name, sign, weight = written.rpartition("=")
            if not sign or not name:
                raise ValueError(f"the part {written!r}: expected NAME=WEIGHT, as in rouge=0.5.")
            found[name] = weight
        return found


Reward = Annotated[RewardSettings, tyro.conf.arg(name="")]
