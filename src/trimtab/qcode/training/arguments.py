"""Which GRPOConfig does a recipe mean? TRL's own, every field of it reachable, numbers that fit together."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trimtab.qcode.training.batches import Batches, boundary, solve

if TYPE_CHECKING:
    from trimtab.qcode.training_recipe import LoraSettings, Train

LOSSES = ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo")
OWN = {
    "output_dir": "--output-dir",
    "report_to": "--track",
    "resume_from_checkpoint": "--resume",
    "generation_batch_size": "--prompts-per-step",
    "num_generations_eval": "--repeat-eval-problems",
    "temperature": "--generation-temp",
    "remove_unused_columns": "nothing: the reward needs all columns",
    "eval_strategy": "--eval-steps",
    "save_strategy": "--save-steps",
}
"""Fields of GRPOConfig that trimtab sets, and the flag that sets them."""


def trl() -> Any:
    """TRL. Raises ValueError where it is not installed."""
    try:
        import trl as module
    except ModuleNotFoundError as error:
        raise ValueError("training needs the package trl: pip install 'trimtab[train]'") from error
    return module


def options(given: Sequence[str], config: type[Any], taken: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` each, as fields of ``config``. Raises ValueError for what is no field, or has a flag of its own."""
    known = {field.name for field in dataclasses.fields(config) if field.init}
    found: dict[str, Any] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals:
            raise ValueError(f"{one!r}: expected NAME=VALUE, as in epsilon_high=0.28")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"{config.__name__} has no field {name!r}{hint}")
        if name in OWN or name in taken:
            flag = OWN.get(name, "--" + name.replace("_", "-"))
            raise ValueError(f"{name} has a flag of its own: give {flag}")
        found[name] = _value(text, name)
    return found


def _value(text: str, name: str) -> Any:
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError(f"{name}={text!r}: expected a value as in YAML (0.1, true, [a, b], {{x: 1}})") from None
    if isinstance(value, str):  # YAML 1.1 reads 1e-6 as text
        try:
            return float(value)
        except ValueError:
            return value
    return value


def batches_of(command: Train, processes: int, extra: dict[str, Any]) -> Batches:
    """The recipe's numbers of completions, solved. Raises ValueError with the nearest that fit."""
    return solve(
        group=command.num_generations,
        per_device=command.per_device_train_batch_size,
        processes=processes,
        accumulation=command.gradient_accumulation_steps,
        prompts=command.prompts_per_step,
        eval_group=command.repeat_eval_problems,
        eval_per_device=extra.get("per_device_eval_batch_size"),
    )


def check(command: Train, batches: Batches, extra: dict[str, Any]) -> None:
    """Raises ValueError for settings that contradict each other, before anything is loaded."""
    if command.loss_type not in LOSSES:
        raise ValueError(f"loss_type {command.loss_type!r}: expected one of {', '.join(LOSSES)}")
    if command.loss_type == "luspo" and extra.get("importance_sampling_level") != "sequence":
        raise ValueError("loss_type luspo weighs whole sequences: give --grpo importance_sampling_level=sequence too")
    if command.generation_temp <= 0:
        raise ValueError(f"generation_temp {command.generation_temp}: a group needs samples that differ, so above 0")
    if command.save_total_limit < 2:
        raise ValueError(
            f"save_total_limit {command.save_total_limit}: at least 2, so that a kill while saving loses nothing"
        )
    if command.repeat_eval_problems < 1 or command.simple_eval_problems < 1:
        raise ValueError("simple_eval_problems and repeat_eval_problems: expected at least 1 of each")
    if command.use_vllm and command.max_model_len <= command.max_completion_length:
        raise ValueError(
            f"max_model_len {command.max_model_len} leaves no room for a prompt beside {command.max_completion_length} "
            "tokens of completion: raise it, or lower --max-completion-length"
        )
    steps = int(extra.get("steps_per_generation", batches.accumulation))
    boundary(command.save_steps, steps, int(extra.get("num_iterations", 1)), batches.accumulation, "save_steps")


def grpo_fields(command: Train, batches: Batches, extra: dict[str, Any], folder: Path, *, cuda: bool) -> dict[str, Any]:
    """All fields of GRPOConfig that the recipe sets."""
    vllm: dict[str, Any] = {"use_vllm": True, "vllm_mode": command.vllm_mode} if command.use_vllm else {}
    if command.use_vllm and command.vllm_mode == "colocate":
        vllm["vllm_max_model_length"] = command.max_model_len
    fields: dict[str, Any] = {
        "output_dir": str(folder),
        "learning_rate": command.learning_rate,
        "max_steps": command.max_steps,
        "num_train_epochs": command.num_train_epochs,
        "per_device_train_batch_size": batches.per_device,
        "per_device_eval_batch_size": batches.eval_per_device,
        "gradient_accumulation_steps": batches.accumulation,
        "num_generations": batches.group,
        "num_generations_eval": batches.eval_group,
        "max_completion_length": command.max_completion_length,
        "temperature": command.generation_temp,
        "loss_type": command.loss_type,
        "beta": command.beta,
        "eval_strategy": "steps" if command.eval_steps else "no",
        "eval_on_start": bool(command.eval_steps),
        "save_strategy": "steps",
        "save_steps": command.save_steps,
        "save_total_limit": command.save_total_limit,
        "logging_steps": command.logging_steps,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not cuda,
        "bf16": cuda,
        "seed": command.seed,
        **({"eval_steps": command.eval_steps} if command.eval_steps else {}),
        **vllm,
    }
    return {**fields, **extra}


def grpo_options(command: Train) -> dict[str, Any]:
    """What ``--grpo`` gives. Raises ValueError for what it may not."""
    taken = {field.name for field in dataclasses.fields(command)} - {"grpo", "lora", "processes"}
    return options(command.grpo, trl().GRPOConfig, tuple(taken))


def lora_config(lora: LoraSettings) -> Any:
    """peft's configuration; None where all weights are trained."""
    if lora.rank == 0:
        return None
    try:
        import peft
    except ModuleNotFoundError as error:
        raise ValueError("LoRA needs the package peft: pip install 'trimtab[train]'") from error
    return peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        task_type="CAUSAL_LM",
    )
