"""What does the draft temperature bring without a policy? The best tree of a menu, kept throughout, at that temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.generation import RoundState
from trimtab.speculation.engine.tree import Pool
from trimtab.speculation.level_replay import best_fixed, flatten
from trimtab.speculation.levels import LevelTable


@dataclass(frozen=True)
class Fixed:
    """A controller whose every round drafts the same tree, the head's logits divided by ``draft_temperature``."""

    size: int
    depth: int
    top_k: int
    draft_temperature: float

    def __call__(self, _state: RoundState, /) -> Fixed:
        return self

    def expands(self, _level: int, _beam_scores_k: Tensor, /) -> bool:
        """Always."""
        return True

    def total_tokens(self, _pool: Pool, /) -> int:
        """Always the same."""
        return self.size

    def __str__(self) -> str:
        tree = f"({self.size}, {self.depth}, {self.top_k})"
        return f"{tree} at draft temperature {self.draft_temperature:.2f}, best on the training prompts"


def best_sharpened(tables: Sequence[LevelTable], costs: CostModel) -> Fixed:
    """The fastest fixed tree over the menus of these tables."""
    rated: list[tuple[float, Fixed]] = []
    for table in tables:
        menu = table.menu
        depth, total, rate = best_fixed(flatten(table, costs))
        rated.append((rate, Fixed(menu.totals[total], depth, menu.top_k, menu.draft_temperature)))
    return max(rated, key=lambda pair: pair[0])[1]
