"""How is the rule of continuing or stopping learned? By its exact expected return: every outcome is in the table.

A round is a chain of decisions: at each level stop with probability s_d and keep t nodes with probability p_d(t), or go on.
What each ending brings is known, so the expected reward of the round is a differentiable sum over its endings,

    V_d = s_d * sum_t p_d(t) * R(d, t) + (1 - s_d) * (V_{d+1} - rate * seconds of a level),    J = V_0,

with R = tokens - rate * seconds (the ratio objective; the rate rises with the policy's own, Dinkelbach 1967). No action is
sampled and nothing is estimated. What the rounds before accepted is taken from decodes of the policy so far.

Choices (which pass, which hidden width, which menu) are made on prompts that no gradient has seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from trimtab.speculation.context import HISTORY_NAMES
from trimtab.speculation.costs import CostModel
from trimtab.speculation.level_context import moment_names, round_names
from trimtab.speculation.level_network import LevelNetwork, Perceptron, choose
from trimtab.speculation.level_policy import LevelPolicy
from trimtab.speculation.level_replay import FlatLevels, LevelRounds, Stop, best_fixed, fixed, flatten, roll
from trimtab.speculation.levels import LevelMenu, LevelTable
from trimtab.speculation.tree_policy import Widths
from trimtab.tracking import Histogram, Value

Floats = NDArray[np.float32]
Say = Callable[[str], None]
Log = Callable[[int, Mapping[str, Value]], None]
_CLIP = 6.0
_IMPOSSIBLE = -30.0


@dataclass(frozen=True)
class LevelLearning:
    """Hyper-parameters: ``hidden`` units choose the size, ``stop_hidden`` the end of drafting (0: linearly).

    ``passes`` times the prompts are decoded with the policy so far and ``epochs`` of gradient follow; ``entropy`` (in
    tokens) keeps the rule soft while it learns. ``level_seconds`` is what a decision is charged.
    """

    hidden: int = 16
    stop_hidden: int = 6
    passes: int = 6
    epochs: int = 16
    batch_size: int = 512
    learning_rate: float = 5e-3
    weight_decay: float = 0.1
    entropy: float = 0.02
    level_seconds: float = 2e-5
    validation_share: float = 0.2

    def __post_init__(self) -> None:
        if min(self.hidden, self.passes, self.epochs, self.batch_size) < 1 or not 0 <= self.validation_share < 1:
            raise ValueError(f"{self}: expected counts of at least 1, and validation_share from 0 to below 1")


class _Part(nn.Module):
    """A ``Perceptron`` in training."""

    def __init__(self, inputs: int, hidden: int, depths: int, outputs: int) -> None:
        super().__init__()
        self.inward, self.direct = nn.Linear(inputs, hidden), nn.Linear(inputs, outputs)
        self.outward = nn.Linear(hidden, outputs, bias=False)
        self.bias_DH, self.bias_DO = (nn.Parameter(torch.zeros(depths, width)) for width in (hidden, outputs))
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.direct.weight)

    def forward(self, normal_BDF: Tensor) -> Tensor:
        return self.outward(torch.tanh(self.inward(normal_BDF) + self.bias_DH)) + self.direct(normal_BDF) + self.bias_DO

    @torch.no_grad()
    def exported(self, mean_F: Tensor, scale_F: Tensor) -> Perceptron:
        """With the normalisation folded in (outliers are then not clipped; the features' floors bound them)."""
        inward, direct = (layer.weight.T / scale_F[:, None] for layer in (self.inward, self.direct))
        arrays = (
            inward,
            self.inward.bias + self.bias_DH - mean_F @ inward,
            self.outward.weight.T,
            direct,
            self.direct.bias + self.bias_DO - mean_F @ direct,
        )
        return Perceptron(*(array.contiguous().numpy().copy() for array in arrays))


class _Net(nn.Module):
    """``LevelNetwork`` in training: on normalised features."""

    def __init__(self, mean_F: Floats, scale_F: Floats, menu: LevelMenu, settings: LevelLearning) -> None:
        super().__init__()
        self.mean, self.scale = torch.from_numpy(mean_F), torch.from_numpy(scale_F)
        self.moment_width = len(moment_names(menu))
        self.stop_width = self.moment_width + len(round_names(menu))
        self.stop = _Part(self.stop_width, settings.stop_hidden, menu.depth + 1, 1)
        self.size = _Part(len(mean_F), settings.hidden, menu.depth + 1, len(menu.totals))

    def normalise(self, features: Tensor) -> Tensor:
        return ((features - self.mean) / self.scale).clamp(-_CLIP, _CLIP)

    def scores(self, normal_BDF: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of stopping [B, D] and of each size [B, D, T]."""
        return self.stop(normal_BDF[..., : self.stop_width])[..., 0], self.size(normal_BDF)

    def exported(self) -> LevelNetwork:
        seen = slice(self.stop_width)
        stop = self.stop.exported(self.mean[seen], self.scale[seen])
        return LevelNetwork(stop, self.size.exported(self.mean, self.scale), self.moment_width)


def histories(levels: FlatLevels, rounds: LevelRounds) -> Floats:
    """History features [N, H] at every row: those of the last round that began at or before it."""
    seen = np.zeros(levels.rows, dtype=bool)
    seen[rounds.row_T] = True
    history = np.zeros((levels.rows, len(HISTORY_NAMES)), dtype=np.float32)
    history[rounds.row_T] = rounds.history_TH
    return history[np.maximum.accumulate(np.where(seen, np.arange(levels.rows), 0))]


def expected_return(
    stop_BD: Tensor, size_BDT: Tensor, rewards_BDT: Tensor, level_BD: Tensor, valid_DT: Tensor, entropy: float
) -> Tensor:
    """J [B] as above, from the scores of stopping and of each size, with ``entropy`` times the entropy of each decision
    (weighted by the chance that it is taken).

    ``rewards_BDT``: of ending there, without the levels' own cost ``level_BD`` (that of the level after each moment).
    """
    sizes = size_BDT.masked_fill(~valid_DT, _IMPOSSIBLE).log_softmax(dim=-1)
    ending = (sizes.exp() * (rewards_BDT - entropy * sizes)).sum(dim=-1)
    stop, go = F.logsigmoid(stop_BD), F.logsigmoid(-stop_BD)
    value = ending[:, -1]
    for depth in reversed(range(stop_BD.shape[1] - 1)):
        stopping = ending[:, depth] - entropy * stop[:, depth]
        going = value - level_BD[:, depth] - entropy * go[:, depth]
        value = stop[:, depth].exp() * stopping + go[:, depth].exp() * going
    return value


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What a training pass needs of all rows: rewards at a rate, levels' costs, and features with a history."""

    rewards_NDT: Tensor
    level_ND: Tensor
    valid_DT: Tensor

    @classmethod
    def at(cls, levels: FlatLevels, rate: float, level_seconds: float) -> _Lesson:
        """Seconds are split into those of the levels before and those of the ending."""
        valid = levels.menu.valid_DT
        first = int(valid[0].argmax())  # a size that exists at every depth: the levels' cost is the growth along it
        along_ND = levels.seconds_NDT[:, :, first]
        grown_ND = np.diff(along_ND, axis=1, append=along_ND[:, -1:]) + level_seconds
        ending = levels.seconds_NDT - (along_ND - along_ND[:, :1])[..., None] + level_seconds
        rewards = np.where(valid, levels.tokens_NDT - rate * np.where(valid, ending, 0.0), _IMPOSSIBLE)
        return cls(
            torch.from_numpy(rewards.astype(np.float32)),
            torch.from_numpy((rate * grown_ND).astype(np.float32)),
            torch.from_numpy(valid),
        )


def _rule(network: LevelNetwork, levels: FlatLevels) -> Stop:
    return lambda rows, history_BH: choose(*network.scores(levels.features(rows, history_BH)), levels.menu)


@dataclass(frozen=True)
class Learned:
    """A rule, its tokens per second on the validation prompts, and those of the best fixed tree of the same menu."""

    menu: LevelMenu
    network: LevelNetwork
    validation_rate: float
    fixed_rate: float
    training_rate: float


def learn_menu(
    train: FlatLevels,
    judged: FlatLevels,
    settings: LevelLearning,
    *,
    seed: int = 0,
    say: Say = print,
    log: Log | None = None,
) -> Learned:
    """The best rule for one menu. Deterministic for a seed. ``log`` receives each pass's number and metrics."""
    depth, total, rate = best_fixed(train)
    fixed_rate = roll(judged, fixed(depth, total)).rate()
    rounds = roll(train, fixed(depth, total))
    best: tuple[float, LevelNetwork] | None = None
    net: _Net | None = None
    generator = torch.Generator().manual_seed(seed)
    for step in range(settings.passes):
        features = train.features(np.arange(train.rows), histories(train, rounds))
        if net is None:
            net = _net(features, train.menu, settings, seed)
        lesson = _Lesson.at(train, rate, settings.level_seconds)
        _train(net, torch.from_numpy(features), lesson, settings, generator)
        network = net.exported()
        rounds = roll(train, _rule(network, train), settings.level_seconds)
        rate = max(rate, rounds.rate())
        validated = roll(judged, _rule(network, judged), settings.level_seconds).rate()
        gain = validated / fixed_rate
        say(
            f"beam {train.menu.top_k} | pass {step + 1} | validation {validated:.1f} tokens/s, {gain:.3f} of the best tree"
        )
        if log is not None:
            log(step + 1, _metrics(train, rounds, validated, fixed_rate))
        if best is None or validated > best[0]:
            best = validated, network
    assert best is not None
    return Learned(train.menu, best[1], best[0], fixed_rate, rate)


def _metrics(train: FlatLevels, rounds: LevelRounds, validated: float, fixed_rate: float) -> dict[str, Value]:
    """One pass's numbers (docs/metrics.md)."""
    beam, labels = train.menu.top_k, [str(depth) for depth in range(train.menu.depth + 1)]
    return {
        f"beam_{beam}/validation_tokens_per_second": validated,
        f"beam_{beam}/validation_gain": validated / fixed_rate,
        f"beam_{beam}/training_tokens_per_second": rounds.rate(),
        f"beam_{beam}/tau": float(rounds.tokens_T.mean()),
        f"beam_{beam}/levels_per_round": float(rounds.depth_T.mean()),
        f"beam_{beam}/levels": Histogram.of(labels, rounds.depth_T.tolist()),
    }


def _net(features: Floats, menu: LevelMenu, settings: LevelLearning, seed: int) -> _Net:
    flat = features.reshape(-1, features.shape[-1])
    deviation = flat.std(axis=0)
    scale = np.where(deviation > 1e-6, deviation, 1.0).astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _Net(flat.mean(axis=0), scale, menu, settings)


def _train(net: _Net, features: Tensor, lesson: _Lesson, settings: LevelLearning, generator: torch.Generator) -> None:
    normal = net.normalise(features)
    optimiser = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * -(-len(normal) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=steps)
    for _ in range(settings.epochs):
        for batch in torch.randperm(len(normal), generator=generator).split(settings.batch_size):
            rewards, level = lesson.rewards_NDT[batch], lesson.level_ND[batch]
            values = expected_return(*net.scores(normal[batch]), rewards, level, lesson.valid_DT, settings.entropy)
            optimiser.zero_grad()
            (-values.mean()).backward()
            optimiser.step()
            schedule.step()


def _shifted(log: Log | None, steps: int) -> Log | None:
    """Steps that go on from one menu to the next."""
    return None if log is None else lambda step, metrics: log(steps + step, metrics)


def split(table: LevelTable, share: float, seed: int) -> tuple[LevelTable, LevelTable]:
    """Training and validation prompts by chance, conversations kept together; all in both where one would be empty."""
    names = sorted({prompt.task.split("/turn")[0] for prompt in table.prompts if prompt.positions})
    held = set(np.random.default_rng(seed).permutation(names)[: round(share * len(names))].tolist())
    if not held or len(held) == len(names):
        return table, table
    inside = table.where(lambda prompt: prompt.task.split("/turn")[0] not in held)
    return inside, table.where(lambda prompt: prompt.task.split("/turn")[0] in held)


def learn_levels(
    tables: Sequence[LevelTable],
    costs: CostModel,
    settings: LevelLearning | None = None,
    *,
    seed: int = 0,
    widths: Widths | None = None,
    say: Say = print,
    log: Log | None = None,
) -> LevelPolicy:
    """The best rule over several menus (beam widths), one table each, chosen on the validation prompts.

    Raises ValueError without tables, or where one has nothing to learn from.
    """
    if not tables:
        raise ValueError("there are no level tables: expected at least one to learn from")
    settings, started = settings or LevelLearning(), time.perf_counter()
    learned: list[Learned] = []
    for place, table in enumerate(tables):
        train, judged = (flatten(part, costs) for part in split(table, settings.validation_share, seed))
        learned.append(
            learn_menu(train, judged, settings, seed=seed, say=say, log=_shifted(log, place * settings.passes))
        )
    best = max(learned, key=lambda one: one.validation_rate)
    fixed_rate = max(one.fixed_rate for one in learned)
    metadata = {
        "seed": seed,
        "training_seconds": time.perf_counter() - started,
        "validation_gain": best.validation_rate / fixed_rate,
        "validation_rates": {str(one.menu.top_k): one.validation_rate for one in learned},
        "level_seconds": settings.level_seconds,
        "costs_measured_on": dict(costs.measured_on),
        "table": dict(tables[0].metadata),
    }
    return LevelPolicy(best.menu, best.network, widths, metadata)
