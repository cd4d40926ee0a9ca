"""How does a trained network decide within microseconds, and travel as plain numbers?

A perceptron in numpy (tanh, or ReLU where its maker says so): two small matrix products and an argmax, without autograd,
dispatch or a device. It is a safetensors file whose header names the layers: loading executes nothing from the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from trimtab.checkpoints import replace_file

_FORMAT = "trimtab-mlp-1"
_RELU = "activation.relu"


def _relu(hidden: np.ndarray) -> np.ndarray:
    return np.maximum(hidden, 0)


_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"tanh": np.tanh, "relu": _relu}


@dataclass(frozen=True, eq=False)
class MLP:
    """Scores of actions: ``layers`` of (weight [inputs, outputs], bias [outputs]), float32, ``activation`` between them.

    Raises ValueError where a layer does not fit the one before it.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    activation: Literal["tanh", "relu"] = "tanh"

    def __post_init__(self) -> None:
        for index, (weight, bias) in enumerate(self.layers):
            expected = self.layers[index - 1][0].shape[1] if index else weight.shape[0]
            if weight.ndim != 2 or weight.shape != (expected, len(bias)):
                raise ValueError(
                    f"layer {index} has weight {weight.shape} and bias {bias.shape}: expected {expected} inputs"
                )
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ValueError(
                    f"layer {index} has numbers that are not finite: training diverged; lower its learning rate"
                )
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation {self.activation!r}: expected one of {', '.join(_ACTIVATIONS)}")
        if not self.layers:
            raise ValueError("a perceptron without layers: expected at least one")

    @property
    def inputs(self) -> int:
        return self.layers[0][0].shape[0]

    @property
    def outputs(self) -> int:
        return self.layers[-1][0].shape[1]

    def scores(self, features_BF: np.ndarray) -> np.ndarray:
        """Unnormalised log-probabilities [B, A] (or [A] for features [F])."""
        hidden, between = features_BF, _ACTIVATIONS[self.activation]
        for weight, bias in self.layers[:-1]:
            hidden = between(hidden @ weight + bias)
        weight, bias = self.layers[-1]
        return hidden @ weight + bias

    def choose(self, features_F: np.ndarray) -> int:
        """The best action's index for one context."""
        return int(self.scores(features_F).argmax())

    def arrays(self) -> dict[str, np.ndarray]:
        """The layers by name: ``0.weight``, ``0.bias``, ``1.weight``, ...; and a mark for ReLU."""
        named = [(f"{i}.weight", weight) for i, (weight, _) in enumerate(self.layers)]
        mark = [(_RELU, np.ones(1, np.float32))] if self.activation == "relu" else []
        return dict(named + [(f"{i}.bias", bias) for i, (_, bias) in enumerate(self.layers)] + mark)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> MLP:
        """The reverse of ``arrays``. Raises ValueError for a missing, surplus or misshapen array."""
        count = len(arrays) // 2
        expected = {f"{index}.{part}" for index in range(count) for part in ("weight", "bias")}
        if set(arrays) - {_RELU} != expected:
            raise ValueError(f"the arrays {sorted(arrays)} are no perceptron: expected {sorted(expected)}")
        layers = ((arrays[f"{i}.weight"], arrays[f"{i}.bias"]) for i in range(count))
        plain = ((np.ascontiguousarray(w, np.float32), np.ascontiguousarray(b, np.float32)) for w, b in layers)
        return cls(tuple(plain), "relu" if _RELU in arrays else "tanh")

    def save(self, path: Path) -> None:
        """Write one safetensors file, atomically."""
        header = {"trimtab": json.dumps({"format": _FORMAT, "activation": self.activation})}
        replace_file(path, lambda scratch: save_file(self.arrays(), scratch, header))

    @classmethod
    def load(cls, path: Path) -> MLP:
        """Read what ``save`` wrote. Raises ValueError where the file is something else."""
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {})["trimtab"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is no saved perceptron ({error}): expected a file written by MLP.save") from error
        mlp = cls.from_arrays(arrays)
        if header != {"format": _FORMAT, "activation": mlp.activation}:
            raise ValueError(f"{path} says {header}: expected format {_FORMAT}. Update trimtab, or train anew.")
        return mlp
