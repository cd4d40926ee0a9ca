"""What does ``trimtab dialogue train`` do? Begin or resume a run, check the rewards, learn, keep samples and the model."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trimtab.checkpoints import replace_file
from trimtab.console import print_update, say
from trimtab.dialogue import models, sources
from trimtab.dialogue.critic.pretraining import CriticSettings
from trimtab.dialogue.ppo.building import Lora
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.dialogue.reward_recipe import RewardSettings
from trimtab.parallel import quietly, workers
from trimtab.runs import Run
from trimtab.trackers import TrackSettings
from trimtab.types import Choice, Grade, Step

if TYPE_CHECKING:
    from trimtab.dialogue.ppo.trainer import PPOTrainer, Update
    from trimtab.dialogue.training_recipe import Train


@contextmanager
def begin(command: Any) -> Generator[tuple[Run, Any]]:
    """The command's run, new or gone on with, and the command as it was begun with."""
    track = command.track + (("wandb",) if getattr(command, "use_wandb", False) else ())
    if command.resume is None:
        run = Run.begin(command.save_dir, command, name=command.name, track=track, tracking=command.tracking)
    else:
        run = Run.resume(command.resume, track=track, tracking=command.tracking)
        command = recipe_in(command.resume, type(command))
    with run:
        yield run, command


def recipe_in(path: Path, kind: type[Any]) -> Any:
    """The recipe of a run's directory. Raises ValueError where it was another verb's."""
    plain: dict[str, Any] = yaml.safe_load((path / "recipe.yaml").read_text(encoding="utf-8"))
    if plain.pop("class") != kind.__name__:
        raise ValueError(
            f"the run in {path} is not one of `{kind.__name__.lower()}`: resume it by the verb that began it"
        )
    tracking = _settings(plain.pop("tracking"), TrackSettings)
    if "reward" in plain:
        plain["reward"] = _settings(plain["reward"], RewardSettings)
    for field in fields(kind):
        if field.name in plain and "Path" in str(field.type) and plain[field.name] is not None:
            plain[field.name] = Path(plain[field.name])
        if isinstance(plain.get(field.name), list):
            plain[field.name] = tuple(plain[field.name])
    return kind(**plain, tracking=tracking)


def _settings(plain: dict[str, Any], kind: type[Any]) -> Any:
    """A dataclass of plain settings; its paths and tuples restored."""
    found: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in plain.items() if name != "class"
    }
    for field in fields(kind):
        if "Path" in str(field.type) and found.get(field.name) is not None:
            found[field.name] = Path(found[field.name])
    return kind(**found)


def ppo_settings(command: Train) -> PPOSettings:
    """The settings of PPO that the flags mean."""
    return PPOSettings(
        steps=command.rl_max_steps,
        batch_size=command.rl_batch_size,
        minibatch_size=command.minibatch_size,
        accumulation=command.gradient_accumulation_steps,
        epochs=command.ppo_epochs,
        learning_rate=command.rl_learning_rate,
        critic_learning_rate=command.critic_learning_rate,
        warmup_steps=command.num_warmup_steps,
        clip_epsilon=command.ppo_clip_epsilon,
        value_clip_epsilon=command.value_clip_epsilon,
        entropy_coefficient=command.entropy_coefficient,
        decay=command.gae_lambda,
        kl_coefficient=command.kl_coefficient,
        kl_target=command.kl_target if command.kl_coefficient else None,
        kl_horizon=command.kl_horizon,
        temperature=command.temperature,
        max_gradient_norm=command.max_gradient_norm,
        unfinished_penalty=command.unfinished_penalty,
        context_max_length=command.context_max_length,
        reply_max_length=command.resp_max_length,
        critic=command.critic,
        checkpoint_every=command.checkpoint_every,
        seed=command.seed,
    )


def train(command: Train) -> None:
    """``trimtab dialogue train``."""
    team = workers()
    with quietly(team):
        if not team.main:
            if command.resume is not None:
                from trimtab.dialogue.training_recipe import Train as Recipe

                command = recipe_in(command.resume, Recipe)
            _learn(command, None)
            return
        with begin(command) as (run, recipe):
            _learn(recipe, run)


