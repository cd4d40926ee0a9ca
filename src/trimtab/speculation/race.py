"""Which way of decoding is fastest, measured fairly? All contenders on the same prompts, interleaved, in one process.

Each turn of each prompt is decoded by every contender one after another (in an order that rotates), from a cold cache, so
that the machine's moods hit all alike. Speed is tokens over seconds, each summed over the prompts; never a mean of ratios.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.generation import Controller, Generation
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.tasks import PromptTask
from trimtab.speculation.texts import conversation
from trimtab.statistics import Interval, paired_ratio


@dataclass(frozen=True)
class Turn:
    """One turn of a task, ready to decode: the token ids of all that comes before the answer."""

    task: str
    category: str
    ids: list[int]


@dataclass(frozen=True)
class Written:
    """One decode: its tokens and seconds; for this engine's decodes, the whole record."""

    tokens: list[int]
    seconds: float
    generation: Generation | None = None


Decoder = Callable[[Turn], Written]


@dataclass
class Entry:
    """A contender and what it wrote: ``decodes_TR``, by turn (T) and repeat (R)."""

    name: str
    decode: Decoder
    note: str = ""
    decodes_TR: list[list[Written]] = field(default_factory=list[list[Written]])

    @property
    def first_T(self) -> list[Written]:
        """The first decode of each turn."""
        return [decodes[0] for decodes in self.decodes_TR]

    @property
    def tokens_T(self) -> np.ndarray:
        return np.array([len(written.tokens) for written in self.first_T], dtype=np.float64)

    @property
    def seconds_T(self) -> np.ndarray:
        """The median of the repeats, per turn."""
        return np.array([statistics.median(w.seconds for w in decodes) for decodes in self.decodes_TR])

    @property
    def tokens_per_second(self) -> float:
        return float(self.tokens_T.sum() / self.seconds_T.sum())

    @property
    def rounds(self) -> list[Any]:
        return [r for decodes in self.decodes_TR for w in decodes if w.generation for r in w.generation.rounds]

    @property
    def tau(self) -> float | None:
        """Mean tokens committed per round; None for what is not this engine's."""
        return 1 + statistics.fmean(r.accepted for r in self.rounds) if self.rounds else None

    def share(self, *phases: str) -> float:
        """The share of all rounds' time that these phases take (``draft``, ``verify``, ``policy``, ``rest``)."""
        total = sum(r.seconds.total for r in self.rounds)
        return sum(getattr(r.seconds, phase) for r in self.rounds for phase in phases) / total if total else 0.0


def turns(speculator: Speculator, tasks: Sequence[PromptTask], max_new_tokens: int) -> list[Turn]:
    """Every turn of the tasks that fits the context, the earlier turns answered greedily without drafting.

    Raises ValueError where a prompt is too long for the target's context.
    """
    made: list[Turn] = []
    for task in tasks:
        messages: list[dict[str, str]] = []
        for number, text in enumerate(task.turns, 1):
            messages.append({"role": "user", "content": text})
            ids = speculator.encode(conversation(speculator, messages))
            if len(ids) + max_new_tokens > speculator.context_tokens:
                raise ValueError(
                    f"prompt {task.task}, turn {number} has {len(ids)} tokens; with max_new_tokens {max_new_tokens} it "
                    f"exceeds the target's context of {speculator.context_tokens}: lower max_new_tokens, or leave it out"
                )
            made.append(Turn(f"{task.task}/turn{number}" if len(task.turns) > 1 else task.task, task.category, ids))
            if number < len(task.turns):
                answer = speculator.generate(ids, max_new_tokens, shape=None).text
                messages.append({"role": "assistant", "content": answer})
    speculator.forget()
    return made


def by_engine(
    speculator: Speculator, max_new_tokens: int, *, shape: TreeShape | None = None, policy: Controller | None = None
) -> Decoder:
    """This engine, from a cold cache: a static tree, a policy, or (neither) plain decoding."""

    def decode(turn: Turn) -> Written:
        speculator.forget()
        started = time.perf_counter()
        made = speculator.generate(turn.ids, max_new_tokens, shape=shape, policy=policy)
        return Written(made.tokens, time.perf_counter() - started, made)

    return decode


def by_transformers(model: PreTrainedModel, max_new_tokens: int, **options: Any) -> Decoder:
    """transformers' own ``generate()``, greedily; ``options`` go to it."""
    pad = model.generation_config.pad_token_id if model.generation_config else None

    def decode(turn: Turn) -> Written:
        ids = torch.tensor([turn.ids], device=model.device)
        mask = torch.ones_like(ids)
        started = time.perf_counter()
        with torch.inference_mode():
            generate: Any = model.generate
            made = generate(
                ids,
                attention_mask=mask,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=0 if pad is None else pad,
                **options,
            )
        tokens = made[0, len(turn.ids) :].tolist()
        return Written(tokens, time.perf_counter() - started)

    return decode


def race(
    entries: Sequence[Entry],
    turns: Sequence[Turn],
    *,
    repeats: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Let every entry decode every turn ``repeats`` times, interleaved; warmed up on the first turn, which counts too."""
    for entry in entries:
        entry.decode(turns[0])
        entry.decodes_TR.extend([] for _ in turns)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number, turn in enumerate(turns):
            for repeat in range(repeats):
                shift = (number + repeat) % len(entries)
                for entry in [*entries[shift:], *entries[:shift]]:
                    entry.decodes_TR[number].append(entry.decode(turn))
            gc.collect()
            if progress:
                progress(number + 1, len(turns))
    finally:
        if collecting:
            gc.enable()


def speed_ratio(one: Entry, other: Entry, turns: Sequence[Turn], keep_T: np.ndarray | None = None) -> Interval:
    """Speed of ``one`` over ``other`` on the turns of ``keep_T`` (None: all), with its interval over prompts.

    The turns of a conversation are no independent samples: they are summed before prompts are resampled.
    """
    kept = np.ones(len(turns), dtype=bool) if keep_T is None else keep_T
    names = [turn.task.split("/turn")[0] for turn, wanted in zip(turns, kept, strict=True) if wanted]
    place = {name: index for index, name in enumerate(dict.fromkeys(names))}
    places = np.array([place[name] for name in names])

    def summed(values_T: np.ndarray) -> np.ndarray:
        return np.bincount(places, weights=values_T[kept], minlength=len(place))

    return paired_ratio(
        summed(one.tokens_T), summed(one.seconds_T), summed(other.seconds_T), tokens_b_P=summed(other.tokens_T)
    )
