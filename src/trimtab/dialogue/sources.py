"""Which examples does a command mean by ``--data``? The embedded world by split and count, or a file's."""

from __future__ import annotations

from trimtab.console import say
from trimtab.dialogue.example import Example
from trimtab.dialogue.formats.reading import read_examples

EMBEDDED = "moods"
"""The name of the embedded model, which is made from nothing."""


def examples_of(data: str) -> list[Example]:
    """The examples of ``moods:SPLIT:COUNT`` or of a file of dialogues with their prompts.

    Lines that cannot be read are named, and left out; raises ValueError where nothing is left, or where a dialogue has no
    prompt for a model to go on from.
    """
    found = read_examples(data)
    if found.broken:
        say(found.summary(data))
    without = [example.key for example in found.good if not example.prompt]
    if without:
        raise ValueError(
            f"{len(without)} of {len(found.good)} dialogues in {data} have no prompt (the first: {without[0]!r}). Write "
            f"them in the model's own form: `trimtab dialogue prepare --input {data} --output FILE --to dialogues "
            "--template llama2` (plain, moods, or chat with --tokenizer)."
        )
    return list(found.good)
