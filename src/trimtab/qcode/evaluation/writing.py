"""How do many prompts become answers? By a local model in batches of similar length, or by a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trimtab.qcode import models, prompts
from trimtab.qcode.attempts import Answer
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.prompts import PromptSettings


@dataclass(frozen=True)
class Manner:
    """How answers are written. ``temperature`` 0: the likeliest token each time."""

    temperature: float = 0.8
    samples: int = 1
    max_new_tokens: int = 512
    batch_size: int = 64
    seed: int = 0


class Writer(Protocol):
    """Writes ``manner.samples`` answers to each problem, in order."""

    @property
    def name(self) -> str: ...

    def write(
        self, problems: Sequence[Problem], manner: Manner, advance: Callable[[float], None] = ...
    ) -> list[list[Answer]]: ...


def _ignore(done: float) -> None:
    del done


class LocalWriter:
    """A model of transformers, as it is (in training or not)."""

    def __init__(self, model: Any, tokenizer: Any, settings: PromptSettings, name: str = "model") -> None:
        prompts.check_tokenizer(tokenizer, settings, name)
        self.model, self.tokenizer, self.settings = model, models.padded(tokenizer), settings
        self.name = name
        self._ends = models.end_ids(tokenizer, model.generation_config)

    def write(
        self, problems: Sequence[Problem], manner: Manner, advance: Callable[[float], None] = _ignore
    ) -> list[list[Answer]]:
        """Answers by problem. What is drawn depends on the seed, and on how the batches fall."""
        import torch

        ids = [prompts.ids_of(prompts.build(p, self.settings), self.tokenizer) for p in problems]
        jobs = sorted(
            (place for place in range(len(problems)) for _ in range(manner.samples)), key=lambda p: len(ids[p])
        )
        found: list[list[Answer]] = [[] for _ in problems]
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(manner.seed)
            for start in range(0, len(jobs), manner.batch_size):
                batch = jobs[start : start + manner.batch_size]
                for place, new in zip(batch, self._batch([ids[place] for place in batch], manner), strict=True):
                    found[place].append(self._answer(problems[place], new))
                advance(min(1.0, (start + len(batch)) / len(jobs)))
        return found

    def _batch(self, ids: Sequence[list[int]], manner: Manner) -> list[list[int]]:
        padded: Any = self.tokenizer.pad({"input_ids": list(ids)}, return_tensors="pt")
        sampled = manner.temperature > 0
        options = {"temperature": manner.temperature, "top_k": 0, "top_p": 1.0} if sampled else {}
        written = self.model.generate(
            **{name: tensor.to(self.model.device) for name, tensor in padded.items()},
            max_new_tokens=manner.max_new_tokens,
            do_sample=sampled,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=sorted(self._ends),
            **options,
        )
        return written[:, padded["input_ids"].shape[1] :].tolist()

    def _answer(self, problem: Problem, new: list[int]) -> Answer:
        end = next((place for place, token in enumerate(new) if token in self._ends), None)
        kept = new if end is None else new[:end]
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        return Answer(problem, text, end is not None, len(kept) + (end is not None))
