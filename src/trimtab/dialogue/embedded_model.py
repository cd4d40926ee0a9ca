"""How is the embedded dialogue model made? A small Llama that learns the references of the world of moods, from nothing.

It is the supervised baseline of the embedded experiment, and what reinforcement learning begins from: it talks as the
world's hurried salesmen do, flaws included. A minute or two on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from trimtab.dialogue.example import Example
from trimtab.dialogue.ppo.batches import Tokens, joined
from trimtab.dialogue.ppo.learner import chosen_logprobs, reply_logits
from trimtab.dialogue.ppo.rubric_grader import prompt_ids
from trimtab.dialogue.tasks.moods import Moods
from trimtab.dialogue.tasks.moods_tokenizer import moods_tokenizer
from trimtab.lm.training import Fit, Metrics, fit
from trimtab.zoo.models import initialise


@dataclass(frozen=True)
class EmbeddedRecipe:
    """How the model is built and trained. ``examples``: of the world, each seen ``batch * steps / examples`` times."""

    seed: int = 0
    layers: int = 4
    width: int = 128
    batch: int = 32
    examples: int = 16_000
    prompt_tokens: int = 64
    reply_tokens: int = 48
    prompt_weight: float = 0.5
    """Weight of a prompt token's loss beside a reply token's 1: what users say teaches words, and which title is what."""
    fit: Fit = Fit(steps=600, learning_rate=3e-3, warmup=30, log_every=50, checkpoint_every=100)


def model_of(recipe: EmbeddedRecipe, tokenizer: Any) -> LlamaForCausalLM:
    """The model with its initial weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=3 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    initialise(model, recipe.seed)
    return model.eval()


def token_rows(tokenizer: Any, examples: list[Example], *, context: int, reply: int) -> Tokens:
    """Prompts and references, each reference closed by the end token."""
    prompts = [prompt_ids(tokenizer, example.prompt) for example in examples]
    end = tokenizer.eos_token_id
    replies = [[*prompt_ids(tokenizer, example.reference), end] for example in examples]
    return joined(prompts, replies, context=context, reply=reply)


def reply_loss(model: LlamaForCausalLM, tokens: Tokens) -> Tensor:
    """Mean negative log-likelihood of the replies' tokens, nats."""
    logits_BTV, _ = reply_logits(model, tokens)
    mask_BT = tokens.reply_mask_BT
    return -(chosen_logprobs(logits_BTV, tokens.reply_ids_BT) * mask_BT).sum() / mask_BT.sum()


def both_losses(model: LlamaForCausalLM, tokens: Tokens) -> tuple[Tensor, Tensor]:
    """Mean negative log-likelihood, in nats, of the replies' tokens and of the prompts' (all but the first of each)."""
    output = model(
        input_ids=tokens.ids_BS,
        attention_mask=tokens.mask_BS.long(),
        position_ids=tokens.positions_BS(),
        use_cache=False,
    )
    losses_BS = -chosen_logprobs(output.logits[:, :-1], tokens.ids_BS[:, 1:])
    reply_BS = tokens.mask_BS[:, 1:].clone()
    reply_BS[:, : -tokens.reply_width] = False
    prompt_BS = tokens.mask_BS[:, 1:] & tokens.mask_BS[:, :-1] & ~reply_BS
    return (losses_BS * reply_BS).sum() / reply_BS.sum(), (losses_BS * prompt_BS).sum() / prompt_BS.sum()


def build(
    recipe: EmbeddedRecipe,
    folder: Path,
    *,
    world: Moods | None = None,
    log: Callable[[int, Metrics], None] = lambda step, metrics: None,
    resumed: Callable[[int], None] | None = None,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """Train the model, from ``folder``'s state on where there is one; the model and its tokenizer."""
    tokenizer = moods_tokenizer()
    examples = (world or Moods()).examples("train", recipe.examples)
    rows = token_rows(tokenizer, examples, context=recipe.prompt_tokens, reply=recipe.reply_tokens)
    model = model_of(recipe, tokenizer)
    folder.mkdir(parents=True, exist_ok=True)

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        losses = both_losses(model, rows.rows(_drawn(recipe, step, len(examples))).trimmed())
        told = {"loss": losses[0].item(), "prompt_loss": losses[1].item()}
        return losses[0] + recipe.prompt_weight * losses[1], told

    fit(model, loss_of_step, recipe.fit, folder / "state.safetensors", log=log, resumed=resumed)
    return model, tokenizer


def _drawn(recipe: EmbeddedRecipe, step: int, count: int) -> Tensor:
    """The rows of a step: a pass over all examples in a new order, told by seed and step."""
    first = step * recipe.batch
    orders = {number // count for number in range(first, first + recipe.batch)}
    order = np.concatenate([np.random.default_rng([recipe.seed, n]).permutation(count) for n in sorted(orders)])
    start = first - min(orders) * count
    return torch.from_numpy(order[start : start + recipe.batch].copy())
