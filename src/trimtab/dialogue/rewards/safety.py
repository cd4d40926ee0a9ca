"""Is a reply fit to be shown? Word lists, as a gate: what is unsafe is worth the gate's value, however good the rest is.

The words and their disguises (``b1tch``) are those of the package better-profanity, matched here by one regular
expression: its own matcher takes 16 ms a reply, and joins neighbouring words (``as s``) into matches that are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trimtab.dialogue.example import Reply
from trimtab.dialogue.rewards.overlap import package

_WORD = r"[\w@$*'\"-]"


def read_blocklist(path: Path) -> tuple[str, ...]:
    """Words and phrases, one a line, ``#`` for comments. Raises ValueError where there are none."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    found = tuple(line for line in lines if line)
    if not found:
        raise ValueError(f"{path} blocks nothing: expected a word or phrase a line.")
    return found


@dataclass(frozen=True)
class Safety:
    """1 for a reply without any blocked word or phrase, else 0.

    ``blocklist``: blocked beside the package's list (``profanity``); ``allowed``: words of that list which are fine
    here (titles such as Kill Bill). Case does not matter.
    """

    profanity: bool = True
    blocklist: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.profanity and not self.blocklist:
            raise ValueError("a safety gate that blocks nothing: expected the profanity list, a blocklist, or both.")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        entries = [re.escape(phrase.lower()) for phrase in self.blocklist]
        entries += _profane(self.allowed) if self.profanity else ()
        return re.compile(f"(?<!{_WORD})(?:{'|'.join(entries)})(?!{_WORD})", re.IGNORECASE)

    def blocked(self, text: str) -> list[str]:
        """What of ``text`` is blocked."""
        return self._pattern.findall(text)

    def __call__(self, replies: Sequence[Reply]) -> list[float]:
        return [float(self._pattern.search(reply.text) is None) for reply in replies]


def _profane(allowed: Iterable[str]) -> list[str]:
    """A pattern for each entry of the package's list, disguises included."""
    listed: Any = package("better_profanity.better_profanity").Profanity()
    fine = {word.lower() for word in allowed}
    words = sorted(word for word in map(str, listed.CENSOR_WORDSET) if word not in fine)
    return ["".join(_any_of(listed.CHARS_MAPPING.get(char, (char,))) for char in word) for word in words]


def _any_of(characters: Sequence[str]) -> str:
    return re.escape(characters[0]) if len(characters) == 1 else f"[{''.join(map(re.escape, characters))}]"
