"""Does an episode, a policy or a reward keep its contract? For our tests, and for those of our users.

Each check raises AssertionError that says what was broken and what to do; it returns nothing where all is well.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from trimtab.plain import differences, to_plain
from trimtab.types import Choice, Episode, Grade, Policy, Reward, Step

C = TypeVar("C")
A = TypeVar("A")
O = TypeVar("O")

TOLERANCE = 1e-6


def _demand(kept: bool, what: str, do: str) -> None:
    if not kept:
        raise AssertionError(f"{what}. {do}")


def _raises(call: Callable[[], object]) -> bool:
    try:
        call()
    except Exception:  # noqa: BLE001 (the question is whether anything is raised)
        return True
    return False


def check_episode(
    make: Callable[[], Episode[C, A, Any]], choose: Callable[[C], A], *, max_steps: int = 10_000
) -> list[A]:
    """Play a new episode of ``make()`` to its end, ``choose(context)`` giving the actions, and check its contract.

    Returns the actions taken. Checked: the task is named, the same each time it is made; a context comes from start
    and from every step but the last; the episode ends; it cannot be stepped after its end (episodes are single-use).
    """
    episode, twin = make(), make()
    _demand(episode is not twin, "make() returned the same episode twice", "Return a new one: episodes are single-use.")
    task = episode.task
    _demand(isinstance(task, str) and bool(task), f"task is {task!r}", "Name the task by a string that is not empty.")
    _demand(task == twin.task, f"make() names {task!r}, then {twin.task!r}", "Let the task follow from the arguments.")
    context = episode.start()
    _demand(context is not None, "start() returned None", "Return the first context: None means the end.")
    actions: list[A] = []
    following: C | None = context
    while following is not None:
        _demand(len(actions) < max_steps, f"no end after {max_steps} steps", "Return None as context at the end.")
        actions.append(choose(following))
        result: Any = episode.step(actions[-1])
        pair = isinstance(result, tuple) and len(result) == 2
        _demand(pair, f"step() returned {type(result).__name__}", "Return (outcome, next context or None).")
        following = result[1]
        _demand(episode.task == task, "the task changed its name during the episode", "Keep it constant.")
    again = _raises(lambda: episode.step(actions[-1]))
    _demand(again, "step() after the end was accepted", "Raise ValueError there: episodes are single-use.")
    return actions


def _check_choice(choice: Choice[Any], actions: Collection[Any] | None) -> None:
    _demand(
        isinstance(choice, Choice), f"act() returned a {type(choice).__name__}", "Wrap each action: Choice(action)."
    )
    if actions is not None:
        _demand(choice.action in actions, f"{choice.action} is not among the actions", "Choose from the menu only.")
    if choice.logprob is not None:
        limit = math.inf if actions is None else TOLERANCE
        kept = math.isfinite(choice.logprob) and choice.logprob <= limit
        _demand(kept, f"the log-probability is {choice.logprob}", "Give nats, at most 0 for a finite menu, or None.")


def check_policy(
    policy: Policy[C, A],
    contexts: Sequence[C],
    *,
    actions: Collection[A] | None = None,
    episodes: Sequence[Sequence[Step[C, A, Any]]] | None = None,
) -> None:
    """Check that ``policy`` chooses for a batch, for one, and for none; and, with ``episodes``, that it updates.

    ``actions``: the menu, where it is finite. Checked: one Choice for each context, from the menu, with a possible
    log-probability; contexts left as they were; update returns finite metrics.
    """
    _demand(len(contexts) > 0, "no contexts were given", "Give the check a few that the policy will meet.")
    before = copy.deepcopy(list(contexts))
    for batch in (list(contexts), list(contexts[:1]), []):
        choices = policy.act(batch)
        kept = isinstance(choices, list) and len(choices) == len(batch)
        _demand(kept, f"act() of {len(batch)} contexts did not return a list of as many", "Return one Choice for each.")
        for choice in choices:
            _check_choice(choice, actions)
    unchanged = not differences(_comparable(before), _comparable(list(contexts)))
    _demand(unchanged, "act() changed its contexts", "Copy what is to be changed: steps keep the contexts.")
    if episodes is not None:
        metrics = policy.update(episodes)
        kept = isinstance(metrics, dict) and all(math.isfinite(value) for value in metrics.values())
        _demand(kept, f"update() returned {metrics!r}", "Return a dictionary of finite numbers (it may be empty).")


def _comparable(value: object) -> Any:
    arrays: dict[str, Any] = {}
    plain = to_plain(value, arrays=arrays)
    return {"plain": plain, "arrays": {name: array.tolist() for name, array in arrays.items()}}


def _check_grade(grade: Grade, weights: Mapping[str, float] | None) -> None:
    _demand(isinstance(grade, Grade), f"the reward returned a {type(grade).__name__}", "Return Grade(value, parts).")
    numbers = {"value": grade.value, **grade.parts}
    broken = [name for name, number in numbers.items() if not math.isfinite(number)]
    _demand(not broken, f"{', '.join(broken)} of a grade is not finite", "Raise where a measurement failed.")
    if weights is not None:
        _demand(set(weights) == set(grade.parts), f"the parts are {sorted(grade.parts)}", f"Give {sorted(weights)}.")
        total = sum(weights[name] * part for name, part in grade.parts.items())
        kept = math.isclose(total, grade.value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        _demand(kept, f"parts x weights is {total}, the value {grade.value}", "Let the breakdown explain the value.")


def check_reward(
    reward: Reward[O],
    outcomes: Sequence[O],
    *,
    weights: Mapping[str, float] | None = None,
    gold: O | None = None,
    empty: O | None = None,
) -> None:
    """Check that ``reward`` grades a batch, and each outcome the same alone and in another order.

    ``weights``: of the parts, whose weighted sum must be the value. ``gold`` must be worth 1 and ``empty`` 0, where
    they are given: the judge is checked before the contestant.
    """
    _demand(len(outcomes) > 0, "no outcomes were given", "Give the check a few that the reward will meet.")
    grades = reward(list(outcomes))
    kept = isinstance(grades, list) and len(grades) == len(outcomes)
    _demand(kept, f"{len(outcomes)} outcomes did not get a list of as many grades", "Return one Grade for each.")
    for grade in grades:
        _check_grade(grade, weights)
    alone = [reward([outcome])[0] for outcome in outcomes]
    turned = reward(list(reversed(outcomes)))[::-1]
    for grade, one, other in zip(grades, alone, turned, strict=True):
        same = math.isclose(grade.value, one.value, abs_tol=TOLERANCE) and math.isclose(
            grade.value, other.value, abs_tol=TOLERANCE
        )
        _demand(same, "a grade depends on the rest of its batch", "Grade each outcome by itself.")
    for name, outcome, worth in (("gold", gold, 1.0), ("empty", empty, 0.0)):
        if outcome is not None:
            value = reward([outcome])[0].value
            _demand(abs(value - worth) <= TOLERANCE, f"the {name} outcome is worth {value}", f"It must be {worth}.")
