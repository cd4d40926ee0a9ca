"""What may a policy see of a prompt? Where its last tokens look, what its tail is made of, and the model's own states.

All of it comes from the prefill that happens in any case; no other model is run. Named vectors, kept in the reward table:

- ``tail``: of the last 8, 32, 128 and 512 tokens, the share that is distinct and the share that occurred before them; for
  the last 8 tokens, how far back each one last occurred (logarithms)
- ``look_back``: of the attention of the last query, and of the last 16, how it is spread over distances from the end, per
  layer (shares by doubling distance, mean over KV heads)
- ``hidden``: the last token's state and the mean of the last 16 tokens', each of unit size, projected to few numbers
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trimtab.compression.engine.prefill import Prefilled
from trimtab.compression.engine.weights import Curve, Weights
from trimtab.compression.prompts import Prompt
from trimtab.encoders.projection import gaussian, unit

WINDOWS = (8, 32, 128, 512)
LOOKS: tuple[Curve, ...] = (Curve(float("inf"), 1), Curve(float("inf"), 16))
STATES = 16
ENCODERS: dict[str, tuple[str, ...]] = {
    "structural": ("tail", "look_back"),
    "hidden": ("hidden",),
    "structural+hidden": ("tail", "look_back", "hidden"),
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


def distance_bins(tokens: int, most: int = 14) -> np.ndarray:
    """The doubling bin [N] of each token by its distance from the end: 1, 2-3, 4-7, ...; the last one holds the rest."""
    distances = np.arange(tokens, 0, -1)
    return np.minimum(np.floor(np.log2(distances)).astype(int), most - 1)


def look_back(read: Prefilled, bins: int = 14) -> np.ndarray:
    """Shares of attention by distance [looks * layers * bins]. Raises ValueError where the looks were not scored."""
    missing = [str(look) for look in LOOKS if look not in read.scores]
    if missing:
        raise ValueError(f"the prefill did not score {', '.join(missing)}: pass features.LOOKS among its weights")
    place_N = torch.from_numpy(distance_bins(read.tokens, bins))
    shares: list[torch.Tensor] = []
    for look in LOOKS:
        for scores_CGN in read.scores_LCGN:
            mass_N = scores_CGN[read.scores[look]].float().mean(0).cpu()
            spread = torch.zeros(bins).index_add_(0, place_N, mass_N)
            shares.append(spread / spread.sum().clamp_min(1e-12))
    return torch.cat(shares).sqrt().numpy()  # roots: small shares tell as much as large ones


@dataclass(frozen=True)
class PromptFeatures:
    """The features of every prompt. ``width``: numbers that each hidden state is projected to (all, where fewer)."""

    width: int = 32

    @property
    def weights(self) -> tuple[Weights, ...]:
        """The curves that must be scored for them."""
        return LOOKS

    @property
    def name(self) -> str:
        """Tells these settings from others, for a table's chunks."""
        return f"tail-look_back-hidden{self.width}"

    def __call__(self, read: Prefilled, prompt: Prompt) -> dict[str, np.ndarray]:
        """Named vectors of a prompt that was read."""
        states = read.hidden_NH[-STATES:].float().cpu().numpy()
        pooled = unit(np.stack([states[-1], states.mean(axis=0)]))
        if pooled.shape[1] > self.width:
            pooled = pooled @ gaussian(pooled.shape[1], self.width)
        return {"tail": tail(prompt.token_ids), "look_back": look_back(read), "hidden": pooled.reshape(-1)}


def chosen(features: Mapping[str, np.ndarray], encoder: str) -> np.ndarray:
    """The features that ``encoder`` names, side by side [P, K]. Names of a table's own vectors may be joined by ``+``.

    Raises ValueError naming what the table holds.
    """
    names = ENCODERS.get(encoder, tuple(encoder.split("+")))
    missing = [name for name in names if name not in features]
    if missing:
        known = ", ".join(dict.fromkeys((*ENCODERS, *features)))
        raise ValueError(f"the table holds no features {', '.join(missing)!r}: expected one of {known}")
    return np.concatenate([features[name] for name in names], axis=1).astype(np.float64)
