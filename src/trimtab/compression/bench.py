"""What do the methods cost and give on this machine? Prefill, decoding and bytes, beside the full cache, interleaved."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trimtab import machine
from trimtab.compression.actions import Action, menu
from trimtab.compression.engine.cache import cache_bytes
from trimtab.compression.engine.compressor import compress
from trimtab.compression.model_names import load
from trimtab.console import Table
from trimtab.records import write_json

if TYPE_CHECKING:
    from trimtab.compression.use_recipe import Bench


def _now(model: Any) -> float:
    """The time when all work handed over is done."""
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter()


@torch.no_grad()
def _measure(model: Any, ids: torch.Tensor, action: Action | None, command: Bench) -> tuple[float, float, int]:
    """Seconds of the prefill, seconds per decoded token, bytes of the cache after the prompt."""
    context = nullcontext() if action is None else compress(model, action.method, budget_tokens=command.budget_tokens)
    with context:
        started = _now(model)
        cache = model(ids, logits_to_keep=1).past_key_values
        read, held = _now(model), cache_bytes(cache)
        for step in range(command.decode_tokens):
            model(ids[:, step : step + 1], past_key_values=cache)
        return read - started, (_now(model) - read) / command.decode_tokens, held


def bench(command: Bench) -> None:
    """``trimtab compression bench``."""
    if min(command.tokens, command.repeats) < 1 or not 1 <= command.decode_tokens <= command.tokens:
        raise ValueError("expected tokens and repeats of 1 or more, and decode_tokens from 1 to tokens")
    model, _ = load(command.model_name, command.gpus, command.dtype)
    config: Any = model.config.get_text_config()
    ids = torch.randint(0, config.vocab_size, (1, command.tokens), generator=torch.Generator().manual_seed(0))
    ids = ids.to(model.device)
    actions: list[Action | None] = [None, *menu(command.menu)]
    _measure(model, ids, None, command)  # warms up
    rounds = [[_measure(model, ids, action, command) for action in actions] for _ in range(command.repeats)]
    medians = np.median(np.array(rounds), axis=0)
    columns = ("method", "prefill_seconds", "added_share", "tokens_per_second", "times_full", "cache_bytes")
    where = "CPU" if model.device.type == "cpu" else torch.cuda.get_device_name(model.device)
    note = f"{command.tokens} tokens, {str(model.dtype).removeprefix('torch.')}, {where}; medians of {command.repeats}"
    table = Table(f"{command.model_name}, {command.budget_tokens} tokens kept", columns, note=note)
    full = medians[0]
    for action, (read, step, held) in zip(actions, medians.tolist(), strict=True):
        name = "full cache" if action is None else action.name
        table.add(name, read, read / full[0] - 1, 1 / step, full[1] / step, int(held))
    table.print()
    if command.json is not None:
        result = {"rows": table.plain_rows(), "bars": [], "hardware": machine.hardware(), "date": machine.today()}
        write_json(command.json, result)
