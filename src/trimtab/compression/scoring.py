"""How good is the answer from each compressed cache of a prompt? All actions and budgets, from one prefill.

Teacher forcing: the answer's tokens are given, and each compressed cache's predictions are compared with the full
cache's. The first token is free (it comes from the prefill, which compresses nothing) and never scored. Actions that keep
the same tokens are computed once.

Measures of each action and budget (T scored tokens, p the full cache's prediction, q the compressed one's):

- ``kl``: mean over the T tokens of KL(p || q), nats
- ``fidelity``: exp(-kl), the dense reward, in 0..1
- ``agreement``: share of the T tokens where both predict the same
- ``answer_logprob``: mean log q of the answer's tokens, nats
- ``answer_right``: 1 where q's prediction is the answer's at all T tokens
- with ``texts``: ``rouge_l``, ``cosine`` (of the text's to the full cache's, where an encoder is given) and ``metric``
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from trimtab.compression.actions import Action
from trimtab.compression.engine.kept_sets import KeptSets, distinct_sets
from trimtab.compression.engine.many import Answers
from trimtab.compression.engine.prefill import Prefilled, prefill
from trimtab.compression.engine.weights import Weights
from trimtab.compression.prompts import Prompt
from trimtab.compression.text_measures import TextMeasures

FORCED = ("fidelity", "kl", "agreement", "answer_logprob", "answer_right")


@dataclass(frozen=True)
class ScoreSettings:
    """``scored_tokens``: answer tokens scored at most, beyond the free first one. ``rows``: compressed caches answered
    together at most (fewer where memory is short). Raises ValueError."""

    scored_tokens: int = 16
    rows: int = 256

    def __post_init__(self) -> None:
        if self.scored_tokens < 1 or self.rows < 1:
            raise ValueError(
                f"scored_tokens is {self.scored_tokens}, rows {self.rows}: expected 1 or more of both "
                "(an answer's first token is free and not counted)"
            )


DEFAULTS = ScoreSettings()


@dataclass(frozen=True, eq=False)
class Scored:
    """A prompt's outcomes: ``parts``, each [A, B] over actions and budgets.

    ``distinct``: compressed caches that were really computed. ``answer_ids``: what was forced.
    """

    parts: dict[str, np.ndarray]
    distinct: int
    answer_ids: tuple[int, ...]
    prefilled: Prefilled = field(repr=False)


@torch.no_grad()
def score(
    model: PreTrainedModel,
    prompt: Prompt,
    actions: Sequence[Action],
    budgets: Sequence[int],
    settings: ScoreSettings = DEFAULTS,
    *,
    texts: TextMeasures | None = None,
    also: Sequence[Weights] = (),
) -> Scored:
    """Every measure of every action at every budget (tokens per KV head, averaged over layers), from one prefill.

    ``also``: curves to score that no action needs (features do). ``texts``: also let each compressed cache answer freely,
    and compare the texts. Raises ValueError as ``prefill`` and ``Prefilled.kept``, and where there is no action or budget.
    """
    read = prefill(model, prompt.token_ids, [*(action.method.weights for action in actions), *also])
    return score_read(model, read, prompt, actions, budgets, settings, texts=texts)


@torch.no_grad()
def score_read(
    model: PreTrainedModel,
    read: Prefilled,
    prompt: Prompt,
    actions: Sequence[Action],
    budgets: Sequence[int],
    settings: ScoreSettings = DEFAULTS,
    *,
    texts: TextMeasures | None = None,
) -> Scored:
    """The same for a prompt that was read, with the actions' curves scored."""
    if not actions or not budgets:
        raise ValueError(f"{len(actions)} actions and {len(budgets)} budgets: expected one of each at least")
    sets = distinct_sets(read, [action.method for action in actions], budgets)
    answer = prompt.answer_ids or greedy(model, read, settings.scored_tokens + 1)
    answer = answer[: settings.scored_tokens + 1]
    parts_S = forced_measures(model, read, sets, answer, settings.rows)
    if texts is not None:
        parts_S |= texts.measure(model, read, sets, prompt, settings.rows)
    shape = (len(actions), len(budgets))
    parts = {name: values_S[sets.of_row].reshape(shape) for name, values_S in parts_S.items()}
    return Scored(parts, sets.count, tuple(answer), read)


def forced_measures(
    model: PreTrainedModel, read: Prefilled, sets: KeptSets, answer: Sequence[int], rows: int
) -> dict[str, np.ndarray]:
    """The teacher-forced measures of each distinct kept set, [S]. The full cache is the set numbered ``sets.full``."""
    ids_T = torch.tensor(answer, device=read.logits_V.device)
    full_TV = _forced(model, read, sets, [sets.full], ids_T)[0]
    pieces: list[dict[str, Tensor]] = []
    for start in range(0, sets.count, rows):
        chosen = list(range(start, min(start + rows, sets.count)))
        pieces.append(_compare(full_TV, _forced(model, read, sets, chosen, ids_T), ids_T[1:]))
    joined = {name: torch.cat([piece[name] for piece in pieces]).cpu().numpy() for name in FORCED}
    # the full cache's own measures are known: no rounding of a larger product may make them worse
    joined["fidelity"][sets.full], joined["kl"][sets.full], joined["agreement"][sets.full] = 1.0, 0.0, 1.0
    return joined


def _forced(model: PreTrainedModel, read: Prefilled, sets: KeptSets, chosen: Sequence[int], ids_T: Tensor) -> Tensor:
    """Log-probabilities [S, T, V] of what follows each answer token but the last."""
    answers = Answers(model, read, sets.masks(chosen))
    logits = answers.read(ids_T[None, :-1].expand(len(chosen), -1))
    return logits.float().log_softmax(-1)


def _compare(full_TV: Tensor, given_STV: Tensor, next_T: Tensor) -> dict[str, Tensor]:
    # KL in double: its terms cancel where the two are close
    kl_ST = (full_TV.exp() * (full_TV - given_STV)).sum(-1, dtype=torch.float64).clamp_min(0)
    guess_ST = given_STV.argmax(-1)
    logprob_ST = given_STV.gather(-1, next_T.expand(len(given_STV), -1)[..., None])[..., 0]
    kl_S = kl_ST.mean(-1)
    return {
        "kl": kl_S,
        "fidelity": (-kl_S).exp(),
        "agreement": (guess_ST == full_TV.argmax(-1)).double().mean(-1),
        "answer_logprob": logprob_ST.double().mean(-1),
        "answer_right": (guess_ST == next_T).all(-1).double(),
    }


@torch.no_grad()
def greedy(model: PreTrainedModel, read: Prefilled, tokens: int) -> tuple[int, ...]:
    """The full cache's greedy answer: exactly ``tokens`` tokens, whatever they are."""
    full = [torch.ones(1, k.shape[0], read.tokens, dtype=torch.bool, device=k.device) for k in read.keys]
    answers = Answers(model, read, full)
    ids: list[int] = [int(read.logits_V.argmax())]
    while len(ids) < tokens:
        logits = answers.read(torch.tensor([[ids[-1]]], device=read.logits_V.device))
        ids.append(int(logits[0, -1].argmax()))
    return tuple(ids)


class Features(Protocol):
    """What a policy may see of a prompt, from its prefill: named vectors [K].

    ``weights``: the curves that must be scored for them. ``name`` tells their settings from others.
    """

    @property
    def weights(self) -> tuple[Weights, ...]: ...
    @property
    def name(self) -> str: ...
    def __call__(self, read: Prefilled, prompt: Prompt, /) -> dict[str, np.ndarray]: ...
