"""What do the bandits lose while they learn? Regret and seconds on scikit-learn's digits: 1,797 rounds, ten arms.

python benchmarks/bandits.py [--seeds 3] [--peer learner_diag.py] [--json OUT]

A round shows an image (64 numbers from 0 to 1); the arm of its label pays 1, others 0; regret counts the wrong choices.
A seed orders the images and starts the bandit. ``--peer`` runs the file learner_diag.py of NeuralUCB's authors
(uclaml/NeuralUCB) on the first rounds of the same stream, beside the same rounds of the best NeuralUCB here.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from sklearn.datasets import load_digits

from trimtab import machine
from trimtab.console import Table, say
from trimtab.policies.bandit import Bandit
from trimtab.policies.linear import LinearThompson, LinUCB
from trimtab.policies.neural_linear import NeuralLinear
from trimtab.policies.neural_ucb import NeuralUCB
from trimtab.policies.ucb1 import UCB1
from trimtab.policies.uniform import Uniform
from trimtab.records import bar, write_json

ARMS = list(range(10))
RECORDED_SECONDS = 674.0
"""The authors' code, all rounds, on a loaded core (it lost 322)."""
NU = 1e-5
"""The authors' nu and lambda."""
NEURAL_LINEAR = NeuralLinear(
    hidden=(100, 50), exploration=0.3, rate=1.0, train_every=20, steps=60, batch_size=128, learning_rate=3e-3
)
BUILDERS: dict[str, Callable[[int], Bandit[int]]] = {
    "uniform": lambda seed: Uniform(ARMS, 64, seed),
    "ucb1 (no context)": lambda seed: UCB1().build(ARMS, 64),
    "linucb beta 1": lambda seed: LinUCB(1.0).build(ARMS, 64),
    "linucb beta 0.3": lambda seed: LinUCB(0.3).build(ARMS, 64),
    "lin-ts beta 0.3": lambda seed: LinearThompson(0.3).build(ARMS, 64, seed),
    "neural-linear ts 0.3": lambda seed: NEURAL_LINEAR.build(ARMS, 64, seed),
    "neural-linear ucb 0.3": lambda seed: _linear_ucb().build(ARMS, 64, seed),
    "neural-ucb diagonal warm, 1000 steps": lambda seed: NeuralUCB(NU**0.5, NU).build(ARMS, 64, seed),
    "neural-ucb diagonal warm, 300 steps": lambda seed: NeuralUCB(NU**0.5, NU, steps=300).build(ARMS, 64, seed),
    "neural-ucb diagonal theta0": lambda seed: _theta0("diagonal").build(ARMS, 64, seed),
    "neural-ucb full warm, 300 steps": lambda seed: _full("ucb").build(ARMS, 64, seed),
    "neural-ucb full theta0": lambda seed: _theta0("full").build(ARMS, 64, seed),
    "neural-ts diagonal warm, 300 steps": lambda seed: NeuralUCB(NU**0.5, NU, "ts", steps=300).build(ARMS, 64, seed),
    "neural-ts full warm, 300 steps": lambda seed: _full("ts").build(ARMS, 64, seed),
}


def _linear_ucb() -> NeuralLinear:
    settings = {**vars(NEURAL_LINEAR), "rule": "ucb"}
    return NeuralLinear(**settings)


def _full(rule: Any) -> NeuralUCB:
    return NeuralUCB(0.03, 1e-3, rule, "full", steps=300)


def _theta0(covariance: Any) -> NeuralUCB:
    return NeuralUCB(0.01, NU, "ucb", covariance, "theta0", train_every=50, steps=20_000)


@dataclass(frozen=True)
class Played:
    """Regret after each round, and the seconds it took."""

    regret_T: np.ndarray
    seconds: float


