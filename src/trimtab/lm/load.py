"""How is a language model named and loaded? A hub id, a local path, or ``zoo:name`` for what the package carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

ZOO = Path(__file__).parents[1] / "zoo" / "weights"


def resolve(name: str | Path) -> str | Path:
    """The path behind ``zoo:name``; any other name as it is. Raises ValueError naming the zoo's models."""
    if not str(name).startswith("zoo:"):
        return name
    path = ZOO / str(name).removeprefix("zoo:")
    if not path.is_dir():
        known = ", ".join(f"zoo:{entry.name}" for entry in sorted(ZOO.iterdir()) if entry.is_dir())
        raise ValueError(f"{name} is not in the embedded zoo; it holds {known or 'nothing'}")
    return path


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model named as for ``load_model``."""
    return AutoTokenizer.from_pretrained(resolve(name))


def load_model(
    name: str | Path,
    *,
    dtype: torch.dtype | str = "auto",
    device: str | torch.device | None = None,
    **options: Any,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model in evaluation mode, and its tokenizer, through transformers.

    ``dtype`` "auto" is the file's own. ``options`` go to ``from_pretrained``. Code in a repository is never executed
    unless ``trust_remote_code`` is passed. Raises ValueError where the tokenizer has more tokens than the model embeds.
    """
    path = resolve(name)
    if isinstance(dtype, str) and dtype != "auto":
        dtype = getattr(torch, dtype)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, **{"attn_implementation": "sdpa", **options})
    if device is not None:
        model = model.to(device)
    tokenizer = AutoTokenizer.from_pretrained(path)
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ValueError(
            f"the tokenizer of {name} has {len(tokenizer)} tokens, the model embeds {rows}: they do not belong together"
        )
    return model.eval(), tokenizer
