"""A reward of a user's own: shorter programs are better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def shortness(attempts: Sequence[Any]) -> list[float]:
    return [1.0 / (1 + len(attempt.extraction.code)) for attempt in attempts]
