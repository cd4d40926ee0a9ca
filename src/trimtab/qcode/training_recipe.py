"""What can be set where models are trained and judged? ``trimtab qcode sft | train | evaluate | export``, as recipes.

Light to import: whatever needs torch is imported by ``run``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from trimtab.qcode.attempts import EngineSettings
from trimtab.qcode.prompts import Form, PromptSettings
from trimtab.qcode.reward import RewardSettings
from trimtab.qcode.training.alarms import AlarmSettings
from trimtab.qcode.training.curriculum import CurriculumSettings
from trimtab.trackers import TrackSettings

Launch = Literal["none", "zero2", "zero3", "fsdp"]


@dataclass(frozen=True)
class LoraSettings:
    """A LoRA adapter (Hu et al. 2021). ``rank`` 0: all weights are trained."""

    rank: int = 0
    alpha: int = 32
    dropout: float = 0.1
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Sft:
    """Teach a model the references of the train split: the base that GRPO starts from."""

    model: str = "embedded"
    """A hub id, a path or zoo:NAME; embedded: a small model made from nothing, as zoo:q is."""
    problems: str = "shipped"
    """shipped, onelines, a file of problems, or LAYOUT:FILE (sft, hub, mbpp, ...)."""
    output_dir: Path = Path("runs")
    """Where runs are kept."""
    name: str | None = None
    """The run's directory below; None: after the verb and the time."""
    learning_rate: float = 2e-5
    steps: int | None = None
    """None: `epochs` passes (embedded: its own number)."""
    epochs: float = 3.0
    per_device_train_batch_size: int = 8
    gradient_accumulation_steps: int = 1
    lora: LoraSettings = LoraSettings()
    use_reasoning_format: bool = False
    """Teach answers with <reasoning> and <answer>."""
    form: Form = "chat"
    """chat: the tokenizer's template; plain: one text, for models without one."""
    terse: bool = False
    """Prompts without instructions (embedded models are always taught so)."""
    sft: tuple[str, ...] = ()
    """Anything of TRL's SFTConfig: NAME=VALUE each."""
    force: bool = False
    """Train on a benchmark all the same."""
    engine: EngineSettings = field(default_factory=EngineSettings)
    track: tuple[str, ...] = ("tensorboard",)
    tracking: Annotated[TrackSettings, tyro.conf.arg(name="")] = TrackSettings()
    seed: int = 0
    resume: Path | None = None
    """A run to go on with, by its own recipe."""

    @property
    def prompt(self) -> PromptSettings:
        """How problems are put."""
        return PromptSettings("reasoning" if self.use_reasoning_format else "direct", self.form, self.terse)

    def run(self) -> None:
        from trimtab.qcode.training.supervised import supervise

        supervise(self)


