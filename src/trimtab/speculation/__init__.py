"""Speculative decoding steered by a learned policy: the room's public names, in reading order.

>>> from trimtab.speculation import TreeShape
>>> TreeShape(60, 7, 10).pool
710
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from trimtab.speculation.actions import EAGLE_DEFAULT, TreeShape, menu, named_menu

if TYPE_CHECKING:
    from trimtab.speculation import oracle
    from trimtab.speculation.context import PositionFeatures
    from trimtab.speculation.costs import CostModel
    from trimtab.speculation.engine.generation import Generation, Round, RoundState
    from trimtab.speculation.engine.speculator import Speculator
    from trimtab.speculation.replay import ReplayTable
    from trimtab.speculation.tasks import PromptTask, own_prompts, read_prompts
    from trimtab.speculation.tree_policy import TreePolicy

_LAZY = {
    "Speculator": "engine.speculator",
    "Generation": "engine.generation",
    "Round": "engine.generation",
    "RoundState": "engine.generation",
    "PromptTask": "tasks",
    "own_prompts": "tasks",
    "read_prompts": "tasks",
    "PositionFeatures": "context",
    "TreePolicy": "tree_policy",
    "ReplayTable": "replay",
    "CostModel": "costs",
}
"""Names whose modules need torch: imported when first asked for, so that the command line answers at once."""


def __getattr__(name: str) -> Any:
    if name == "oracle":
        return importlib.import_module(f"{__name__}.oracle")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)


__all__ = [
    "EAGLE_DEFAULT",
    "CostModel",
    "Generation",
    "PositionFeatures",
    "PromptTask",
    "ReplayTable",
    "Round",
    "RoundState",
    "Speculator",
    "TreePolicy",
    "TreeShape",
    "menu",
    "named_menu",
    "oracle",
    "own_prompts",
    "read_prompts",
]
