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
    """More parts, as NAME=WEIGHT: rouge, fluency, length, repetition, ended, safety, judge, or your module:function."""
    gate: tuple[str, ...] = ("safety",)
    """Parts that close: a reply which they refuse is worth -1."""
    empathy_head: Path | None = None
    """The folder of a fitted head (`trimtab dialogue fit-empathy`); None: that of the embedded task."""
    blocklist: Path | None = None
    """Words and phrases that the safety gate blocks beside its own, one a line."""
    window: int = 512
    """Replies over which distinct-n is counted."""
    fluency_model: str | None = None
    """For the part fluency: the model whose probability of a reply counts (zoo:NAME, a run, a path, a hub id)."""
    judge_model: str | None = None
    """For the part judge: a local chat model, or the model's name at the endpoint. Not the judge that evaluates."""
    judge_endpoint: str | None = None
    """For the part judge: a server with OpenAI's chat interface, up to /v1; None: a local model."""
    judge_key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds that endpoint's key."""
    judge_cache: Path | None = None
    """For the part judge: a file that keeps its scores."""

    def counts(self, part: str) -> bool:
        """Whether a part has a weight other than 0."""
        return self.weights().get(part, "0").strip() not in ("0", "0.0")

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
