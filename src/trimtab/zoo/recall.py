"""How was ``zoo:recall`` made? A small Llama trained on recall: copying first, then documents that grow to 1,024 words.

Recall does not form when it is trained directly; a warm-up on repeated random segments forms induction (Olsson et al.
2022, arXiv:2209.11895) within a few hundred steps, and everything after builds on it. Seeds differ in weights and data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from trimtab.lm.training import Fit, Metrics, fit
from trimtab.zoo.models import initialise, save
from trimtab.zoo.recall_text import (
    BEGIN,
    END,
    IDS,
    PAD,
    VOCABULARY,
    Kind,
    recall_tokenizer,
    repeated,
    training_document,
)

HELD_OUT = 2**31
"""Documents from this number on are never trained on."""


@dataclass(frozen=True)
class RecallRecipe:
    """Everything that determines ``zoo:recall``. ``windows``: (share of the steps, words per document), in order."""

    hidden_size: int = 128
    intermediate_size: int = 512
    layers: int = 4
    heads: int = 4
    key_value_heads: int = 2
    context_tokens: int = 1024
    batch_tokens: int = 16384
    warmup_steps: int = 600
    warmup_tokens: int = 64
    windows: tuple[tuple[float, int], ...] = ((0.5, 128), (0.2, 256), (0.15, 512), (0.15, 1024))
    random_weight: float = 0.02
    seed: int = 0
    fit: Fit = Fit(steps=5200, learning_rate=1e-2)

    def window_tokens(self, step: int) -> int:
        """Words per document at ``step``: short documents first, the whole context last."""
        if step < self.warmup_steps:
            return self.warmup_tokens
        share, reached = (step + 0.5) / self.fit.steps, 0.0
        for part, tokens in self.windows:
            reached += part
            if share < reached:
                return tokens
        return self.windows[-1][1]


def documents(recipe: RecallRecipe, step: int) -> tuple[Tensor, Tensor]:
    """The batch of ``step`` as (ids [B, T + 1], kinds [B, T + 1]); it depends on the seed and the step alone."""
    tokens = recipe.window_tokens(step)
    random = np.random.default_rng([recipe.seed, step])
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(recipe.batch_tokens // tokens):
        copying = step < recipe.warmup_steps
        rows.append((repeated if copying else training_document)(random, tokens + 1))
    ids, kinds = (np.stack(part) for part in zip(*rows, strict=True))
    return torch.from_numpy(ids), torch.from_numpy(kinds.astype(np.int64))


class _Steps(Dataset[tuple[Tensor, Tensor]]):
    """The batches by step, for worker processes to make ahead of time."""

    def __init__(self, recipe: RecallRecipe) -> None:
        self.recipe = recipe

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        return documents(self.recipe, step)


def batches(recipe: RecallRecipe, start: int, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """``documents`` of every step from ``start``, in order, made ahead by ``workers`` processes (0: none)."""
    steps: Any = range(start, recipe.fit.steps)  # a sampler is any iterable of indices
    ahead: dict[str, Any] = {"prefetch_factor": 8, "multiprocessing_context": "spawn"} if workers else {}
    yield from DataLoader(_Steps(recipe), batch_size=None, sampler=steps, num_workers=workers, **ahead)


class _Loss(nn.Module):
    """Weighted mean cross-entropy (nats) in bf16 autocast: what can be known weighs 1, what is random a little."""

    def __init__(self, model: LlamaForCausalLM, random_weight: float) -> None:
        super().__init__()
        self.model = model
        self.random_weight = random_weight

    def forward(self, ids_BT: Tensor, kinds_BT: Tensor) -> Tensor:
        with torch.autocast(ids_BT.device.type, torch.bfloat16):
            hidden = self.model.model(input_ids=ids_BT[:, :-1], use_cache=False).last_hidden_state
            logits = self.model.lm_head(hidden)
        losses = F.cross_entropy(logits.flatten(0, 1).float(), ids_BT[:, 1:].flatten(), reduction="none")
        weights = torch.where(kinds_BT[:, 1:].flatten() > 0, 1.0, self.random_weight)
        return (losses * weights).sum() / weights.sum()


@torch.no_grad()
def held_out_accuracy(model: LlamaForCausalLM, tokens: int, *, count: int = 8, start: int = 0) -> Metrics:
    """Share of right words by kind, and nats per known word, on ``count`` held-out documents of ``tokens`` words."""
    random = np.random.default_rng([HELD_OUT + tokens, start])
    rows = [training_document(random, tokens + 1) for _ in range(count)]
    ids = torch.from_numpy(np.stack([row[0] for row in rows])).to(model.device)
    kinds = torch.from_numpy(np.stack([row[1] for row in rows]))[:, 1:].to(model.device)
    with torch.autocast(model.device.type, torch.bfloat16):
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()
    right = logits.argmax(-1) == ids[:, 1:]
    losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view_as(kinds)
    shares = {kind.name.lower(): float(right[kinds == kind].float().mean()) for kind in Kind if kind != Kind.RANDOM}
    return {f"held_out/{tokens}/{name}": share for name, share in shares.items()} | {
        f"held_out/{tokens}/loss": float(losses[kinds > 0].mean())
    }


def architecture(recipe: RecallRecipe) -> LlamaConfig:
    """The model's configuration, in transformers' own terms."""
    return LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.key_value_heads,
        max_position_embeddings=recipe.context_tokens,
        tie_word_embeddings=True,
        bos_token_id=IDS[BEGIN],
        eos_token_id=IDS[END],
        pad_token_id=IDS[PAD],
    )


def build(
    recipe: RecallRecipe,
    out: Path,
    *,
    log: Callable[[int, Metrics], None],
    resumed: Callable[[int], None] | None = None,
    device: str = "cpu",
    workers: int = 0,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Train (or go on training) in ``out``: ``state.safetensors``, and the final model in ``out/model``.

    ``workers``: processes that make documents ahead of time. The batches are the same for any number of them.
    """
    model = LlamaForCausalLM(architecture(recipe))
    initialise(model, recipe.seed, embedding=0.5, residual=0.5)
    model.to(device)  # pyright: ignore[reportArgumentType]
    loss_of = _Loss(model, recipe.random_weight).train()
    ahead: Iterator[tuple[Tensor, Tensor]] | None = None

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        nonlocal ahead
        ahead = ahead or batches(recipe, step, workers)
        ids, kinds = next(ahead)
        loss = loss_of(ids.to(device, non_blocking=True), kinds.to(device, non_blocking=True))
        logged = {"loss": float(loss.detach())} if (step + 1) % recipe.fit.log_every == 0 else {}
        return loss, logged | {"tokens": float((step + 1) * recipe.batch_tokens)}

    def log_with_held_out(step: int, metrics: Metrics) -> None:
        checked = step % (5 * recipe.fit.log_every) == 0 or step == recipe.fit.steps
        tokens = recipe.window_tokens(min(step, recipe.fit.steps - 1))
        log(step, {**metrics, **(held_out_accuracy(model, tokens) if checked else {})})

    out.mkdir(parents=True, exist_ok=True)
    fit(model, loss_of_step, recipe.fit, out / "state.safetensors", log=log_with_held_out, resumed=resumed)
    model.cpu()
    tokenizer = recall_tokenizer(recipe.context_tokens)
    save(model, tokenizer, out / "model")
    return model, tokenizer


def shortened(recipe: RecallRecipe, steps: int) -> RecallRecipe:
    """The same recipe over another number of steps."""
    return replace(recipe, fit=replace(recipe.fit, steps=steps))
