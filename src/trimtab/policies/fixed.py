"""What does a policy that always does the same look like? The baseline that every learned one has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from trimtab.types import Choice, Metrics, Step

A = TypeVar("A")


@dataclass(frozen=True)
class Fixed(Generic[A]):
    """Always ``action``: for contexts of any kind, as a policy (``act``) or as a controller (a call)."""

    action: A

    def __call__(self, _state: object, /) -> A:
        return self.action

    def act(self, contexts: Sequence[Any], /) -> list[Choice[A]]:
        """The same choice for each context."""
        return [Choice(self.action, logprob=0.0) for _ in contexts]

    def update(self, _episodes: Sequence[Sequence[Step[Any, A, Any]]], /) -> Metrics:
        """Learns nothing."""
        return {}
