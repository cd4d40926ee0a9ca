"""Compress the KV cache of a stock transformers model: right after the prompt, and while decoding where that is wanted.

    with compress(model, Curve(0.1, 16), budget_tokens=256) as compression:
        model.generate(**inputs, max_new_tokens=64)
    print(compression.report)

Hooks on the attention layers: when a layer has attended over the prompt (with all its keys: the prompt's own output is
that of the full cache), its keys are scored and the rest of them dropped, before the next layer begins. So the memory of
the full cache is never taken in whole. Nothing else of the model is touched.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from trimtab.compression.engine.cache import KeptLayer, Positions, align, gather, kept_layer
from trimtab.compression.engine.choose import choose, newest_scores
from trimtab.compression.engine.layers import Allocation, split
from trimtab.compression.engine.method import Method, Pool
from trimtab.compression.engine.queries import (
    attention_modules,
    key_heads,
    last_queries,
    scaling,
    slides,
    valid_rows,
)
from trimtab.compression.engine.scores import attention_sums
from trimtab.compression.engine.weights import Newest, Weights, reaching


@dataclass(frozen=True)
class Report:
    """What compressing a prompt (or a batch of them) did.

    ``prompt_tokens``: rows before, padding included; ``kept_tokens``: rows after, per layer (a layer with a sliding
    window is left alone and not listed). Bytes are those of the keys and values of these layers.
    """

    prompt_tokens: int
    kept_tokens: tuple[int, ...]
    bytes_before: int
    bytes_after: int
    seconds: float

    @property
    def kept_fraction(self) -> float:
        """Bytes after, of those before."""
        return self.bytes_after / self.bytes_before

    def __str__(self) -> str:
        kept = sorted(set(self.kept_tokens))
        tokens = f"{kept[0]}" if len(kept) == 1 else f"{kept[0]} to {kept[-1]}"
        return (
            f"kept {tokens} of {self.prompt_tokens} tokens per KV head: "
            f"{self.bytes_before:,} -> {self.bytes_after:,} bytes ({self.kept_fraction:.1%}) in {self.seconds:.3f} s"
        )


@dataclass
class _Tally:
    """A prompt's report, layer by layer. ``budgets``: what each keeps of the prompt; ``later``: while decoding."""

    tokens: int
    recent: int
    budgets: dict[int, int]
    later: dict[int, int]
    kept: list[int] = field(default_factory=list[int])
    before: int = 0
    after: int = 0
    seconds: float = 0.0

    def report(self) -> Report:
        return Report(self.tokens, tuple(self.kept), self.before, self.after, self.seconds)


def _size(layer: Any) -> int:
    return sum(states.numel() * states.element_size() for states in (layer.keys, layer.values))


@dataclass(frozen=True)
class Budget:
    """How much stays: tokens per KV head (averaged over the layers), or a fraction of the prompt. Exactly one."""

    tokens: int | None = None
    fraction: float | None = None

    def __post_init__(self) -> None:
        if (self.tokens is None) == (self.fraction is None):
            raise ValueError(
                f"budget_tokens is {self.tokens}, kept_fraction {self.fraction}: expected one of them, and only one"
            )
        if self.tokens is not None and (isinstance(self.tokens, bool) or not isinstance(self.tokens, int)):
            raise ValueError(f"budget_tokens is {self.tokens!r}: expected a whole number of tokens")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ValueError(f"kept_fraction is {self.fraction}: expected more than 0, at most 1")

    def of(self, prompt_tokens: int) -> int:
        """Tokens to keep of a prompt."""
        if self.tokens is not None:
            return self.tokens
        assert self.fraction is not None
        return max(1, int(self.fraction * prompt_tokens))


