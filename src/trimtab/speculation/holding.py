"""How does a trained policy come to decide less often, and how many rounds is it best to hold?

A policy that decides each round is trained on for the rounds that a decision shall last (``planning``), and what is kept
is the best on the validation prompts: the policy as it was, merely held, or any iteration of that training. The same
prompts choose the number of rounds, by tokens per second with the policy's own time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trimtab.policies.held import Adaptive
from trimtab.policies.mlp import MLP
from trimtab.speculation.costs import CostModel
from trimtab.speculation.flat_replay import FlatReplay, Rounds, fixed, flatten, rate, roll
from trimtab.speculation.full_information import FullInformation
from trimtab.speculation.inference import Inference
from trimtab.speculation.learning_task import split
from trimtab.speculation.oracle import best_static, price
from trimtab.speculation.planning import PlanningTask, train_plans, widened
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.reward import named_reward
from trimtab.speculation.tree_policy import TreePolicy

HOLDS = (1, 2, 5, 10, 30)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Charges:
    """The policy's own seconds: of a decision, of a round that is merely held, of looking at its features to see whether
    they drifted. They must come from real decoding: in a loop of its own, its caches warm, a decision takes a tenth. The
    default is that of a CPU, as the share of the rounds' time in ``benchmarks/records`` says."""

    decision: float = 2.6e-4
    held: float = 1e-6
    drift_check: float = 2.5e-4

    def rate(self, rounds: Rounds, inference: Inference) -> float:
        """Tokens per second with them."""
        return rate(rounds, self.decision, self.kept(inference))

    def kept(self, inference: Inference) -> float:
        """Seconds of a round that is served from the plan."""
        return self.held if inference.hold.drift is None else self.drift_check


@dataclass(frozen=True, eq=False)
class HoldingTask:
    """A policy's prompts: gradients come from ``train``, choices are made on ``judged``. ``to_beat``: tokens per second of
    the best static tree on ``train``."""

    train: FlatReplay
    judged: FlatReplay
    to_beat: float
    scale: float
    charges: Charges

    @classmethod
    def of(
        cls,
        policy: TreePolicy,
        table: ReplayTable,
        costs: CostModel,
        charges: Charges | None = None,
        *,
        validation_share: float = 0.2,
        seed: int = 0,
    ) -> HoldingTask:
        """The table's prompts divided as ``learn`` divides them for the same share and seed. Raises ValueError where the
        table lacks trees or features of the policy."""
        parts = split(table, validation_share, seed)
        train, judged = (flatten(part, costs, policy.actions).seeing(policy.position.names) for part in parts)
        static = best_static(price(parts[0].subset(policy.actions), costs))
        rounds = roll(train, fixed(static))
        to_beat = rate(rounds)
        scale = float((rounds.tokens_T - to_beat * rounds.seconds_T).std()) or 1.0
        return cls(train, judged, to_beat, scale, charges or Charges())

    def judge(self, policy: TreePolicy) -> float:
        """Tokens per second on the validation prompts, the policy's own time included."""
        return self.charges.rate(policy.replay(self.judged), policy.inference)


def expected_acceptance(rounds: Rounds, replay: FlatReplay) -> np.ndarray:
    """What each action is expected to be accepted of it [A]: the mean over the rounds in which the policy took it; over
    all positions for an action that it never took."""
    actions = len(replay.actions)
    taken = np.bincount(rounds.action_T, minlength=actions)
    accepted = np.bincount(rounds.action_T, weights=rounds.accepted_T, minlength=actions)
    return np.where(taken > 0, accepted / np.maximum(taken, 1), replay.accepted_NA.mean(axis=0)).astype(np.float32)


def with_network(policy: TreePolicy, mlp: MLP, inference: Inference, task: HoldingTask) -> TreePolicy:
    """The policy with another network, acting as ``inference`` says, and knowing what to expect of its trees."""
    parts = policy.actions, mlp, policy.features, policy.position, policy.widths, policy.metadata
    plain = TreePolicy(*parts, inference=replace(inference, adaptive=None), models=policy.models)
    expected = expected_acceptance(plain.replay(task.train), task.train)
    return plain.acting(inference, expected_A=expected)