def stream(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [T, 64] and labels [T], in the order of a seed."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    return images[order] / 16, labels[order]


def play(bandit: Bandit[int], images: np.ndarray, labels: np.ndarray) -> Played:
    """Every round once."""
    begun, lost = time.perf_counter(), np.zeros(len(labels))
    for t in range(len(labels)):
        context = images[t : t + 1]
        arm = bandit.choose(context)
        reward = (arm == labels[t]).astype(np.float64)
        lost[t] = 1 - reward[0]
        bandit.observe(context, arm, reward)
    return Played(lost.cumsum(), time.perf_counter() - begun)


def play_peer(path: Path, images: np.ndarray, labels: np.ndarray) -> Played:
    """The authors' learner, as their training script drives it; what it sends to an accelerator stays on the host."""
    specification = importlib.util.spec_from_file_location("learner_diag", path)
    if specification is None or specification.loader is None:
        raise ValueError(f"{path} is no python file: expected learner_diag.py of uclaml/NeuralUCB")
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_: self
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    torch.manual_seed(0)
    np.random.seed(0)
    learner = module.NeuralUCBDiag(640, NU, NU, 100)
    begun, lost = time.perf_counter(), np.zeros(len(labels))
    for t, (image, label) in enumerate(zip(images, labels, strict=True)):
        contexts = np.kron(np.eye(10), image)
        arm = int(learner.select(contexts)[0])
        lost[t] = float(arm != label)
        learner.train(contexts[arm], 1 - lost[t])
    return Played(lost.cumsum(), time.perf_counter() - begun)


@dataclass(frozen=True)
class Bench:
    """Play the stream with every bandit."""

    seeds: int = 3
    """Orders of the images, and starts of the bandits."""
    peer: Path | None = None
    """learner_diag.py of uclaml/NeuralUCB."""
    peer_rounds: int = 200
    """Rounds that it plays."""
    json: Path | None = None
    """Where to write rows and bars."""


def measure(command: Bench) -> dict[str, list[Played]]:
    """All bandits on each seed's stream in turn, so that the machine's load falls on all."""
    played: dict[str, list[Played]] = {name: [] for name in BUILDERS}
    for seed in range(command.seeds):
        images, labels = stream(seed)
        for name, build in BUILDERS.items():
            played[name].append(play(build(seed), images, labels))
            one = played[name][-1]
            say(f"seed {seed}  {name}: regret {one.regret_T[-1]:.0f} in {one.seconds:.1f} s")
    return played


def table_of(played: dict[str, list[Played]]) -> Table:
    """Mean regret after some rounds, that of each seed at the end, seconds."""
    columns = ("bandit", "at_200", "at_500", "at_1000", "at_1797", "seeds", "last_300_error", "seconds")
    table = Table("Regret on digits", columns, note="1,797 rounds, 10 arms; seconds of one core, mean over seeds")
    for name, runs in played.items():
        curves = np.stack([run.regret_T for run in runs])
        at = [float(curves[:, t - 1].mean()) for t in (200, 500, 1000, 1797)]
        ends = ", ".join(f"{end:.0f}" for end in curves[:, -1])
        error = float((curves[:, -1] - curves[:, -301]).mean() / 300)
        table.add(name, *at, ends, error, float(np.mean([run.seconds for run in runs])))
    return table


def beside_peer(command: Bench, best: str) -> dict[str, Any]:
    """The authors' code and the best NeuralUCB on the same first rounds of seed 0, one after the other."""
    assert command.peer is not None
    images, labels = (array[: command.peer_rounds] for array in stream(0))
    own = play(BUILDERS[best](0), images, labels)
    peer = play_peer(command.peer, images, labels)
    ratio = peer.seconds / own.seconds
    numbers = {"peer_seconds": peer.seconds, "own_seconds": own.seconds, "ratio": ratio}
    regret = {"peer_regret": float(peer.regret_T[-1]), "own_regret": float(own.regret_T[-1])}
    return {"bandit": best, "rounds": command.peer_rounds, **numbers, **regret}


def worst(played: dict[str, list[Played]], name: str) -> float:
    """The highest final regret of the seeds."""
    return max(float(run.regret_T[-1]) for run in played[name])


def bars_of(played: dict[str, list[Played]], best: str, peer: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Each bar is met by the worst of the seeds."""
    linear = max(worst(played, "neural-linear ts 0.3"), worst(played, "neural-linear ucb 0.3"))
    below = [
        ("neural-linear (both rules), worst seed's regret", linear, 330.0),
        ("LinUCB beta 1, worst seed's regret", worst(played, "linucb beta 1"), 400.0),
        (f"best published NeuralUCB ({best}), worst seed's regret", worst(played, best), 380.0),
    ]
    bars = [bar(name, value, bound, above=False) for name, value, bound in below]
    seconds = max(run.seconds for run in played[best])
    recorded = RECORDED_SECONDS / seconds
    told = f"the authors' recorded {RECORDED_SECONDS:.0f} s over the slowest seed of the best NeuralUCB"
    bars.append(bar(told, recorded, 10.0, above=True, equal=True))
    if peer is not None:
        told = f"the authors' code over the best NeuralUCB, seconds of {peer['rounds']} rounds in this run"
        bars.append(bar(told, peer["ratio"], 10.0, above=True, equal=True))
    return bars


def main(command: Bench) -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    played = measure(command)
    table = table_of(played)
    table.print()
    best = min((name for name in BUILDERS if name.startswith("neural-ucb")), key=lambda name: worst(played, name))
    peer = beside_peer(command, best) if command.peer else None
    bars = bars_of(played, best, peer)
    for one in bars:
        say(f"{'holds' if one['holds'] else 'FAILS'}  {one['name']}: {one['value']:.1f} (bound {one['bound']:.0f})")
    if command.json:
        about = {"date": machine.today(), "hardware": machine.hardware(), "versions": machine.versions()}
        record = {**about, "commit": machine.commit(), "rows": table.plain_rows(), "peer": peer, "bars": bars}
        write_json(command.json, record)
        say(f"written to {command.json}")


if __name__ == "__main__":
    main(tyro.cli(Bench, description=__doc__))
