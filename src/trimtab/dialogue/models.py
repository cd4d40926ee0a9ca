"""How is a model of this room named? ``zoo:NAME``, a hub id, a path, or the run that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trimtab.lm.load import load_model

MODEL = "model"
"""Where a run keeps what it trained."""


def located(name: str) -> str:
    """The run's model where ``name`` is a run's directory, else ``name``. Raises ValueError for a run without a model."""
    path = Path(name)
    if (path / "recipe.yaml").is_file():
        if not (path / MODEL / "config.json").is_file():
            raise ValueError(f"the run in {path} has trained no model yet: go on with it by --resume {path}")
        return str(path / MODEL)
    return name


def load(name: str, **options: Any) -> tuple[Any, Any]:
    """The model and its tokenizer, on the first CUDA device where there is one."""
    import torch

    return load_model(located(name), device="cuda" if torch.cuda.is_available() else None, **options)
