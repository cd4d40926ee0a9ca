"""Small replay tables and costs for tests, written down or drawn at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trimtab.speculation.actions import TreeShape, named_menu
from trimtab.speculation.costs import CostModel, Knots
from trimtab.speculation.replay import PromptReplay, ReplayTable

MENU = [TreeShape(2, 1, 1), TreeShape(4, 2, 2), *named_menu("default")[3::11]]


def costs_of() -> CostModel:
    """Milliseconds that grow with everything."""
    return CostModel(
        Knots((2, 16, 60), (1, 10)),
        draft=(1e-3, 5e-4, 7e-4, 1e-6, 1e-7),
        verify=(5e-3, 6e-3, 9e-3, 2e-6, 1e-8),
        rest=(3e-4, 1e-5, 1e-7, 1e-8),
        plain=(6e-3, 2e-6),
        prefill=(8e-3, 1e-4),
    )


def table_of(accepted: Sequence[Sequence[Sequence[int]]], features: np.ndarray | None = None) -> ReplayTable:
    """A table of the given acceptances (prompts x positions x actions) with one feature, zero unless given."""
    prompts: list[PromptReplay] = []
    row = 0
    for number, rows in enumerate(accepted):
        positions = len(rows)
        known = np.zeros((positions, 1)) if features is None else features[row : row + positions]
        row += positions
        context = 10 + np.arange(positions, dtype=np.int32)
        array = np.array(rows, dtype=np.int16)
        prompts.append(PromptReplay(f"p{number}", "x", positions + 1, array, known.astype(np.float32), context))
    return ReplayTable(MENU[: len(accepted[0][0])], ["confidence"], prompts)


def random_table(draw: np.random.Generator, prompts: int, positions: int, actions: int) -> ReplayTable:
    """Acceptances drawn from 0 to 4."""
    return table_of(draw.integers(0, 5, (prompts, positions, actions)).tolist())
