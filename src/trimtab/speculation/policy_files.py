"""What is a saved policy? A folder: ``policy.safetensors`` (arrays), ``policy.json`` (all else). Nothing is executed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from trimtab.checkpoints import replace_file
from trimtab.reading import read_object, refusing

WEIGHTS, CARD = "policy.safetensors", "policy.json"


def save(path: Path, card: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write the folder ``path`` as a whole, or leave what was there. Raises ValueError where that is no policy."""
    if path.exists() and not (path / CARD).is_file():
        raise ValueError(f"{path} exists and is no saved policy: name a new folder")
    scratch, former = (path.with_name(f"{path.name}.{suffix}") for suffix in ("partial", "former"))
    for left in (scratch, former):
        shutil.rmtree(left, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        replace_file(scratch / WEIGHTS, lambda file: save_file(dict(arrays), file))
        replace_file(scratch / CARD, lambda file: file.write_text(json.dumps(card, indent=1) + "\n"))
        if path.exists():
            path.rename(former)
        scratch.rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(former, ignore_errors=True)


def card_of(path: Path) -> dict[str, Any]:
    """The policy's card. Raises FileNotFoundError, or ValueError where it is broken."""
    if not (path / CARD).is_file():
        raise FileNotFoundError(f"{path} holds no saved policy ({CARD} is missing)")
    return read_object(path / CARD, "card of a policy", "train the policy again")


def load(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Card and arrays of a policy of this kind. Raises FileNotFoundError; ValueError for another kind or broken files."""
    card = card_of(path)
    if card.get("kind") != kind:
        raise ValueError(f"{path} holds a policy of kind {card.get('kind')!r}; expected {kind!r}")
    with refusing(path / WEIGHTS, "file of a policy's weights", "train the policy again"):
        return card, load_file(path / WEIGHTS)
