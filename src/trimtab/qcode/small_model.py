"""How is the embedded model ``zoo:q`` made? A small Llama with a tokenizer of its own, taught references from nothing.

It reads a description and writes q: enough to try every part of this room on a laptop, and to see GRPO teach what SFT did
not. The same recipe with other data is the base of the experiment in ``benchmarks/qcode.py``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from trimtab.lm.training import Fit, Metrics, fit
from trimtab.qcode import prompts
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.prompts import PromptSettings
from trimtab.zoo.models import initialise, save
from trimtab.zoo.tokenizer import train_tokenizer

IGNORED = -100


@dataclass(frozen=True)
class SmallRecipe:
    """Everything that determines a small model, but for its problems."""

    vocab_size: int = 640
    hidden_size: int = 128
    intermediate_size: int = 384
    layers: int = 3
    heads: int = 4
    context_tokens: int = 512
    batch_size: int = 64
    prompt: PromptSettings = PromptSettings(terse=True)
    seed: int = 0
    fit: Fit = Fit(steps=300, learning_rate=3e-3, warmup=20, decay=0.5, weight_decay=0.05, checkpoint_every=100)


def tokenizer_for(problems: Sequence[Problem], recipe: SmallRecipe) -> PreTrainedTokenizerFast:
    """A tokenizer learnt from descriptions and references."""
    texts = (text for p in problems for text in (p.description, *p.references))
    return train_tokenizer(texts, vocab_size=recipe.vocab_size, max_length=recipe.context_tokens)


def architecture(recipe: SmallRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The model's configuration, in transformers' own terms."""
    special: dict[str, Any] = {n: getattr(tokenizer, n) for n in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=recipe.context_tokens,
        tie_word_embeddings=True,
        **special,
    )


def token_rows(tokenizer: Any, problems: Sequence[Problem], settings: PromptSettings) -> list[tuple[list[int], int]]:
    """The tokens of each prompt with its answer and end, and how many of them are the prompt's."""
    rows: list[tuple[list[int], int]] = []
    for prompt, answer in prompts.taught(problems, settings):
        ids = prompts.ids_of(prompt, tokenizer)
        reply = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        rows.append((ids + reply, len(ids)))
    return rows


def batch_of(rows: Sequence[tuple[list[int], int]], pad: int) -> tuple[Tensor, Tensor]:
    """(ids [B, T], labels [B, T]): padded on the right, the prompt's tokens not learnt."""
    width = max(len(ids) for ids, _ in rows)
    ids_BT = torch.full((len(rows), width), pad)
    labels_BT = torch.full((len(rows), width), IGNORED)
    for row, (ids, prompt) in enumerate(rows):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        labels_BT[row, prompt : len(ids)] = torch.tensor(ids[prompt:])
    return ids_BT, labels_BT


def answer_loss(model: Any, rows: Sequence[tuple[list[int], int]], pad: int) -> Tensor:
    """Mean cross-entropy (nats) of the answers' tokens."""
    ids_BT, labels_BT = batch_of(rows, pad)
    logits = model(input_ids=ids_BT[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits.flatten(0, 1).float(), labels_BT[:, 1:].flatten(), ignore_index=IGNORED)


def chosen(count: int, batch_size: int, seed: int, step: int) -> list[int]:
    """Which rows make the batch of ``step``: all in turn, shuffled anew each time round; depends on nothing else."""
    places = range(step * batch_size, (step + 1) * batch_size)
    orders: dict[int, list[int]] = {}
    for turn in {place // count for place in places}:
        orders[turn] = random.Random(f"{seed} {turn}").sample(range(count), count)
    return [orders[place // count][place % count] for place in places]


def new_model(recipe: SmallRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A model that has learnt nothing yet."""
    model = LlamaForCausalLM(architecture(recipe, tokenizer))
    initialise(model, recipe.seed)
    return model


def build(
    recipe: SmallRecipe,
    problems: Sequence[Problem],
    vocabulary: Sequence[Problem],
    out: Path,
    *,
    log: Callable[[int, Metrics], None],
    look: Callable[[int, LlamaForCausalLM], object] = lambda step, model: None,
    validation: Sequence[Problem] = (),
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Teach a new model the references of ``problems`` (or go on in ``out``); the final model is in ``out/model``.

    ``look`` sees the model whenever a row is logged. ``vocabulary``: the problems whose texts make the tokenizer (never of
    a test split). ``validation``: problems whose loss is logged.
    """
    tokenizer = tokenizer_for(vocabulary, recipe)
    model = new_model(recipe, tokenizer)
    pad = int(tokenizer.pad_token_id)  # pyright: ignore[reportArgumentType]
    rows = token_rows(tokenizer, problems, recipe.prompt)
    held_out = token_rows(tokenizer, validation, recipe.prompt) if validation else []

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        model.train()
        loss = answer_loss(model, [rows[r] for r in chosen(len(rows), recipe.batch_size, recipe.seed, step)], pad)
        return loss, {"loss": float(loss.detach())}

    def told(step: int, metrics: Metrics) -> None:
        if held_out:
            with torch.no_grad():
                metrics = {**metrics, "validation_loss": float(answer_loss(model.eval(), held_out, pad))}
        log(step, metrics)
        look(step, model)

    out.mkdir(parents=True, exist_ok=True)
    fit(model, loss_of_step, recipe.fit, out / "state.safetensors", log=told)
    save(model, tokenizer, out / "model")
    return model, tokenizer
