"""Which examples does a command mean by ``--data``? The embedded world by split and count, or a file's."""

from __future__ import annotations

from trimtab.console import say
from trimtab.dialogue.example import Example
from trimtab.dialogue.formats.reading import read_examples

EMBEDDED = "moods"
"""The name of the embedded model, which is made from nothing."""


def examples_of(data: str) -> list[Example]:
    """The examples of ``moods:SPLIT:COUNT`` or of a file in any known format.

    Lines that cannot be read are named, and left out; raises ValueError where nothing is left.
    """
    found = read_examples(data)
    if found.broken:
        say(found.summary(data))
    return list(found.good)
