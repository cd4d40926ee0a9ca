"""How is the randomness of a run kept, so that a resumed run draws what the uninterrupted one would have drawn?

The global generators of python, numpy and torch, as arrays that a checkpoint can hold. A generator of your own
(``numpy.random.Generator``) keeps its state in JSON: ``generator.bit_generator.state``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

PREFIX = "randomness/"


def seed_everything(seed: int) -> None:
    """Seed the global generators of python, numpy and torch (all devices)."""
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def capture() -> dict[str, np.ndarray]:
    """The state of the global generators, as arrays named ``randomness/...``, for ``Run.checkpoint``."""
    import torch

    _, words, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state = {
        "python": np.array(words, dtype=np.uint64),
        "python_gauss": np.array([] if gauss is None else [gauss], dtype=np.float64),
        "numpy": np.asarray(keys, dtype=np.uint32),
        "numpy_rest": np.array([position, has_gauss, cached], dtype=np.float64),
        "torch": torch.get_rng_state().numpy(),
    }
    for index in range(torch.cuda.device_count()):
        state[f"cuda{index}"] = torch.cuda.get_rng_state(index).numpy()
    return {f"{PREFIX}{name}": array for name, array in state.items()}


def restore(arrays: Mapping[str, Any]) -> None:
    """Put back what ``capture`` gave (numpy arrays or torch tensors); other arrays are left alone.

    Raises ValueError where a state is missing.
    """
    import torch

    missing = [name for name in capture() if name not in arrays]
    if missing:
        raise ValueError(
            f"the checkpoint lacks {', '.join(missing)}: expected all that randomness.capture() gives on this machine. "
            "Resume on a machine with the same number of accelerators."
        )
    state = {name.removeprefix(PREFIX): np.asarray(array) for name, array in arrays.items() if name.startswith(PREFIX)}
    gauss = state["python_gauss"]
    random.setstate((3, tuple(int(word) for word in state["python"]), float(gauss[0]) if len(gauss) else None))
    position, has_gauss, cached = state["numpy_rest"]
    np.random.set_state(("MT19937", state["numpy"], int(position), int(has_gauss), float(cached)))
    torch.set_rng_state(torch.from_numpy(state["torch"].copy()))
    for index in range(torch.cuda.device_count()):
        torch.cuda.set_rng_state(torch.from_numpy(state[f"cuda{index}"].copy()), index)