@dataclass(frozen=True)
class Train:
    """Train a model by GRPO on programs that are run: TRL's trainer, the reward from executed tests."""

    model: str = "zoo:q"
    """A hub id, a path, a run of `sft` or `train`, or zoo:NAME."""
    problems: str = "onelines"
    """shipped, onelines, a file of problems, or LAYOUT:FILE (sft, hub, mbpp, ...)."""
    eval_problems: str | None = "onelines-evaluation"
    """Problems whose validation split is watched; None: the same."""
    output_dir: Path = Path("runs")
    """Where runs are kept."""
    name: str | None = None
    """The run's directory below; None: after the verb and the time."""
    size: str = "tiny"
    """Names the folder below final_outputs/."""
    learning_rate: float = 2e-6
    max_steps: int = -1
    """Optimizer steps; -1: `num_train_epochs` passes."""
    num_train_epochs: float = 1.0
    num_generations: int = 8
    """Completions of a problem: a group."""
    per_device_train_batch_size: int = 1
    """Completions at a time on each device."""
    prompts_per_step: int | None = None
    """Problems of an optimizer step; the accumulation follows. None: as many as the accumulation makes."""
    gradient_accumulation_steps: int | None = None
    """None: what --prompts-per-step needs, or else the fewest that make whole groups."""
    processes: int = 1
    """Processes that --dry-run plans for (a launched run counts its own)."""
    max_completion_length: int = 2048
    max_model_len: int = 8192
    """Prompt and completion together, for vLLM."""
    generation_temp: float = 0.8
    loss_type: str = "dapo"
    """grpo, dr_grpo, dapo, bnpo, cispo, sapo, luspo, vespo."""
    beta: float = 0.0
    """Cost of a nat of KL to the model as it was."""
    lora: LoraSettings = LoraSettings()
    grpo: tuple[str, ...] = ()
    """Anything else of TRL's GRPOConfig: NAME=VALUE each, as YAML."""
    use_reasoning_format: bool = False
    """Ask for <reasoning> and <answer>; else for the program alone."""
    form: Form = "chat"
    """chat: the tokenizer's template; plain: one text, for models without one."""
    terse: bool = False
    """Prompts without instructions, as zoo:q reads them."""
    base_reward_weight: float = 1.0
    """Of the share of tests passed."""
    perfect_reward_weight: float = 1.0
    """Of passing all tests."""
    max_tests_per_problem: int = 3
    """Hidden tests drawn for each problem at each step."""
    format_reward_weight: float = 0.0
    length_reward_weight: float = 0.0
    binary_reward: bool = False
    """Only all tests count, not the share."""
    custom_reward: tuple[str, ...] = ()
    """More parts: MODULE:FUNCTION=WEIGHT each, a function of a list of attempts."""
    control: Literal["none", "random"] = "none"
    """random: values that say nothing, to see what training does by itself."""
    eval_steps: int = 25
    """Optimizer steps between evaluations; 0: none."""
    simple_eval_problems: int = 15
    """Problems of the validation split that are watched."""
    repeat_eval_problems: int = 4
    """Samples of each."""
    save_steps: int = 50
    """Optimizer steps between checkpoints."""
    save_total_limit: int = 2
    logging_steps: int = 1
    curriculum: CurriculumSettings = CurriculumSettings()
    alarms: AlarmSettings = AlarmSettings()
    engine: EngineSettings = field(default_factory=EngineSettings)
    use_vllm: bool = False
    vllm_mode: Literal["server", "colocate"] = "server"
    launch: Launch = "none"
    """How --dry-run plans to share the model: zero2, zero3, fsdp."""
    gpu_gib: float = 80.0
    """Memory of a device that --dry-run plans for."""
    dry_run: bool = False
    """Resolve and check everything, estimate memory, print the commands; train nothing."""
    force: bool = False
    """Train on a benchmark all the same."""
    use_wandb: bool = False
    """The same as adding wandb to --track."""
    track: tuple[str, ...] = ("tensorboard",)
    """Where metrics go beside metrics.jsonl: tensorboard, wandb, trackio."""
    tracking: Annotated[TrackSettings, tyro.conf.arg(name="")] = TrackSettings()
    seed: int = 0
    resume: Path | None = None
    """A run to go on with, by its own recipe; or one of its checkpoints."""

    @property
    def prompt(self) -> PromptSettings:
        """How problems are put."""
        return PromptSettings("reasoning" if self.use_reasoning_format else "direct", self.form, self.terse)

    @property
    def reward(self) -> RewardSettings:
        """The reward that the flags mean."""
        hard = self.max_completion_length
        return RewardSettings(
            mode="binary" if self.binary_reward else "fraction",
            base_weight=self.base_reward_weight,
            perfect_weight=self.perfect_reward_weight,
            max_tests=self.max_tests_per_problem,
            format_weight=self.format_reward_weight,
            length_weight=self.length_reward_weight,
            soft_tokens=hard * 3 // 4,
            hard_tokens=hard,
            custom=self.custom_reward,
        )

    @property
    def format_name(self) -> str:
        """The folder of the format, as the original names it."""
        return "reasoning" if self.use_reasoning_format else "non_reasoning"

    def run(self) -> int | None:
        if self.dry_run:
            from trimtab.qcode.training.planning import dry_run

            return dry_run(self)
        from trimtab.qcode.training.running import train

        return train(self)


