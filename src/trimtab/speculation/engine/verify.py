"""Which drafted tokens does the target accept? Greedily those it would have written; at a temperature, losslessly.

Greedy: follow the tree along the target's own argmax. Sampling: at each node try its children in tree order; accept child x
with probability p(x), otherwise set p(x) to 0 and renormalise (speculative sampling, arXiv:2211.17192, for a
deterministic draft of several candidates, as in EAGLE); the tokens are then distributed as the target's, whatever the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from trimtab.speculation.engine.tree import Tree


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: ``temperature`` 0 is greedy; ``top_k`` 0 and ``top_p`` 1 are off. Raises ValueError."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature >= 0.0:
            raise ValueError(f"temperature {self.temperature} is negative: expected 0 (greedy) or more")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p {self.top_p} is out of range: expected 0 < top_p <= 1")
        if self.top_k < 0:
            raise ValueError(f"top_k {self.top_k} is negative: expected 0 (off) or more")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0


class Verifier:
    """Chooses tokens from the target's logits. One generator, so that a seed determines the text."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self.sampling = sampling
        self._generator = torch.Generator(device=device).manual_seed(sampling.seed)
        warpers = LogitsProcessorList()
        if not sampling.greedy:
            warpers.append(TemperatureLogitsWarper(float(sampling.temperature)))
            if sampling.top_k:
                warpers.append(TopKLogitsWarper(sampling.top_k))
            if sampling.top_p < 1.0:
                warpers.append(TopPLogitsWarper(sampling.top_p))
        self._warpers = warpers

    def _probabilities(self, logits_V: Tensor) -> Tensor:
        nothing: Any = torch.empty((1, 0), dtype=torch.long)  # no warper in use looks at the text
        warped: Any = self._warpers(nothing, logits_V[None].float())
        return warped[0].softmax(dim=-1)

    def _draw(self, probabilities_V: Tensor) -> int:
        return int(torch.multinomial(probabilities_V, 1, generator=self._generator))

    def first(self, logits_V: Tensor) -> int:
        """The token after a prompt."""
        return int(logits_V.argmax()) if self.sampling.greedy else self._draw(self._probabilities(logits_V))

    def walk(self, tree: Tree, logits_NV: Tensor) -> tuple[list[int], int]:
        """Rows of the accepted path (the root first) and the token that the target chooses after it."""
        if self.sampling.greedy:
            next_N = logits_NV.argmax(dim=-1).cpu().numpy()
            path = tree.follow(next_N)
            return path, int(next_N[path[-1]])
        return self._sampled(tree, logits_NV)

    def _sampled(self, tree: Tree, logits_NV: Tensor) -> tuple[list[int], int]:
        path = [0]
        while True:
            probabilities = self._probabilities(logits_NV[path[-1]])
            child = self._accept_one(tree, path[-1], probabilities)
            if child is None:
                return path, self._draw(probabilities)
            path.append(child)

    def _accept_one(self, tree: Tree, row: int, probabilities_V: Tensor) -> int | None:
        """The accepted child of ``row``, or None; then ``probabilities_V`` is left as the residual (unnormalised)."""
        remaining = 1.0
        for child in tree.children(row):
            token = int(tree.tokens_N[child])
            chance = float(probabilities_V[token])
            drawn = float(torch.rand((), generator=self._generator, device=self._generator.device))
            if chance > 0.0 and drawn * remaining < chance:
                return child
            probabilities_V[token] = 0.0
            remaining = float(probabilities_V.sum())
        return None
