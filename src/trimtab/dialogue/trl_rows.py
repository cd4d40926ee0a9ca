"""What do critic-free learners make of the same rewards? RLOO and GRPO by TRL, told the very rubric that PPO is told.

RLOO: Ahmadian et al. 2024 (arXiv:2402.14740). GRPO: Shao et al. 2024 (arXiv:2402.03300). Both draw a group of replies to
each prompt, and judge each against its group.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trimtab.dialogue.example import Example, Reply
from trimtab.dialogue.ppo.building import Lora
from trimtab.dialogue.ppo.rubric_grader import end_ids, reply_text
from trimtab.lm.load import load_model
from trimtab.rewards import Rubric
from trimtab.types import Metrics


@dataclass(frozen=True)
class TrlSettings:
    """Hyper-parameters of RLOO and GRPO, named as PPO's are. ``group_size``: replies to each prompt."""

    algorithm: Literal["rloo", "grpo"] = "rloo"
    steps: int = 100
    """Times that replies are written."""
    batch_size: int = 64
    minibatch_size: int = 32
    epochs: int = 2
    group_size: int = 4
    learning_rate: float = 3e-4
    beta: float = 0.05
    """Cost of a nat of KL to the reference, fixed."""
    clip_epsilon: float = 0.2
    temperature: float = 1.0
    reply_max_length: int = 48
    unfinished_penalty: float = 1.0
    warmup_steps: int = 10
    bf16: bool = False
    lora: Lora = Lora()
    seed: int = 0

    def __post_init__(self) -> None:
        for whole, part in ((self.batch_size, self.minibatch_size), (self.batch_size, self.group_size)):
            if part <= 0 or whole % part:
                raise ValueError(f"a batch of {whole} cannot be divided by {part}: choose sizes that divide it")


class Counted:
    """A rubric as TRL calls it, less the penalty of replies that were cut; counts what was written."""

    __name__ = "rubric"

    def __init__(self, rubric: Rubric[Reply], outcome_of: Callable[..., Reply], penalty: float) -> None:
        self._reward = rubric.to_trl(outcome_of)
        self._penalty = penalty
        self._outcome_of = outcome_of
        self.replies = 0
        self.tokens = 0

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        ids = columns["completion_ids"]
        self.replies += len(ids)
        self.tokens += sum(map(len, ids))
        values = self._reward(prompts, completions, **columns)
        replies = [
            self._outcome_of(None, None, {"completion_ids": reply, "row": row})
            for reply, row in zip(ids, columns["row"], strict=True)
        ]
        return [value - (0.0 if reply.ended else self._penalty) for value, reply in zip(values, replies, strict=True)]


def outcomes(examples: Sequence[Example], tokenizer: Any, ends: Collection[int]) -> Callable[..., Reply]:
    """How a reply is made of what TRL has: the tokens, and the example's row. (TRL's own text hides special tokens.)"""

    def outcome_of(prompt: Any, completion: Any, columns: Mapping[str, Any]) -> Reply:
        ids = list(columns["completion_ids"])
        ended = bool(ids) and ids[-1] in ends
        return Reply(examples[int(columns["row"])], reply_text(tokenizer, ids, ends), ended, len(ids))

    return outcome_of


def train_by_trl(
    model_path: str | Path,
    rubric: Rubric[Reply],
    examples: Sequence[Example],
    settings: TrlSettings,
    *,
    log: Callable[[int, Metrics], object] = lambda step, metrics: None,
) -> tuple[Any, Any, Counted]:
    """Train the model in ``model_path`` (a path or hub id: TRL loads the reference from there); it, its tokenizer, and
    the reward with its counts. Raises ValueError where TRL is not installed."""
    trl = _trl()
    from datasets import Dataset

    model, tokenizer = load_model(model_path)
    ends = end_ids(tokenizer, model)
    reward = Counted(rubric, outcomes(examples, tokenizer, ends), settings.unfinished_penalty)
    rows = [{"prompt": plain_prompt(tokenizer, e.prompt), "row": row} for row, e in enumerate(examples)]
    trainer_class = trl.RLOOTrainer if settings.algorithm == "rloo" else trl.GRPOTrainer
    with tempfile.TemporaryDirectory() as scratch:
        trainer = trainer_class(
            model=model,
            reward_funcs=[reward],
            args=_arguments(trl, settings, scratch, model.device.type),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=_peft_config(settings.lora),
            callbacks=[_logging(log)],
        )
        trainer.train()
    return trainer.model.eval(), tokenizer, reward


def plain_prompt(tokenizer: Any, prompt: str) -> str:
    """The prompt without the beginning-of-sequence text that the tokenizer will add itself."""
    begin = tokenizer.bos_token
    adds = begin is not None and list(tokenizer("x")["input_ids"])[:1] == [tokenizer.bos_token_id]
    return prompt.removeprefix(str(begin)) if adds else prompt


def _trl() -> Any:
    try:
        import trl
    except ModuleNotFoundError as error:
        raise ValueError("RLOO and GRPO need the package trl: pip install 'trimtab[train]'") from error
    return trl


def _arguments(trl: Any, settings: TrlSettings, scratch: str, device: str) -> Any:
    steps_per_batch = settings.batch_size // settings.minibatch_size
    config = trl.RLOOConfig if settings.algorithm == "rloo" else trl.GRPOConfig
    scale = {} if settings.algorithm == "rloo" else {"loss_type": "dapo"}
    return config(
        output_dir=scratch,
        max_steps=settings.steps * steps_per_batch * settings.epochs,
        per_device_train_batch_size=settings.minibatch_size,
        generation_batch_size=settings.batch_size,
        num_iterations=settings.epochs,
        num_generations=settings.group_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps * steps_per_batch * settings.epochs,
        beta=settings.beta,
        epsilon=settings.clip_epsilon,
        temperature=settings.temperature,
        top_k=0,
        top_p=1.0,
        max_completion_length=settings.reply_max_length,
        bf16=settings.bf16,
        use_cpu=device == "cpu",
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_steps=steps_per_batch * settings.epochs,
        disable_tqdm=True,
        seed=settings.seed,
        **scale,
    )


def _peft_config(lora: Lora) -> Any:
    if lora.rank == 0:
        return None
    import peft

    return peft.LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha or 2 * lora.rank, lora_dropout=0.0, target_modules="all-linear"
    )


def _logging(log: Callable[[int, Metrics], object]) -> Any:
    from transformers import TrainerCallback

    class Logging(TrainerCallback):
        """Hands the numbers that TRL logs to ``log``; TRL prints none of them."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            numbers = {name: float(v) for name, v in (logs or {}).items() if isinstance(v, (int, float))}
            if numbers:
                log(int(state.global_step), numbers)

    return Logging()
