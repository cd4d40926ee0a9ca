"""How does the closed-form rule of ``greedy`` become a network? It decides over all states that it meets; one learns it.

The rule sees the head's confidence, the last two acceptances and the context's length; all of them are features.
"""

from __future__ import annotations

import numpy as np

from trimtab.policies.distillation import Distillation, agreement, distil
from trimtab.policies.mlp import MLP
from trimtab.speculation import greedy
from trimtab.speculation.flat_replay import Chooser, roll
from trimtab.speculation.learning_task import LearningTask


def chooser(rule: greedy.GreedyPolicy, names: list[str]) -> Chooser:
    """The rule over joined features called ``names``, many states at a time. Raises ValueError where one is missing."""
    needed = [rule.feature, "log_context", "accepted_last", "accepted_before", "log_rounds"]
    missing = [name for name in needed if name not in names]
    if missing:
        raise ValueError(f"the greedy rule needs the features {', '.join(missing)}: learn from a state with statistics")
    columns = [names.index(name) for name in needed]

    def choose(features_BF: np.ndarray, _rows: np.ndarray) -> np.ndarray:
        confidence, log_context, last, before, log_rounds = features_BF[:, columns].T
        rounds = np.rint(np.expm1(log_rounds))
        recent = np.where(rounds == 0, -1.0, np.where(rounds == 1, last, (last + before) / 2))
        row = np.searchsorted(rule.confidence_edges, confidence, side="right")
        column = np.searchsorted(rule.recent_edges, recent, side="right")
        context = np.rint(np.expm1(log_context.astype(np.float64)))[:, None]
        return (rule.worth_CRA[row, column] - rule.base_A - rule.slope_A * context).argmax(axis=1)

    return choose


def greedy_network(task: LearningTask, student: Distillation, seed: int) -> tuple[MLP, float]:
    """The rule fitted to the training prompts, as a network, and the share of their rounds where both agree."""
    rule = greedy.fit(task.table, task.costs, seed=seed)
    choose = chooser(rule, list(task.features.names))
    generator = np.random.default_rng(seed)
    at_random = roll(
        task.train, lambda features_BF, _rows: generator.integers(len(task.actions), size=len(features_BF))
    )
    met = roll(task.train, choose).features_TF
    features = np.concatenate((met, at_random.features_TF))
    decisions = np.eye(len(task.actions), dtype=np.float32)[choose(features, np.empty(0))]
    inputs = task.features.normalise(features)
    mlp = distil(inputs, decisions, student, seed=seed)
    return mlp, agreement(mlp, inputs[: len(met)], decisions[: len(met)])