def _learn(command: Train, run: Run | None) -> None:
    from trimtab import randomness

    randomness.seed_everything(command.seed)
    from trimtab.dialogue.audit import refuse_constant_parts
    from trimtab.dialogue.reward_making import rubric_for

    examples = sources.examples_of(command.data)
    rubric = rubric_for(command.reward, examples)
    if run is not None and run.latest_checkpoint() is None:
        refuse_constant_parts(rubric, examples, force=command.force)
    if command.algorithm in ("rloo", "grpo"):
        _by_trl(command, rubric, examples, run)
        return
    trainer, tokenizer, recipe = _trainer(command, rubric, examples)
    from trimtab.dialogue.training import save_trained, train_policy

    train_policy(
        trainer,
        recipe,
        run,
        told=None if run is None else _teller(trainer, command, run),
        told_critic=lambda epoch, found: say(f"critic, pass {epoch}: explained variance {found['total']:.3f}"),
    )
    if run is not None:
        save_trained(trainer, tokenizer, run.path / models.MODEL)
        say(f"the model is in {run.path / models.MODEL}; talk to it by `trimtab dialogue chat {run.path}`")
    else:
        trainer.accelerator.wait_for_everyone()


def _trainer(command: Train, rubric: Any, examples: Any) -> tuple[PPOTrainer, Any, Any]:
    from trimtab.dialogue.training import PolicyTraining, make_agents_trainer, make_trainer

    model, tokenizer = models.load(command.model_name, dtype="float32")
    reference = None if command.reference_model is None else models.load(command.reference_model, dtype="float32")
    recipe = PolicyTraining(
        ppo_settings(command),
        Lora(command.lora_rank),
        CriticSettings(learning_rate=command.critic_learning_rate, seed=command.seed),
        critic_replies=command.critic_replies,
        bf16=command.bf16,
    )
    if command.algorithm == "agents":
        return make_agents_trainer(model, tokenizer, rubric, examples, recipe), tokenizer, recipe
    return make_trainer(model, tokenizer, rubric, examples, recipe, reference=reference), tokenizer, recipe


def _teller(trainer: PPOTrainer, command: Train, run: Run) -> Any:
    """Print each update's line, and keep its samples."""
    from trimtab.dialogue.ppo.rubric_grader import RubricGrader
    from trimtab.dialogue.ppo.trainer import console_line

    grader = trainer.grader
    assert isinstance(grader, RubricGrader)

    def told(done: Update) -> None:
        console_line(done, run.elapsed_seconds)
        rows = list(range(len(done.written))) if command.log_all else list(range(min(4, len(done.written))))
        for row in rows:
            reply = grader.replies[row]
            parts = dict(zip(done.graded.parts, done.graded.raw_BP[row].tolist(), strict=True))
            grade = Grade(float(done.graded.values_B[row]), parts)
            outcome = {"ended": reply.ended, "tokens": reply.tokens}
            run.record([Step(reply.example.key, reply.example.prompt, Choice(reply.text), outcome, grade)])
        if command.debug:
            reply = grader.replies[0]
            say(f"  {reply.example.latest}", f"    -> {reply.text}  [{done.graded.values_B[0]:.2f}]")

    return told


def _by_trl(command: Train, rubric: Any, examples: Any, run: Run | None) -> None:
    from trimtab.dialogue.ppo.saving import save_policy
    from trimtab.dialogue.trl_rows import TrlSettings, train_by_trl

    if command.algorithm == "ppo" or command.algorithm == "agents":
        raise AssertionError(command.algorithm)
    settings = TrlSettings(
        algorithm=command.algorithm,
        steps=command.rl_max_steps,
        batch_size=command.rl_batch_size,
        minibatch_size=command.minibatch_size,
        epochs=command.ppo_epochs,
        group_size=command.group_size,
        learning_rate=command.rl_learning_rate,
        beta=command.kl_coefficient,
        clip_epsilon=command.ppo_clip_epsilon,
        temperature=command.temperature,
        reply_max_length=command.resp_max_length,
        unfinished_penalty=command.unfinished_penalty,
        warmup_steps=command.num_warmup_steps,
        bf16=command.bf16,
        lora=Lora(command.lora_rank),
        seed=command.seed,
    )

    def log(step: int, metrics: dict[str, float]) -> None:
        if run is not None:
            run.log(step, metrics)
            shown = {name: metrics[name] for name in ("reward", "kl", "loss") if name in metrics}
            print_update(step, shown, run.elapsed_seconds)

    policy, tokenizer, counted = train_by_trl(models.located(command.model_name), rubric, examples, settings, log=log)
    if run is not None:
        save_policy(policy, tokenizer, run.path / models.MODEL)
        summary = json.dumps({"replies": counted.replies, "tokens": counted.tokens}, indent=2) + "\n"
        replace_file(run.path / "summary.json", lambda scratch: scratch.write_text(summary))
        say(f"the model is in {run.path / models.MODEL}; {counted.replies} replies were written")


def shortened(command: Train, steps: int) -> Train:
    """The same training over fewer updates."""
    return replace(command, rl_max_steps=steps)
