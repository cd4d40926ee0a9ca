"""Where do a learner's rewards come from? A table, replayed; or live episodes, each a prefill and one compressed answer.

``play`` lets a chooser see each prompt's features and tells what the chosen action brought, and nothing of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from transformers import PreTrainedModel

from trimtab.compression.actions import Action
from trimtab.compression.engine.prefill import Prefilled, prefill
from trimtab.compression.features import chosen
from trimtab.compression.prompts import Prompt
from trimtab.compression.scoring import FORCED, Features, ScoreSettings, score_read
from trimtab.compression.table import RewardTable

Chooser = Callable[[np.ndarray], np.ndarray]
"""Features [B, F] to columns [B]."""


@dataclass(frozen=True, eq=False)
class Played:
    """Rounds: features [B, F], columns [B], rewards [B]."""

    features_BF: np.ndarray
    columns_B: np.ndarray
    rewards_B: np.ndarray


class Source(Protocol):
    """Prompts to learn from, numbered from 0."""

    @property
    def count(self) -> int: ...
    @property
    def actions(self) -> tuple[str, ...]: ...
    def features(self, rows: Sequence[int]) -> np.ndarray: ...
    def play(self, rows: Sequence[int], chooser: Chooser) -> Played: ...


class TableSource:
    """Replay: features and rewards are known beforehand."""

    def __init__(self, table: RewardTable, part: str, budget: int, encoder: str) -> None:
        self.features_PF = chosen(table.features, encoder)
        self.rewards_PA = table.rewards(part, budget).astype(np.float64)
        self.actions = table.actions

    @property
    def count(self) -> int:
        return len(self.rewards_PA)

    def features(self, rows: Sequence[int]) -> np.ndarray:
        """Features [B, F]."""
        return self.features_PF[np.asarray(rows)]

    def play(self, rows: Sequence[int], chooser: Chooser) -> Played:
        at = np.asarray(rows)
        columns_B = chooser(self.features_PF[at])
        return Played(self.features_PF[at], columns_B, self.rewards_PA[at, columns_B])


class LiveSource:
    """Live episodes: the prompt is read, an action chosen, the cache compressed once, the answer scored."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Prompt],
        actions: Sequence[Action],
        part: str,
        budget: int,
        encoder: str,
        features: Features,
        settings: ScoreSettings,
    ) -> None:
        if part not in FORCED:
            raise ValueError(f"no live reward {part!r}: expected one of {', '.join(FORCED)}")
        self._model, self._prompts, self._menu = model, list(prompts), list(actions)
        self._part, self._budget, self._encoder = part, budget, encoder
        self._features, self._settings = features, settings
        self.actions = tuple(action.name for action in actions)

    @property
    def count(self) -> int:
        return len(self._prompts)

    def features(self, rows: Sequence[int]) -> np.ndarray:
        """Features [B, F]: a prefill for each prompt, no answer."""
        return np.stack([self._seen(self._prompts[row])[1] for row in rows])

    def _seen(self, prompt: Prompt) -> tuple[Prefilled, np.ndarray]:
        weights = [*(action.method.weights for action in self._menu), *self._features.weights]
        read = prefill(self._model, prompt.token_ids, weights)
        named = {name: vector[None] for name, vector in self._features(read, prompt).items()}
        return read, chosen(named, self._encoder)[0]

    def play(self, rows: Sequence[int], chooser: Chooser) -> Played:
        rounds = [self._episode(self._prompts[row], chooser) for row in rows]
        features, columns, rewards = zip(*rounds, strict=True)
        return Played(np.stack(features), np.array(columns), np.array(rewards))

    def _episode(self, prompt: Prompt, chooser: Chooser) -> tuple[np.ndarray, int, float]:
        read, features_F = self._seen(prompt)
        column = int(chooser(features_F[None])[0])
        action = [self._menu[column]]
        scored = score_read(self._model, read, prompt, action, [self._budget], self._settings)
        return features_F, column, float(scored.parts[self._part][0, 0])
