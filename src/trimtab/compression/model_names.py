"""Which model does ``--model-name`` mean, and where does it run? The reference's names, hub ids, paths, the zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

REFERENCE_NAMES = {
    "llama": "huggyllama/llama-7b",
    "llama2": "meta-llama/Llama-2-7b-chat-hf",
    "llama3": "meta-llama/Llama-3.1-8B-Instruct",
    "opt": "facebook/opt-6.7b",
}


def device_of(gpus: tuple[int, ...]) -> str | None:
    """The device of ``--gpus``: none given is transformers' default. Raises ValueError for several, or none there."""
    import torch

    wanted = list(gpus)
    if not wanted:
        return None
    if len(wanted) > 1:
        raise ValueError(
            f"--gpus {' '.join(map(str, gpus))}: several are used by `accelerate launch`, one process each"
        )
    if wanted[0] >= torch.cuda.device_count():
        raise ValueError(f"--gpus {wanted[0]}: this machine has {torch.cuda.device_count()} CUDA devices")
    return f"cuda:{wanted[0]}"


def load(name: str, gpus: tuple[int, ...] = (), dtype: str = "auto") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and its tokenizer. Raises ValueError as ``load_model`` and ``device_of``."""
    from trimtab.lm.load import load_model

    return load_model(REFERENCE_NAMES.get(name, name), device=device_of(gpus), dtype=dtype)
