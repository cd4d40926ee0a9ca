"""How sure is a number, and is A better than B?

Percentile bootstrap over the units that were drawn independently (prompts, problems, dialogues; never rounds or
tokens), paired where both contestants met the same units (Efron & Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13). Deterministic by seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Real

RESAMPLES = 10_000
_CHUNK_DRAWS = 4_000_000

Verdict = Literal["better", "worse", "undecided"]


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval: ``low`` and ``high`` at confidence ``level``."""

    estimate: float
    low: float
    high: float
    level: float = 0.95

    @property
    def half_width(self) -> float:
        """Half the interval's width: the number after ``+-``."""
        return (self.high - self.low) / 2

    def contains(self, value: float) -> bool:
        """Whether ``value`` lies in the interval, ends included."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def verdict(interval: Interval, *, even: float = 0.0) -> Verdict:
    """Is A better than B? ``even`` is the value at which neither is: 0 for differences, 1 for ratios."""
    if interval.contains(even):
        return "undecided"
    return "better" if interval.low > even else "worse"


def _resampled_sums(
    columns_PC: Float[np.ndarray, "P C"], resamples: int, seed: int
) -> Float[np.ndarray, "{resamples} C"]:
    """Sums of the columns over ``resamples`` draws of P rows with replacement; the same rows for all columns."""
    generator = np.random.default_rng(seed)
    rows = len(columns_PC)
    at_once = max(1, _CHUNK_DRAWS // rows)
    counts = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    return np.concatenate([columns_PC[generator.integers(rows, size=(n, rows))].sum(axis=1) for n in counts])


def _columns(**named: Real[np.ndarray, " _"]) -> Float[np.ndarray, "P C"]:
    """The named columns side by side. Raises ValueError where they are empty, unequal in length, or not finite."""
    lengths = {name: len(values) for name, values in named.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"expected the same units in every column, one at least, got {lengths}: pair them by prompt.")
    for name, values in named.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has values that are not finite: find out why; they cannot be averaged away.")
    return np.stack([np.asarray(values, dtype=np.float64) for values in named.values()], axis=1)


def _interval(estimate: float, replicates_R: Float[np.ndarray, " R"], level: float) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level of {level}: expected a share between 0 and 1, such as 0.95.")
    low, high = np.quantile(replicates_R, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(low), float(high), level)


def mean_interval(
    values_P: Real[np.ndarray, " P"], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Interval of the mean of independent values. Raises ValueError for none, or for values that are not finite."""
    columns = _columns(values=values_P)
    return _interval(columns.mean(), _resampled_sums(columns, resamples, seed)[:, 0] / len(columns), level)


