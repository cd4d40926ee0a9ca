"""How does the weight of a reward's part change over training? Functions of progress in [0, 1], written as text or code.

A curriculum is one schedule per part: ``linear(0.5, 2, until=0.5)`` grows over the first half, then stays.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Schedule(Protocol):
    """A number that depends on the progress of training: 0 at its beginning, 1 at its end."""

    def at(self, progress: float, /) -> float: ...


def check_progress(progress: float) -> float:
    """``progress`` itself. Raises ValueError where it is no share of the training."""
    if not 0 <= progress <= 1:
        raise ValueError(f"a progress of {progress}: expected the share of training done, from 0 to 1.")
    return progress


def _check_finite(what: str, *numbers: float) -> None:
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{what} of {', '.join(map(str, numbers))}: expected finite numbers.")


@dataclass(frozen=True)
class Constant:
    """The same number throughout."""

    value: float

    def __post_init__(self) -> None:
        _check_finite("a constant schedule", self.value)

    def at(self, progress: float, /) -> float:
        check_progress(progress)
        return self.value


@dataclass(frozen=True)
class Linear:
    """From ``start`` to ``end`` between the shares ``after`` and ``until`` of the training; level outside of them."""

    start: float
    end: float
    until: float = 1.0
    after: float = 0.0

    def __post_init__(self) -> None:
        _check_finite("a linear schedule", self.start, self.end)
        if not 0 <= self.after < self.until <= 1:
            raise ValueError(f"linear from {self.after} until {self.until}: expected 0 <= after < until <= 1.")

    def at(self, progress: float, /) -> float:
        share = (check_progress(progress) - self.after) / (self.until - self.after)
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))


@dataclass(frozen=True)
class Steps:
    """``values[i]`` from the share ``since[i]`` of the training on; ``since`` begins with 0 and grows."""

    since: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_finite("a schedule of steps", *self.values)
        grows = all(a < b for a, b in zip(self.since, self.since[1:], strict=False))
        if not self.since or len(self.since) != len(self.values) or self.since[0] != 0 or not grows:
            raise ValueError(
                f"steps since {self.since} with the values {self.values}: expected one value for each share, the shares "
                "growing from 0."
            )

    def at(self, progress: float, /) -> float:
        check_progress(progress)
        return next(v for s, v in zip(reversed(self.since), reversed(self.values), strict=True) if progress >= s)


def _steps(*numbers: float) -> Steps:
    if len(numbers) % 2:
        raise ValueError(f"steps{numbers}: expected pairs of share and value, as in steps(0, 0.5, 0.3, 1).")
    return Steps(numbers[::2], numbers[1::2])


SCHEDULES: dict[str, tuple[Callable[..., Schedule], str]] = {
    "constant": (Constant, "constant(1)"),
    "linear": (Linear, "linear(0.5, 2, until=0.5)"),
    "steps": (_steps, "steps(0, 0.5, 0.3, 1)"),
}
"""Name -> how it is made, and how it is written."""


def parse_schedule(text: str | float) -> Schedule:
    """The schedule that a number (constant) or a text such as ``linear(0.5, 2, until=0.5)`` means.

    Raises ValueError naming the schedules that exist, or what is wrong with the arguments.
    """
    try:
        return Constant(float(text))
    except ValueError:
        pass
    written = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", str(text))
    known = ", ".join(example for _, example in SCHEDULES.values())
    if not written or written[1] not in SCHEDULES:
        raise ValueError(f"no schedule {text!r}: expected a number, or one like {known}.")
    make, example = SCHEDULES[written[1]]
    try:
        given = [part.partition("=") for part in written[2].split(",") if part.strip()]
        numbers = [float(first) for first, sign, _ in given if not sign]
        named = {first.strip(): float(last) for first, sign, last in given if sign}
        return make(*numbers, **named)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the schedule {text!r} cannot be read ({error}): expected something like {example}."
        ) from None
