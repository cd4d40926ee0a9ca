"""Which commands does this room have, and what can be set? ``trimtab speculation <verb>``, as frozen recipes.

Light to import: whatever needs torch is imported by ``run``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from trimtab.speculation.training.verb import TrainHead
from trimtab.trackers import TrackSettings


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
    device_map: str | None = None
    """Split the target over devices instead: auto, balanced, sequential (see docs/scale.md)."""
    compile: str = "off"
    """Compile verification: off, dynamic (CPU; about a minute at the first answer), buckets (CUDA graphs)."""


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
    collect: Path | None = None
    """Append what happened in each round to this log (see `trimtab speculation collect`)."""

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
    total_tokens_bins: tuple[int, ...] = ()
    """Sizes of trees instead of the menu's own; of all combinations those that exist are the menu."""
    depth_bins: tuple[int, ...] = ()
    """Depths instead of the menu's own."""
    top_k_bins: tuple[int, ...] = ()
    """Beam widths instead of the menu's own."""
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
    total_tokens_bins: tuple[int, ...] = ()
    """Sizes of trees instead of the menu's own; of all combinations those that exist are the menu."""
    depth_bins: tuple[int, ...] = ()
    """Depths instead of the menu's own."""
    top_k_bins: tuple[int, ...] = ()
    """Beam widths instead of the menu's own."""
    menu_size: int = 48
    """The menu is pruned to at most so many trees, those that serve the oracle best."""
    learner: str = "levels"
    """levels: decide after each level whether to draft another. Or choose a tree before each round: ppo,
    ppo-multidiscrete, dqn, linucb, lin-ts, neural-linear, full-information, greedy, ucb1 or exp3."""
    level_beams: tuple[int, ...] = (3, 4)
    """Of the learner levels: beam widths to try."""
    level_depth: int = 16
    """Of the learner levels: draft at most so many levels."""
    draft_temperature: float | None = None
    """Of the learner levels: divides the head's logits (1: as published); None: the one that fits the target's choices."""
    action_space: str = "flat"
    """flat: a score for each tree of the pruned menu; multidiscrete: for each bin, over all trees that exist."""
    mode: str = "standard"
    """standard, or max-entropy: more entropy in training, trees drawn by chance in decoding."""
    entropy_coef: float | None = None
    """Weight of the policy's entropy in training; None: the mode's own."""
    inference_temperature: float | None = None
    """Draw trees from the softmax of scores at this temperature; 0: the best one. None: the mode's own."""
    ppo_updates: int = 60
    """Updates of PPO, and of ppo-multidiscrete; they refine a start from full information."""
    calibration_seconds: float = 30.0
    """How long to measure costs."""
    table_dtype: str = "float32"
    """Arithmetic of the replay table; float32 is exact."""
    state: str = "statistics"
    """What the policy sees: statistics, text, fused, fused-fc, fused-learned, head, joined by + (statistics+fused)."""
    compressed_width: int = 8
    """Numbers that fused-learned and head are compressed to."""
    text_encoder: str = "all-MiniLM-L6-v2"
    """Of the state text: all-MiniLM-L6-v2 (offline), or a sentence-transformers id or path."""
    text_refresh_tokens: int = 16
    """The text is embedded anew every so many tokens."""
    reward: str = "time"
    """What is learned for: time, reference, or module:attribute of your own. Speed is judged in any case."""
    hold: int | None = 1
    """A decision is held for so many rounds; None: for as many as are fastest on the validation prompts."""
    hold_drift: float | None = None
    """End a hold where the features have drifted by so many standard deviations."""
    hold_surprise: float | None = None
    """End a hold where a round accepted so many tokens more, or fewer, than expected of its tree."""
    planned_rounds: int = 1
    """A decision plans the trees of so many rounds."""
    seed: int = 0
    """Seed of calibration, splits and learning."""
    out: Path = Path("runs")
    """Where runs are kept."""
    track: tuple[str, ...] = ("tensorboard",)
    """Where metrics go beside metrics.jsonl: tensorboard, wandb, trackio."""
    tracking: Annotated[TrackSettings, tyro.conf.arg(name="")] = TrackSettings()
    resume: Path | None = None
    """A run to go on with, by its own recipe; it may be tracked elsewhere than before."""
    from_data: tuple[Path, ...] = ()
    """Learn from these files of `trimtab speculation collect` alone, off-policy: no models, no table, no costs. Only
    --seed, --out, --track and its kin, and --resume go with it."""

    def run(self) -> None:
        from trimtab.speculation.train_verb import train

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
    answers: Path | None = None
    """Write answers as MT-bench's judge reads them: the policy's to a .jsonl file, or to a folder every contender's."""
    json: Path | None = None
    """Also write rows and bars here."""

    def run(self) -> None:
        from trimtab.speculation.evaluate_verb import evaluate_run

        evaluate_run(self)


