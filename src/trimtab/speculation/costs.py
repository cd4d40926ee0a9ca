"""What does a round cost on this machine? Seconds as a small additive function of the tree and the context.

    draft  = e + depth * level(top_k)        + context * (e' + depth * l')          the head: an extension, and its
    levels verify = pass(total_tokens)              + context * (v' + total_tokens * t')   the target: one pass over the
    tree rest   = r + total_tokens * n + pool * c + context * r'                         cutting the tree, masks,
    commitment

``level`` and ``pass`` are piecewise linear between the sizes that were measured (matrix products do not grow evenly);
no coefficient is negative. Acceptance belongs to the models and travels with them; costs belong to the machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.checkpoints import replace_file
from trimtab.reading import refusing
from trimtab.speculation.actions import TreeShape

Floats = NDArray[np.float64]

PARTS = ("draft", "verify", "rest")
_ROBUST_PASSES = 12
_NEAR = 0.02
_TAIL = 5.0


@dataclass(frozen=True)
class Knots:
    """The sizes between which costs are interpolated, ascending."""

    total_tokens: tuple[int, ...]
    top_k: tuple[int, ...]

    @classmethod
    def of(cls, actions: Sequence[TreeShape]) -> Knots:
        """Those of a menu."""
        return cls(tuple(sorted({a.total_tokens for a in actions})), tuple(sorted({a.top_k for a in actions})))

    def check(self, actions: Sequence[TreeShape]) -> None:
        """Raises ValueError where a tree is smaller or larger than all that was measured."""
        for action in actions:
            for name, knots in asdict(self).items():
                if not knots[0] <= getattr(action, name) <= knots[-1]:
                    raise ValueError(
                        f"{action} has {name} {getattr(action, name)}; costs were measured for {knots[0]} to "
                        f"{knots[-1]}: calibrate again over a menu that holds this tree"
                    )


def _hats(values_A: Floats, knots: Sequence[int]) -> Floats:
    """Piecewise linear interpolation as a matrix [A, knots]: row times values at the knots."""
    return np.stack([np.interp(values_A, knots, row) for row in np.eye(len(knots))], axis=1)


def design(actions: Sequence[TreeShape], knots: Knots) -> dict[str, tuple[Floats, Floats]]:
    """For each part of a round: its terms [A, J], and those that are multiplied by the context [A, S]."""
    total, depth, top_k, pool = np.array([[a.total_tokens, a.depth, a.top_k, a.pool] for a in actions], dtype=float).T
    one = np.ones(len(actions))
    return {
        "draft": (np.column_stack((one, depth[:, None] * _hats(top_k, knots.top_k))), np.column_stack((one, depth))),
        "verify": (_hats(total, knots.total_tokens), np.column_stack((one, total))),
        "rest": (np.column_stack((one, total, pool)), one[:, None]),
    }


@dataclass(frozen=True)
class CostModel:
    """Seconds of a round, of a plain step and of a prompt's forward. Coefficients in the order of ``design``'s terms.

    ``residuals``: how well the fit agrees with the rounds measured (relative). ``measured_on``: hardware, dtype, date.
    """

    knots: Knots
    draft: tuple[float, ...]
    verify: tuple[float, ...]
    rest: tuple[float, ...]
    plain: tuple[float, float]
    prefill: tuple[float, float]
    residuals: Mapping[str, float] = field(default_factory=dict[str, float])
    measured_on: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def line_A(self, actions: Sequence[TreeShape], parts: Sequence[str] = PARTS) -> tuple[Floats, Floats]:
        """Seconds at an empty context, and more per token of it: each [A]. Raises ValueError (``Knots.check``)."""
        self.knots.check(actions)
        base, slope, designed = np.zeros(len(actions)), np.zeros(len(actions)), design(actions, self.knots)
        for part in parts:
            (terms, growing), coefficients = designed[part], np.array(getattr(self, part))
            base += terms @ coefficients[: terms.shape[1]]
            slope += growing @ coefficients[terms.shape[1] :]
        return base, slope

    def seconds_A(self, actions: Sequence[TreeShape], context_tokens: ArrayLike) -> Floats:
        """Seconds of a round with each action: [A] for one context length, [P, A] for P of them."""
        base, slope = self.line_A(actions)
        return base + np.asarray(context_tokens, dtype=float)[..., None] * slope

    def seconds(self, shape: TreeShape | None, context_tokens: int) -> float:
        """Seconds of one round (None: of plain decoding's)."""
        return (
            self.plain_seconds(context_tokens) if shape is None else float(self.seconds_A([shape], context_tokens)[0])
        )

    def plain_seconds(self, context_tokens: int) -> float:
        """Seconds of one step without drafting."""
        return self.plain[0] + self.plain[1] * context_tokens

    def prefill_seconds(self, prompt_tokens: int) -> float:
        """Seconds of the prompt's forward through both models."""
        return self.prefill[0] + self.prefill[1] * prompt_tokens

    def save(self, path: Path) -> None:
        """Write JSON, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=2) + "\n"
        replace_file(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, path: Path) -> CostModel:
        """Read what ``save`` wrote. Raises FileNotFoundError, or ValueError where the file is no cost model."""
        with refusing(path, "cost model", "calibrate again"):
            raw = json.loads(path.read_text(encoding="utf-8"))
            knots = Knots(**{name: tuple(values) for name, values in raw.pop("knots").items()})
            fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in raw.items()}
            return cls(knots, **fields)


@dataclass(frozen=True)
class Measured:
    """Rounds as they were timed: R shapes, their contexts, and the seconds of each part."""

    shapes: list[TreeShape]
    context_R: Floats
    draft_R: Floats
    verify_R: Floats
    rest_R: Floats

    @property
    def total_R(self) -> Floats:
        return self.draft_R + self.verify_R + self.rest_R


def non_negative(terms_RJ: Floats, seconds_R: Floats) -> Floats:
    """Least squares with no negative coefficient, by dropping the most negative term until none is left."""
    scale_J = np.abs(terms_RJ).max(axis=0, initial=1e-300)
    kept = np.arange(terms_RJ.shape[1])
    while True:
        fitted, *_ = np.linalg.lstsq(terms_RJ[:, kept] / scale_J[kept], seconds_R)
        if not len(kept) or fitted.min() >= 0:
            coefficients = np.zeros(terms_RJ.shape[1])
            coefficients[kept] = fitted / scale_J[kept]
            return coefficients
        kept = np.delete(kept, fitted.argmin())


def robust(terms_RJ: Floats, seconds_R: Floats) -> Floats:
    """Non-negative coefficients of least absolute relative error: a round that was interrupted weighs little.

    Iteratively reweighted least squares. The typical (median) round is fitted; see ``fit`` for the mean.
    """
    weights, coefficients = 1.0 / seconds_R, np.zeros(terms_RJ.shape[1])
    for _ in range(_ROBUST_PASSES):
        coefficients = non_negative(terms_RJ * weights[:, None], seconds_R * weights)
        predicted = np.maximum(terms_RJ @ coefficients, 1e-3 * np.median(seconds_R))
        off = np.abs(seconds_R - predicted) / predicted
        weights = 1.0 / (predicted * np.sqrt(np.maximum(off, _NEAR)))
    return coefficients


def line(x_R: ArrayLike, seconds_R: ArrayLike) -> tuple[float, float]:
    """A robust line ``a + b * x`` with a, b >= 0."""
    x, y = np.asarray(x_R, dtype=float), np.asarray(seconds_R, dtype=float)
    constant, slope = robust(np.column_stack((np.ones_like(x), x)), y)
    return float(constant), float(slope)


def fit(rounds: Measured, plain: tuple[float, float], prefill: tuple[float, float], on: Mapping[str, Any]) -> CostModel:
    """The cost model of measured rounds; knots at the sizes that occur.

    All coefficients are scaled so that the sum over the rounds is met: a decode's time is a sum, and the mean round of
    a busy machine is slower than its typical one (single rounds count for at most 5 times their prediction).
    """
    knots = Knots.of(rounds.shapes)
    parts: dict[str, Floats] = {}
    predicted = np.zeros(len(rounds.shapes))
    for part, (terms, growing) in design(rounds.shapes, knots).items():
        matrix = np.column_stack((terms, growing * rounds.context_R[:, None]))
        parts[part] = robust(matrix, getattr(rounds, f"{part}_R"))
        predicted += matrix @ parts[part]
    measured = np.minimum(rounds.total_R, _TAIL * predicted)
    tail = float(measured.sum() / predicted.sum())
    off = np.abs(rounds.total_R / (tail * predicted) - 1)
    residuals = {"median": float(np.median(off)), "p90": float(np.quantile(off, 0.9)), "mean_over_typical": tail}
    coefficients = {part: tuple((tail * values).tolist()) for part, values in parts.items()}
    return CostModel(knots, **coefficients, plain=plain, prefill=prefill, residuals=residuals, measured_on=dict(on))
