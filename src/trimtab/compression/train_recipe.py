"""What can ``trimtab compression train`` and ``evaluate`` be told? Their settings, with the reference's names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from trimtab.trackers import TrackSettings


@dataclass(frozen=True)
class Train:
    """Learn which action to take for which prompt: by replay of a reward table, or online on live episodes."""

    model_name: str = "zoo:recall"
    """zoo:recall, llama, llama2, llama3, opt, a hub id, or a path."""
    gpus: tuple[int, ...] = ()
    """The CUDA device to use; for several: `accelerate launch` tabulate, and give its table."""
    dtype: str = "auto"
    """Arithmetic of the model: auto (the file's own), float32, bfloat16, float16."""
    table: Path | None = None
    """A table of `trimtab compression tabulate` to replay; None: one is made of the prompts below."""
    online: bool = False
    """Learn on live episodes instead: each reads a prompt, compresses once, and sees that one reward (bandits only)."""
    prompts: str = "recall"
    """recall (for zoo:recall), ruler, ruler/TASK, a JSON Lines file in LongBench's format, longbench/DATASET (from the
    hub); several joined by +."""
    prompt_count: int | None = 600
    """Use the first so many prompts; None: 600 generated ones, or all of a file."""
    max_tokens: int = 7500
    """Longer prompts lose their middle; generated ones are made so long."""
    menu: str = "default"
    """Actions to choose among: default, seed (the reference's grid of 60), waits, u5b, methods; layered (learns the
    layers' budgets)."""
    budget: int = 64
    """Tokens kept per KV head, averaged over the layers."""
    reward: str = "fidelity"
    """A part of the table: fidelity (exp(-KL) to the full cache), agreement, answer_right, rouge_l, cosine, metric."""
    scored_tokens: int = 4
    """Answer tokens scored, beyond the first, which is free."""
    new_tokens: int = 0
    """Also let every compressed cache answer freely, so many tokens, for the rewards rouge_l and metric; 0: none."""
    cosine_model: str = ""
    """The text encoder of the reward cosine (needs new tokens): minilm, m2-bert, m2-bert=FOLDER, text=NAME; or none."""
    learner: str = "ridge"
    """ridge or mlp (full information, tables only); bandits: lin-ucb, lin-ts, neural-linear-ucb, neural-linear-ts,
    neural-ucb (as published: diagonal, warm start), neural-ucb-theta0, neural-ucb-full, neural-ucb-full-theta0,
    neural-ts."""
    context_encoder_model: str = "structural+hidden"
    """What the policy sees, joined by +: structural, hidden, kept (what each action would keep), minilm, m2-bert,
    m2-bert=FOLDER, text=NAME; of a table given by --table: what it holds."""
    iterations: int = 300
    """Updates of a bandit."""
    episodes_per_update: int = 32
    """Prompts per update."""
    lr: float | None = None
    """Learning rate of networks; None: the learner's own."""
    ucb_beta: float = 0.3
    """How much a bandit explores."""
    uncertainty_coef: float = 0.0
    """The deployed choice is the highest mean less so many deviations."""
    eval_frequency: int = 50
    """Judge greedily, and keep a policy_N and a checkpoint, every so many updates."""
    eval_samples: int = 50
    """On so many prompts that are not learned from."""
    log_frequency: int = 10
    """Print every so many updates."""
    calibration_share: float = 0.2
    """Share of the prompts that judges while learning, and calibrates promises."""
    held_out_share: float = 0.3
    """Share of the prompts that is kept for the evaluation."""
    seed: int = 42
    """Seed of exploration and order."""
    save_dir: Path = Path("runs")
    """Where runs are kept."""
    name: str | None = None
    """The run's directory below; None: after the verb and the time."""
    track: tuple[str, ...] = ("tensorboard",)
    """Where metrics go beside metrics.jsonl: tensorboard, wandb, trackio."""
    tracking: Annotated[TrackSettings, tyro.conf.arg(name="")] = TrackSettings()
    resume: Path | None = None
    """A run to go on with, by its own recipe."""

    def run(self) -> None:
        from trimtab.compression.training import train

        train(self)


@dataclass(frozen=True)
class Evaluate:
    """Judge a policy on held-out prompts beside every baseline and the oracle; write the report and the verdict."""

    run_directory: Annotated[Path, tyro.conf.arg(name="run")]
    """The run of `trimtab compression train` whose policy is judged."""
    table: Path | None = None
    """A table to judge on instead; its held-out part is used, or all of it where it holds none of the prompts learnt."""
    needle: bool = True
    """Draw the needle heat map too (reads about 60 prompts)."""
    json: Path | None = None
    """Also write rows and bars here."""

    def run(self) -> None:
        from trimtab.compression.evaluation import evaluate_run

        evaluate_run(self)


RECIPES: dict[str, dict[str, Train]] = {
    "train": {
        "demo": Train(prompt_count=400, menu="layered", budget=24),
        "tiny": Train(prompt_count=120, iterations=40, eval_frequency=20),
        "default": Train(),
        "paper": Train(
            model_name="llama2",
            prompts="ruler",
            menu="seed",
            budget=128,
            learner="neural-ucb",
            iterations=1000,
            ucb_beta=1.0,
            eval_frequency=100,
        ),
    }
}

VERBS: dict[str, type] = {"train": Train, "evaluate": Evaluate}