class Compression:
    """What ``compress`` gives: reports, and where the kept tokens were.

    ``reports``: one for each prompt that was compressed while the context was open.
    """

    def __init__(
        self, model: PreTrainedModel, method: Method, budget: Budget, *, every: int | None, positions: bool
    ) -> None:
        if budget.tokens is not None:
            method.check(budget.tokens)
        if every is not None and every < 1:
            raise ValueError(f"every is {every}: expected a number of new tokens, 1 or more")
        self.method, self.budget, self.every = method, budget, every
        self.reports: list[Report] = []
        self._modules = attention_modules(model)
        config = model.config.get_text_config()
        self._layers = [index for index in range(len(self._modules)) if not slides(config, index)]
        self._heads = key_heads(model)
        self._positions = Positions() if positions else None
        self._before: dict[int, int] = {}
        self._tally: _Tally | None = None

    @property
    def report(self) -> Report:
        """The last prompt's report. Raises ValueError where no prompt was seen."""
        if not self.reports:
            raise ValueError(
                "no prompt was compressed: run the model on one within `with compress(...)`, with use_cache and a new cache"
            )
        return self.reports[-1]

    @property
    def positions(self) -> list[Tensor]:
        """Where each kept row was in the (padded) prompt, [B, G, kept] per layer. Raises ValueError unless asked for."""
        if self._positions is None:
            raise ValueError("positions were not noted: ask for them, compress(..., positions=True)")
        return [self._positions.layers[layer] for layer in self._layers]

    # hooks ------------------------------------------------------------------------------------------------------------

    def before_attention(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any] | None:
        """Note whether this is a prompt; cut the mask to the layer's own rows."""
        cache = kwargs.get("past_key_values")
        if cache is None:
            return None
        index = int(module.layer_idx)
        layer = _layer(cache, index)
        self._before[index] = int(layer.get_seq_length()) if layer is not None else 0
        mask = kwargs.get("attention_mask")
        if isinstance(layer, KeptLayer):
            layer.fitted = True
        if isinstance(layer, KeptLayer) and layer.behind and isinstance(mask, Tensor):
            return args, {**kwargs, "attention_mask": mask[..., layer.behind :]}
        return None

    @torch.no_grad()
    def after_attention(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Compress the layer, if this was a prompt, or if it is time to."""
        cache = kwargs.get("past_key_values")
        index = int(module.layer_idx)
        if cache is None or index not in self._layers:
            return
        hidden = args[0] if args else kwargs["hidden_states"]
        if self._before[index] == 0:
            self._compress_prompt(cache, index, module, kwargs, hidden)
        elif self.every is not None:
            self._while_decoding(cache, index, module, kwargs, hidden)

    # the prompt -------------------------------------------------------------------------------------------------------

    def _compress_prompt(self, cache: Cache, index: int, module: Any, kwargs: dict[str, Any], hidden: Tensor) -> None:
        started = time.perf_counter()
        layer: Any = cache.layers[index]
        rows = int(layer.keys.shape[-2])
        if index == self._layers[0]:
            self._begin(rows)
        tally = self._tally
        assert tally is not None, "the first layer begins a prompt"
        valid_BN = valid_rows(kwargs.get("attention_mask"), rows)
        tally.before += _size(layer)
        budget = tally.budgets[index]
        if budget < rows or self.every is not None:
            layer = cache.layers[index] = kept_layer(layer)
        if budget < rows:
            asked = self._queries(module, kwargs, hidden, rows)
            self._drop(layer, index, module, asked, budget, tally.recent, valid_BN)
        elif self.every is not None:
            self._collect(layer, module, kwargs, hidden, rows)
        if budget >= rows and self._positions is not None:
            everything = torch.arange(rows, device=layer.keys.device)
            self._positions.kept(index, everything.expand(*layer.keys.shape[:2], -1), rows, rows)
        tally.kept.append(min(budget, rows))
        tally.after += _size(cache.layers[index])
        tally.seconds += time.perf_counter() - started
        if index == self._layers[-1]:
            self._finish(cache, tally)

    def _begin(self, rows: int) -> None:
        budget = self.budget.of(rows)
        if budget < rows or self.every is not None:
            self.method.check(budget)
        recent = self.method.recent_tokens(budget)
        self._tally = _Tally(rows, recent, self._split(budget, recent, rows), self._split(budget, recent, None))
        if self._positions is not None:
            self._positions.layers.clear()

    def _split(self, budget: int, recent: int, available: int | None) -> dict[int, int]:
        """Tokens of each layer, of ``available`` ones (None: of any number, as while decoding)."""
        count, protected = len(self._layers), self.method.sinks + recent
        most = count * budget + 1 if available is None else available
        tokens = split(self.method.layers, budget, count, protected=protected, available=most)
        return dict(zip(self._layers, tokens, strict=True))

    def _finish(self, cache: Cache, tally: _Tally) -> None:
        """All layers become ``KeptLayer``, where any was cut, or will be."""
        if self.every is not None or min(tally.kept) < tally.tokens:
            layers = [kept_layer(cache.layers[index]) for index in self._layers]
            for index, layer in zip(self._layers, layers, strict=True):
                cache.layers[index] = layer
                layer.budget, layer.recent = tally.later[index], tally.recent
            align(layers)
        self.reports.append(tally.report())

    def _queries(
        self, module: Any, kwargs: Mapping[str, Any], hidden: Tensor, rows: int
    ) -> tuple[Tensor, Tensor] | None:
        """The queries that weigh anything, and their weights [1, G or 1, Q]; None where no attention counts."""
        if isinstance(self.method.weights, Newest):
            return None
        weights_CGQ = reaching([self.method.weights], self._layers.index(module.layer_idx), self._heads, rows)
        return last_queries(module, kwargs, hidden, weights_CGQ.shape[-1]), weights_CGQ

    def _drop(
        self,
        layer: KeptLayer,
        index: int,
        module: Any,
        asked: tuple[Tensor, Tensor] | None,
        budget: int,
        recent: int,
        valid_BN: Tensor | None,
    ) -> None:
        """Score the layer's rows, and keep ``budget`` of them."""
        keys, values = layer.keys, layer.values
        assert keys is not None
        assert values is not None
        if asked is None:
            scores_BGN = newest_scores(keys.shape[0], keys.shape[1], keys.shape[2], keys.device)
        else:
            queries, weights_CGQ = asked
            scores_BGN = attention_sums(queries, keys, weights_CGQ, scaling=scaling(module), valid_BN=valid_BN)[0]
        indices = choose(scores_BGN, self.method, budget, recent=recent, valid_BN=valid_BN)
        if self._positions is not None:
            self._positions.kept(index, indices, layer.seen, layer.rows)
        layer.replace(gather(keys, indices), gather(values, indices))

    # while decoding ---------------------------------------------------------------------------------------------------

    def _while_decoding(self, cache: Cache, index: int, module: Any, kwargs: dict[str, Any], hidden: Tensor) -> None:
        """Every ``every`` new tokens, back to the budget: the last ``every`` queries say what stays."""
        layer = cache.layers[index]
        if not isinstance(layer, KeptLayer) or not layer.budget:
            raise ValueError("this cache was not made within a `with compress(...)`: begin it there")
        self._collect(layer, module, kwargs, hidden, hidden.shape[1])
        assert self.every is not None
        if layer.rows >= layer.budget + self.every:
            valid_BN = valid_rows(kwargs.get("attention_mask"), layer.rows)
            self._drop(layer, index, module, self._weighed(layer, index), layer.budget, layer.recent, valid_BN)
            layer.asked = None
        if index == self._layers[-1]:
            kept = (cache.layers[each] for each in self._layers)
            align([one for one in kept if isinstance(one, KeptLayer)])

    def _collect(self, layer: KeptLayer, module: Any, kwargs: Mapping[str, Any], hidden: Tensor, count: int) -> None:
        """Add the last ``count`` queries to those that the next compression while decoding asks."""
        if isinstance(self.method.weights, Newest):
            return
        assert self.every is not None
        fresh = last_queries(module, kwargs, hidden, min(count, self.every))
        asked = fresh if layer.asked is None else torch.cat([layer.asked, fresh], dim=2)
        layer.asked = asked[:, :, -self.every :]

    def _weighed(self, layer: KeptLayer, index: int) -> tuple[Tensor, Tensor] | None:
        """The collected queries that weigh anything, and their weights; None where no attention counts."""
        if layer.asked is None or isinstance(self.method.weights, Newest):
            return None
        weights_CGQ = reaching([self.method.weights], self._layers.index(index), self._heads, int(layer.asked.shape[2]))
        return layer.asked[:, :, -weights_CGQ.shape[-1] :], weights_CGQ


def _layer(cache: Any, index: int) -> Any:
    """The cache's layer, None where it has none yet. Raises ValueError for one that cannot be compressed."""
    if index >= len(cache.layers):
        return None
    layer = cache.layers[index]
    if not isinstance(layer, DynamicLayer):
        raise ValueError(f"the cache is made of {type(layer).__name__}: expected transformers' DynamicCache")
    return layer


def _method(
    method: Weights | Method,
    sinks: int | None,
    recent: int | float | None,
    pool: Pool | None,
    layers: Allocation | None,
) -> Method:
    given = {"sinks": sinks, "recent": recent, "pool": pool, "layers": layers}
    if not isinstance(method, Weights | Method):
        raise ValueError(
            f"the method is {method!r}: expected a Curve, Geometric, Newest or Method; an action's is its .method, as in "
            "parse('snapkv').method"
        )
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(method, **settings) if isinstance(method, Method) else Method(method, **settings)


@contextmanager
def compress(
    model: PreTrainedModel,
    method: Weights | Method,
    *,
    budget_tokens: int | None = None,
    kept_fraction: float | None = None,
    sinks: int | None = None,
    recent: int | float | None = None,
    pool: Pool | None = None,
    layers: Allocation | None = None,
    every: int | None = None,
    positions: bool = False,
) -> Generator[Compression]:
    """Within, each prompt that ``model`` reads into a new cache is compressed as soon as it is read.

    ``method``: a curve (with the ``sinks``, ``recent``, ``pool`` and ``layers`` given here, or ``Method``'s defaults), or
    a whole ``Method``, in which those given here replace its own. ``budget_tokens``: kept per KV head, averaged over the
    layers; or ``kept_fraction`` of the prompt. ``every``: compress again, to the same budget, whenever so many new
    tokens have come; the last so many queries then say what stays. ``positions``: note where the kept tokens were.
    Prompts within the budget are left as they are.

    The cache is an ordinary one afterwards: positions go on from the prompt's true length, in ``generate``, in
    continuations of several tokens, in batches padded on the left. Where layers keep different numbers of tokens, go on
    within the context, which fits the masks. Raises ValueError for an unknown architecture, a budget below the protected
    tokens, a cache that is not dynamic, and padding on the right.
    """
    budget = Budget(budget_tokens, kept_fraction)
    compression = Compression(
        model, _method(method, sinks, recent, pool, layers), budget, every=every, positions=positions
    )
    hooks: list[Any] = []
    try:
        for module in attention_modules(model):
            hooks += _hook(module, compression)
        yield compression
    finally:
        for hook in hooks:
            hook.remove()


def _hook(module: nn.Module, compression: Compression) -> list[Any]:
    return [
        module.register_forward_pre_hook(compression.before_attention, with_kwargs=True),
        module.register_forward_hook(compression.after_attention, with_kwargs=True),
    ]
