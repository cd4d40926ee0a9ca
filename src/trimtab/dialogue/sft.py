"""How is a language model taught by examples what to answer? Supervised fine-tuning by TRL, of all weights or an adapter.

Prompt and reply are tokenised apart, as they are when a policy answers, and the loss is that of the reply alone, its end
included. (A template that differs between training and use is the commonest way to a baseline that is none.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trimtab.dialogue.example import Example
from trimtab.dialogue.ppo.batches import joined
from trimtab.dialogue.ppo.building import Lora
from trimtab.dialogue.ppo.learner import chosen_logprobs, reply_logits
from trimtab.dialogue.ppo.rubric_grader import prompt_ids
from trimtab.dialogue.trl_rows import _logging, _peft_config, _trl  # pyright: ignore[reportPrivateUsage]
from trimtab.lm.load import load_model
from trimtab.types import Metrics


@dataclass(frozen=True)
class SftSettings:
    """Hyper-parameters of supervised fine-tuning. ``steps`` None: ``epochs`` passes."""

    epochs: float = 3.0
    steps: int | None = None
    batch_size: int = 16
    accumulation: int = 1
    learning_rate: float = 5e-5
    warmup_steps: int = 10
    context_max_length: int = 256
    reply_max_length: int = 128
    bf16: bool = False
    load_in_4bit: bool = False
    """Freeze the model in 4 bits (bitsandbytes, CUDA) and train an adapter on it."""
    lora: Lora = Lora()
    checkpoint_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.load_in_4bit and self.lora.rank == 0:
            raise ValueError("a model in 4 bits cannot be trained itself: give a LoRA rank above 0")


def quantisation(settings: SftSettings) -> dict[str, Any]:
    """Options of loading. Raises ValueError where 4 bits are wanted and bitsandbytes or CUDA is missing."""
    if not settings.load_in_4bit:
        return {}
    try:
        import bitsandbytes  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
    except ModuleNotFoundError as error:
        raise ValueError("loading in 4 bits needs the package bitsandbytes: pip install 'trimtab[4bit]'") from error
    if not torch.cuda.is_available():
        raise ValueError("loading in 4 bits needs a CUDA device: leave load_in_4bit off on this machine")
    from transformers import BitsAndBytesConfig

    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    }


def token_rows(tokenizer: Any, examples: Sequence[Example], settings: SftSettings) -> list[dict[str, list[int]]]:
    """``input_ids`` and ``completion_mask`` of each example: the last tokens of the prompt, the first of the reply.

    Raises ValueError for an example without a reference.
    """
    rows: list[dict[str, list[int]]] = []
    for example in examples:
        if not example.reference.strip():
            raise ValueError(f"example {example.key!r} has no reference to learn from: leave it out")
        prompt = prompt_ids(tokenizer, example.prompt)[-settings.context_max_length :]
        reply = [*prompt_ids(tokenizer, example.reference), tokenizer.eos_token_id][: settings.reply_max_length]
        rows.append({"input_ids": prompt + reply, "completion_mask": [0] * len(prompt) + [1] * len(reply)})
    return rows


@torch.no_grad()
def reply_perplexity(model: Any, tokenizer: Any, examples: Sequence[Example], *, batch_size: int = 32) -> float:
    """exp of the mean negative log-likelihood of the references' tokens, their ends included."""
    nats, count = 0.0, 0
    for start in range(0, len(examples), batch_size):
        some = examples[start : start + batch_size]
        prompts = [prompt_ids(tokenizer, e.prompt) for e in some]
        replies = [[*prompt_ids(tokenizer, e.reference), tokenizer.eos_token_id] for e in some]
        tokens = joined(prompts, replies, context=max(map(len, prompts)), reply=max(map(len, replies))).to(model.device)
        logits_BTV, _ = reply_logits(model, tokens)
        nats -= float((chosen_logprobs(logits_BTV, tokens.reply_ids_BT) * tokens.reply_mask_BT).sum())
        count += int(tokens.reply_mask_BT.sum())
    return math.exp(nats / count)


def fine_tune(
    model_name: str | Path,
    examples: Sequence[Example],
    settings: SftSettings,
    folder: Path,
    *,
    log: Callable[[int, Metrics], object] = lambda step, metrics: None,
    evaluate: Callable[[int, Any, Any], object] | None = None,
    evaluate_every: int = 100,
) -> tuple[Any, Any]:
    """Fine-tune a model on the examples' references; it and its tokenizer. ``folder``: where checkpoints are kept, and
    gone on from. ``evaluate(step, model, tokenizer)`` is called before the first step and every ``evaluate_every``."""
    trl = _trl()
    from datasets import Dataset

    model, tokenizer = load_model(model_name, **quantisation(settings))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    trainer = trl.SFTTrainer(
        model=model,
        args=_arguments(trl, settings, folder, model.device.type),
        train_dataset=Dataset.from_list(token_rows(tokenizer, examples, settings)),
        processing_class=tokenizer,
        peft_config=_peft_config(settings.lora),
        callbacks=[_logging(log), *([_evaluating(evaluate, evaluate_every, tokenizer)] if evaluate else [])],
    )
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")) or None)
    return trainer.model.eval(), tokenizer


def _evaluating(evaluate: Callable[[int, Any, Any], object], every: int, tokenizer: Any) -> Any:
    from transformers import TrainerCallback

    class Evaluating(TrainerCallback):
        """Hands the model, as it is, to ``evaluate``; the last step is left to the caller."""

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step == 0:
                self._evaluate(0, model)

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step % every == 0 and state.global_step < state.max_steps:
                self._evaluate(state.global_step, model)

        def _evaluate(self, step: int, model: Any) -> None:
            model.eval()
            evaluate(step, model, tokenizer)
            model.train()

    return Evaluating()


def _arguments(trl: Any, settings: SftSettings, folder: Path, device: str) -> Any:
    return trl.SFTConfig(
        output_dir=str(folder),
        max_steps=settings.steps or -1,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        max_length=settings.context_max_length + settings.reply_max_length,
        completion_only_loss=True,
        packing=False,
        bf16=settings.bf16,
        use_cpu=device == "cpu",
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="steps",
        save_steps=settings.checkpoint_every,
        save_total_limit=2,
        logging_steps=10,
        disable_tqdm=True,
        seed=settings.seed,
    )
