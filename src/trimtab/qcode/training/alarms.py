"""Is the training going wrong? Named signs, looked for in every logged row.

Each is told once when it begins, and logged as ``alarm/<name>`` (1 while it holds).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trimtab.plain import Plain

ADVICE = {
    "zero_variance": "most groups are uniform and teach nothing: raise --generation-temp, choose problems by "
    "--curriculum.filter, or do more SFT first",
    "clipped_length": "many completions are cut: raise --max-completion-length, or weigh their length",
    "entropy_collapsing": "completions hardly vary any more: raise --generation-temp, lower --learning-rate, or set --beta",
    "kl_running_away": "the policy is far from where it began: lower --learning-rate, or raise --beta",
    "engine_gaps": "many completions use what the interpreter lacks, and give no reward: use another engine",
    "timeouts": "many programs run out of time: look at them, or raise --engine.cpu-seconds",
}


@dataclass(frozen=True)
class AlarmSettings:
    """When a sign counts as one."""

    times: int = 3
    """It must hold in so many rows one after another."""
    zero_variance: float = 0.8
    clipped: float = 0.3
    entropy: float = 0.1
    """Of the first rows' entropy."""
    kl: float = 1.0
    """Nats per token, in the mean."""
    gaps: float = 0.1
    timeouts: float = 0.2


Sign = Callable[["Alarms", Mapping[str, float]], bool]


def _above(name: str, limit: str) -> Sign:
    return lambda alarms, row: row.get(name, 0.0) > float(getattr(alarms.settings, limit))


def _entropy(alarms: Alarms, row: Mapping[str, float]) -> bool:
    if "entropy" not in row:
        return False
    if alarms.first_entropy is None:
        alarms.first_entropy = row["entropy"]
    return row["entropy"] < alarms.settings.entropy * alarms.first_entropy


SIGNS: dict[str, Sign] = {
    "zero_variance": _above("frac_reward_zero_std", "zero_variance"),
    "clipped_length": _above("completions/clipped_ratio", "clipped"),
    "entropy_collapsing": _entropy,
    "kl_running_away": _above("kl", "kl"),
    "engine_gaps": _above("status/unsupported", "gaps"),
    "timeouts": _above("status/timeout", "timeouts"),
}


@dataclass
class Alarms:
    """Looks for the signs; remembers how often in a row each has held."""

    settings: AlarmSettings = AlarmSettings()
    held: dict[str, int] = field(default_factory=dict[str, int])
    first_entropy: float | None = None

    def look(self, row: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
        """What to log for a row of metrics, and the signs that begin with it."""
        begun: list[str] = []
        for name, sign in SIGNS.items():
            self.held[name] = self.held.get(name, 0) + 1 if sign(self, row) else 0
            if self.held[name] == self.settings.times:
                begun.append(name)
        return {f"alarm/{name}": float(self.held[name] >= self.settings.times) for name in SIGNS}, begun

    def state(self) -> dict[str, Plain]:
        return {"held": dict(self.held), "first_entropy": self.first_entropy}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.held, self.first_entropy = dict(state["held"]), state["first_entropy"]
