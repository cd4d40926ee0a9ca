"""What is the datum that all rooms share? The vocabulary of trimtab, free of third-party imports.

task -> Episode.start() -> context -> Policy.act() -> Choice(action)
     -> Episode.step()  -> outcome -> Reward()     -> Grade
     -> Step (all of it, kept together) -> Policy.update()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

C = TypeVar("C")
A = TypeVar("A")
O = TypeVar("O")  # noqa: E741 (an outcome)

Metrics = dict[str, float]


@dataclass(frozen=True)
class Choice(Generic[A]):
    """What a policy chose: the action, its log-probability (nats; None where the policy is not random), and notes."""

    action: A
    logprob: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Grade:
    """The value of an outcome, and the named parts it was made of."""

    value: float
    parts: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Step(Generic[C, A, O]):
    """One decision and all that belongs to it: the datum everywhere."""

    task: str
    context: C
    choice: Choice[A]
    outcome: O
    grade: Grade


CIn = TypeVar("CIn", contravariant=True)
COut = TypeVar("COut", covariant=True)
AIn = TypeVar("AIn", contravariant=True)
OOut = TypeVar("OOut", covariant=True)


@runtime_checkable
class Episode(Protocol[COut, AIn, OOut]):
    """One task, played once: there is no reset. ``step`` returns the outcome, and the next context or None at the end."""

    @property
    def task(self) -> str: ...
    def start(self) -> COut: ...
    def step(self, action: AIn, /) -> tuple[OOut, COut | None]: ...


@runtime_checkable
class Policy(Protocol[C, A]):
    """Chooses an action for each context; learns from whole episodes, each a list of steps in order."""

    def act(self, contexts: Sequence[C], /) -> list[Choice[A]]: ...
    def update(self, episodes: Sequence[Sequence[Step[C, A, Any]]], /) -> Metrics: ...


Reward = Callable[[Sequence[O]], list[Grade]]
"""Grades outcomes in batches. An outcome carries its own task, so that a reward needs nothing else."""
