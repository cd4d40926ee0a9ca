"""How are a machine's costs measured? By decoding: real rounds on real prompts, the trees in random order.

Isolated micro-benchmarks run with warm caches that a decode does not have. So the engine decodes, each round
with another tree of the menu, in an order drawn anew each time round, and a cost model is fitted to the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
_FEWEST_ROUNDS_PER_TREE = 2


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
        """The rounds of a decode; the first round's extension of the head over the whole prompt belongs to the prefill."""
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

    def model(self, on: dict[str, Any]) -> CostModel:
        """The cost model of all that was timed."""
        measured = Measured(self.shapes, *np.array(self.rows).T)
        without = fit(measured, line(*zip(*self.plain, strict=True)), (0.0, 0.0), on)
        kept = [entry for entry in self.prefill[1:] if entry[2] in set(self.shapes)]
        drafting = [float(self._draft_seconds(without, shape, context)) for context, _, shape in kept]
        seconds = [max(total - own, 1e-9) for (_, total, _), own in zip(kept, drafting, strict=True)]
        return fit(measured, without.plain, line([context for context, _, _ in kept], seconds), on)

    @staticmethod
    def _draft_seconds(model: CostModel, shape: TreeShape, context: float) -> float:
        alone = CostModel(
            model.knots, model.draft, (0.0,) * len(model.verify), (0.0,) * len(model.rest), model.plain, model.prefill
        )
        return alone.seconds(shape, int(context))


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

    ``contexts``: so many tokens of other prompts are put before a prompt (0: none), so that costs are known over a range
    of lengths. ``progress`` receives the fraction of the time that is over. Raises ValueError where menu or prompts are
    empty, or where the time did not suffice for two rounds with each tree on average.
    """
    if not actions or not prompts:
        raise ValueError(f"calibration needs trees and prompts: got {len(actions)} trees and {len(prompts)} prompts")
    draw, log = np.random.default_rng(seed), _Log()
    deck, ids = _Deck(list(actions), draw), [speculator.encode(prompt) for prompt in prompts]
    before = [token for prompt in ids for token in prompt]
    started = time.perf_counter()
    number = 0
    while (spent := time.perf_counter() - started) < budget_seconds:
        if progress:
            progress(spent / budget_seconds)
        extra = int(contexts[number % len(contexts)])
        start = int(draw.integers(max(1, len(before) - extra)))
        prompt = before[start : start + extra] + ids[int(draw.integers(len(ids)))]
        _decode(speculator, prompt, deck, log, plain=number % _PLAIN_EVERY == 0)
        number += 1
    needed = _FEWEST_ROUNDS_PER_TREE * len(deck.actions)
    if len(log.rows) < needed:
        raise ValueError(
            f"{budget_seconds:g} s gave {len(log.rows)} rounds, too few for {len(deck.actions)} trees (expected at least "
            f"{needed}): raise budget_seconds to about {1.5 * budget_seconds * needed / max(1, len(log.rows)):.0f}, "
            "or calibrate over fewer trees"
        )
    return log.model(_measured_on(speculator, len(log.rows)))


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
