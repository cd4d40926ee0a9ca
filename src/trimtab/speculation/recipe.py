"""Which commands does this room have, and what can be set? ``trimtab speculation <verb>``, as frozen recipes.

Light to import: whatever needs torch is imported by ``run``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from trimtab.speculation.training.verb import TrainHead

Bins = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Pair:
    """A target and its draft head."""

    target: str = "zoo:chat"
    """The model: a hub id, a local path, or zoo:chat."""
    head: str = "zoo:chat-eagle3"
    """Its EAGLE head: a hub id, a local path, or zoo:chat-eagle3."""
    dtype: str = "bfloat16"
    """Arithmetic of decoding: auto (the file's own), float32, bfloat16, float16."""
    device: str | None = None
    """Where to run: cpu, cuda, cuda:1, ...; the CPU where not given."""


@dataclass(frozen=True)
class Generate:
    """Answer one prompt, the drafted and accepted tokens marked in colour."""

    prompt: tyro.conf.Positional[str]
    """The text of the user's message."""
    pair: Pair = Pair()
    max_new_tokens: int = 128
    """At most so many new tokens."""
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    """Nucleus sampling; 1 is off."""
    top_k: int = 0
    """Sample among the k likeliest tokens; 0 is off."""
    seed: int = 0
    """Seed of the sampling."""
    shape: tuple[int, int, int] | None = (60, 7, 10)
    """Tree: total_tokens depth top_k. None: decode without drafting."""
    policy: Path | None = None
    """A trained policy (its folder, or a run's) that chooses the trees instead."""

    def run(self) -> None:
        from trimtab.speculation.answering import answer

        answer(self)


@dataclass(frozen=True)
class Calibrate:
    """Measure what a round costs on this machine, for every tree of a menu."""

    out: Path = Path("costs.json")
    """The file to write."""
    pair: Pair = Pair()
    menu: str = "default"
    """The trees: seed, resps, small or default."""
    bins: Bins | None = None
    """Trees of your own instead: bins of total_tokens, depth and top_k."""
    prompts: str = "train"
    """Prompts to decode: train, held_out, or a JSON Lines file in MT-bench's format."""
    seconds: float = 25.0
    """How long to measure."""
    seed: int = 0

    def run(self) -> None:
        from trimtab.speculation.answering import calibrate_to

        calibrate_to(self)


@dataclass(frozen=True)
class Train:
    """Train a tree policy: calibrate, tabulate what trees accept, learn by replay."""

    pair: Pair = Pair()
    prompts: str = "train"
    """Prompts to learn from: train, or a JSON Lines file in MT-bench's format."""
    prompt_count: int | None = 240
    """Use the first so many prompts; None: all."""
    max_new_tokens: int = 96
    """Tokens per answer."""
    menu: str = "default"
    """The trees to choose among: seed, resps, small or default."""
    bins: Bins | None = None
    """Trees of your own instead: bins of total_tokens, depth and top_k."""
    menu_size: int = 12
    """The menu is pruned to at most so many trees, those that serve the oracle best."""
    ppo_updates: int = 60
    """Updates of PPO; they refine a start from full information."""
    calibration_seconds: float = 30.0
    """How long to measure costs."""
    table_dtype: str = "float32"
    """Arithmetic of the replay table; float32 is exact."""
    seed: int = 0
    """Seed of calibration, splits and learning."""
    out: Path = Path("runs")
    """Where runs are kept."""
    resume: Path | None = None
    """A run to go on with, by its own recipe."""

    def run(self) -> None:
        from trimtab.speculation.evaluation import train

        train(self)


@dataclass(frozen=True)
class Evaluate:
    """Decode held-out prompts for real: the policy beside default, best static, greedy rule and oracle."""

    run_directory: Annotated[Path, tyro.conf.arg(name="run")]
    """The run of `trimtab speculation train` whose policy is judged."""
    prompts: str = "held_out"
    """held_out, or a JSON Lines file in MT-bench's format."""
    prompt_count: int | None = None
    """Use the first so many prompts; None: all."""
    max_new_tokens: int = 96
    """Tokens per answer."""
    repeats: int = 2
    """Times that each prompt is decoded by each contender; the median counts."""
    float32_texts: int | None = None
    """Compare texts in float32 on the first so many prompts; None: all, 0: not at all."""
    json: Path | None = None
    """Also write rows and bars here."""

    def run(self) -> None:
        from trimtab.speculation.evaluation import evaluate_run

        evaluate_run(self)


@dataclass(frozen=True)
class Bench:
    """Race decoding methods on one prompt set: transformers' own, prompt lookup, and this engine's."""

    pair: Pair = Pair()
    prompts: str = "held_out"
    """held_out, or a JSON Lines file in MT-bench's format."""
    prompt_count: int | None = 60
    """Use the first so many prompts; None: all."""
    max_new_tokens: int = 96
    """Tokens per answer."""
    policy: Path | None = None
    """A run of `trimtab speculation train`: its policy, costs and table. None: train one first."""
    compile_baseline: bool = False
    """Try torch.compile for transformers' generate() too (compiles anew for each cache length: takes minutes)."""
    repeats: int = 1
    """Times that each prompt is decoded by each contender; the median counts."""
    json: Path | None = None
    """Also write rows and bars here."""

    def run(self) -> None:
        from trimtab.speculation.bench import bench

        bench(self)


@dataclass(frozen=True)
class Demo:
    """The whole of it in minutes: answer, calibrate, train, evaluate, report."""

    train: Train = field(default_factory=lambda: RECIPES["train"]["tiny"])
    prompts: str = "held_out"
    """Prompts to evaluate on."""
    prompt_count: int | None = 36
    """Use the first so many prompts; None: all."""
    answers: int = 3
    """Prompts to answer in colour first."""

    def run(self) -> None:
        from trimtab.speculation.demo import demo

        demo(self)


_SEED_MENU = Train(menu="resps", menu_size=24, prompt_count=None, max_new_tokens=256)

RECIPES: dict[str, dict[str, Train]] = {
    "train": {
        "tiny": Train(prompt_count=75, max_new_tokens=64, calibration_seconds=20.0),
        "default": Train(),
        "paper": replace(_SEED_MENU, calibration_seconds=120.0),
    }
}

VERBS: dict[str, type] = {
    "generate": Generate,
    "calibrate": Calibrate,
    "train": Train,
    "evaluate": Evaluate,
    "bench": Bench,
    "train-head": TrainHead,
    "demo": Demo,
}
