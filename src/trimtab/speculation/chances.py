"""With which chances does a policy choose each tree? Policies as functions of joined features, to log by and to judge.

Off-policy estimates need probabilities, exactly: of the logger that decoded, and of the policy that is judged. A
function from the joined features of rounds [B, F] (as recorded, not normalised) to probabilities [B, A] over the menu
says both, live and in replay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import HISTORY_NAMES, History, join
from trimtab.speculation.flat_replay import FlatReplay
from trimtab.speculation.greedy import GreedyPolicy
from trimtab.speculation.inference import softmax
from trimtab.speculation.logged_rounds import Log
from trimtab.speculation.tree_policy import TreePolicy

Chances = Callable[[np.ndarray], np.ndarray]
"""Joined features [B, F] -> probabilities [B, A] of the menu's trees."""


def uniform(actions: int) -> Chances:
    """All trees alike."""
    return lambda features_BF: np.full((len(features_BF), actions), 1.0 / actions)


def always(column: int, actions: int) -> Chances:
    """One tree."""
    return lambda features_BF: np.tile(np.eye(actions)[column], (len(features_BF), 1))


def mixture(parts: Sequence[tuple[float, Chances]]) -> Chances:
    """Each round, one of the parts by its weight. Raises ValueError where the weights are no distribution."""
    weights = np.array([weight for weight, _ in parts])
    if weights.min(initial=0.0) < 0 or abs(weights.sum() - 1) > 1e-9:
        raise ValueError(f"weights {weights.tolist()}: expected none negative, and a sum of 1")
    return lambda features_BF: np.sum([weight * part(features_BF) for weight, part in parts], axis=0)


def explored(base: Chances, epsilon: float, actions: int) -> Chances:
    """``base``, but any tree alike with chance ``epsilon``. Raises ValueError outside 0 to 1."""
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon {epsilon}: expected a chance, 0 to 1")
    return mixture([(1 - epsilon, base), (epsilon, uniform(actions))])


def of_policy(policy: TreePolicy, menu: Sequence[TreeShape]) -> Chances:
    """A trained policy's own chances, over ``menu``. Raises ValueError where it may choose a tree that is not there, or
    does not decide each round anew (then its chances depend on more than the round's features)."""
    policy.check_menu(menu)
    if policy.inference.decided_rounds > 1:
        raise ValueError(
            f"the policy acts {policy.inference}: its chances do not follow from a round's features alone. Judge it "
            "deciding each round: policy.acting(Inference())"
        )
    place_AM = np.array([[action == tree for tree in menu] for action in policy.actions], dtype=float)

    def chances(features_BF: np.ndarray) -> np.ndarray:
        scores = policy.scores(policy.features.normalise(features_BF))[:, 0]
        own = np.eye(len(place_AM))[scores.argmax(axis=1)]
        if policy.inference.mode == "sample":
            own = softmax(scores, policy.inference.temperature)
        return own @ place_AM

    return chances


def of_rule(rule: GreedyPolicy, names: Sequence[str]) -> Chances:
    """The cost-model greedy rule, whose menu is the log's, on joined features of these ``names``."""
    confidence, context = list(names).index(rule.feature), list(names).index("log_context")
    last, before, rounds = (list(names).index(name) for name in ("accepted_last", "accepted_before", "log_rounds"))

    def chances(features_BF: np.ndarray) -> np.ndarray:
        columns: list[int] = []
        for row in features_BF.astype(np.float64):
            seen = round(float(np.expm1(row[rounds])))
            recently = -1.0 if seen == 0 else row[last] if seen == 1 else (row[last] + row[before]) / 2
            columns.append(rule.decide(row[confidence], float(recently), round(float(np.expm1(row[context])))))
        return np.eye(len(rule.actions))[columns]

    return chances


def drawn(chances_BA: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """An action [B] of each row."""
    below = chances_BA.cumsum(axis=1) <= generator.random((len(chances_BA), 1)) * chances_BA.sum(axis=1, keepdims=True)
    return below.sum(axis=1)


# -- in replay ---------------------------------------------------------------------------------------------------------


def collected_by_replay(
    replay: FlatReplay,
    context_Q: np.ndarray,
    chances: Chances,
    decodes: int,
    *,
    noise: float = 0.0,
    seed: int = 0,
) -> Log:
    """What collecting would have recorded, had every prompt been decoded ``decodes`` times: simulated.

    ``context_Q``: committed tokens at position 0. ``noise``: the coefficient of variation of measured seconds (gamma
    distributed, mean 1).
    """
    generator = np.random.default_rng(seed)
    passes = [played(replay, chances, generator) for _ in range(decodes)]
    orders = [np.argsort(one.prompt_N, kind="stable") for one in passes]
    prompt, row, features, known, action = (
        np.concatenate([getattr(one, name)[order] for one, order in zip(passes, orders, strict=True)])
        for name in ("prompt_N", "row_N", "features_NF", "chances_NA", "action_N")
    )
    number = np.repeat(np.arange(decodes), [len(order) for order in orders])
    seconds = replay.seconds_NA[row, action]
    if noise:
        seconds = seconds * generator.gamma(noise**-2, noise**2, len(seconds))
    return Log(
        list(replay.actions),
        [*replay.feature_names, *HISTORY_NAMES],
        [f"prompt{index}" for index in range(replay.prompts)],
        replay.positions_R,
        context_Q,
        np.tile(np.arange(replay.prompts), decodes),
        number * replay.prompts + prompt,
        row - replay.start_R[prompt],
        features,
        action,
        known,
        replay.accepted_NA[row, action].astype(np.int64),
        replay.tokens_NA[row, action].astype(np.int64),
        seconds,
    )


@dataclass(frozen=True, eq=False)
class Played:
    """One decode of every prompt, all side by side: rounds in order of play, and the ``seconds`` of all."""

    prompt_N: np.ndarray
    row_N: np.ndarray
    features_NF: np.ndarray
    chances_NA: np.ndarray
    action_N: np.ndarray
    seconds: float


def played(replay: FlatReplay, chances: Chances, generator: np.random.Generator) -> Played:
    """Decode every prompt of a replay once, each tree drawn by ``chances``."""
    prompt, row = np.arange(replay.prompts), replay.start_R.copy()
    history, rounds = History(replay.prompts), list[tuple[np.ndarray, ...]]()
    while len(prompt):
        features = join(replay.features_NF[row], history.features())
        known = chances(features)
        action = drawn(known, generator)
        rounds.append((prompt, row, features, known, action))
        history.observe(replay.accepted_NA[row, action], replay.depth_A[action])
        tokens = replay.tokens_NA[row, action]
        going = replay.remaining_N[row] > tokens
        prompt, row = prompt[going], (row + tokens)[going]
        history.state_BS = history.state_BS[going]
    prompt_N, row_N, features_NF, chances_NA, action_N = (np.concatenate(c) for c in zip(*rounds, strict=True))
    seconds = float(replay.seconds_NA[row_N, action_N].sum())
    return Played(prompt_N, row_N, features_NF, chances_NA, action_N, seconds)
