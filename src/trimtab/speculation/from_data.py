"""How is a policy learned from decodes that another one logged? The policy gradient, off-policy, doubly robust.

At each logged round with context x, tree a and the logger's probability mu(a | x), the seconds to the text's end are
estimated for every tree (Jiang and Li 2016, for a Q function instead of a value):

    Q(b) = q(b) + [b = a] / mu(a | x) * (seconds + v(next) - q(a)),

where q and v come from a model of the *other* decodes under the policy as it is (``acceptance.py``). The gradient of
sum_b pi(b | x) Q(b), weighted by how much likelier the policy comes to this state than the logger did, is the policy
gradient (Sutton et al. 2000) under the policy's own visits: nothing is decoded anew, and no table is needed.

Some conversations only judge (``offpolicy.py``): which iteration is best, and whether it beats the best static tree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trimtab.checkpoints import Bookkeeping, Checkpoint, Keeper
from trimtab.plain import Plain
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import exported, network_of, optimiser_arrays, perceptron, restore_optimiser, under
from trimtab.speculation.chances import Chances, always
from trimtab.speculation.context import FeatureSet, PositionFeatures
from trimtab.speculation.inference import softmax
from trimtab.speculation.logged_rounds import Log
from trimtab.speculation.offpolicy import Estimate, OffPolicy
from trimtab.speculation.states import Features
from trimtab.speculation.tree_policy import TreePolicy, Widths

LogMetrics = Callable[[int, dict[str, float]], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class FromData:
    """Hyper-parameters. ``validation_share`` of the conversations only judge; ``most_weight`` bounds the weights of
    visits and of single actions; ``entropy`` (in units of a round's advantage) decays to a tenth."""

    iterations: int = 20
    epochs: int = 3
    batch_size: int = 1024
    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    entropy: float = 0.3
    most_weight: float = 20.0
    validation_share: float = 0.25
    folds: int = 2
    decision_seconds: float = 1e-4

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.epochs < 1 or self.folds < 2 or not 0 < self.validation_share < 1:
            raise ValueError(
                f"{self}: expected iterations and epochs of at least 1, folds of at least 2, and validation_share "
                "between 0 and 1"
            )


def split(log: Log, share: float, seed: int) -> tuple[Log, Log]:
    """To learn from and to judge by: conversations, by chance. Raises ValueError where there are fewer than 2."""
    conversations = np.unique(log.conversation_Q)
    held = max(1, round(share * len(conversations)))
    if held >= len(conversations):
        raise ValueError(
            f"the log holds {len(conversations)} conversations: expected at least 2, to learn and to judge"
        )
    judging = np.random.default_rng(seed).permutation(conversations)[:held]
    judged_Q = np.isin(log.conversation_Q, judging)
    return log.prompts_where(~judged_Q), log.prompts_where(judged_Q)


@dataclass(frozen=True, eq=False)
class _Task:
    """What is to be learned from, and judged by."""

    data: OffPolicy
    judge: OffPolicy
    features: FeatureSet
    scale: float
    settings: FromData

    @classmethod
    def of(cls, log: Log, settings: FromData, seed: int) -> _Task:
        train, held = split(log, settings.validation_share, seed)
        features = FeatureSet.fit(log.feature_names[: log.position_width], train.features_NF)
        rate = train.tokens_N.sum() / train.seconds_N.sum()
        scale = float((train.seconds_N - train.tokens_N / rate).std())
        data, judge = (OffPolicy(part, folds=settings.folds, seed=seed) for part in (train, held))
        return cls(data, judge, features, scale or 1.0, settings)

    def stochastic(self, mlp: MLP) -> Chances:
        return lambda features_BF: softmax(mlp.scores(self.features.normalise(features_BF)))

    def greedy(self, mlp: MLP) -> Chances:
        return lambda features_BF: np.eye(mlp.outputs)[mlp.scores(self.features.normalise(features_BF)).argmax(axis=1)]

    def judged(self, chances: Chances, method: str = "blend", *, free: bool = False) -> Estimate:
        """On the conversations that judge, decisions charged (unless ``free``)."""
        charged = 0.0 if free else self.settings.decision_seconds
        return self.judge.estimates(chances, decision_seconds=charged, methods=(method,))[method]

    def lesson(self, mlp: MLP) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [N] of the logged rounds, and the advantage [N, A] of every tree over the policy, in it."""
        seen = self.data.under(self.stochastic(mlp), self.settings.decision_seconds)
        log, rounds = self.data.log, np.arange(self.data.log.rounds)
        surprise_N = log.seconds_N + self.settings.decision_seconds + seen.next_N - seen.q_NA[rounds, log.action_N]
        q_NA = seen.q_NA.copy()
        q_NA[rounds, log.action_N] += np.minimum(1 / log.probability_N, self.settings.most_weight) * surprise_N
        advantages = ((seen.chances_NA * q_NA).sum(axis=1, keepdims=True) - q_NA) / self.scale
        weights = np.minimum(seen.visits_N, self.settings.most_weight)
        return torch.from_numpy(weights.astype(np.float32)), torch.from_numpy(advantages.astype(np.float32))


class _Learner:
    """The network on its way, with all that a checkpoint must hold."""

    def __init__(self, task: _Task, actions: int, seed: int) -> None:
        settings = task.settings
        self.task, self.done = task, 0
        self.best = perceptron(task.features.width, settings.hidden, actions, seed)
        self.best_rate = -np.inf
        self.network = network_of(self.best)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.from_numpy(task.features.normalise(task.data.log.features_NF))

    def iterate(self) -> dict[str, float]:
        """One iteration: values under the policy as it is, and a few passes over the logged rounds."""
        settings = self.task.settings
        weights, advantages = self.task.lesson(exported(self.network))
        entropy = settings.entropy * 0.1 ** (self.done / max(1, settings.iterations - 1))
        for _ in range(settings.epochs):
            for batch in torch.randperm(len(self.inputs), generator=self.generator).split(settings.batch_size):
                logprobs = self.network(self.inputs[batch]).log_softmax(dim=1)
                gained = (logprobs.exp() * (advantages[batch] - entropy * logprobs)).sum(dim=1)
                self.optimiser.zero_grad()
                (-(weights[batch] * gained).mean()).backward()
                self.optimiser.step()
        mlp = exported(self.network)
        rate = self.task.judged(self.task.greedy(mlp), "dm").tokens_per_second
        if rate > self.best_rate:
            self.best, self.best_rate = mlp, rate
        self.done += 1
        return {"modelled_tokens_per_second": rate, "best_tokens_per_second": self.best_rate, "entropy": entropy}

    def arrays(self) -> dict[str, Any]:
        made: dict[str, Any] = {f"network/{name}": array for name, array in exported(self.network).arrays().items()}
        made |= {f"best/{name}": array for name, array in self.best.arrays().items()}
        made |= {f"optimiser/{name}": array.clone() for name, array in optimiser_arrays(self.optimiser).items()}
        return made | {"generator": self.generator.get_state()}

    def state(self) -> dict[str, Plain]:
        return {"best_rate": self.best_rate, "data": _fingerprint(self.task.data.log)}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on after ``checkpoint``. Raises ValueError where it was learned from other data."""
        if checkpoint.state["data"] != _fingerprint(self.task.data.log):
            raise ValueError(f"{checkpoint.path} was learned from other data: resume with the same files and settings")
        arrays = checkpoint.tensors()
        numpy = {name: array.numpy() for name, array in arrays.items()}
        self.best = MLP.from_arrays(under("best", numpy))
        network = network_of(MLP.from_arrays(under("network", numpy)))
        self.network.load_state_dict(network.state_dict())
        restore_optimiser(self.optimiser, under("optimiser", arrays))
        self.generator.set_state(arrays["generator"])
        self.done, self.best_rate = checkpoint.step, float(checkpoint.state["best_rate"])


def _fingerprint(log: Log) -> list[float]:
    return [log.rounds, log.decodes, float(log.seconds_N.sum()), float(log.features_NF.astype(np.float64).sum())]


def learn_from_data(
    log: Log,
    settings: FromData | None = None,
    *,
    seed: int = 0,
    position: Features | None = None,
    widths: Widths | None = None,
    models: Mapping[str, str] | None = None,
    metrics: LogMetrics | None = None,
    say: Say = print,
    checkpoints: Keeper | None = None,
) -> TreePolicy:
    """Train a tree policy on logged decodes. Deterministic for a seed; with ``checkpoints``, resumable to the same one.

    ``position``: what read the logged features (default: the decoding statistics). Raises ValueError where the log
    holds other features, or too few conversations.
    """
    settings, position, started = settings or FromData(), position or PositionFeatures(), time.perf_counter()
    if log.feature_names[: log.position_width] != list(position.names):
        raise ValueError(
            f"the log holds the features {', '.join(log.feature_names[: log.position_width])}; the given ones are "
            f"{', '.join(position.names)}: pass the features that the log was collected with"
        )
    task = _Task.of(log, settings, seed)
    learner = _Learner(task, len(log.actions), seed)
    latest = checkpoints.latest() if checkpoints else None
    if latest is not None:
        learner.restore(latest)
    while learner.done < settings.iterations:
        row = learner.iterate()
        if metrics:
            metrics(learner.done, row)
        if checkpoints:
            checkpoints.write(learner.done, learner.arrays(), learner.state(), Bookkeeping())
    mlp, column, gain = _better(task, learner, say)
    metadata: dict[str, Plain] = {
        "learned_from": f"{log.decodes} logged decodes of {len(log.prompts)} prompts, {log.rounds} rounds",
        "best_static": str(log.actions[column]),
        "validation_gain": gain,
        "training_seconds": time.perf_counter() - started,
        "seed": seed,
    }
    return TreePolicy(log.actions, mlp, task.features, position, widths, metadata, models=models)


def _better(task: _Task, learner: _Learner, say: Say) -> tuple[MLP, int, float]:
    """The learned network, or the best static tree as one; that tree's column; and the gain over it.

    Iterations were compared by the model, whose errors they share: the best of many noisy estimates would be too good to
    be true. The chosen one is judged doubly robustly, once.
    """
    actions = task.data.log.actions
    trees = [always(column, len(actions)) for column in range(len(actions))]
    column = int(np.argmax([task.data.estimate(tree).tokens_per_second for tree in trees]))
    static, learned = task.judged(trees[column], free=True), task.judged(task.greedy(learner.best))
    say(f"off-policy | learned {learned.here}, static {actions[column]} {static.here} tokens per second")
    if learned.tokens_per_second > static.tokens_per_second:
        return learner.best, column, learned.tokens_per_second / static.tokens_per_second
    say(f"nothing learned beats the static tree {actions[column]}: the policy always chooses that")
    bias = np.eye(len(actions), dtype=np.float32)[column]
    return MLP(((np.zeros((task.features.width, len(actions)), dtype=np.float32), bias),)), column, 1.0
