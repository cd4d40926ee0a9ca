"""What does a policy see before it chooses a tree? A few dozen numbers, in microseconds, the same live and in replay.

Those of the position depend on the text alone, so a table can hold them: how sure the head is of the token after the
root, how long the context is, and optionally a projection of the head's state. (The target's own confidence at the root
told nothing beyond these, and cost as much as all of them: dev/LOG.md.)
Those of the history depend on the rounds that led here: how many drafted tokens were accepted, and whether the tree's
depth cut them short. No tokenizer, no encoder, and one copy from the device.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trimtab.encoders.hidden import HiddenProjection
from trimtab.encoders.projection import gaussian
from trimtab.plain import Plain

if TYPE_CHECKING:
    from trimtab.speculation.engine.generation import RoundState
    from trimtab.speculation.engine.speculator import Speculator

_DRAFT_TOP = 4
_MASSES = (2, 4, 8)
_MASS_INDICES = np.array(_MASSES) - 1
COPIED = max(_MASSES)
"""The head's best log-probabilities from which the statistics are made, once they are on the host."""
_IMPOSSIBLE = -100.0  # a log-probability of nothing, kept finite
_SCALARS = _DRAFT_TOP + 1 + len(_MASSES) + 2
STATISTICS = [
    *(f"draft_logprob_{rank + 1}" for rank in range(_DRAFT_TOP)),
    "draft_prob_1",
    *(f"draft_mass_{count}" for count in _MASSES),
    "draft_entropy",
    "log_context",
]
"""Names of a position's decoding statistics. The masses are the frontier's before drafting: of beams of 2, 4 and 8."""
_WIDE_COLUMN = re.compile(r"(text|fused|fc|learned|state)_\d+")
_STEPS = np.array([0.5, 0.15], dtype=np.float32)  # of the fast and the slow average, towards what was accepted last
_STEP_PAIR: tuple[float, float] = (float(_STEPS[0]), float(_STEPS[1]))
CLIP = 6.0


def root_tops(logprobs_D: Tensor) -> Tensor:
    """The head's best ``COPIED`` log-probabilities, sorted, on their device. Raises ValueError where it has fewer."""
    if logprobs_D.shape[0] < COPIED:
        raise ValueError(
            f"a draft vocabulary of {logprobs_D.shape[0]} tokens: the features need at least {COPIED}. "
            "Use a fixed shape instead of a policy."
        )
    return logprobs_D.topk(COPIED).values


def write_statistics(tops: np.ndarray, context_tokens: int, out: np.ndarray) -> None:
    """The numbers that ``STATISTICS`` names, from the best log-probabilities, into the first entries of ``out``."""
    tops = np.maximum(tops, _IMPOSSIBLE)
    chances = np.exp(tops)
    masses = chances.cumsum()
    rest = max(1e-9, 1.0 - float(masses[-1]))
    entropy = -float(chances @ tops) - rest * math.log(rest)  # all beyond the best eight counted as one outcome
    out[:_DRAFT_TOP] = tops[:_DRAFT_TOP]
    out[_DRAFT_TOP] = masses[0]
    out[_DRAFT_TOP + 1 : _DRAFT_TOP + 1 + len(_MASSES)] = masses[_MASS_INDICES]
    out[_SCALARS - 2] = entropy
    out[_SCALARS - 1] = math.log1p(context_tokens)


def statistics_on_device(tops: Tensor, log_context_1: Tensor) -> Tensor:
    """``write_statistics`` in torch: the same numbers [len(STATISTICS)], where ``tops`` lie, without waiting for them.

    ``log_context_1`` is log(1 + context_tokens), on the same device.
    """
    tops = tops.float().clamp(min=_IMPOSSIBLE)
    chances = tops.exp()
    masses = chances.cumsum(0)
    rest_1 = (1.0 - masses[-1:]).clamp(min=1e-9)
    entropy_1 = -(chances * tops).sum(0, keepdim=True) - rest_1 * rest_1.log()
    frontier = [masses[count - 1 : count] for count in _MASSES]
    return torch.cat((tops[:_DRAFT_TOP], masses[:1], *frontier, entropy_1, log_context_1))


