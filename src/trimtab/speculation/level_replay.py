"""How are rounds replayed in which drafting may stop after any level? All prompts side by side, as in ``flat_replay``.

Position p of a prompt is row ``start + p``. A round that stops after d levels and keeps t nodes commits ``tokens_NDT``
tokens and takes ``seconds_NDT``; where nothing ``remaining_N`` is left, the decode is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.speculation.context import History
from trimtab.speculation.costs import CostModel
from trimtab.speculation.level_context import beam_width, features
from trimtab.speculation.levels import LevelMenu, LevelTable

Ints = NDArray[np.int64]
_NEVER = 1e9


@dataclass(frozen=True, eq=False)
class FlatLevels:
    """The positions of R prompts as N rows, at D moments of stopping and T sizes of tree. Trees that do not exist take
    forever. ``seconds_NDT`` are the models', without a policy's own."""

    menu: LevelMenu
    tasks: list[str]
    accepted_NDT: NDArray[np.int16]
    seconds_NDT: NDArray[np.float64]
    beam_NDK: NDArray[np.float32]
    mass_NDT: NDArray[np.float32]
    context_N: NDArray[np.int32]
    remaining_N: Ints
    start_R: Ints
    positions_R: Ints

    @property
    def rows(self) -> int:
        return len(self.remaining_N)

    @property
    def tokens_NDT(self) -> Ints:
        """Tokens committed within the text."""
        return np.minimum(self.accepted_NDT.astype(np.int64) + 1, self.remaining_N[:, None, None])

    def features(self, rows: Ints, history_BH: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features [B, D, F] of rounds that begin at ``rows``."""
        beam = self.beam_NDK[rows, :, : beam_width(self.menu)]
        return features(beam, self.mass_NDT[rows], self.context_N[rows], history_BH)


def flatten(table: LevelTable, costs: CostModel) -> FlatLevels:
    """The table as rows. Prompts with no round to play are left out. Raises ValueError where none has one."""
    prompts = [prompt for prompt in table.prompts if prompt.positions]
    if not prompts:
        raise ValueError("no prompt of the level table has a round to play: expected replies of at least 2 tokens")
    menu, context = table.menu, np.concatenate([prompt.context_P for prompt in prompts])
    seconds: NDArray[np.float64] = np.full((len(context), *menu.valid_DT.shape), _NEVER)
    seconds[:, menu.valid_DT] = costs.seconds_A(menu.shapes(), context)
    positions = np.array([prompt.positions for prompt in prompts])
    return FlatLevels(
        menu,
        [prompt.task for prompt in prompts],
        np.concatenate([prompt.accepted_PDT(menu.totals) for prompt in prompts]),
        seconds,
        np.concatenate([prompt.beam_PDK for prompt in prompts]),
        np.concatenate([prompt.mass_PDT for prompt in prompts]),
        context,
        np.concatenate([np.arange(count, 0, -1) for count in positions]),
        np.cumsum(positions) - positions,
        positions,
    )


@dataclass(frozen=True, eq=False)
class LevelRounds:
    """Rounds of all prompts, in order of play. ``depth_T``: levels expanded; ``total_T``: column of the menu's totals."""

    prompt_T: Ints
    row_T: Ints
    history_TH: NDArray[np.float32]
    depth_T: Ints
    total_T: Ints
    tokens_T: Ints
    seconds_T: NDArray[np.float64]

    def rate(self) -> float:
        """Tokens per second over all rounds."""
        return float(self.tokens_T.sum() / self.seconds_T.sum())

    def per_prompt(self, prompts: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Tokens [R] and seconds [R] of each prompt."""
        tokens = np.bincount(self.prompt_T, weights=self.tokens_T, minlength=prompts).astype(np.float64)
        return tokens, np.bincount(self.prompt_T, weights=self.seconds_T, minlength=prompts).astype(np.float64)


Stop = Callable[[Ints, NDArray[np.float32]], tuple[Ints, Ints]]
"""(rows [B], history features [B, H]) -> levels expanded [B], columns of the totals [B]."""


def roll(levels: FlatLevels, stop: Stop, level_seconds: float = 0.0) -> LevelRounds:
    """Decode every prompt once. ``level_seconds`` are charged for each decision: one per level, and one at the start."""
    alive = np.arange(len(levels.start_R))
    row, history = levels.start_R.copy(), History(len(alive))
    rounds: list[tuple[NDArray[np.generic], ...]] = []
    while len(alive):
        known = history.features()
        depth, total = stop(row, known)
        accepted = levels.accepted_NDT[row, depth, total].astype(np.int64)
        tokens = np.minimum(accepted + 1, levels.remaining_N[row])
        seconds = levels.seconds_NDT[row, depth, total] + level_seconds * (depth + 1)
        rounds.append((alive, row, known, depth, total, tokens, seconds))
        history.observe(accepted, depth)
        going = levels.remaining_N[row] > tokens
        alive, row = alive[going], (row + tokens)[going]
        history.state_BS = history.state_BS[going]
    return LevelRounds(*(np.concatenate(column) for column in zip(*rounds, strict=True)))


def fixed(depth: int, total: int) -> Stop:
    """Always the same tree."""
    return lambda rows, _history: (np.full(len(rows), depth), np.full(len(rows), total))


def best_fixed(levels: FlatLevels) -> tuple[int, int, float]:
    """The tree (levels, column of the totals) that, kept throughout, is fastest, and its tokens per second."""
    rates = [
        (roll(levels, fixed(int(depth), int(total))).rate(), int(depth), int(total))
        for depth, total in np.argwhere(levels.menu.valid_DT)
    ]
    rate, depth, total = max(rates)
    return depth, total, rate


def oracle(levels: FlatLevels) -> LevelRounds:
    """The fastest decode there is with this menu: dynamic programming backwards over each text."""
    tokens_NDT, totals = levels.tokens_NDT, len(levels.menu.totals)
    best = np.zeros(levels.rows, dtype=np.int64)
    left = np.zeros(levels.rows + 1)
    for row in reversed(range(levels.rows)):
        over = tokens_NDT[row] >= levels.remaining_N[row]
        through = levels.seconds_NDT[row] + np.where(over, 0.0, left[row + tokens_NDT[row]])
        best[row] = through.argmin()
        left[row] = through.flat[best[row]]
    return roll(levels, lambda rows, _history: (best[rows] // totals, best[rows] % totals))


def clairvoyant(levels: FlatLevels) -> LevelRounds:
    """Each round ended where it brings most tokens per second, acceptance known beforehand (one round ahead)."""
    totals = len(levels.menu.totals)

    def stop(rows: Ints, _history: NDArray[np.float32]) -> tuple[Ints, Ints]:
        accepted = levels.accepted_NDT[rows].astype(np.int64)
        tokens = np.minimum(accepted + 1, levels.remaining_N[rows][:, None, None])
        best = (tokens / levels.seconds_NDT[rows]).reshape(len(rows), -1).argmax(axis=1)
        return best // totals, best % totals

    return roll(levels, stop)
