"""What does the rule of continuing or stopping see after each level? A few numbers, the same live and in replay.

The moment: the beam that would be expanded next. The round: what the head said at the root, the context's length, what the
rounds before accepted; known once per round. The size of the tree is chosen last and sees more: the expected acceptance
(the sum of the nodes' probabilities) of each size. The depth is no feature: each depth has biases of its own.
"""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from trimtab.speculation.context import HISTORY_NAMES
from trimtab.speculation.engine.tree import Pool
from trimtab.speculation.levels import BEAM_SCORES, LevelMenu

Floats = NDArray[np.float32]
_FLOOR = np.float32(-12.0)
_TINY = np.float32(1e-4)


def beam_width(menu: LevelMenu) -> int:
    """How many of the beam's scores are looked at."""
    return min(BEAM_SCORES, menu.top_k)


def moment_names(menu: LevelMenu) -> list[str]:
    """Known anew after each level."""
    return [*(f"beam_logprob_{rank + 1}" for rank in range(beam_width(menu))), "beam_mass", "log_beam_mass"]


def round_names(menu: LevelMenu) -> list[str]:
    """Known when a round begins."""
    return [*(f"root_logprob_{rank + 1}" for rank in range(beam_width(menu))), "log_context", *HISTORY_NAMES]


def names(menu: LevelMenu) -> list[str]:
    """All features in order: of the moment, of the round, of each size."""
    return [*moment_names(menu), *round_names(menu), *(f"mass_{total}" for total in menu.totals)]


def moment(beam_BK: Floats) -> Floats:
    """Features of moments [*, K + 2] from the beam's best scores [*, K], best first."""
    weight = np.exp(beam_BK).sum(axis=-1, keepdims=True)
    return np.concatenate((np.maximum(beam_BK, _FLOOR), weight, np.log(weight + _TINY)), axis=-1, dtype=np.float32)


def moment_of(beam_K: list[float]) -> list[float]:
    """``moment`` for a single beam in plain numbers: a fraction of the time, which a live decode pays after each level."""
    weight = sum(map(math.exp, beam_K))
    return [*(max(score, float(_FLOOR)) for score in beam_K), weight, math.log(weight + float(_TINY))]


def opening(root_BK: Floats, context_B: NDArray[np.int32], history_BH: Floats) -> Floats:
    """Features of rounds [B, R] from the root's best log-probabilities [B, K], context and history."""
    context = np.log1p(np.asarray(context_B, dtype=np.float32))[:, None]
    return np.concatenate((np.maximum(root_BK, _FLOOR), context, history_BH), axis=1, dtype=np.float32)


def opening_of(root_K: list[float], context_tokens: int, history_H: list[float]) -> list[float]:
    """``opening`` of a single round in plain numbers."""
    return [*(max(score, float(_FLOOR)) for score in root_K), math.log1p(context_tokens), *history_H]


def mass(scores_C: Floats, menu: LevelMenu) -> Floats:
    """The summed probabilities [T] of the best ``total - 1`` of C candidates, for each total of the menu."""
    best = -np.sort(-scores_C)[: menu.totals[-1] - 1]
    sums = np.exp(best).cumsum()
    return sums[menu.last_T(len(best))].astype(np.float32)


def mass_of(pool: Pool, menu: LevelMenu) -> list[float]:
    """``mass`` of a pool, whose order is needed anyway, in plain numbers."""
    best: list[float] = pool.scores_C[pool.order_C[: menu.totals[-1] - 1]].tolist()
    sums = list(accumulate(map(math.exp, best)))
    return [sums[last] for last in menu.last_T(len(sums))]


def features(beam_BDK: Floats, mass_BDT: Floats, context_B: NDArray[np.int32], history_BH: Floats) -> Floats:
    """All features [B, D, F] of B rounds at D moments each; the first moment's beam is what the head says at the root."""
    round_BR = opening(beam_BDK[:, 0], context_B, history_BH)
    each = np.broadcast_to(round_BR[:, None], (*beam_BDK.shape[:2], round_BR.shape[1]))
    return np.concatenate((moment(beam_BDK), each, mass_BDT), axis=-1, dtype=np.float32)
