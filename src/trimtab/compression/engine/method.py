"""What does a compressor keep? Sinks, recent tokens, and the best-scored of the rest: a method, and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from trimtab.compression.engine.layers import Allocation, Uniform
from trimtab.compression.engine.weights import Weights


@dataclass(frozen=True)
class Pool:
    """Scores are smoothed along the tokens before the choice, so that neighbours stay together (SnapKV).

    ``kernel``: tokens, odd. Raises ValueError.
    """

    kernel: int
    kind: Literal["max", "average"] = "max"

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"the pool's kernel is {self.kernel}: expected an odd number of tokens")
        if self.kind not in ("max", "average"):
            raise ValueError(f"no pool {self.kind!r}: expected max or average")


@dataclass(frozen=True)
class Method:
    """Which tokens of a prompt stay, in each layer and KV head.

    ``weights``: how queries count. ``sinks``: the first tokens always stay. ``recent``: so do the last ones; a whole
    number of tokens, or a fraction of the budget (the reference's: 1/8). ``share_heads``: all KV heads of a layer keep
    the same tokens. ``layers``: how the budget is split over the layers. Raises ValueError.
    """

    weights: Weights
    sinks: int = 4
    recent: int | float = 0.125
    pool: Pool | None = None
    share_heads: bool = False
    layers: Allocation = field(default_factory=Uniform)

    def __post_init__(self) -> None:
        if self.sinks < 0:
            raise ValueError(f"sinks is {self.sinks}: expected 0 tokens or more")
        if self.recent < 0 or (isinstance(self.recent, float) and self.recent >= 1):
            raise ValueError(f"recent is {self.recent}: expected a whole number of tokens, or a fraction in [0, 1)")

    def recent_tokens(self, budget_tokens: int) -> int:
        """How many of the last tokens always stay: at least one, where ``recent`` is a fraction."""
        if isinstance(self.recent, float):
            return max(1, int(self.recent * budget_tokens))
        return self.recent

    def smallest_budget(self) -> int:
        """The smallest budget that holds sinks and recent tokens, and one token at least."""
        budget = max(1, self.sinks)
        while self.sinks + self.recent_tokens(budget) > budget:
            budget += 1
        return budget

    def check(self, budget_tokens: int) -> None:
        """Raises ValueError where ``budget_tokens`` does not hold the protected tokens, naming the smallest that does."""
        smallest = self.smallest_budget()
        if budget_tokens < smallest:
            raise ValueError(
                f"a budget of {budget_tokens} tokens is below the {self.sinks} sinks and "
                f"{self.recent_tokens(budget_tokens)} recent tokens that always stay: expected {smallest} or more"
            )