class PositionFeatures:
    """Features of a position, from what the engine has at hand when a round begins.

    ``projection_HK`` (optional) projects the head's state, brought to unit root mean square, to K numbers. Other states
    (text, the target's features): ``states.StateFeatures``.
    """

    def __init__(self, projection_HK: np.ndarray | None = None) -> None:
        self._projection = None if projection_HK is None else HiddenProjection(projection_HK)

    @classmethod
    def random(cls, state_width: int, projected_width: int, seed: int = 0) -> PositionFeatures:
        """With a Gaussian random projection of the head's state to ``projected_width`` numbers (0: without)."""
        return cls(gaussian(state_width, projected_width, seed)) if projected_width else cls()

    @property
    def projection_HK(self) -> np.ndarray | None:
        """The projection of the head's state."""
        return None if self._projection is None else self._projection.matrix_HK

    @property
    def state_width(self) -> int | None:
        """The width of the head's state that the projection expects; None where there is no projection."""
        return None if self._projection is None else self._projection.state_width

    @property
    def names(self) -> list[str]:
        """The name of each feature, in order."""
        projected = 0 if self._projection is None else self._projection.width
        return [*STATISTICS, *(f"state_{index}" for index in range(projected))]

    def __call__(
        self, root_logprobs_D: Tensor, target_logits_V: Tensor, state_H: Tensor, context_tokens: int
    ) -> np.ndarray:
        """The features [F], float32. Raises ValueError for too small a vocabulary, or a state of another width."""
        del target_logits_V  # what it tells is not worth its time
        raw = root_tops(root_logprobs_D)
        if self._projection is not None:
            raw = torch.cat((raw.float(), self._projection(state_H)))
        raw = raw.cpu().numpy()  # the one copy from the device
        features = np.empty(_SCALARS + len(raw) - COPIED, dtype=np.float32)
        write_statistics(raw[:COPIED], context_tokens, features)
        features[_SCALARS:] = raw[COPIED:]
        return features

    def read(self, state: RoundState) -> np.ndarray:
        """The features [F], float32, when a round begins."""
        return self(state.root_logprobs_D, state.target_logits_V, state.root_state_H, state.context_tokens)

    @property
    def with_statistics(self) -> bool:
        """Whether the first of ``tensors`` are the log-probabilities that the statistics are made from."""
        return True

    def tensors(self, state: RoundState) -> list[Tensor]:
        """What the features are made from, on the device: nothing is copied, nothing waited for."""
        projected = [] if self._projection is None else [self._projection(state.root_state_H)]
        return [root_tops(state.root_logprobs_D), *projected]

    def bind(self, speculator: Speculator) -> PositionFeatures:
        """Itself, for use with this pair. Raises ValueError where the head's state has another width."""
        given = speculator.head.config.hidden_size
        if self.state_width not in (None, given):
            raise ValueError(
                f"the features project a head's state of width {self.state_width}, this head's has {given}: use a "
                "policy trained for this head"
            )
        return self

    def spec(self) -> Plain:
        """What a file must say of it; ``states.from_parts`` reads it."""
        return "statistics"

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file must hold of it."""
        return {} if self._projection is None else {"projection_HK": self._projection.matrix_HK}


HISTORY_NAMES = [
    "accepted_fast",
    "accepted_slow",
    "accepted_last",
    "accepted_before",
    "cut_by_depth",
    "first",
    "log_rounds",
]


class History:
    """What B decodes have accepted so far. One class serves a live decode (B = 1) and many replayed ones.

    Two exponential averages of the accepted tokens, the last two counts, whether the last tree was accepted to its full
    depth (deeper might have brought more), and how many rounds there were.
    """

    def __init__(self, decodes: int = 1) -> None:
        self.state_BS = np.zeros((decodes, 6), dtype=np.float32)  # fast, slow, last, before, cut, rounds

    def observe(self, accepted_B: np.ndarray | int, depth_B: np.ndarray | int) -> None:
        """A round of each decode: the drafted tokens accepted, and the depth of its tree."""
        state = self.state_BS
        accepted = np.asarray(accepted_B, dtype=np.float32)
        started = state[:, 5:] > 0
        state[:, :2] += np.where(started, _STEPS, np.float32(1)) * (accepted[..., None] - state[:, :2])
        state[:, 3] = state[:, 2]
        state[:, 2] = accepted
        state[:, 4] = accepted > np.asarray(depth_B)
        state[:, 5] += 1

    def observe_one(self, accepted: int, depth: int) -> None:
        """``observe`` for a single decode, in plain numbers: a tenth of the time, which a live decode pays each round."""
        fast, slow, last, _, _, rounds = self.state_BS[0].tolist()
        quick, lazy = _STEP_PAIR if rounds else (1.0, 1.0)
        fast, slow = fast + quick * (accepted - fast), slow + lazy * (accepted - slow)
        self.state_BS[0] = (fast, slow, accepted, last, accepted > depth, rounds + 1)

    def reset(self, rows: np.ndarray | slice = slice(None)) -> None:
        """Forget: new decodes begin in these rows."""
        self.state_BS[rows] = 0

    def features(self) -> np.ndarray:
        """The features [B, len(HISTORY_NAMES)], float32."""
        rounds = self.state_BS[:, 5:]
        return np.concatenate((self.state_BS[:, :5], rounds == 0, np.log1p(rounds)), axis=1, dtype=np.float32)


class SingleHistory:
    """``History`` of one live decode in plain numbers, a fraction of the time."""

    def __init__(self) -> None:
        self.reset()

    def observe(self, accepted: int, depth: int) -> None:
        """A round: the drafted tokens accepted, and the depth of its tree."""
        quick, lazy = _STEP_PAIR if self._rounds else (1.0, 1.0)
        self._fast += quick * (accepted - self._fast)
        self._slow += lazy * (accepted - self._slow)
        self._before, self._last = self._last, float(accepted)
        self._cut, self._rounds = float(accepted > depth), self._rounds + 1

    def reset(self) -> None:
        """Forget: a new decode begins."""
        self._fast = self._slow = self._last = self._before = self._cut = 0.0
        self._rounds = 0

    def features(self) -> list[float]:
        """The features, as many as HISTORY_NAMES."""
        rounds = self._rounds
        known = [self._fast, self._slow, self._last, self._before, self._cut]
        return [*known, float(rounds == 0), math.log1p(rounds)]


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Position and history joined, brought to zero mean and unit variance by numbers that travel with the policy."""

    names: Sequence[str]
    mean_F: np.ndarray
    scale_F: np.ndarray

    @classmethod
    def fit(cls, position_names: Sequence[str], features_NF: np.ndarray) -> FeatureSet:
        """Normalised over joined features of N states. Constant features are left unscaled.

        The history belongs to the decoding statistics: where none of these is among the position's features (a state of
        the text alone, say), its columns get an infinite scale, and the network sees zeros.
        """
        names = [*position_names, *HISTORY_NAMES]
        if features_NF.shape[1:] != (len(names),) or len(features_NF) == 0:
            raise ValueError(f"features of shape {features_NF.shape}: expected [states, {len(names)}]: {names}")
        deviation = features_NF.std(axis=0, dtype=np.float64)
        scale = np.where(deviation > 1e-6, deviation, 1.0)
        if position_names and all(_WIDE_COLUMN.fullmatch(name) for name in position_names):
            scale[len(position_names) :] = np.inf
        return cls(names, features_NF.mean(axis=0, dtype=np.float64).astype(np.float32), scale.astype(np.float32))

    @property
    def width(self) -> int:
        return len(self.names)

    def normalise(self, features_BF: np.ndarray) -> np.ndarray:
        """Joined features [B, F] (or [F]) as the network sees them; far outliers are clipped."""
        return np.clip((features_BF - self.mean_F) / self.scale_F, -CLIP, CLIP, dtype=np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file must hold besides the names."""
        return {"mean_F": self.mean_F, "scale_F": self.scale_F}

    @classmethod
    def from_arrays(cls, names: Sequence[str], arrays: Mapping[str, np.ndarray]) -> FeatureSet:
        """The reverse of ``arrays``. Raises ValueError where a name has no number."""
        if any(arrays[key].shape != (len(names),) for key in ("mean_F", "scale_F")):
            raise ValueError(
                f"normalisation of shape {arrays['mean_F'].shape} for {len(names)} features: the file is broken"
            )
        return cls(list(names), arrays["mean_F"], arrays["scale_F"])


def join(position_BP: np.ndarray, history_BH: np.ndarray) -> np.ndarray:
    """Features of position and history side by side, [B, F], in the order of ``FeatureSet.names``."""
    return np.concatenate((position_BP, history_BH), axis=1, dtype=np.float32)
