"""What does ``trimtab qcode sft`` do? References are checked, then taught by TRL, or to a small model from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.console import print_update, say
from trimtab.qcode import models, prompts, sources
from trimtab.qcode.attempts import Grader
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.reward import check
from trimtab.qcode.training import arguments
from trimtab.qcode.training.recipes import recipe_in
from trimtab.qcode.training.running import rank, world
from trimtab.runs import Run
from trimtab.types import Metrics

if TYPE_CHECKING:
    from collections.abc import Generator

    from trimtab.qcode.training_recipe import Sft

EMBEDDED = "embedded"
VOCABULARY, STEPS = 1536, 150
SHARE = 3
"""An embedded model is taught every third one-liner of the train split: the others are left for GRPO to find."""


def embedded_problems() -> tuple[list[Problem], list[Problem]]:
    """(problems that ``zoo:q`` is taught, problems whose texts make its tokenizer): all of train splits."""
    shipped = sources.of_split(sources.load("shipped"), "train", "shipped")
    lines = sources.of_split(sources.load("onelines"), "train", "onelines")
    return [*shipped, *lines[::SHARE]], [*shipped, *lines]


@contextmanager
def begun(command: Sft) -> Generator[tuple[Run | None, Path, Sft]]:
    """The command's run (of the main process), its directory, and the recipe that it was begun with."""
    resume = command.resume
    if resume is not None:
        command = replace(recipe_in(resume, type(command)), resume=resume)
    if rank() != 0:
        yield None, resume or command.output_dir / (command.name or "unnamed"), command
        return
    if resume is None:
        run = Run.begin(command.output_dir, command, name=command.name, track=command.track, tracking=command.tracking)
    else:
        run = Run.resume(resume, track=command.track, tracking=command.tracking)
    with run:
        yield run, run.path, command


def supervise(command: Sft) -> None:
    """``trimtab qcode sft``."""
    recipe = command if command.resume is None else recipe_in(command.resume, type(command))
    if world() > 1 and (recipe.model == EMBEDDED or (command.name is None and command.resume is None)):
        raise ValueError(
            "several processes write into one run: give it a --name (or --resume it); a model made from nothing "
            "(--model embedded) takes one process"
        )
    teach = _embedded if recipe.model == EMBEDDED else _Tuned.of(recipe)
    problems = taught_problems(recipe)
    if rank() == 0:
        with Grader(recipe.engine, recipe.prompt.format) as grader:
            check(problems, recipe.prompt, grader)
    with begun(command) as (run, path, recipe):
        teach(recipe, problems, run, path)
        if run is not None:
            say(f"the model is in {path / models.MODEL}; judge it by `trimtab qcode evaluate {path}`")


def taught_problems(command: Sft) -> list[Problem]:
    """The problems with references that the command teaches. Raises ValueError where there are none."""
    if command.model == EMBEDDED and command.problems == "shipped":
        return embedded_problems()[0]
    found = [p for p in sources.for_training(command.problems, force=command.force) if p.references]
    if not found:
        raise ValueError(f"{command.problems} has no references in its train split: there is nothing to teach")
    return found


def _log(run: Run | None) -> Any:
    def log(step: int, metrics: Metrics) -> None:
        if run is None:
            return
        run.log(step, metrics)
        print_update(step, {n: v for n, v in metrics.items() if n != "seconds"}, run.elapsed_seconds)

    return log


def _embedded(command: Sft, problems: Sequence[Problem], run: Run | None, path: Path) -> None:
    import torch

    from trimtab.qcode import small_model

    words = VOCABULARY if command.problems == "shipped" else small_model.SmallRecipe.vocab_size
    recipe = small_model.SmallRecipe(vocab_size=words, seed=command.seed)
    recipe = replace(recipe, fit=replace(recipe.fit, steps=command.steps or STEPS))
    vocabulary = embedded_problems()[1] if command.problems == "shipped" else problems
    torch.manual_seed(command.seed)
    validation = [p for p in sources.load("onelines") if p.split == "validation"]
    small_model.build(recipe, problems, vocabulary, path / "fit", log=_log(run), validation=validation)
    target = path / models.MODEL
    if not target.exists():
        (path / "fit" / "model").rename(target)


class _Tuned:
    """Fine-tuning by TRL's SFTTrainer; the tokenizer is read before anything long begins."""

    def __init__(self, name: str, tokenizer: Any, extra: dict[str, Any]) -> None:
        self.name, self.tokenizer, self.extra = name, tokenizer, extra

    @classmethod
    def of(cls, command: Sft) -> _Tuned:
        """Prepared. Raises ValueError (or OSError, for a hub id) for whatever is wrong."""
        from trimtab.lm.load import load_tokenizer

        extra = arguments.options(command.sft, arguments.trl().SFTConfig, ())
        name = models.located(command.model)
        tokenizer = models.padded(load_tokenizer(name))
        prompts.check_tokenizer(tokenizer, command.prompt, command.model)
        return cls(name, tokenizer, extra)

    def __call__(self, command: Sft, problems: Sequence[Problem], run: Run | None, path: Path) -> None:
        from datasets import Dataset

        from trimtab.qcode.small_model import token_rows

        rows = [
            {"input_ids": ids, "completion_mask": [0] * prompt + [1] * (len(ids) - prompt)}
            for ids, prompt in token_rows(self.tokenizer, problems, command.prompt)
        ]
        folder = path / "trainer"
        trainer = arguments.trl().SFTTrainer(
            model=self.name,
            args=self._config(command, folder, max(len(row["input_ids"]) for row in rows)),
            train_dataset=Dataset.from_list(rows),
            processing_class=self.tokenizer,
            peft_config=arguments.lora_config(command.lora),
            callbacks=[_logging(_log(run))],
        )
        trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")) or None)
        trainer.save_model(str(path / models.MODEL))
        if run is not None:
            self.tokenizer.save_pretrained(path / models.MODEL)

    def _config(self, command: Sft, folder: Path, longest: int) -> Any:
        import torch

        cuda = torch.cuda.is_available()
        fields: dict[str, Any] = {
            "output_dir": str(folder),
            "max_steps": command.steps or -1,
            "num_train_epochs": command.epochs,
            "per_device_train_batch_size": command.per_device_train_batch_size,
            "gradient_accumulation_steps": command.gradient_accumulation_steps,
            "learning_rate": command.learning_rate,
            "max_length": longest,
            "completion_only_loss": True,
            "use_cpu": not cuda,
            "bf16": cuda,
            "report_to": "none",
            "save_strategy": "steps",
            "save_steps": 100,
            "save_total_limit": 2,
            "logging_steps": 10,
            "disable_tqdm": True,
            "seed": command.seed,
            "model_init_kwargs": {"dtype": "float32"},
        }
        return arguments.trl().SFTConfig(**{**fields, **self.extra})


def _logging(log: Any) -> Any:
    from transformers import TrainerCallback

    from trimtab.qcode.training.recorder import numbers

    class Logging(TrainerCallback):
        """Hands the numbers that TRL logs to the run."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            row = {name: value for name, value in numbers(logs or {}).items() if name != "epoch"}
            if row and "train_runtime" not in row:
                log(int(state.global_step), row)

    return Logging()