def paired_difference(
    a_P: Real[np.ndarray, " P"],
    b_P: Real[np.ndarray, " P"],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Interval of mean(A) - mean(B) over the same units. ``verdict(...)`` of it says whether A is better."""
    columns = _columns(a=a_P, b=b_P)
    return mean_interval(columns[:, 0] - columns[:, 1], level=level, resamples=resamples, seed=seed)


def paired_ratio(
    tokens_P: Real[np.ndarray, " P"],
    seconds_a_P: Real[np.ndarray, " P"],
    seconds_b_P: Real[np.ndarray, " P"],
    *,
    tokens_b_P: Real[np.ndarray, " P"] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Interval of A's tokens per second over B's, each a ratio of sums over the same prompts.

    ``tokens_P``: tokens that both produced on each prompt, or A's, where ``tokens_b_P`` gives B's. The ratio of sums
    weighs a prompt by the time it takes, as a user's clock does. ``verdict(..., even=1.0)`` says whether A is faster.
    Raises ValueError where prompts do not pair up, or a contestant took no time or produced nothing.
    """
    columns = _columns(
        tokens_a=tokens_P,
        seconds_a=seconds_a_P,
        tokens_b=tokens_P if tokens_b_P is None else tokens_b_P,
        seconds_b=seconds_b_P,
    )
    if (columns <= 0).any():
        raise ValueError("expected positive tokens and seconds for every prompt: leave out prompts without an answer.")
    sums_RC = np.concatenate([columns.sum(axis=0, keepdims=True), _resampled_sums(columns, resamples, seed)])
    ratios = (sums_RC[:, 0] / sums_RC[:, 1]) / (sums_RC[:, 2] / sums_RC[:, 3])
    return _interval(ratios[0], ratios[1:], level)


def crossed_ratio(
    tokens_SP: Real[np.ndarray, "S P"],
    seconds_SP: Real[np.ndarray, "S P"],
    tokens_b_P: Real[np.ndarray, " P"],
    seconds_b_P: Real[np.ndarray, " P"],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """``paired_ratio`` where A was made S times (seeds of training): seeds and prompts are both drawn anew.

    Raises ValueError where shapes disagree, or a contestant took no time or produced nothing.
    """
    shape = tokens_SP.shape
    if seconds_SP.shape != shape or tokens_b_P.shape != shape[1:] or seconds_b_P.shape != shape[1:] or 0 in shape:
        raise ValueError(
            f"tokens {shape} and seconds {seconds_SP.shape} against {tokens_b_P.shape} and {seconds_b_P.shape}: expected "
            "[seeds, prompts] against [prompts], the same prompts, one at least"
        )
    if min(array.min() for array in (tokens_SP, seconds_SP, tokens_b_P, seconds_b_P)) <= 0:
        raise ValueError("expected positive tokens and seconds for every prompt: leave out prompts without an answer.")
    generator = np.random.default_rng(seed)
    seeds, prompts = shape

    def ratio(seeds_RS: Float[np.ndarray, "R S"], prompts_RP: Float[np.ndarray, "R P"]) -> Float[np.ndarray, " R"]:
        tokens, seconds = (
            np.einsum("rs,sp,rp->r", seeds_RS, array, prompts_RP, optimize=True) for array in (tokens_SP, seconds_SP)
        )
        return (tokens / seconds) / ((prompts_RP @ tokens_b_P) / (prompts_RP @ seconds_b_P))

    drawn_S = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples).astype(float)
    drawn_P = generator.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples).astype(float)
    estimate = ratio(np.ones((1, seeds)), np.ones((1, prompts)))[0]
    return _interval(estimate, ratio(drawn_S, drawn_P), level)


def crossed_difference(
    a_SP: Real[np.ndarray, "S P"],
    b_SP: Real[np.ndarray, "S P"],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Interval, float]:
    """Interval of mean(A) - mean(B), and its two-sided bootstrap p-value: S seeds of training, the same P prompts.

    Seeds and prompts are both drawn anew (Owen, Annals of Applied Statistics 2007). The p-value is twice the share of
    draws on the other side of zero (at least 2 / (draws + 1)). Raises ValueError where shapes disagree or a number is
    not finite.
    """
    if a_SP.shape != b_SP.shape or 0 in a_SP.shape:
        raise ValueError(f"{a_SP.shape} against {b_SP.shape}: expected [seeds, prompts] of both, the same, none empty.")
    differences_SP = np.asarray(a_SP, dtype=np.float64) - np.asarray(b_SP, dtype=np.float64)
    if not np.isfinite(differences_SP).all():
        raise ValueError("a metric has values that are not finite: find out why; they cannot be averaged away.")
    generator = np.random.default_rng(seed)
    seeds, prompts = differences_SP.shape
    drawn_S = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    by_prompt_RP = drawn_S @ differences_SP
    means_R = np.concatenate(
        [
            (part * generator.multinomial(prompts, np.full(prompts, 1 / prompts), size=len(part))).sum(axis=1) / prompts
            for part in np.array_split(by_prompt_RP, max(1, by_prompt_RP.size // _CHUNK_DRAWS))
        ]
    )
    beyond = min(int((means_R <= 0).sum()), int((means_R >= 0).sum()))
    p = min(1.0, 2 * (beyond + 1) / (resamples + 1))
    return _interval(float(differences_SP.mean()), means_R, level), p


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number (Holm, Scandinavian Journal of Statistics 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
