"""What may a policy see of a prompt? Where its last tokens look, what its tail is made of, and the model's own states.

All of it comes from the prefill that happens in any case; no other model is run. Named vectors, kept in the reward table:

- ``tail``: of the last 8, 32, 128 and 512 tokens, the share that is distinct and the share that occurred before them; for
  the last 8 tokens, how far back each one last occurred (logarithms)
- ``echo``: of the last runs of 2, 3, 4 and 6 tokens that were said before, how far from the end they and their earlier
  selves are (logarithms): a question that is repeated
- ``look_back``: of the attention of the last query, and of the last 16, how it is spread over distances from the end, per
  layer (shares by doubling distance, mean over KV heads)
- ``focus``: of the same attention, per layer, mean and largest of the KV heads: the share of the first tokens, the share of
  the most looked-at 16, and how far back their middle is (logarithm)
- ``reach``: how much of the attention of the last 16 (64) queries goes to the tokens that the last one (16) looked at most,
  per layer, mean and least of the KV heads: whether a longer window asks for something else
- ``hidden``: the last token's state and the mean of the last 16 tokens', each of unit size, projected to few numbers
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trimtab.compression.engine.prefill import Prefilled
from trimtab.compression.engine.weights import Curve, Weights
from trimtab.compression.prompts import Prompt
from trimtab.encoders.projection import gaussian, unit

WINDOWS = (8, 32, 128, 512)
RUNS = (2, 3, 4, 6)
LOOKS: tuple[Curve, ...] = tuple(Curve(float("inf"), window) for window in (1, 16, 64))
SINKS, FOCUS, REACH = 4, 16, 48
"""First tokens, most looked-at tokens of ``focus`` and of ``reach``."""
STATES = 16
STRUCTURAL = ("tail", "echo", "look_back", "focus", "reach")
ENCODERS: dict[str, tuple[str, ...]] = {
    "structural": STRUCTURAL,
    "hidden": ("hidden",),
    "structural+hidden": (*STRUCTURAL, "hidden"),
}
"""What ``--context-encoder-model`` may name of what every table holds."""


def tail(token_ids: Sequence[int]) -> np.ndarray:
    """Of the last tokens: distinct, seen before, and how far back; and the prompt's length (logarithm)."""
    ids = np.asarray(token_ids)
    numbers = [np.log1p(len(ids))]
    for window in WINDOWS:
        last, before = ids[-window:], ids[:-window]
        numbers += [len(np.unique(last)) / len(last), float(np.isin(last, before).mean())]
    for place in range(WINDOWS[0]):
        at = len(ids) - 1 - place
        earlier = np.flatnonzero(ids[: max(at, 0)] == ids[at]) if at >= 0 else np.empty(0, int)
        numbers.append(np.log1p(at - earlier[-1]) if len(earlier) else np.log1p(2 * len(ids)))
    return np.array(numbers, dtype=np.float32)


def echo(token_ids: Sequence[int]) -> np.ndarray:
    """Distances from the end of the last run of each length that was said before, and of its earlier self (logarithms).

    Where nothing was said twice: twice the prompt's length.
    """
    numbers: list[float] = []
    for run in RUNS:
        earlier: dict[tuple[int, ...], int] = {}
        found = (2 * len(token_ids), 2 * len(token_ids))
        for start in range(len(token_ids) - run + 1):
            words = tuple(token_ids[start : start + run])
            if words in earlier:
                found = (len(token_ids) - start, len(token_ids) - earlier[words])
            earlier.setdefault(words, start)
        numbers += np.log1p(found).tolist()
    return np.array(numbers, dtype=np.float32)


def distance_bins(tokens: int, most: int = 14) -> np.ndarray:
    """The doubling bin [N] of each token by its distance from the end: 1, 2-3, 4-7, ...; the last one holds the rest."""
    distances = np.arange(tokens, 0, -1)
    return np.minimum(np.floor(np.log2(distances)).astype(int), most - 1)


def looks(read: Prefilled) -> list[list[Tensor]]:
    """Scores [G, N] of each look at each layer. Raises ValueError where the looks were not scored."""
    missing = [str(look) for look in LOOKS if look not in read.scores]
    if missing:
        raise ValueError(f"the prefill did not score {', '.join(missing)}: pass features.LOOKS among its weights")
    return [[scores_CGN[read.scores[look]].float().cpu() for scores_CGN in read.scores_LCGN] for look in LOOKS]


