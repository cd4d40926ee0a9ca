"""What can only the model show? Needles found by depth and length, and which tokens of a prompt are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trimtab.compression.actions import Action, parse, short
from trimtab.compression.context_encoders import Cost, check_fingerprints, costs, prompt_features, sources_of
from trimtab.compression.engine.prefill import prefill
from trimtab.compression.features import PromptFeatures, chosen
from trimtab.compression.model_names import load
from trimtab.compression.prompt_sets import is_recall, named
from trimtab.compression.prompts import Prompt
from trimtab.compression.router import Router
from trimtab.compression.scoring import ScoreSettings, score_read
from trimtab.compression.table import RewardTable
from trimtab.compression.tasks import ruler
from trimtab.compression.tasks.recall import needle
from trimtab.compression.tasks.text import tokenized
from trimtab.lm import fingerprint

if TYPE_CHECKING:
    from trimtab.compression.train_recipe import Train

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHARES = (0.25, 0.5, 0.75, 1.0)
EACH = 4
"""Needles per cell of the heat map."""


@dataclass(frozen=True, eq=False)
class Needles:
    """Mean reward by depth and length, [D, L], for the policy and for the fixed action."""

    depths: tuple[float, ...]
    lengths: tuple[int, ...]
    policy_DL: np.ndarray
    fixed_DL: np.ndarray
    each: int


@dataclass(frozen=True, eq=False)
class KeptTokens:
    """A prompt's tokens as text, and for each named way the share of layers and KV heads that keep each token."""

    prompt: str
    words: tuple[str, ...]
    shares: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Both, and what the policy's features cost. ``needles``: None where they were not asked for."""

    needles: Needles | None
    kept: KeptTokens
    costs: tuple[Cost, ...]


class _Reader:
    """The model, the menu and the router: what happens to one prompt."""

    def __init__(
        self,
        model: PreTrainedModel,
        actions: Sequence[Action],
        router: Router,
        recipe: Train,
        features: PromptFeatures,
    ) -> None:
        self.model, self.actions, self.router = model, list(actions), router
        self._part, self.features = recipe.reward, features
        self._settings = ScoreSettings(scored_tokens=recipe.scored_tokens)

    def read(self, prompt: Prompt) -> tuple[Any, int]:
        """The prefill, and the column that was learned for it."""
        weights = [*(action.method.weights for action in self.actions), *self.features.weights]
        read = prefill(self.model, prompt.token_ids, weights)
        features = {name: vector[None] for name, vector in self.features(read, prompt).items()}
        return read, int(self.router.learned(chosen(features, self.router.encoder))[0])

    def rewards(self, prompt: Prompt, fixed: int) -> tuple[float, float]:
        """What the learned column brings, and the fixed one."""
        read, column = self.read(prompt)
        both = [self.actions[fixed]] if column == fixed else [self.actions[column], self.actions[fixed]]
        scored = score_read(self.model, read, prompt, both, [self.router.budget], self._settings)
        rewards = scored.parts[self._part if self._part in scored.parts else "fidelity"][:, 0]
        return float(rewards[0]), float(rewards[-1])


def pictures(recipe: Train, router: Router, table: RewardTable, *, needle: bool) -> Pictures:
    """From the model that the table was made with.

    Raises ValueError where the recipe's model is not the table's, or the policy sees what cannot be made anew.
    """
    model, tokenizer = load(recipe.model_name, recipe.gpus, recipe.dtype)
    made_with = table.about.get("fingerprint")
    if made_with != fingerprint.of_weights(model):
        raise ValueError(f"{recipe.model_name} is not the model that the table was made with: name that one")
    actions = [parse(name) for name in router.actions]
    features = prompt_features(sources_of(router), tokenizer, actions, [router.budget])
    check_fingerprints(features, router.about)
    reader = _Reader(model, actions, router, recipe, features)
    fixed = router.actions.index(str(router.about_verdict("best_fixed") or router.actions[0]))
    longest = int(table.prompt_tokens_P.max())
    shown = named(recipe.prompts, tokenizer, 3, recipe.max_tokens)
    return Pictures(
        needles(reader, tokenizer, fixed, longest) if needle else None,
        kept_tokens(reader, tokenizer, fixed, shown[-1]),
        tuple(costs(model, shown, features)),
    )


def _needle(tokenizer: PreTrainedTokenizerBase, tokens: int, depth: float, number: int) -> Prompt:
    if is_recall(tokenizer):
        return needle(tokens, depth, number)
    return tokenized(ruler.generate("niah_single", tokenizer, tokens, 0, number, depth=depth), tokenizer)


def needles(reader: _Reader, tokenizer: PreTrainedTokenizerBase, fixed: int, longest: int) -> Needles:
    """Needles at every depth and length, ``EACH`` of each."""
    lengths = tuple(max(reader.router.budget + 1, round(longest * share)) for share in SHARES)
    policy_DL, fixed_DL = np.zeros((len(DEPTHS), len(lengths))), np.zeros((len(DEPTHS), len(lengths)))
    for d, depth in enumerate(DEPTHS):
        for at, tokens in enumerate(lengths):
            got = [reader.rewards(_needle(tokenizer, tokens, depth, n), fixed) for n in range(EACH)]
            policy_DL[d, at], fixed_DL[d, at] = np.mean(got, axis=0)
    return Needles(DEPTHS, lengths, policy_DL, fixed_DL, EACH)


@torch.no_grad()
def kept_tokens(reader: _Reader, tokenizer: PreTrainedTokenizerBase, fixed: int, prompt: Prompt) -> KeptTokens:
    """Which tokens of a prompt stay, under the learned choice and under the fixed action."""
    read, column = reader.read(prompt)
    shares: dict[str, np.ndarray] = {}
    for label, at in (("learned", column), ("best fixed", fixed)):
        kept = read.kept(reader.actions[at].method, reader.router.budget)
        counts_N = torch.zeros(read.tokens)
        for kept_GK in kept:
            counts_N += torch.bincount(kept_GK.flatten().cpu(), minlength=read.tokens)
        shares[f"{label}: {short(reader.actions[at].name)}"] = (counts_N / sum(k.shape[0] for k in kept)).numpy()
    plain: Any = tokenizer
    return KeptTokens(prompt.name, tuple(plain.decode([token]) for token in prompt.token_ids), shares)
