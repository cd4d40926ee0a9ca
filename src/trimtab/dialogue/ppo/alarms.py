"""Is the training going wrong? Named warning signs, looked for after every update in the metrics of the last ones.

Each is told once when it begins, and logged at every update (``alarm/<name>``: 1 while it holds).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trimtab.plain import Plain

WATCHED = (
    "policy_loss", "explained_variance", "reward", "kl", "length", "ended_share", "clipped_share", "sampling_error",
)  # fmt: skip
KEPT = 60


@dataclass(frozen=True)
class AlarmSettings:
    """When a sign counts as one."""

    window: int = 20
    """Updates that a trend is judged over."""
    kl_factor: float = 2.0
    """KL beyond so many times its target runs away."""
    kl_limit: float = 20.0
    """Nats per reply that are too far where there is no target."""
    short_factor: float = 0.5
    """Replies shorter than this share of the first ones' length collapse."""
    long_factor: float = 1.5
    clipped: float = 0.3
    ended: float = 0.9
    sampling_error: float = 0.05
    """Largest difference, in nats, between a token's log-probability when it was drawn and when it is trained on."""


History = Mapping[str, Sequence[float]]


def _trend(values: Sequence[float], window: int) -> tuple[float, float]:
    """Rise from the older to the newer half of the last ``2 * window`` values, and its standard error."""
    recent = np.asarray(values[-2 * window :])
    before, after = recent[:window], recent[window:]
    error = math.sqrt(before.var(ddof=1) / len(before) + after.var(ddof=1) / len(after))
    return float(after.mean() - before.mean()), error


def policy_loss_rising(history: History, settings: AlarmSettings) -> bool:
    """The policy's loss is higher than it was, by more than three standard errors, and above 0: steps do harm.

    (Below 0 it rises as the learning rate falls, which is no sign of anything.)
    """
    values = history["policy_loss"]
    if len(values) < 2 * settings.window:
        return False
    rise, error = _trend(values, settings.window)
    return rise > max(3 * error, 1e-6) and float(np.mean(values[-settings.window :])) > 0


def critic_not_learning(history: History, settings: AlarmSettings) -> bool:
    """The critic has explained nothing for a whole window."""
    values = [value for value in history["explained_variance"] if math.isfinite(value)][-settings.window :]
    return len(values) == settings.window and max(values) < 0.0


def reward_flat(history: History, settings: AlarmSettings) -> bool:
    """The reward has not risen beyond its noise over two windows, nor over all that is kept."""
    values = history["reward"]
    if len(values) < 2 * settings.window:
        return False
    rise, error = _trend(values, settings.window)
    first, last = float(np.mean(values[: settings.window])), float(np.mean(values[-settings.window :]))
    return rise < 2 * error and last <= first + 2 * error


def _beyond(values: Sequence[float], limit: float, times: int) -> bool:
    return len(values) >= times and min(values[-times:]) > limit


def length_collapsing(history: History, settings: AlarmSettings) -> bool:
    """Replies have become much shorter than the first ones were."""
    return _beyond([-v for v in history["length"]], -settings.short_factor * _first(history, "length"), 3)


def length_exploding(history: History, settings: AlarmSettings) -> bool:
    """Replies have become much longer than the first ones were."""
    return _beyond(history["length"], settings.long_factor * _first(history, "length"), 3)


def replies_do_not_end(history: History, settings: AlarmSettings) -> bool:
    """Fewer replies come to an end by themselves than should, and fewer than at first."""
    limit = min(settings.ended, _first(history, "ended_share") - 0.05)
    return _beyond([-v for v in history["ended_share"]], -limit, 3)


def _first(history: History, name: str) -> float:
    return history[f"first_{name}"][0] if history.get(f"first_{name}") else history[name][0]


@dataclass
class Alarms:
    """Looks for the signs; remembers what it needs of the updates before."""

    kl_target: float | None
    settings: AlarmSettings = AlarmSettings()
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in WATCHED})
    ringing: set[str] = field(default_factory=set[str])

    def _kl_running_away(self, history: History, settings: AlarmSettings) -> bool:
        limit = settings.kl_factor * self.kl_target if self.kl_target is not None else settings.kl_limit
        return _beyond(history["kl"], limit, 3)

    def _signs(self) -> dict[str, Callable[[History, AlarmSettings], bool]]:
        return {
            "policy_loss_rising": policy_loss_rising,
            "critic_not_learning": critic_not_learning,
            "reward_flat": reward_flat,
            "kl_running_away": self._kl_running_away,
            "length_collapsing": length_collapsing,
            "length_exploding": length_exploding,
            "much_clipped": lambda h, s: _beyond(h["clipped_share"], s.clipped, 3),
            "replies_do_not_end": replies_do_not_end,
            "sampling_differs_from_training": lambda h, s: _beyond(h["sampling_error"], s.sampling_error, 1),
        }

    def look(self, metrics: Mapping[str, float]) -> dict[str, bool]:
        """Take in the metrics of an update; which signs hold now."""
        for name in WATCHED:
            self.history.setdefault(f"first_{name}", [float(metrics[name])])
            self.history[name] = [*self.history[name], float(metrics[name])][-KEPT:]
        return {name: bool(sign(self.history, self.settings)) for name, sign in self._signs().items()}

    def new(self, found: Mapping[str, bool]) -> list[str]:
        """The signs that did not hold after the update before."""
        begun = sorted(name for name, holds in found.items() if holds and name not in self.ringing)
        self.ringing = {name for name, holds in found.items() if holds}
        return begun

    def state(self) -> dict[str, Plain]:
        return {"history": self.history, "ringing": sorted(self.ringing)}

    def restore(self, state: Mapping[str, Plain]) -> None:
        self.history = {name: list(values) for name, values in state["history"].items()}
        self.ringing = set(state["ringing"])


def refuse_nan(metrics: Mapping[str, float], step: int) -> None:
    """The alarm that stops the training: raises ValueError where a loss or a gradient is no finite number."""
    wrong = [name for name in ("policy_loss", "value_loss", "gradient_norm", "kl") if not math.isfinite(metrics[name])]
    if wrong:
        raise ValueError(
            f"update {step}: {', '.join(wrong)} is nan or infinite; training stops before it is saved. Go on from the last "
            "checkpoint with a lower learning rate, or with bf16 off"
        )
