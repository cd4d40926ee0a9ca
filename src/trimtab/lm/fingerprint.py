"""Are these the weights that something was made from? A digest of samples of every tensor, in milliseconds."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

_SAMPLED_WEIGHTS = 1024


def of_weights(*models: nn.Module) -> str:
    """Sixteen hexadecimal digits that tell these models' weights from others (about a thousand numbers per tensor)."""
    digest = hashlib.sha256()
    for model in models:
        for name, tensor in sorted(model.state_dict().items()):
            flat = tensor.detach().flatten()
            sample = flat[:: max(1, len(flat) // _SAMPLED_WEIGHTS)].to("cpu", torch.float64)
            digest.update(f"{name} {tuple(tensor.shape)}".encode() + sample.numpy().tobytes())
    return digest.hexdigest()[:16]
