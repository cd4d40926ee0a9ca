"""What would a training do? ``trimtab qcode train RECIPE --dry-run``: resolved, checked, sized, with its commands.

Nothing is downloaded and no accelerator is asked for.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trimtab.console import Table, say
from trimtab.plain import to_plain
from trimtab.qcode import models, sources
from trimtab.qcode.training import arguments, memory

if TYPE_CHECKING:
    from trimtab.qcode.training.batches import Batches
    from trimtab.qcode.training_recipe import Train

PROMPT_TOKENS = 1024
"""Of a long problem, where no vLLM limit says more."""


def launch_file(name: str) -> Path:
    """The accelerate file that comes with the package."""
    return Path(str(resources.files("trimtab.qcode") / "launch" / f"{name}.yaml"))


def shape_of(command: Train) -> memory.Shape:
    """The model's shape: from its configuration where that is at hand, else that of the recipe's size."""
    try:
        located = models.located(command.model)
    except ValueError:
        if command.size not in memory.QWEN25:
            raise
        located = command.model
    if (Path(located) / "config.json").is_file():
        from transformers import AutoConfig

        return memory.of_config(AutoConfig.from_pretrained(located))
    if command.size in memory.QWEN25:
        return memory.QWEN25[command.size]
    raise ValueError(
        f"the shape of {command.model} is not known here: give a local path, or --size {', '.join(memory.QWEN25)}"
    )


def trained_parameters(command: Train, shape: memory.Shape) -> int | None:
    """Of a LoRA adapter; None where all weights are trained."""
    if command.lora.rank == 0:
        return None
    small = shape.hidden * shape.key_value_heads // shape.heads
    sizes = {
        "q_proj": (shape.hidden, shape.hidden),
        "k_proj": (shape.hidden, small),
        "v_proj": (shape.hidden, small),
        "o_proj": (shape.hidden, shape.hidden),
        "gate_proj": (shape.hidden, shape.intermediate),
        "up_proj": (shape.hidden, shape.intermediate),
        "down_proj": (shape.intermediate, shape.hidden),
    }
    unknown = [name for name in command.lora.targets if name not in sizes]
    if unknown:
        raise ValueError(f"LoRA targets {', '.join(unknown)}: expected some of {', '.join(sizes)}")
    return shape.layers * sum(command.lora.rank * sum(sizes[name]) for name in command.lora.targets)


def plan_of(command: Train, batches: Batches, extra: dict[str, Any], shape: memory.Shape) -> memory.Plan:
    """What the memory depends on."""
    colocated = command.use_vllm and command.vllm_mode == "colocate"
    room = min(command.max_model_len, PROMPT_TOKENS + command.max_completion_length)
    return memory.Plan(
        per_device=batches.per_device,
        sequence_tokens=room,
        completion_tokens=command.max_completion_length,
        processes=batches.processes,
        sharding=command.launch,
        trained_parameters=trained_parameters(command, shape),
        reference=command.beta > 0 and command.lora.rank == 0,
        checkpointing=bool(extra.get("gradient_checkpointing", True)),
        colocated_share=float(extra.get("vllm_gpu_memory_utilization", 0.3)) if colocated else 0.0,
        generating=not command.use_vllm,
    )


def commands(command: Train, recipe: str) -> list[str]:
    """The lines that start it."""
    flags = f"trimtab qcode train {recipe} --name NAME"
    if command.processes == 1 and command.launch == "none":
        return [flags]
    started = f"accelerate launch --num_processes {command.processes}"
    if command.launch != "none":
        started = f"accelerate launch --config_file {launch_file(command.launch)} --num_processes {command.processes}"
    lines = [f"{started} -m {flags}"]
    if command.use_vllm and command.vllm_mode == "server":
        served = f"trl vllm-serve --model {command.model} --max-model-len {command.max_model_len}"
        devices = ",".join(str(device) for device in range(1, command.processes + 1))
        lines = [f"CUDA_VISIBLE_DEVICES=0 {served} &", f"CUDA_VISIBLE_DEVICES={devices} {lines[0]}"]
    return lines


def validated(command: Train, batches: Batches, extra: dict[str, Any]) -> Any:
    """TRL's own configuration, made as on a machine without an accelerator, at the size that one process sees.

    TRL divides by the number of processes that run now; the whole team's numbers were solved before.
    """
    fields = arguments.grpo_fields(command, batches, extra, Path("dry-run"), cuda=False)
    whole = batches.per_device * batches.processes
    fields |= {"per_device_train_batch_size": whole, "use_cpu": True, "bf16": False}
    fields["per_device_eval_batch_size"] = batches.eval_per_device * batches.processes
    return arguments.trl().GRPOConfig(**fields)


def problems_line(command: Train) -> str:
    """What the problems are, where they are at hand."""
    try:
        found = sources.for_training(command.problems, force=command.force)
    except ValueError as error:
        path = command.problems.partition(":")[2] or command.problems
        if Path(path).exists() or ":" not in command.problems:
            raise
        return f"{command.problems}: not here yet ({error})"
    return f"{command.problems}: {len(found)} problems of the train split"


def dry_run(command: Train) -> int:
    """Print the resolved recipe, numbers, memory and commands. Raises ValueError for whatever would fail."""
    extra = arguments.grpo_options(command)
    batches = arguments.batches_of(command, command.processes, extra)
    arguments.check(command, batches, extra)
    config = validated(command, batches, extra)
    shape = shape_of(command)
    parts = memory.estimate(shape, plan_of(command, batches, extra, shape), command.gpu_gib)
    print(yaml.safe_dump({"recipe": to_plain(command)}, sort_keys=False, allow_unicode=True))
    say(
        problems_line(command),
        f"{batches.completions} completions a step: {batches.prompts} problems x {batches.group}, as "
        f"{batches.processes} processes x {batches.per_device} x {batches.accumulation} accumulation steps; loss "
        f"{config.loss_type}, {shape.parameters / 1e9:.2f} billion parameters",
    )
    table = Table("memory of each device (estimate)", ("part", "GiB"), note=f"planned for {command.gpu_gib:g} GiB")
    for name, size in parts.items():
        table.add(name, round(size, 2))
    total = sum(parts.values())
    table.add("all", round(total, 2))
    table.print()
    for line in commands(command, command.size):
        print(line)
    if total > command.gpu_gib:
        raise ValueError(
            f"about {total:.0f} GiB are needed on each device, {command.gpu_gib:g} are there: share the model (--launch "
            "zero3, more --processes), train an adapter (--lora.rank 16), or lower --max-completion-length"
        )
    return 0
