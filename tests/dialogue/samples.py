"""Small examples, replies and stand-ins for what takes seconds to load."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from trimtab.dialogue.example import Example, Facts, Reply, Turn

RAW: dict[str, Any] = {
    "conversationId": "20001",
    "initiatorWorkerId": 0,
    "respondentWorkerId": 1,
    "movieMentions": {"111": "Super Troopers (2001)", "222": "Beverly Hills Cop (1984)"},
    "initiatorQuestions": {"111": {"suggested": 0, "seen": 1, "liked": 1}, "222": {"suggested": 1, "liked": 0}},
    "respondentQuestions": {},
    "messages": [
        {"messageId": 1, "senderWorkerId": 0, "text": "Hi, I like @111", "emotion": {"like": 0.8, "happy": 0.05}},
        {"messageId": 2, "senderWorkerId": 0, "text": "a lot"},
        {"messageId": 3, "senderWorkerId": 1, "text": "Have you seen @222 or @999?"},
        {
            "messageId": 4,
            "senderWorkerId": 0,
            "text": "I did not like it",
            "emotion": {"negative": 0.9, "curious": 0.3},
        },
        {"messageId": 5, "senderWorkerId": 1, "text": "Oh."},
    ],
}
"""A dialogue of ReDial in its raw format, with ECR's labels."""


def example(reference: str = "try Silver Harbor .", *said: str, key: str = "one", **facts: Any) -> Example:
    """An example whose user and system speak in turn, the user last."""
    texts = said or ("hi . i feel so down today .",)
    last = len(texts) - 1
    turns = tuple(Turn("user" if (last - n) % 2 == 0 else "system", text) for n, text in enumerate(texts))
    return Example(key, turns, f"{' '.join(texts)} >", reference, Facts(**facts))


def reply(text: str, reference: str = "try Silver Harbor .", **options: Any) -> Reply:
    """A reply to ``example``."""
    return Reply(example(reference), text, **options)


def embed(texts: Sequence[str]) -> np.ndarray:
    """A sentence encoder that counts words by hash: 256 numbers of length 1."""
    rows = np.zeros((len(texts), 256), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in text.lower().split():
            row[int(hashlib.sha256(word.encode()).hexdigest(), 16) % 256] += 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-9)
