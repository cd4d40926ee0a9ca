"""What must be kept of a training so that it goes on to the very same numbers, and how is it written without pickles?

Weights that are trained, the optimiser's moments, and a few numbers as JSON. Replies, order and minibatches are told by
seed and update alone, so that there is no other randomness to keep than the global generators (for a policy's dropout).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

WEIGHTS, MOMENTS = "weights/", "moments/"
# without cpu_offload, with which all processes but the first would be given nothing
_OPTIONS = StateDictOptions(full_state_dict=True, ignore_frozen_params=True)


def training_arrays(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Trained weights and moments by their parameters' names, gathered from all processes (which must all call this)."""
    weights: Any = get_model_state_dict(module, options=_OPTIONS)
    optimised: Any = get_optimizer_state_dict(module, optimizer, options=_OPTIONS)
    moments: Mapping[str, Any] = optimised["state"]
    arrays: dict[str, Tensor] = {f"{WEIGHTS}{name}": tensor for name, tensor in weights.items()}
    for name, state in moments.items():
        arrays |= {f"{MOMENTS}{name}|{key}": torch.as_tensor(value) for key, value in state.items()}
    return {name: tensor.detach().cpu().clone() for name, tensor in arrays.items()}


def restore_arrays(module: nn.Module, optimizer: torch.optim.Optimizer, arrays: Mapping[str, Tensor]) -> None:
    """Put back what ``training_arrays`` gave. Raises ValueError where the weights are those of another model."""
    weights = {name.removeprefix(WEIGHTS): tensor for name, tensor in arrays.items() if name.startswith(WEIGHTS)}
    expected: Any = get_model_state_dict(module, options=_OPTIONS)
    differing = sorted(name for name in {*weights, *expected} if not _alike(weights.get(name), expected.get(name)))
    if differing:
        raise ValueError(
            f"the checkpoint does not fit the model: {len(differing)} weights differ in name or shape, such as "
            f"{differing[0]}. Resume with the model, adapter and rewards that the training was begun with"
        )
    lenient = StateDictOptions(full_state_dict=True, ignore_frozen_params=True, strict=False)
    set_model_state_dict(module, dict(weights), options=lenient)
    state: dict[str, dict[str, Tensor]] = {}
    for key, tensor in arrays.items():
        if key.startswith(MOMENTS):
            name, _, moment = key.removeprefix(MOMENTS).rpartition("|")
            state.setdefault(name, {})[moment] = tensor
    if state:
        kept: Any = get_optimizer_state_dict(module, optimizer, options=_OPTIONS)
        wanted: Any = {"state": state, "param_groups": kept["param_groups"]}
        set_optimizer_state_dict(module, optimizer, wanted, options=_OPTIONS)


def _alike(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and one.shape == other.shape
