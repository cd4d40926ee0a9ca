"""How is a language model named and loaded? A hub id, a local path, or ``zoo:name`` for what the package carries."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

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


@contextmanager
def quiet(wanted: bool) -> Generator[None]:
    """Without transformers' progress bar: reading a local file is over before it is seen; a download is not."""
    shown = logging.is_progress_bar_enabled()
    if wanted:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def embedding_weight(model: PreTrainedModel) -> Tensor:
    """The weight [V, H] of the input embedding."""
    embedding: Any = model.get_input_embeddings()
    return embedding.weight


def output_weight(model: PreTrainedModel) -> Tensor:
    """The weight [V, H] of the LM head. Raises ValueError where the model has none."""
    head: Any = model.get_output_embeddings()
    if head is None:
        raise ValueError(f"{type(model).__name__} has no LM head: load it as a causal language model")
    return head.weight


def decoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    """The model's decoder layers, first to last."""
    decoder: Any = model.get_decoder()
    return list(decoder.layers)


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
    with quiet(Path(path).is_dir()):
        model: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype, **{"attn_implementation": "sdpa", **options}
        )
    if device is not None:
        model = model.to(device)
    tokenizer = AutoTokenizer.from_pretrained(path)
    rows = embedding_weight(model).shape[0]
    if len(tokenizer) > rows:
        raise ValueError(
            f"the tokenizer of {name} has {len(tokenizer)} tokens, the model embeds {rows}: they do not belong together"
        )
    return model.eval(), tokenizer
