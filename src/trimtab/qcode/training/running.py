"""What does ``trimtab qcode train`` do? Check everything, begin or resume the run, let TRL train, keep the model."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.console import say
from trimtab.qcode import models, prompts, sources
from trimtab.qcode.attempts import Grader
from trimtab.qcode.engine.protocol import InfraError
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.reward import CodeReward, RandomReward, check
from trimtab.qcode.training import arguments, layout
from trimtab.qcode.training.alarms import Alarms
from trimtab.qcode.training.curriculum import Curriculum
from trimtab.qcode.training.recipes import digest, recipe_in
from trimtab.runs import Run

if TYPE_CHECKING:
    from trimtab.qcode.training_recipe import Train


def rank() -> int:
    """The number of this process, as its launcher says."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes train together, as their launcher says."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def data_of(command: Train) -> tuple[list[Problem], list[Problem]]:
    """(problems of the train split, problems watched during training). Raises ValueError where there are none."""
    train = sources.for_training(command.problems, force=command.force)
    if not command.eval_steps:
        return train, []
    name = command.eval_problems or command.problems
    loaded = sources.load(name)
    splits = {problem.split for problem in loaded}
    watched = sources.of_split(loaded, "validation" if "validation" in splits else "test", name)
    return train, watched[: command.simple_eval_problems]


def dataset_of(problems: Sequence[Problem], command: Train, split: str) -> Any:
    """Rows as TRL takes them: the prompt, and which problem it is. (Tests stay here: Arrow would bend them.)"""
    from datasets import Dataset

    rows = [{"prompt": prompts.build(p, command.prompt), "problem": p.id, "split": split} for p in problems]
    return Dataset.from_list(rows)


def checkpoint_meant(resume: Path) -> tuple[Path, Path | None]:
    """(the run's directory, the checkpoint that is meant or None for the newest)."""
    if resume.name.startswith("checkpoint-"):
        run = resume.resolve().parents[4]
        return run, resume
    return resume, None


def _newest(where: layout.Layout) -> Path | None:
    whole = layout.complete(where.checkpoints)
    return whole[-1] if whole else None


@contextmanager
def begun(command: Train) -> Generator[tuple[Run | None, Train, layout.Layout, Path | None]]:
    """The run (of the main process), the recipe that it was begun with, its folders, and the checkpoint to go on from."""
    track = command.track + (("wandb",) if command.use_wandb and "wandb" not in command.track else ())
    if command.resume is not None:
        path, checkpoint = checkpoint_meant(command.resume)
        recipe = replace(recipe_in(path, type(command)), resume=command.resume)
        where = layout.of_command(path, recipe)
        checkpoint = checkpoint or _newest(where)
        state = None if checkpoint is None else layout.read_mark(checkpoint, digest(recipe))
        if rank() == 0:
            step = 0 if checkpoint is None else layout.step_of(checkpoint)
            layout.rewind(path, step, state)
            from trimtab.qcode.training.recorder import trim_log

            trim_log(where.log, step)
            with Run.resume(path, track=track, tracking=command.tracking) as run:
                yield run, recipe, where, checkpoint
        else:
            yield None, recipe, where, checkpoint
        return
    if rank() != 0:
        yield None, command, layout.of_command(command.output_dir / (command.name or "unnamed"), command), None
        return
    with Run.begin(command.output_dir, command, name=command.name, track=track, tracking=command.tracking) as run:
        where = layout.of_command(run.path, command)
        where.prepare((run.path / "recipe.yaml").read_text(encoding="utf-8"))
        yield run, command, where, None


def settled(command: Train) -> Train:
    """The command, with problems put as its model was taught to read them."""
    prompt = models.prompt_of(command.model, command.prompt)
    return replace(command, terse=prompt.terse, form=prompt.form, use_reasoning_format=prompt.format == "reasoning")


def train(command: Train) -> int | None:
    """``trimtab qcode train``."""
    if world() > 1 and command.name is None and command.resume is None:
        raise ValueError("several processes write into one run: give it a --name (or --resume it)")
    recipe = command = settled(command)
    if command.resume is not None:
        recipe = recipe_in(checkpoint_meant(command.resume)[0], type(command))
    prepared = Prepared.of(recipe)  # whatever can be wrong is found before a run is begun
    with prepared.grader:
        if command.resume is None and rank() == 0:
            check((*prepared.train, *prepared.watched), recipe.prompt, prepared.grader)
        with begun(command) as (run, recipe, where, checkpoint):
            try:
                _learn(recipe, prepared, run, where, checkpoint)
            except InfraError as error:
                raise ValueError(f"training stopped: {error}") from error
    return None


