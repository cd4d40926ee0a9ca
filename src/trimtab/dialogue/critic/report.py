"""How good is a critic, and where? Per head: variance explained, correlation, calibration along the reply.

And what it says of a finished reply: the value of the state before its end, part by part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from trimtab.console import Table
from trimtab.dialogue.critic.heads import KL
from trimtab.dialogue.critic.pretraining import Labelled, values_of, valuing
from trimtab.dialogue.ppo.batches import joined
from trimtab.dialogue.ppo.rubric_grader import prompt_ids
from trimtab.types import Grade

PLACES = ("first", "middle", "last")


def critic_table(learner: Any, labelled: Labelled) -> Table:
    """One row per head, and one for the total: explained variance over all tokens and at the first, middle and last
    token of each reply, correlation, mean value beside mean outcome."""
    values = valuing(learner.critic, learner.policy)
    device = next(learner.critic.parameters()).device
    values_BTP = values_of(values, labelled.tokens, device).double().numpy()
    outcomes_BTP, weights_P = labelled.outcomes_BTP(), labelled.all_weights_P
    mask_BT = labelled.tokens.reply_mask_BT.numpy()
    columns = ("head", "explained_variance", "correlation", *(f"explained_{place}" for place in PLACES))
    table = Table("critic", (*columns, "mean_value", "mean_outcome"))
    for index, name in enumerate((*labelled.parts, KL)):
        table.add(name, *_row(values_BTP[:, :, index], outcomes_BTP[:, :, index], mask_BT))
    table.add("total", *_row(values_BTP @ weights_P, outcomes_BTP @ weights_P, mask_BT))
    return table


def _row(values_BT: np.ndarray, outcomes_BT: np.ndarray, mask_BT: np.ndarray) -> list[float | None]:
    rows, lengths_B = np.arange(len(mask_BT)), mask_BT.sum(axis=1)
    places = [(values_BT[rows, at], outcomes_BT[rows, at]) for at in (0 * lengths_B, lengths_B // 2, lengths_B - 1)]
    everywhere = values_BT[mask_BT], outcomes_BT[mask_BT]
    explained = [_explained(*everywhere), *(_explained(*pair) for pair in places)]
    return [explained[0], _correlation(*everywhere), *explained[1:], everywhere[0].mean(), everywhere[1].mean()]


def _explained(values_N: np.ndarray, outcomes_N: np.ndarray) -> float | None:
    """None where the outcomes do not vary."""
    variance = outcomes_N.var()
    return None if variance < 1e-12 else float(1 - (outcomes_N - values_N).var() / variance)


def _correlation(values_N: np.ndarray, outcomes_N: np.ndarray) -> float | None:
    if values_N.std() < 1e-9 or outcomes_N.std() < 1e-9:
        return None
    return float(np.corrcoef(values_N, outcomes_N)[0, 1])


def quality_breakdown(
    learner: Any, tokenizer: Any, prompt: str, reply: str, weights: Mapping[str, float], *, end: int
) -> Grade:
    """What the critic expects of a finished reply, part by part: the state before its end token is valued.

    ``weights``: of the parts (those that are missing count 0). ``grade.value`` is the sum of parts times weights. It is an
    expectation, not a measurement: the rubric measures. Raises ValueError for an empty reply's prompt.
    """
    ids = [*prompt_ids(tokenizer, reply), end]
    prompt_tokens = prompt_ids(tokenizer, prompt)
    tokens = joined([prompt_tokens], [ids], context=len(prompt_tokens), reply=len(ids))
    device = next(learner.critic.parameters()).device
    with torch.no_grad():
        values_P = valuing(learner.critic, learner.policy)(tokens.to(device))[0, -1].float().cpu()
    parts = dict(zip(learner.parts, values_P.tolist(), strict=True))
    return Grade(sum(weights.get(name, 0.0) * value for name, value in parts.items()), parts)
