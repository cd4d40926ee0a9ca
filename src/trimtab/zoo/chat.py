"""How was ``zoo:chat`` made? A narrow, deep Llama trained from nothing on the corpus of ``corpus.py``.

Depth over width on purpose: a draft head of one layer is then cheap beside its target, as it is beside a large model.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from trimtab.lm.training import Fit, Metrics, fit
from trimtab.zoo import corpus
from trimtab.zoo.models import initialise, save
from trimtab.zoo.tokenizer import train_tokenizer


@dataclass(frozen=True)
class ChatRecipe:
    """Everything that determines ``zoo:chat``. ``windows``: (share of the steps, tokens per window), in order."""

    vocab_size: int = 4096
    hidden_size: int = 256
    intermediate_size: int = 576
    layers: int = 16
    heads: int = 4
    key_value_heads: int = 2
    context_tokens: int = 1024
    batch_tokens: int = 8192
    windows: tuple[tuple[float, int], ...] = ((0.7, 256), (0.2, 512), (0.1, 1024))
    seed: int = 0
    compile: bool = True
    fit: Fit = Fit(steps=1400)

    def window_tokens(self, step: int) -> int:
        """Tokens per window at ``step``: short windows first, the whole context last."""
        share, reached = (step + 0.5) / self.fit.steps, 0.0
        for part, tokens in self.windows:
            reached += part
            if share < reached:
                return tokens
        return self.windows[-1][1]


def encode(tokenizer: PreTrainedTokenizerFast, conversation: corpus.Conversation) -> list[int]:
    """The conversation's token ids under the tokenizer's own chat template."""
    messages = [{"role": role, "content": text} for role, text in conversation.messages]
    ids: Any = tokenizer.apply_chat_template(messages, return_dict=False)
    return list(ids)


class Stream:
    """Conversations as an endless stream of tokens: shuffled anew each epoch, addressed by position, stateless.

    All epochs have the same number of tokens, so token ``n`` of the stream depends on (seed, n) alone.
    """

    def __init__(self, documents: list[list[int]], seed: int) -> None:
        self._documents = [np.asarray(ids, dtype=np.int32) for ids in documents]
        self._seed = seed
        self.epoch_tokens = sum(len(ids) for ids in self._documents)
        self._epoch = -1
        self._tokens = np.empty(0, dtype=np.int32)

    def _load(self, epoch: int) -> None:
        order = list(range(len(self._documents)))
        random.Random(self._seed * 1_000_003 + epoch).shuffle(order)
        self._tokens = np.concatenate([self._documents[index] for index in order])
        self._epoch = epoch

    def read(self, start: int, count: int) -> np.ndarray:
        """Tokens ``start .. start + count`` of the stream, as int32 [count]."""
        parts: list[np.ndarray] = []
        while count > 0:
            epoch, offset = divmod(start, self.epoch_tokens)
            if epoch != self._epoch:
                self._load(epoch)
            part = self._tokens[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts)


def architecture(recipe: ChatRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The model's configuration, in transformers' own terms."""
    special: dict[str, Any] = {
        name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")
    }
    return LlamaConfig(
        vocab_size=recipe.vocab_size,
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.key_value_heads,
        max_position_embeddings=recipe.context_tokens,
        tie_word_embeddings=True,
        **special,
    )


class _Loss(nn.Module):
    """Mean cross-entropy of the next token, in bf16 autocast. Input [B, T + 1], output a scalar (nats)."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens_BT: Tensor) -> Tensor:
        inputs, targets = tokens_BT[:, :-1], tokens_BT[:, 1:]
        with torch.autocast(tokens_BT.device.type, torch.bfloat16):
            hidden = self.model.model(input_ids=inputs, use_cache=False).last_hidden_state
            logits = self.model.lm_head(hidden)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


@torch.no_grad()
def held_out_losses(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    conversations: list[corpus.Conversation],
    *,
    each: int = 24,
) -> Metrics:
    """Nats per token on held-out conversations, by source (the first ``each`` of each), and their mean."""
    losses: Metrics = {}
    loss_of = _Loss(model).eval()
    for source in corpus.SOURCES:
        chosen = [c for c in conversations if c.held_out and c.source == source][:each]
        total, tokens = 0.0, 0
        for conversation in chosen:
            ids = torch.tensor([encode(tokenizer, conversation)[: model.config.max_position_embeddings]])
            total, tokens = total + float(loss_of(ids)) * (ids.shape[1] - 1), tokens + ids.shape[1] - 1
        losses[f"held_out/{source}"] = total / max(1, tokens)
    losses["held_out/mean"] = sum(losses.values()) / len(corpus.SOURCES)
    return losses


def build(
    recipe: ChatRecipe,
    conversations: list[corpus.Conversation],
    out: Path,
    *,
    log: Callable[[int, Metrics], None],
    resumed: Callable[[int], None] | None = None,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Train (or go on training) in ``out``: tokenizer, ``state.safetensors``, and the final model in ``out/model``."""
    training = [c for c in conversations if not c.held_out]
    texts = (text for c in training for _, text in c.messages)
    tokenizer = train_tokenizer(texts, vocab_size=recipe.vocab_size, max_length=recipe.context_tokens)
    stream = Stream([encode(tokenizer, c) for c in training], recipe.seed)
    model = LlamaForCausalLM(architecture(recipe, tokenizer))
    initialise(model, recipe.seed)
    loss_of = _Loss(model).train()
    compiled = torch.compile(loss_of, dynamic=False) if recipe.compile else loss_of

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        window = recipe.window_tokens(step)
        rows = recipe.batch_tokens // window
        starts = [step * recipe.batch_tokens + row * window for row in range(rows)]
        batch = torch.from_numpy(np.stack([stream.read(start, window + 1) for start in starts])).long()
        loss = compiled(batch)
        return loss, {"loss": float(loss.detach()), "tokens": float((step + 1) * recipe.batch_tokens)}

    def log_with_held_out(step: int, metrics: Metrics) -> None:
        checked = step % (10 * recipe.fit.log_every) == 0 or step == recipe.fit.steps
        log(step, {**metrics, **(held_out_losses(model, tokenizer, conversations) if checked else {})})

    out.mkdir(parents=True, exist_ok=True)
    fit(model, loss_of_step, recipe.fit, out / "state.safetensors", log=log_with_held_out, resumed=resumed)
    save(model, tokenizer, out / "model")
    return model, tokenizer


def shortened(recipe: ChatRecipe, steps: int) -> ChatRecipe:
    """The same recipe over another number of steps."""
    return replace(recipe, fit=replace(recipe.fit, steps=steps))
