"""How does a measurement reach a file? Bars that hold or not, and JSON written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from trimtab.checkpoints import replace_file


def bar(name: str, value: float, bound: float, *, above: bool, equal: bool = False) -> dict[str, Any]:
    """One bar: whether ``value`` is above (or at most) ``bound``; ``equal`` lets a value that has to be above lie on it."""
    holds = (value > bound or (equal and value == bound)) if above else value <= bound
    return {"name": name, "value": value, "bound": bound, "holds": bool(holds)}


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` (plain data and numbers of numpy) to ``path``, atomically; its folder is made.

    Raises TypeError where something in it is not JSON.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=1, default=_number) + "\n"
    replace_file(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")
