"""Which commands train, use and compare dialogue models? ``trimtab dialogue sft | train | generate | chat``.

Light to import: whatever needs torch is imported by ``run``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from trimtab.dialogue.reward_recipe import Reward, RewardSettings
from trimtab.trackers import TrackSettings


@dataclass(frozen=True)
class Sft:
    """Teach a model the references of a data set: the supervised baseline."""

    model_name: str = "moods"
    """moods (the embedded model, trained from nothing), zoo:NAME, a hub id, or a path."""
    data: str = "moods:train:4000"
    """moods:SPLIT:COUNT (the embedded world; the embedded model takes its own), or a file of `trimtab dialogue prepare`."""
    validation: str = "moods:validation:200"
    """Perplexity is measured on these."""
    steps: int | None = None
    """Steps of the optimiser; None: `epochs` passes (of moods: 600 steps)."""
    epochs: float = 3.0
    batch_size: int = 16
    gradient_accumulation_steps: int = 1
    learning_rate: float = 5e-5
    num_warmup_steps: int = 10
    evaluate_every: int = 100
    """Steps between measurements of perplexity, with samples (fine-tuning; at the start and at the end always)."""
    context_max_length: int = 256
    """Tokens of a prompt that are read: the last ones."""
    resp_max_length: int = 128
    """Tokens of a reply, its end included."""
    lora_rank: int = 0
    """Rank of a LoRA adapter; 0: train all weights."""
    load_in_4bit: bool = False
    """Freeze the model in 4 bits (bitsandbytes, CUDA); needs a LoRA rank."""
    bf16: bool = False
    seed: int = 0
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
        from trimtab.dialogue.verbs import supervise

        supervise(self)


@dataclass(frozen=True)
class Train:
    """Post-train a model on a composite reward: PPO with a critic, RLOO, GRPO, or agents that take turns."""

    model_name: str = "zoo:dialogue"
    """The supervised model to begin from: zoo:NAME, a hub id, or a path."""
    reference_model: str | None = None
    """Where the policy must not go too far from; None: the model as it was."""
    data: str = "moods:train:4000"
    """moods:SPLIT:COUNT (the embedded world), or a file of `trimtab dialogue prepare`."""
    algorithm: Literal["ppo", "rloo", "grpo", "agents"] = "ppo"
    reward: Reward = RewardSettings()
    force: bool = False
    """Train although a part of the reward is constant on the data."""
    rl_learning_rate: float = 3e-4
    critic_learning_rate: float = 1e-3
    rl_batch_size: int = 64
    """Replies per update."""
    minibatch_size: int = 32
    gradient_accumulation_steps: int = 1
    rl_max_steps: int = 100
    """Updates."""
    ppo_epochs: int = 2
    ppo_clip_epsilon: float = 0.2
    value_clip_epsilon: float = 0.2
    entropy_coefficient: float = 0.0
    gae_lambda: float = 0.95
    kl_coefficient: float = 0.1
    """Cost of a nat of KL to the reference, at first; 0: none."""
    kl_target: float | None = 3.0
    """Nats per reply that the cost is steered to; None: it stays."""
    kl_horizon: float = 1000.0
    """Replies over which the cost adapts."""
    group_size: int = 4
    """Of rloo and grpo: replies to each prompt."""
    critic: Literal["own", "trunk"] = "own"
    """A model of its own, or heads on the policy's trunk."""
    critic_replies: int = 1024
    """Replies of the model that the critic is trained on before the policy moves; 0: none."""
    unfinished_penalty: float = 1.0
    """Taken from the reward of a reply that was cut before it ended."""
    temperature: float = 1.0
    context_max_length: int = 64
    """Tokens of a prompt that are read: the last ones."""
    resp_max_length: int = 48
    """Tokens of a reply, its end included."""
    num_warmup_steps: int = 10
    max_gradient_norm: float = 1.0
    lora_rank: int = 0
    """Rank of a LoRA adapter (the model beneath it is the reference); 0: train all weights. Agents need one."""
    bf16: bool = False
    checkpoint_every: int = 100
    seed: int = 0
    log_all: bool = False
    """Keep every reply with its reward in steps.jsonl, not four of each update."""
    debug: bool = False
    """Print a reply with its reward at each update."""
    use_wandb: bool = False
    """The same as adding wandb to --track."""
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
        from trimtab.dialogue.verbs import reinforce

        reinforce(self)


