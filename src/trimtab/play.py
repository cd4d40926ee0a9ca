"""How do episodes and a policy become steps? The one loop of the package."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from trimtab.types import Choice, Episode, Policy, Reward, Step

C = TypeVar("C")
A = TypeVar("A")
O = TypeVar("O")


def _start(episode: Episode[C, Any, Any]) -> C:
    return episode.start()


def _step(episode: Episode[C, A, O], choice: Choice[A]) -> tuple[O, C | None]:
    return episode.step(choice.action)


def _same_length(what: str, expected: int, given: int) -> None:
    if given != expected:
        raise ValueError(f"{what} returned {given} for {expected}: expected one for each, in order.")


def play(
    episodes: Sequence[Episode[C, A, O]],
    policy: Policy[C, A],
    reward: Reward[O],
    *,
    map: Callable[..., Iterable[Any]] = builtins.map,  # noqa: A002 (it stands for the builtin)
) -> list[list[Step[C, A, O]]]:
    """Play all ``episodes`` to their end, in lockstep, and return the steps of each.

    In every round the policy chooses for all unfinished episodes at once, and the reward grades all their outcomes at
    once. ``map`` starts and steps the episodes; a thread pool's ``map`` does so side by side. Raises ValueError where
    the policy or the reward does not return one result for each.
    """
    played: list[list[Step[C, A, O]]] = [[] for _ in episodes]
    contexts: dict[int, C] = dict(enumerate(map(_start, episodes)))
    while contexts:
        choices = policy.act(list(contexts.values()))
        _same_length("the policy's act", len(contexts), len(choices))
        results = list(map(_step, [episodes[index] for index in contexts], choices))
        grades = reward([outcome for outcome, _ in results])
        _same_length("the reward", len(results), len(grades))
        ongoing: dict[int, C] = {}
        for (index, context), choice, (outcome, following), grade in zip(
            contexts.items(), choices, results, grades, strict=True
        ):
            played[index].append(Step(episodes[index].task, context, choice, outcome, grade))
            if following is not None:
                ongoing[index] = following
        contexts = ongoing
    return played
