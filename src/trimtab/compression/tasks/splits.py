"""Which prompts are learnt from, which calibrate a promise, and which are judged? Never the same document twice.

The part of a task is chosen by a hash of its document (``key``), so that it depends on neither order nor number nor seed,
and two questions about one document stay together. ``refuse_overlap`` checks the tokens themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from trimtab.compression.prompts import Prompt

Part = Literal["train", "calibration", "held_out"]
PARTS: tuple[Part, ...] = ("train", "calibration", "held_out")


def document_of(name: str) -> str:
    """What a prompt is split by: the document that its name ends in, after ``#``; the name, where it names none."""
    return name.rpartition("#")[2]


def part_of(key: str, *, calibration: float = 0.25, held_out: float = 0.25) -> Part:
    """The part that ``key`` belongs to. Raises ValueError where the shares leave nothing to train on."""
    if calibration < 0 or held_out < 0 or calibration + held_out >= 1:
        raise ValueError(
            f"shares of {calibration} for calibration and {held_out} held out: expected less than 1 together"
        )
    draw = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
    return "held_out" if draw < held_out else "calibration" if draw < held_out + calibration else "train"


def _digest(prompt: Prompt) -> str:
    return hashlib.sha256(repr(prompt.token_ids).encode()).hexdigest()


def refuse_overlap(**parts: Sequence[Prompt]) -> None:
    """Raises ValueError naming a prompt whose tokens occur in two parts."""
    seen: dict[str, tuple[str, str]] = {}
    for part, prompts in parts.items():
        for prompt in prompts:
            digest = _digest(prompt)
            other, name = seen.setdefault(digest, (part, prompt.name))
            if other != part:
                raise ValueError(
                    f"{prompt.name} of {part} is {name} of {other}: the same tokens. Remove one; what is judged is never "
                    "learnt from"
                )