class Prepared:
    """What a recipe needs before its run is begun: problems, tokenizer, engine, TRL's configuration."""

    def __init__(self, command: Train, tokenizer: Any, model: str) -> None:
        self.command, self.tokenizer, self.model = command, tokenizer, model
        self.train, self.watched = data_of(command)
        self.resuming = False
        self.grader = Grader(command.engine, command.prompt.format)

    @classmethod
    def of(cls, command: Train) -> Prepared:
        """Prepared from a recipe. Raises ValueError (or OSError, for a hub id) for whatever is wrong with it."""
        extra = arguments.grpo_options(command)
        arguments.check(command, arguments.batches_of(command, world(), extra), extra)
        if command.curriculum.active and command.max_steps < 1:
            raise ValueError("a curriculum plans the whole training: give --max-steps")
        model = models.located(command.model)
        from trimtab.lm.load import load_tokenizer

        tokenizer = models.padded(load_tokenizer(model))
        prompts.check_tokenizer(tokenizer, command.prompt, command.model)
        return cls(command, tokenizer, model)

    def config(self, where: layout.Layout) -> Any:
        """TRL's configuration."""
        import torch

        extra = arguments.grpo_options(self.command)
        batches = arguments.batches_of(self.command, world(), extra)
        extra.setdefault("model_init_kwargs", {"dtype": "float32"})
        fields = arguments.grpo_fields(self.command, batches, extra, where.checkpoints, cuda=torch.cuda.is_available())
        fields["eval_on_start"] = bool(self.watched) and not self.resuming
        return arguments.trl().GRPOConfig(**fields)


def make_trainer(prepared: Prepared, recorder: Any, where: layout.Layout, curriculum: Curriculum) -> Any:
    """TRL's trainer with our reward, problems and clocks."""
    from trimtab.qcode.training.trainer import CodeTrainer, Watch

    command, watch = prepared.command, Watch()

    def heard(attempts: Any, values: Any, split: str) -> None:
        watch.hear(attempts, values, split)
        recorder.hear(attempts, values, split)

    from transformers import AutoConfig

    kind = RandomReward if command.control == "random" else CodeReward
    ends = models.end_ids(prepared.tokenizer, AutoConfig.from_pretrained(prepared.model))
    reward = kind(
        {"train": {p.id: p for p in prepared.train}, "eval": {p.id: p for p in prepared.watched}},
        prepared.grader,
        command.reward,
        ends=ends,
        seed=command.seed,
        heard=heard,
    )
    trainer = CodeTrainer(
        model=prepared.model,
        reward_funcs=[reward],
        args=prepared.config(where),
        train_dataset=dataset_of(prepared.train, command, "train"),
        eval_dataset=dataset_of(prepared.watched, command, "eval") if prepared.watched else None,
        processing_class=prepared.tokenizer,
        peft_config=arguments.lora_config(command.lora),
        callbacks=[recorder],
        watch=watch,
        grader=prepared.grader,
        curriculum=curriculum,
        told_evaluation=recorder.evaluated,
    )
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    recorder.save_model = trainer.save_model
    return trainer


def _learn(command: Train, prepared: Prepared, run: Run | None, where: layout.Layout, checkpoint: Path | None) -> None:
    from trimtab.qcode.training.recorder import Recorder

    curriculum = Curriculum([p.id for p in prepared.train], command.curriculum, command.seed)
    recorder = Recorder(run, where, Alarms(command.alarms), curriculum, digest(command))
    prepared.resuming = checkpoint is not None
    trainer = make_trainer(prepared, recorder, where, curriculum)
    if checkpoint is not None:
        recorder.restore(layout.read_mark(checkpoint, digest(command)))
        say(f"going on from {checkpoint}")
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    trainer.save_model(str(where.model))
    if run is not None:
        prepared.tokenizer.save_pretrained(where.model)
        say(f"the model is in {where.model}" + (f", the best by validation in {where.best}" if recorder.best else ""))