@dataclass(frozen=True)
class Sensitivity:
    """Decode held-out prompts at several temperatures: default, best static tree and policy, over several seeds."""

    run_directory: Annotated[Path, tyro.conf.arg(name="run")]
    """The run of `trimtab speculation train` whose policy is judged."""
    temperatures: tuple[float, ...] = (0.0, 1.0)
    """Temperatures of sampling; 0 is greedy."""
    seeds: int = 3
    """Seeds of sampling; at temperature 0 one."""
    prompts: str = "held_out"
    """held_out, or a JSON Lines file in MT-bench's format."""
    prompt_count: int | None = 60
    """Use the first so many prompts; None: all."""
    max_new_tokens: int = 96
    """Tokens per answer."""
    json: Path | None = None
    """Also write the rows here."""

    def run(self) -> None:
        from trimtab.speculation.sensitivity import sensitivity

        sensitivity(self)


@dataclass(frozen=True)
class Transfer:
    """What a policy loses on another machine against one taught for it: replayed under that machine's costs."""

    run_directory: Annotated[Path, tyro.conf.arg(name="run")]
    """The finished run of `trimtab speculation train` whose tables and costs are used."""
    costs: tuple[Path, ...] = ()
    """Other machines: files of `trimtab speculation calibrate`, or the costs.json of their runs."""
    factors: tuple[tuple[float, float], ...] = ((0.5, 1.0), (1.0, 2.0))
    """Simulated machines: how many times as long drafting takes, and verification."""
    judged_share: float = 0.25
    """Of the run's conversations, the share that is kept from both policies, to judge them."""
    json: Path | None = None
    """Also write the rows here."""

    def run(self) -> None:
        from trimtab.speculation.transfer import transfer

        transfer(self)


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
    compile: bool = True
    """Compile this engine, for all of its rows (dynamic on a CPU, buckets on CUDA); or say how in --pair.compile."""
    compile_baseline: bool = True
    """Race compiled forwards for transformers' generate() too. The two options compile three forwards: 2 to 4 minutes."""
    repeats: int = 1
    """Times that each prompt is decoded by each contender; the median counts."""
    json: Path | None = None
    """Also write rows and bars here."""

    @property
    def raced_pair(self) -> Pair:
        """The pair as it is raced: compiled, where ``compile`` says so and the pair does not say how."""
        if not self.compile or self.pair.compile != "off":
            return self.pair
        return replace(self.pair, compile="buckets" if (self.pair.device or "cpu").startswith("cuda") else "dynamic")

    def run(self) -> None:
        from trimtab.speculation.bench import bench

        bench(self)


@dataclass(frozen=True)
class CompareModes:
    """Learner x mode x state x hold in one table: policy calls, policy time and speed, decoded for real."""

    pair: Pair = Pair()
    prompts: str = "train"
    """Prompts to learn from: train, or a JSON Lines file in MT-bench's format."""
    prompt_count: int | None = 60
    """Use the first so many of them; None: all."""
    held_out: str = "held_out"
    """Prompts to decode: held_out, or a JSON Lines file in MT-bench's format."""
    held_out_count: int | None = 30
    """Use the first so many of those; None: all."""
    max_new_tokens: int = 64
    """Tokens per answer."""
    menu: str = "default"
    """The trees to choose among: seed, resps, small or default."""
    menu_size: int = 12
    """The menu is pruned to at most so many trees."""
    learners: tuple[str, ...] = ("ppo", "dqn")
    """Learners to compare (any of `trimtab speculation train` but levels)."""
    modes: tuple[str, ...] = ("standard", "max-entropy")
    """standard, max-entropy."""
    states: tuple[str, ...] = ("text", "fused", "statistics")
    """What policies see; parts joined by +."""
    holds: tuple[int, ...] = (1, 10)
    """A decision lasts so many rounds: 1, and others to set against it."""
    levels: bool = True
    """Race the rule that decides after every level too."""
    updates: int = 20
    """Updates of PPO and of DQN."""
    text_refresh_tokens: int = 16
    """The text is embedded anew every so many tokens."""
    calibration_seconds: float = 20.0
    """How long to measure costs."""
    table_dtype: str = "float32"
    """Arithmetic of the replay table; float32 is exact."""
    repeats: int = 1
    """Times that each prompt is decoded by each row; the median counts."""
    seed: int = 0
    out: Path = Path("runs")
    """Where runs are kept."""
    json: Path | None = None
    """Also write the comparison here."""
    resume: Path | None = None
    """A comparison to go on with, by its own recipe: what it has learned is not learned again."""

    def run(self) -> None:
        from trimtab.speculation.compare_modes import compare_modes

        compare_modes(self)