TINY = Train(
    learning_rate=2e-4,
    max_steps=60,
    per_device_train_batch_size=64,
    prompts_per_step=8,
    max_completion_length=40,
    generation_temp=1.0,
    loss_type="dr_grpo",
    terse=True,
    simple_eval_problems=115,
    save_steps=10,
    grpo=("lr_scheduler_type=constant_with_warmup", "warmup_steps=5", "gradient_checkpointing=false"),
)


def _large(size: str, model: str, *, reasoning: bool) -> Train:
    """As the original's experiments: ZeRO-3 over seven devices, a vLLM server on the eighth, seven problems a step."""
    return Train(
        model=model,
        problems="hub:sft_python_q_problems.jsonl",
        eval_problems=None,
        size=size,
        learning_rate=2e-6,
        num_train_epochs=100.0,
        processes=7,
        gradient_accumulation_steps=8,
        use_reasoning_format=reasoning,
        use_vllm=True,
        launch="zero3",
    )


TRAIN_RECIPES: dict[str, object] = {
    "tiny": TINY,
    "1.5b": _large("1.5b", "morganstanley/qqWen-1.5B-SFT", reasoning=False),
    "3b": _large("3b", "morganstanley/qqWen-3B-SFT", reasoning=False),
    "7b": _large("7b", "morganstanley/qqWen-7B-SFT", reasoning=False),
    "14b": _large("14b", "morganstanley/qqWen-14B-SFT", reasoning=True),
    "32b": _large("32b", "morganstanley/qqWen-32B-SFT", reasoning=True),
}


@dataclass(frozen=True)
class Evaluate:
    """Judge a model: greedy accuracy, pass@k with intervals, by family, status and test; eval_results.json and a page."""

    model: tyro.conf.Positional[str] = "zoo:q"
    """A hub id, a path, a run of `sft` or `train`, zoo:NAME; or the model's name at --endpoint."""
    problems: str = "shipped"
    """shipped, onelines, onelines-evaluation, a file of problems, or LAYOUT:FILE (humaneval, q-humaneval, ...)."""
    split: Literal["train", "validation", "test", "all"] = "test"
    limit: int | None = None
    """At most so many problems, the first ones."""
    samples: int = 8
    """Samples of each problem; 0: greedy alone."""
    k: tuple[int, ...] = (1, 2, 4, 8, 16)
    temperature: float = 0.8
    greedy: bool = True
    """Also the greedy answer of each problem."""
    max_new_tokens: int = 512
    batch_size: int = 64
    use_reasoning_format: bool = False
    fenced: bool = False
    """Ask for a fenced block."""
    form: Form = "chat"
    terse: bool = False
    """Prompts without instructions, as zoo:q reads them."""
    endpoint: str | None = None
    """A server with OpenAI's chat interface, up to /v1; None: a local model."""
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the endpoint's key."""
    engine: EngineSettings = field(default_factory=EngineSettings)
    out: Path = Path("evaluation")
    """The folder for eval_results.json, samples.jsonl and index.html."""
    seed: int = 0

    @property
    def prompt(self) -> PromptSettings:
        """How problems are put."""
        form = "reasoning" if self.use_reasoning_format else "fenced" if self.fenced else "direct"
        return PromptSettings(form, self.form, self.terse)

    def run(self) -> int:
        from trimtab.qcode.evaluation.verb import evaluate

        return evaluate(self)


@dataclass(frozen=True)
class Export:
    """Write the model of a run for use elsewhere: the best checkpoint's, LoRA merged, read back and compared."""

    run_dir: tyro.conf.Positional[Path]
    """A run of `sft` or `train`."""
    out: Path
    """The folder to write."""
    checkpoint: int | None = None
    """The step of a checkpoint; None: the best by validation, or else the last."""

    def run(self) -> None:
        from trimtab.qcode.training.exporting import export

        export(self)


RECIPES: dict[str, dict[str, object]] = {"train": TRAIN_RECIPES}
VERBS: dict[str, type] = {"sft": Sft, "train": Train, "evaluate": Evaluate, "export": Export}


def shortened(command: Train, steps: int) -> Train:
    """The same training over fewer steps."""
    return replace(command, max_steps=steps)
