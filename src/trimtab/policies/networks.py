"""How do plain perceptrons become torch networks to be trained, and come back; and how does an optimiser travel?"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from trimtab.policies.mlp import MLP

V = TypeVar("V")
_GAIN = 2**0.5
_LAST_GAIN = 0.01


@contextmanager
def single_thread() -> Generator[None]:
    """Small networks are fastest on one thread; the number of threads is put back afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def perceptron(inputs: int, hidden: Sequence[int], outputs: int, seed: int) -> MLP:
    """An untrained network: orthogonal weights, the last layer's nearly zero. The global generators stay as they are."""
    generator = torch.Generator().manual_seed(seed)
    widths, layers = [inputs, *hidden, outputs], list[tuple[np.ndarray, np.ndarray]]()
    for index, (before, after) in enumerate(pairwise(widths)):
        weight = torch.empty(after, before)
        nn.init.orthogonal_(weight, _LAST_GAIN if index == len(hidden) else _GAIN, generator)
        layers.append((weight.T.numpy().copy(), np.zeros(after, dtype=np.float32)))
    return MLP(tuple(layers))


def network_of(mlp: MLP) -> nn.Sequential:
    """The same network in torch: linear layers, tanh between them. Raises ValueError for another activation."""
    if mlp.activation != "tanh":
        raise ValueError(f"a perceptron with {mlp.activation}: expected tanh, only such are trained further")
    modules: list[nn.Module] = []
    for weight, bias in mlp.layers:
        layer = nn.utils.skip_init(nn.Linear, *weight.shape)  # draws nothing from the global generator
        layer.load_state_dict({"weight": torch.from_numpy(weight.T.copy()), "bias": torch.from_numpy(bias.copy())})
        modules += [layer, nn.Tanh()]
    return nn.Sequential(*modules[:-1])


def plain_layers(layers: Sequence[nn.Linear]) -> MLP:
    """Linear layers as a perceptron."""
    return MLP(tuple((la.weight.detach().T.numpy().copy(), la.bias.detach().numpy().copy()) for la in layers))


def linear_layers(network: nn.Sequential) -> list[nn.Linear]:
    """The layers with weights, in order."""
    return [module for module in network if isinstance(module, nn.Linear)]


def exported(network: nn.Sequential) -> MLP:
    """The reverse of ``network_of``."""
    return plain_layers(linear_layers(network))


def load_layers(layers: Sequence[nn.Linear], mlp: MLP) -> None:
    """Put a perceptron's weights into linear layers. Raises ValueError where these differ in number or shape."""
    widths = [(la.in_features, la.out_features) for la in layers]
    if [weight.shape for weight, _ in mlp.layers] != widths:
        raise ValueError(f"a perceptron of {[w.shape for w, _ in mlp.layers]}: the actor has layers of {widths}")
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, mlp.layers, strict=True):
            layer.weight.copy_(torch.from_numpy(weight.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias))


def optimiser_arrays(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What an optimiser remembers of each parameter: ``index/slot``."""
    slots = optimiser.state_dict()["state"]
    return {f"{index}/{name}": value for index, named in slots.items() for name, value in named.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, arrays: Mapping[str, Any]) -> None:
    """Put back what ``optimiser_arrays`` gave (tensors or numpy arrays)."""
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in arrays.items():
        index, slot = name.split("/")
        slots.setdefault(int(index), {})[slot] = torch.as_tensor(value)
    optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})


def under(prefix: str, arrays: Mapping[str, V]) -> dict[str, V]:
    """The arrays whose names begin with ``prefix/``, without it."""
    return {name.removeprefix(f"{prefix}/"): array for name, array in arrays.items() if name.startswith(f"{prefix}/")}
