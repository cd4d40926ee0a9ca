"""How are a machine's costs measured? By decoding: real rounds on real prompts, the trees in random order.

Isolated micro-benchmarks run with warm caches that a decode does not have. So the engine decodes, each round
with another tree of the menu, in an order drawn anew each time round, and a cost model is fitted to the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from trimtab.machine import hardware
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.costs import CostModel, Measured, fit, line
from trimtab.speculation.engine.generation import Generation, RoundState
from trimtab.speculation.engine.speculator import Prompt, Speculator

_NEW_TOKENS = 64
_PLAIN_TOKENS = 24
_PLAIN_EVERY = 4
_FEWEST_ROUNDS_PER_SIZE = 5
_FEWEST_DECODES = 6
_PATIENCE = 4


@dataclass
class _Deck:
    """A controller: every tree of the menu once, in random order; then anew."""

    actions: Sequence[TreeShape]
    draw: np.random.Generator
    contexts: list[int] = field(default_factory=list[int])
    _left: list[TreeShape] = field(default_factory=list[TreeShape])

    def __call__(self, state: RoundState) -> TreeShape:
        if not self._left:
            self._left = [self.actions[index] for index in self.draw.permutation(len(self.actions))]
        self.contexts.append(state.context_tokens)
        return self._left.pop()


@dataclass
class _Log:
    """What was timed. The first round with a size is left out: libraries prepare themselves for it."""

    shapes: list[TreeShape] = field(default_factory=list[TreeShape])
    rows: list[tuple[float, float, float, float]] = field(default_factory=list[tuple[float, float, float, float]])
    plain: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    prefill: list[tuple[float, float, TreeShape]] = field(default_factory=list[tuple[float, float, TreeShape]])
    _seen: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])

    def drafted(self, generation: Generation, contexts: list[int]) -> None:
        """The rounds of a decode; the head's extension over the prompt, in the first one, belongs to the prefill."""
        for number, (record, context) in enumerate(zip(generation.rounds, contexts, strict=True)):
            assert record.shape is not None
            sizes = {("total_tokens", record.shape.total_tokens), ("top_k", record.shape.top_k)}
            new, self._seen = not sizes <= self._seen, self._seen | sizes
            if number == 0:
                self.prefill.append((context, generation.prefill_seconds + record.seconds.draft, record.shape))
            elif not new:
                self.shapes.append(record.shape)
                self.rows.append((context, record.seconds.draft, record.seconds.verify, record.seconds.rest))

    def undrafted(self, generation: Generation, prompt_tokens: int) -> None:
        """The rounds of a plain decode."""
        for number, record in enumerate(generation.rounds[1:], start=1):
            self.plain.append((prompt_tokens + number, record.seconds.total))

    def fewest_rounds(self, actions: Sequence[TreeShape]) -> int:
        """Rounds with the rarest of the actions' values of total_tokens and top_k: each is a knot of the fit."""
        sizes = {(name, getattr(action, name)) for action in actions for name in ("total_tokens", "top_k")}
        return min(sum(getattr(shape, name) == value for shape in self.shapes) for name, value in sizes)

    def model(self, on: dict[str, Any]) -> CostModel:
        """The cost model of all that was timed."""
        measured = Measured(self.shapes, *np.array(self.rows).T)
        plain = line(*zip(*self.plain, strict=True))
        model = fit(measured, plain, (0.0, 0.0), on)
        context, seconds = np.array([entry[:2] for entry in self.prefill[1:]]).T  # the very first one warms up
        base, slope = model.line_A([entry[2] for entry in self.prefill[1:]], parts=["draft"])
        return replace(model, prefill=line(context, np.maximum(seconds - base - slope * context, 1e-9)))


def calibrate(
    speculator: Speculator,
    actions: Sequence[TreeShape],
    prompts: Sequence[Prompt],
    *,
    contexts: Sequence[int] = (0, 256),
    budget_seconds: float = 25.0,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> CostModel:
    """Decode ``prompts`` with the trees of ``actions`` for about ``budget_seconds``, and fit what the rounds took.

    Where that gives fewer than six decodes, or fewer than five rounds with some size of the menu, it goes on for up to
    four times as long.

    ``contexts``: so many tokens of other prompts are put before a prompt (0: none), so that costs are known over a
    range of lengths. ``progress`` receives the fraction of the time that is over. Raises ValueError where menu or
    prompts are empty, or where four times the budget did not suffice either.
    """
    if not actions or not prompts:
        raise ValueError(f"calibration needs trees and prompts: got {len(actions)} trees and {len(prompts)} prompts")
    draw, log = np.random.default_rng(seed), _Log()
    deck, ids = _Deck(list(actions), draw), [speculator.encode(prompt) for prompt in prompts]
    before = [token for prompt in ids for token in prompt]
    started = time.perf_counter()
    number = 0
    while (spent := time.perf_counter() - started) < budget_seconds or (
        _too_few(log, deck, number) and spent < _PATIENCE * budget_seconds
    ):
        if progress:
            progress(min(1.0, spent / budget_seconds))
        prompt = ids[int(draw.integers(len(ids)))]
        room = speculator.context_tokens - len(prompt) - _NEW_TOKENS
        extra = max(0, min(int(contexts[number % len(contexts)]), room))
        start = int(draw.integers(max(1, len(before) - extra)))
        prompt = before[start : start + extra] + prompt
        _decode(speculator, prompt, deck, log, plain=number % _PLAIN_EVERY == 0)
        number += 1
    if _too_few(log, deck, number):
        raise ValueError(
            f"{_PATIENCE * budget_seconds:g} s ({_PATIENCE} times the budget) gave {number} decodes and "
            f"{log.fewest_rounds(deck.actions)} rounds with the rarest size of {len(deck.actions)} "
            f"trees (expected at least {_FEWEST_DECODES} and {_FEWEST_ROUNDS_PER_SIZE}): measure for longer "
            "(train --calibration-seconds, calibrate --seconds), over fewer trees, or when the machine is less busy"
        )
    return log.model(_measured_on(speculator, len(log.rows)))


def _too_few(log: _Log, deck: _Deck, decodes: int) -> bool:
    """Whether there is less to fit costs to than a fit needs."""
    return decodes < _FEWEST_DECODES or log.fewest_rounds(deck.actions) < _FEWEST_ROUNDS_PER_SIZE


def _decode(speculator: Speculator, prompt: list[int], deck: _Deck, log: _Log, *, plain: bool) -> None:
    """Decode with the deck's trees, and now and then plainly, and log the rounds."""
    room = speculator.context_tokens - len(prompt)
    speculator.forget()
    deck.contexts.clear()
    log.drafted(speculator.generate(prompt, min(_NEW_TOKENS, room), policy=deck, stop_at_eos=False), deck.contexts)
    if plain:
        speculator.forget()
        steps = speculator.generate(prompt, min(_PLAIN_TOKENS, room), shape=None, stop_at_eos=False)
        log.undrafted(steps, len(prompt))


def _measured_on(speculator: Speculator, rounds: int) -> dict[str, Any]:
    return {
        **hardware(),
        "device": str(speculator.target.device),
        "dtype": str(speculator.model.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "date": datetime.now(UTC).date().isoformat(),
    }
