"""``trimtab speculation train-head``: an EAGLE-3 head for any target, from conversations, in the published format."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.console import number, say

if TYPE_CHECKING:
    from trimtab.speculation.training.recipe import HeadRecipe


@dataclass(frozen=True)
class TrainHead:
    """Train an EAGLE-3 draft head for a target on the target's own answers. Run it again to go on where it stopped."""

    target: str
    """The model to draft for: a hub id, a local path, or zoo:chat."""
    data: str
    """Conversations: a JSON Lines file (messages, turns, or ShareGPT's conversations), or a hub data set."""
    out: Path
    """Where answers, state, log.jsonl and the finished head (OUT/head) go."""
    field: str | None = None
    """The field of each row that holds the conversation, where its name is another."""
    split: str = "train"
    """The split of a hub data set."""
    rows: int | None = None
    """Read at most so many rows of the data."""
    answer_tokens: int = 1_000_000
    """Tokens of answers to learn from."""
    max_new_tokens: int = 256
    """The longest answer."""
    sampled_share: float = 0.0
    """Share of the answers sampled at temperature 1; all others are greedy."""
    answer_batch: int = 64
    """Prompts answered at a time."""
    steps: int = 1000
    """Training steps."""
    learning_rate: float = 3e-3
    """Highest learning rate (Muon for matrices, AdamW for the rest)."""
    draft_vocab_size: int = 32_000
    """How many of the target's tokens the head can draft; at most all."""
    intermediate_size: int | None = None
    """Width of the head's MLP; the target's where not given."""
    taps: tuple[int, ...] | None = None
    """Target layers whose inputs the head reads; (2, L//2, L-3) where not given."""
    unroll: int = 7
    """Steps of training-time test."""
    window_tokens: int = 256
    """Tokens per training window."""
    batch_tokens: int = 8192
    """Tokens per training step, prompts included."""
    compile: bool = True
    """Compile target and loss: slow to start, fast to run."""
    dtype: str = "auto"
    """The target's dtype: auto (the file's own), float32, bfloat16, float16."""
    device: str | None = None
    """Where to run; the CPU where not given."""
    seed: int = 0
    """Seed of cuts, samples, initial weights and order."""

    def recipe(self) -> HeadRecipe:
        """The recipe that these fields spell out."""
        from trimtab.lm.training import Fit
        from trimtab.speculation.training.recipe import AnswerSettings, HeadRecipe

        answers = AnswerSettings(
            tokens=self.answer_tokens,
            max_new_tokens=self.max_new_tokens,
            sampled_share=self.sampled_share,
            batch_rows=self.answer_batch,
            seed=self.seed,
        )
        return HeadRecipe(
            target=self.target,
            draft_vocab_size=self.draft_vocab_size,
            intermediate_size=self.intermediate_size,
            taps=self.taps,
            unroll=self.unroll,
            window_tokens=self.window_tokens,
            batch_tokens=self.batch_tokens,
            seed=self.seed,
            compile=self.compile,
            answers=answers,
            fit=Fit(steps=self.steps, learning_rate=self.learning_rate),
        )

    def run(self) -> None:
        """Carry it out, telling what is going on."""
        from trimtab.lm.load import load_model
        from trimtab.speculation.engine.target import context_tokens
        from trimtab.speculation.training.data import conversations, prompts
        from trimtab.speculation.training.trainer import head_config, train_head

        recipe = self.recipe()
        say(f"loading {self.target}")
        target, tokenizer = load_model(self.target, dtype=self.dtype, device=self.device)
        head_config(target, recipe)  # a target that cannot have a head fails before its data are read
        room = context_tokens(target) - self.max_new_tokens
        chats = conversations(self.data, field=self.field, split=self.split, limit=self.rows)
        asked = prompts(chats, tokenizer, seed=self.seed, max_prompt_tokens=room)
        say(f"{len(asked)} prompts of at most {room} tokens")
        journal = Journal(self.out / "log.jsonl", recipe.answers.tokens, recipe.fit.steps)
        train_head(
            target, asked, recipe, self.out, log=journal.step, log_answers=journal.answers, resumed=journal.rewind
        )
        say(f"the head is in {self.out / 'head'}")


class Journal:
    """Progress of a head's training: a line on the console, a row of ``path`` (JSON Lines)."""

    def __init__(self, path: Path, answer_tokens: int, steps: int) -> None:
        from trimtab.lm.training import StepLog

        self._rows = StepLog(path)
        self._answer_tokens, self._steps = answer_tokens, steps
        self._began = time.perf_counter()

    def _elapsed(self) -> dict[str, float]:
        return {"elapsed_seconds": time.perf_counter() - self._began}

    def rewind(self, step: int) -> None:
        """Drop the rows of steps after ``step``."""
        self._rows.rewind(step)

    def answers(self, shards: int, tokens: int) -> None:
        """``shards`` files of answers are there, with ``tokens`` answer tokens in all."""
        self._rows(0, {"shards": shards, "answer_tokens": tokens, **self._elapsed()})
        say(f"answers | {tokens} of {self._answer_tokens} tokens")

    def step(self, step: int, metrics: dict[str, float]) -> None:
        """Training step ``step`` is done."""
        self._rows(step, {**metrics, **self._elapsed()})
        shown = " | ".join(f"{name} {number(value)}" for name, value in metrics.items())
        say(f"step {step} of {self._steps} | {shown}")