def look_back(looked: Sequence[Sequence[Tensor]], bins: int = 14) -> np.ndarray:
    """Shares of attention by distance [looks * layers * bins], of the scores [G, N] of each look at each layer."""
    place_N = torch.from_numpy(distance_bins(looked[0][0].shape[1], bins))
    shares: list[Tensor] = []
    for layers in looked:
        for scores_GN in layers:
            spread = torch.zeros(bins).index_add_(0, place_N, scores_GN.mean(0))
            shares.append(spread / spread.sum().clamp_min(1e-12))
    return torch.cat(shares).sqrt().numpy()  # roots: small shares tell as much as large ones


def focus(looked: Sequence[Sequence[Tensor]]) -> np.ndarray:
    """Sinks, concentration and distance of each look at each layer, mean and largest over heads [looks * layers * 6]."""
    numbers: list[Tensor] = []
    for layers in looked:
        for scores_GN in layers:
            total_G = scores_GN.sum(1).clamp_min(1e-12)
            rest_GN = scores_GN[:, SINKS:] if scores_GN.shape[1] > SINKS else scores_GN
            best = rest_GN.topk(min(FOCUS, rest_GN.shape[1]), dim=1)
            middle_G = best.indices.double().median(1).values.float()
            far_G = torch.log1p(rest_GN.shape[1] - middle_G)
            each_3G = torch.stack([scores_GN[:, :SINKS].sum(1) / total_G, best.values.sum(1) / total_G, far_G])
            numbers += [each_3G.mean(1), each_3G.amax(1)]
    return torch.cat(numbers).numpy()


def reach(looked: Sequence[Sequence[Tensor]]) -> np.ndarray:
    """Of each longer look, the share that a shorter one's best tokens hold, mean and least over heads [..., 2]."""
    numbers: list[Tensor] = []
    for shorter, longer in pairwise(looked):
        for short_GN, long_GN in zip(shorter, longer, strict=True):
            best_GK = short_GN.topk(min(REACH, short_GN.shape[1]), dim=1).indices
            share_G = long_GN.gather(1, best_GK).sum(1) / long_GN.sum(1).clamp_min(1e-12)
            numbers.append(torch.stack([share_G.mean(), share_G.amin()]))
    return torch.cat(numbers).numpy()


class Extra(Protocol):
    """More vectors of a prompt, beside those that every table holds."""

    @property
    def weights(self) -> tuple[Weights, ...]: ...
    @property
    def name(self) -> str: ...
    def __call__(self, read: Prefilled, prompt: Prompt, /) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class PromptFeatures:
    """The features of every prompt. ``width``: numbers that each hidden state is projected to (all, where fewer).

    ``extras``: what else is to be known (``kept_features.KeptFeatures``, ``text_features.TextFeatures``).
    """

    width: int = 32
    extras: tuple[Extra, ...] = ()

    @property
    def weights(self) -> tuple[Weights, ...]:
        """The curves that must be scored for them."""
        return tuple(dict.fromkeys((*LOOKS, *(weight for extra in self.extras for weight in extra.weights))))

    @property
    def name(self) -> str:
        """Tells these settings from others, for a table's chunks."""
        return "-".join((*STRUCTURAL, f"hidden{self.width}", *(extra.name for extra in self.extras)))

    def __call__(self, read: Prefilled, prompt: Prompt) -> dict[str, np.ndarray]:
        """Named vectors of a prompt that was read."""
        states = read.hidden_NH[-STATES:].float().cpu().numpy()
        pooled = unit(np.stack([states[-1], states.mean(axis=0)]))
        if pooled.shape[1] > self.width:
            pooled = pooled @ gaussian(pooled.shape[1], self.width)
        looked = looks(read)
        named = {
            "tail": tail(prompt.token_ids),
            "echo": echo(prompt.token_ids),
            "look_back": look_back(looked[:2]),
            "focus": focus(looked),
            "reach": reach(looked),
            "hidden": pooled.reshape(-1),
        }
        for extra in self.extras:
            named |= extra(read, prompt)
        return named


def vectors_of(encoder: str) -> tuple[str, ...]:
    """The vectors that an encoder's name stands for: names of ``ENCODERS`` and of vectors, joined by ``+``."""
    names = [name for part in encoder.split("+") for name in ENCODERS.get(part, (part,))]
    return tuple(dict.fromkeys(names))


def chosen(features: Mapping[str, np.ndarray], encoder: str) -> np.ndarray:
    """The features that ``encoder`` names, side by side [P, K]. Raises ValueError naming what the table holds."""
    names = vectors_of(encoder)
    missing = [name for name in names if name not in features]
    if missing:
        known = ", ".join(dict.fromkeys((*ENCODERS, *features)))
        raise ValueError(f"the table holds no features {', '.join(missing)!r}: expected one of {known}")
    return np.concatenate([features[name] for name in names], axis=1).astype(np.float64)