@dataclass(frozen=True)
class Generate:
    """Answer a whole split in batches; a JSON line per reply."""

    model: tyro.conf.Positional[str]
    """zoo:NAME, a run of `sft` or `train`, a path, or a hub id."""
    out: Path
    """The JSON Lines file to write; what it holds already is not answered again."""
    data: str = "moods:test:400"
    """moods:SPLIT:COUNT, or a file of `trimtab dialogue prepare`."""
    best_of: int = 1
    """Keep the best of so many samples, by the reward below."""
    fill: str | None = None
    """Fill <movie> slots in by a recommender: popularity, similarity, or your module:function."""
    training: str = "moods:train:1000"
    """The dialogues in which the recommender popularity counts items."""
    reward: Reward = RewardSettings()
    temperature: float = 1.0
    """0: greedy."""
    context_max_length: int = 256
    resp_max_length: int = 48
    batch_size: int = 64
    seed: int = 0

    def run(self) -> None:
        from trimtab.dialogue.verbs import generate

        generate(self)


@dataclass(frozen=True)
class Chat:
    """Talk to a trained model; the parts of the reward are shown after each reply."""

    model: tyro.conf.Positional[str] = "zoo:dialogue"
    """zoo:NAME, a run of `sft` or `train`, a path, or a hub id."""
    reward: Reward = RewardSettings()
    """None of it given: that of the run."""
    items: str | None = None
    """Dialogues whose items the part recommendation looks for; None: the embedded task's, for its own models."""
    template: str = "chat"
    """How the model is written to: chat (the tokenizer's own), llama2, plain, moods."""
    instruction: str = ""
    """What the model is told at first, in the form of the template."""
    temperature: float = 1.0
    context_max_length: int = 256
    """Tokens of the talk that are read: the last ones."""
    resp_max_length: int = 64
    seed: int = 0

    def run(self) -> None:
        from trimtab.dialogue.chatting import chat

        chat(self)


RECIPES: dict[str, dict[str, Any]] = {
    "train": {
        "tiny": Train(rl_max_steps=10, critic_replies=128, data="moods:train:500"),
        "demo": Train(
            data="moods:train:1500", rl_max_steps=16, rl_learning_rate=5e-4, num_warmup_steps=3, critic_replies=256
        ),
        "default": Train(),
        "llama2": Train(
            model_name="meta-llama/Llama-2-7b-chat-hf",
            rl_learning_rate=1e-5,
            critic_learning_rate=1e-4,
            rl_max_steps=1000,
            ppo_epochs=4,
            kl_target=6.0,
            kl_horizon=10_000.0,
            lora_rank=16,
            bf16=True,
            context_max_length=256,
            resp_max_length=128,
        ),
    }
}


@dataclass(frozen=True)
class Demo:
    """The whole of it in minutes: PPO with a critic on the embedded model, judged on dialogues that it never saw."""

    train: Train = field(default_factory=lambda: RECIPES["train"]["demo"])
    examples: int = 200
    """Held-out dialogues that both models answer."""
    out: Path | None = None
    """Where the run is kept; None: as the recipe of the training says."""

    def run(self) -> None:
        from trimtab.dialogue.demo import demo

        demo(self)


VERBS: dict[str, type] = {
    "demo": Demo,
    "sft": Sft,
    "train": Train,
    "generate": Generate,
    "chat": Chat,
}
