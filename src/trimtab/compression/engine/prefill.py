"""What can be known of a prompt from reading it once? Its full cache, and the scores of its tokens under many curves.

One prefill serves all curves and all budgets: the attention of each query is recomputed once, and weighed by every curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trimtab.compression.engine.choose import choose, newest_scores
from trimtab.compression.engine.layers import split
from trimtab.compression.engine.method import Method
from trimtab.compression.engine.queries import attention_modules, key_heads, last_queries, scaling, slides
from trimtab.compression.engine.scores import attention_sums
from trimtab.compression.engine.weights import Newest, Weights, reaching


@dataclass(frozen=True, eq=False)
class Prefilled:
    """A prompt that was read: ``keys`` and ``values`` [G, N, D] per layer, ``logits_V`` after its last token.

    ``scores``: for each distinct weighting its place in ``scores_LCGN``, one tensor [C, G, N] per layer.
    ``hidden_NH``: the last layer's states, normalised, as the LM head reads them.
    """

    token_ids: tuple[int, ...]
    keys: list[Tensor]
    values: list[Tensor]
    logits_V: Tensor
    hidden_NH: Tensor
    scores: dict[Weights, int]
    scores_LCGN: list[Tensor]

    @property
    def tokens(self) -> int:
        return len(self.token_ids)

    def kept(self, method: Method, budget_tokens: int) -> list[Tensor]:
        """Indices [G, k] of the tokens that ``method`` keeps, per layer: what ``compress`` keeps, to rounding.

        Raises ValueError where the budget is below the protected tokens, KeyError where the curve was not scored.
        """
        if budget_tokens >= self.tokens:
            return [torch.arange(self.tokens, device=k.device).expand(k.shape[0], -1) for k in self.keys]
        method.check(budget_tokens)
        recent = method.recent_tokens(budget_tokens)
        protected = method.sinks + recent
        budgets = split(method.layers, budget_tokens, len(self.keys), protected=protected, available=self.tokens)
        return [
            choose(self._layer_scores(layer, method)[None], method, budget, recent=recent)[0]
            for layer, budget in enumerate(budgets)
        ]

    def _layer_scores(self, layer: int, method: Method) -> Tensor:
        if isinstance(method.weights, Newest):
            keys = self.keys[layer]
            return newest_scores(1, keys.shape[0], self.tokens, keys.device)[0]
        return self.scores_LCGN[layer][self.scores[method.weights]]


class _Scorer:
    """A hook that scores each layer's keys as soon as the layer has attended."""

    def __init__(self, weights: Sequence[Any], groups: int) -> None:
        self.weights, self.groups = weights, groups
        self.scores_LCGN: list[Tensor] = []

    def __call__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        keys = kwargs["past_key_values"].layers[module.layer_idx].keys
        hidden = args[0] if args else kwargs["hidden_states"]
        weights_CGQ = reaching(self.weights, int(module.layer_idx), self.groups, keys.shape[2])
        queries = last_queries(module, kwargs, hidden, weights_CGQ.shape[-1])
        self.scores_LCGN.append(attention_sums(queries, keys, weights_CGQ, scaling=scaling(module))[:, 0])


@torch.no_grad()
def prefill(model: PreTrainedModel, token_ids: Sequence[int], weights: Sequence[Weights] = ()) -> Prefilled:
    """Read one prompt with the full cache, scoring its tokens under each of ``weights``.

    Raises ValueError for an unknown architecture, for layers with a sliding window, and for an empty prompt.
    """
    modules = attention_modules(model)
    config = model.config.get_text_config()
    if any(slides(config, layer) for layer in range(len(modules))):
        raise ValueError("some layers attend through a sliding window: expected full attention in every layer")
    if not token_ids:
        raise ValueError("the prompt has no tokens: expected one at least")
    distinct = [w for w in dict.fromkeys(weights) if not isinstance(w, Newest)]
    scorer = _Scorer(distinct, key_heads(model))
    hooks = [module.register_forward_hook(scorer, with_kwargs=True) for module in modules] if distinct else []
    try:
        ids = torch.tensor([list(token_ids)], device=model.device)
        base: Callable[..., Any] = model.get_decoder()
        output = base(ids, use_cache=True)
    finally:
        for hook in hooks:
            hook.remove()
    hidden_NH = output.last_hidden_state[0]
    layers = output.past_key_values.layers
    head: Any = model.get_output_embeddings()
    return Prefilled(
        tuple(token_ids),
        [layer.keys[0] for layer in layers],
        [layer.values[0] for layer in layers],
        head(hidden_NH[-1]),
        hidden_NH,
        {w: place for place, w in enumerate(distinct)},
        scorer.scores_LCGN,
    )
