"""KV-cache compression: a policy that picks, per prompt, which tokens the cache keeps.

Imports nothing heavy until a name is asked for: ``from trimtab.compression import compress, Curve``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimtab.compression.actions import Action, menu, parse
    from trimtab.compression.engine.cache import cache_bytes, fork
    from trimtab.compression.engine.compressor import Compression, Report, compress
    from trimtab.compression.engine.layers import Pyramid, Shares, Uniform
    from trimtab.compression.engine.method import Method, Pool
    from trimtab.compression.engine.weights import Curve, Geometric, Newest
    from trimtab.compression.prompts import Prompt
    from trimtab.compression.scoring import Scored, ScoreSettings, score
    from trimtab.compression.table import RewardTable
    from trimtab.compression.tabulating import tabulate

_HOMES = {
    "actions": ("Action", "menu", "parse"),
    "engine.cache": ("cache_bytes", "fork"),
    "engine.compressor": ("Compression", "Report", "compress"),
    "engine.layers": ("Pyramid", "Shares", "Uniform"),
    "engine.method": ("Method", "Pool"),
    "engine.weights": ("Curve", "Geometric", "Newest"),
    "prompts": ("Prompt",),
    "scoring": ("ScoreSettings", "Scored", "score"),
    "table": ("RewardTable",),
    "tabulating": ("tabulate",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Action",
    "Compression",
    "Curve",
    "Geometric",
    "Method",
    "Newest",
    "Pool",
    "Prompt",
    "Pyramid",
    "Report",
    "RewardTable",
    "ScoreSettings",
    "Scored",
    "Shares",
    "Uniform",
    "cache_bytes",
    "compress",
    "fork",
    "menu",
    "parse",
    "score",
    "tabulate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
