"""Which numbers of completions fit together? TRL's divisibility, solved, or refused with the nearest numbers that fit.

A generation batch (completions of all processes between two generations) holds whole groups; so does an evaluation batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd


@dataclass(frozen=True)
class Batches:
    """Numbers that fit. ``completions`` = ``per_device`` x ``processes`` x ``accumulation`` = ``prompts`` x ``group``."""

    per_device: int
    processes: int
    accumulation: int
    group: int
    eval_per_device: int
    eval_group: int

    @property
    def completions(self) -> int:
        return self.per_device * self.processes * self.accumulation

    @property
    def prompts(self) -> int:
        return self.completions // self.group


def nearest(value: int, step: int) -> str:
    """The multiples of ``step`` around ``value``, for a message."""
    below, above = value // step * step, (value // step + 1) * step
    return f"{below} or {above}" if below else str(above)


def solve(
    *,
    group: int,
    per_device: int,
    processes: int = 1,
    accumulation: int | None = None,
    prompts: int | None = None,
    eval_group: int | None = None,
    eval_per_device: int | None = None,
) -> Batches:
    """Numbers that TRL accepts. Give ``prompts`` per generation, or ``accumulation``; with neither, the least that fits.

    Raises ValueError with the nearest valid numbers where they contradict.
    """
    given = {"num_generations": group, "per_device_train_batch_size": per_device, "processes": processes}
    for name, value in {**given, "gradient_accumulation_steps": accumulation, "prompts_per_step": prompts}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} {value}: expected at least 1")
    if group < 2:
        raise ValueError(f"num_generations {group}: a group is compared with itself, so expected at least 2")
    at_once = per_device * processes
    least = group // gcd(group, at_once)  # the fewest accumulation steps that make whole groups
    if prompts is not None:
        accumulation = _accumulation(prompts, group, at_once, accumulation)
    accumulation = least if accumulation is None else accumulation
    if accumulation % least:
        total = at_once * accumulation
        raise ValueError(
            f"{per_device} completions x {processes} processes x {accumulation} accumulation steps = {total}, which cannot "
            f"be divided into groups of {group}: give --gradient-accumulation-steps {nearest(accumulation, least)}, "
            f"or --num-generations {_divisors(total, group)}"
        )
    evaluated = eval_group or group
    return Batches(
        per_device,
        processes,
        accumulation,
        group,
        _eval_size(evaluated, processes, eval_per_device, per_device),
        evaluated,
    )


def _accumulation(prompts: int, group: int, at_once: int, given: int | None) -> int:
    total = prompts * group
    if total % at_once:
        fits = at_once // gcd(group, at_once)
        raise ValueError(
            f"{prompts} prompts x {group} completions = {total}, which cannot be dealt in batches of {at_once} (all "
            f"processes together): give --prompts-per-step {nearest(prompts, fits)}, or another "
            "--per-device-train-batch-size"
        )
    needed = total // at_once
    if given not in (None, needed):
        raise ValueError(
            f"{prompts} prompts per step need {needed} gradient accumulation steps, but {given} were given: "
            "leave one of them out"
        )
    return needed


def _divisors(total: int, near: int) -> str:
    fitting = [n for n in range(2, total + 1) if total % n == 0]
    below = max((n for n in fitting if n < near), default=None)
    above = min((n for n in fitting if n > near), default=None)
    return " or ".join(str(n) for n in (below, above) if n is not None)


def _eval_size(group: int, processes: int, given: int | None, per_device: int) -> int:
    step = group // gcd(group, processes)
    if given is None:
        return max(1, round(per_device / step)) * step
    if given < 1 or given % step:
        raise ValueError(
            f"{given} completions x {processes} processes cannot be divided into evaluation groups of {group}: give "
            f"--per-device-eval-batch-size {nearest(max(given, 1), step)}"
        )
    return given


def boundary(every: int, steps_per_generation: int, iterations: int, accumulation: int, name: str) -> int:
    """``every`` if it lies on generation boundaries, where a run can be resumed exactly. Raises ValueError otherwise."""
    steps = max(1, steps_per_generation * iterations // accumulation)
    if every < 1 or every % steps:
        raise ValueError(
            f"{name} {every}: completions serve {steps} optimizer steps, and a checkpoint between two generations could "
            f"not be resumed exactly; give {nearest(max(every, 1), steps)}"
        )
    return every
