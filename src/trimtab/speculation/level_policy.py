"""How does a learned rule stop a live drafting? After each level: go on, or cut the tree to a size and verify it.

A saved policy is a folder of safetensors and JSON (``policy_files``); nothing in it is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trimtab.plain import Plain
from trimtab.reading import refusing
from trimtab.speculation import policy_files
from trimtab.speculation.context import SingleHistory
from trimtab.speculation.engine.generation import Round, RoundState
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.engine.tree import Pool
from trimtab.speculation.level_context import beam_width, mass_of, moment_names, moment_of, names, opening_of
from trimtab.speculation.level_network import LevelNetwork, SizeRule, StopAt, choose
from trimtab.speculation.level_replay import FlatLevels, LevelRounds, roll
from trimtab.speculation.levels import LevelMenu
from trimtab.speculation.tree_policy import Widths

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
KIND = "levels"


class _Drafting:
    """The plan of one round (``engine.drafter.Plan``)."""

    def __init__(self, policy: LevelPolicy, history_H: list[float], context_tokens: int) -> None:
        menu = policy.menu
        self.top_k, self.depth, self.draft_temperature = menu.top_k, menu.depth, menu.draft_temperature
        self._policy, self._width = policy, beam_width(menu)
        self._history_H, self._context = history_H, context_tokens
        self._round_R, self._moment_M = list[float](), list[float]()
        self._stop: StopAt | None = None

    def expands(self, level: int, beam_scores_k: Tensor, /) -> bool:
        """Whether the policy expands the beam after ``level`` levels."""
        beam_K: list[float] = beam_scores_k[: self._width].tolist()
        if self._stop is None:
            self._round_R = opening_of(beam_K, self._context, self._history_H)
            self._stop = StopAt(self._policy.network.rule, self._round_R)
        self._moment_M = moment_of(beam_K)
        return not self._stop(self._moment_M, level)

    def total_tokens(self, pool: Pool, /) -> int:
        """The nodes to verify of what was drafted."""
        menu, depth = self._policy.menu, pool.depth
        if depth == menu.depth:  # drafted to the end: the last moment was not asked about
            self._moment_M = moment_of(pool.beam_scores()[: self._width].tolist())
        known = np.array([*self._moment_M, *self._round_R, *mass_of(pool, menu)], dtype=np.float32)
        return menu.totals[self._policy.size_rule(known, depth)]


@dataclass(eq=False)
class LevelPolicy:
    """A controller of ``Speculator.generate(policy=...)`` whose rounds decide on their way. It acts greedily.

    ``metadata`` is plain data about its origin, ``models`` the pair it was trained for (target, head, dtype). Raises
    ValueError where menu and network do not fit.
    """

    menu: LevelMenu
    network: LevelNetwork
    widths: Widths | None = None
    metadata: Mapping[str, Plain] = field(default_factory=dict[str, Plain])
    models: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        given = (*self.network.size.direct_FO.shape, len(self.network.size.bias_DO))
        expected = (len(names(self.menu)), len(self.menu.totals), self.menu.depth + 1)
        if given != expected:
            raise ValueError(
                f"a network of {given} features, sizes and depths for a menu of {expected}: they were not trained together"
            )
        self.size_rule = SizeRule(self.network.size, self.menu.penalty_DT)
        self._history, self._observed, self._rounds = SingleHistory(), 0, list[Round]()

    def __call__(self, state: RoundState, /) -> _Drafting:
        """The plan of a live decode's next round."""
        if state.rounds is not self._rounds or len(state.rounds) < self._observed:
            self._history.reset()
            self._rounds, self._observed = state.rounds, 0
        for done in state.rounds[self._observed :]:
            self._history.observe(done.accepted, done.shape.depth if done.shape else 0)
        self._observed = len(state.rounds)
        return _Drafting(self, self._history.features(), state.context_tokens)

    def __str__(self) -> str:
        menu = self.menu
        return f"a policy that stops drafting by itself (beam {menu.top_k}, at most {menu.depth} levels)"

    def replay(self, levels: FlatLevels, level_seconds: float = 0.0) -> LevelRounds:
        """Decode all prompts of a replay as it would live. Raises ValueError for another menu, naming both."""
        if levels.menu != self.menu:
            raise ValueError(f"the replay was made for {levels.menu}, the policy for {self.menu}")

        def rule(rows: Ints, history_BH: Floats) -> tuple[Ints, Ints]:
            return choose(*self.network.scores(levels.features(rows, history_BH)), self.menu)

        return roll(levels, rule, level_seconds)

    def save(self, path: Path) -> None:
        """Write the folder ``path`` as a whole, or leave what was there. Raises ValueError where that is no policy."""
        card = {
            "kind": KIND,
            "menu": asdict(self.menu),
            "features": names(self.menu),
            "widths": asdict(self.widths) if self.widths else None,
            "metadata": dict(self.metadata),
            "models": dict(self.models),
        }
        policy_files.save(path, card, self.network.arrays())

    @classmethod
    def load(cls, path: Path, speculator: Speculator | None = None) -> LevelPolicy:
        """Read what ``save`` wrote. Raises FileNotFoundError; ValueError where it is no such policy, or was trained for
        another pair than ``speculator``."""
        card, arrays = policy_files.load(path, KIND)
        with refusing(path, "policy over levels", "train it again"):
            menu = LevelMenu(**(card["menu"] | {"totals": tuple(card["menu"]["totals"])}))
            if card["features"] != names(menu):
                raise ValueError(
                    f"{path} was trained on the features {card['features']}; this version has {names(menu)}"
                )
            widths = Widths(**card["widths"]) if card["widths"] else None
            if speculator is not None and widths is not None and widths != Widths.of(speculator):
                raise ValueError(
                    f"{path} was trained for a pair of {widths}; this pair has {Widths.of(speculator)}: train one for it"
                )
            network = LevelNetwork.from_arrays(arrays, len(moment_names(menu)))
            return cls(menu, network, widths, card["metadata"], card["models"])