def refitted(
    policy: TreePolicy,
    task: HoldingTask,
    inference: Inference,
    *,
    reward: str = "time",
    settings: FullInformation | None = None,
    seed: int = 0,
    train: bool = True,
) -> TreePolicy:
    """The policy for decisions that last as ``inference`` says: trained for them, or as it was, whichever is faster on
    the validation prompts. With ``train`` False, as it was.

    ``reward`` is what it is trained for (see ``reward.named_reward``). Raises ValueError where the policy plans already.
    """
    if policy.inference.planned_rounds != 1:
        raise ValueError(f"the policy plans {policy.inference.planned_rounds} rounds: expected one that plans one")
    best = with_network(policy, widened(policy.mlp, inference.planned_rounds), inference, task)
    score, to_beat = task.judge(best), task.to_beat

    def keep(_iteration: int, mlp: MLP) -> None:
        nonlocal best, score
        candidate = with_network(policy, mlp, inference, task)
        judged = task.judge(candidate)
        if judged > score:
            best, score = candidate, judged

    for _ in range(2 if train else 0):  # against the best static tree's rate, then against its own (Dinkelbach)
        planning = _planning(policy, task, inference, reward, to_beat)
        train_plans(best.mlp, planning, settings, seed=seed, report=keep)
        to_beat = max(to_beat, task.charges.rate(best.replay(task.train), inference))
    return best


def _planning(policy: TreePolicy, task: HoldingTask, inference: Inference, reward: str, to_beat: float) -> PlanningTask:
    worth = named_reward(reward, to_beat)
    share = 1 / inference.planned_rounds  # of a decision's time, for each step of a plan

    def rewards(held: FlatReplay, rounds_NA: np.ndarray) -> np.ndarray:
        raw_NA = worth.of(held, rounds_NA, decision_seconds=share * task.charges.decision)
        return raw_NA / (task.scale if reward == "time" else float(raw_NA.std()) or 1.0)

    lasting = inference.hold_rounds, inference.planned_rounds
    return PlanningTask(task.train, policy.features, rewards, *lasting, myopic=worth.myopic)


def chosen_hold(
    policy: TreePolicy,
    task: HoldingTask,
    inference: Inference | None = None,
    holds: Sequence[int] = HOLDS,
    *,
    reward: str = "time",
    seed: int = 0,
    settings: FullInformation | None = None,
    say: Say | None = None,
) -> TreePolicy:
    """The policy for the number of rounds, of ``holds``, that is fastest on the validation prompts."""
    inference = inference or Inference()
    made: list[TreePolicy] = []
    for rounds in holds:
        lasts = rounds * inference.planned_rounds > 1
        held = replace(inference, hold_rounds=rounds, adaptive=inference.adaptive if lasts else None)
        made.append(refitted(policy, task, held, reward=reward, seed=seed, settings=settings))
        if say is not None:
            say(f"held for {rounds} rounds | {task.judge(made[-1]):.1f} tokens per second on the validation prompts")
    return max(made, key=task.judge)


def lasting(
    policy: TreePolicy,
    table: ReplayTable,
    costs: CostModel,
    hold: int | None,
    planned_rounds: int = 1,
    adaptive: Adaptive | None = None,
    *,
    reward: str = "time",
    seed: int = 0,
    say: Say | None = None,
) -> TreePolicy:
    """A policy as ``learn`` made it, trained on for decisions that are held for ``hold`` rounds (None: as many as are
    fastest on the validation prompts), end as ``adaptive`` says, or plan several rounds. It goes on to be greedy or to
    draw. Where every round is decided, it stays as it is. Raises ValueError for settings out of their range.
    """
    longest = HOLDS[-1] if hold is None else hold
    inference = replace(policy.inference, hold_rounds=longest, planned_rounds=planned_rounds, adaptive=adaptive)
    if inference.decided_rounds == 1:
        return policy
    task = HoldingTask.of(policy, table, costs, seed=seed)
    if hold is None:
        return chosen_hold(policy, task, inference, seed=seed, reward=reward, say=say)
    made = refitted(policy, task, inference, reward=reward, seed=seed)
    if say is not None:
        say(f"{made.inference} | {task.judge(made):.1f} tokens per second on the validation prompts")
    return made
