"""What is a round worth? Its tokens, less what its seconds bring at the rate to beat (see ``environment``)."""

from __future__ import annotations

from trimtab.rewards import Part, Rubric
from trimtab.speculation.episode import RoundOutcome


def time_rubric(rate: float, scale: float = 1.0) -> Rubric[RoundOutcome]:
    """(tokens - rate * seconds) / scale. ``rate``: tokens per second to beat; the parts keep tokens and seconds apart.

    Summed over decodes it is positive exactly where they were faster than ``rate``. Raises ValueError unless both are
    above 0.
    """
    if not (rate > 0 and scale > 0):
        raise ValueError(f"rate {rate} and scale {scale}: expected both above 0")
    return Rubric(
        (
            Part("tokens", 1.0 / scale, lambda outcomes: [float(outcome.tokens) for outcome in outcomes]),
            Part("seconds", -rate / scale, lambda outcomes: [outcome.seconds for outcome in outcomes]),
        )
    )