@dataclass(frozen=True)
class Demo:
    """The whole of it in minutes: answer, calibrate, train, evaluate, report."""

    train: Train = field(default_factory=lambda: RECIPES["train"]["demo"])
    prompts: str = "held_out"
    """Prompts to evaluate on."""
    prompt_count: int | None = 16
    """Use the first so many prompts; None: all."""
    float32_texts: int = 4
    """Compare texts in float32 on the first so many prompts."""
    answers: int = 2
    """Prompts to answer in colour first."""
    out: Path | None = None
    """Where the run is kept; None: as the recipe of the training says."""

    def run(self) -> None:
        from trimtab.speculation.demo import demo

        demo(self)


@dataclass(frozen=True)
class Collect:
    """Decode prompts with trees drawn at random, and log every round: data to judge policies and to train from."""

    out: Path = Path("collected.jsonl")
    """The log; what it holds already is kept."""
    pair: Pair = Pair()
    prompts: str = "train"
    """Prompts to decode: train, held_out, or a JSON Lines file in MT-bench's format."""
    prompt_count: int | None = 60
    """Use the first so many prompts; None: all."""
    max_new_tokens: int = 96
    """Tokens per answer."""
    decodes: int = 8
    """Times that each prompt is decoded: the more, the better estimates become."""
    menu: str = "default"
    """The trees to draw from: seed, resps, small or default."""
    total_tokens_bins: tuple[int, ...] = ()
    """Sizes of trees instead of the menu's own; of all combinations those that exist are the menu."""
    depth_bins: tuple[int, ...] = ()
    """Depths instead of the menu's own."""
    top_k_bins: tuple[int, ...] = ()
    """Beam widths instead of the menu's own."""
    menu_size: int = 12
    """Of the menu, so many trees, spread evenly from small to large."""
    policy: Path | None = None
    """A trained policy (its folder, or a run's) that chooses among its trees instead, but for a share at random."""
    epsilon: float = 0.3
    """That share."""
    seed: int = 0

    def run(self) -> None:
        from trimtab.speculation.recording import collect

        collect(self)


@dataclass(frozen=True)
class Judge:
    """Tell a policy's speed from logged decodes, before it is ever run, beside the static trees of the log."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Files of `trimtab speculation collect`."""
    policy: Path | None = None
    """A trained policy (its folder, or a run's)."""
    decision_seconds: float = 1e-4
    """What a decision of the policy is charged."""
    folds: int = 4
    """Into how many parts the decodes are dealt for cross-fitting."""
    json: Path | None = None
    """Also write the table here."""

    def run(self) -> None:
        from trimtab.speculation.data_verb import judge

        judge(self)


@dataclass(frozen=True)
class Online:
    """Answer questions and learn on the way, a static tree as the fallback; go on where it was stopped."""

    prompts: tyro.conf.Positional[str]
    """The questions: a JSON Lines file in MT-bench's format, or train, held_out."""
    out: Path = Path("online")
    """Folder of the answers, the learner's state and the policy; one that is there already is gone on with."""
    pair: Pair = Pair()
    prompt_count: int | None = None
    """Use the first so many prompts; None: all."""
    max_new_tokens: int = 256
    """Tokens per answer."""
    fallback: tuple[int, int, int] = (12, 5, 2)
    """The static tree to begin with and to fall back to: total_tokens depth top_k, best as calibrated."""
    menu: str = "default"
    """The trees to choose among: seed, resps, small or default."""
    total_tokens_bins: tuple[int, ...] = ()
    """Sizes of trees instead of the menu's own; of all combinations those that exist are the menu."""
    depth_bins: tuple[int, ...] = ()
    """Depths instead of the menu's own."""
    top_k_bins: tuple[int, ...] = ()
    """Beam widths instead of the menu's own."""
    menu_size: int = 12
    """Of the menu, so many trees, spread evenly from small to large."""
    control_share: float = 0.2
    """Share of the rounds that the fallback decodes, to compare."""
    warmup_rounds: int = 64
    """Rounds of the fallback before learning begins."""
    seed: int = 0

    def run(self) -> None:
        from trimtab.speculation.online import online

        online(self)


_SEED_MENU = Train(learner="ppo", menu="resps", menu_size=24, prompt_count=None, max_new_tokens=256)

RECIPES: dict[str, dict[str, Train]] = {
    "train": {
        "demo": Train(prompt_count=40, max_new_tokens=64, calibration_seconds=15.0, level_beams=(4,)),
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
    "sensitivity": Sensitivity,
    "transfer": Transfer,
    "bench": Bench,
    "compare-modes": CompareModes,
    "collect": Collect,
    "judge": Judge,
    "online": Online,
    "train-head": TrainHead,
    "demo": Demo,
}
