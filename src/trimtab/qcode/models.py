"""How is a model of this room named? ``zoo:NAME``, a hub id, a path, or the run that made it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from trimtab.qcode.prompts import PromptSettings

MODEL = "model"
"""Where a run keeps what it trained."""


def located(name: str) -> str:
    """The path or hub id behind a name. Raises ValueError for a path that does not exist, a run without a model, or an
    unknown zoo name."""
    path = Path(name)
    if (path / "recipe.yaml").is_file():
        if not (path / MODEL / "config.json").is_file():
            raise ValueError(f"the run in {path} has trained no model yet: go on with it by --resume {path}")
        return str(path / MODEL)
    if path.is_dir():
        if not any((path / file).is_file() for file in ("config.json", "adapter_config.json")):
            raise ValueError(f"{path} holds no model: expected config.json in it, as transformers writes it")
        return name
    if name.startswith("zoo:"):
        from trimtab.lm.load import resolve

        return str(resolve(name))
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ValueError(
            f"no model {name!r}: no folder of that name; expected a path, OWNER/NAME of the hub, or zoo:NAME"
        )
    return name


def prompt_of(name: str, given: PromptSettings) -> PromptSettings:
    """How a model reads problems: embedded ones and runs as they were taught, others as ``given``.

    What a run was taught is added to what is given, so that a run needs no flags to be judged or trained further.
    """
    if name.startswith("zoo:"):
        return replace(given, terse=True)
    file = Path(name) / "recipe.yaml"
    if not file.is_file():
        return given
    taught: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    reasons = given.format == "direct" and bool(taught.get("use_reasoning_format"))
    return replace(
        given,
        format="reasoning" if reasons else given.format,
        form="plain" if taught.get("form") == "plain" else given.form,
        terse=given.terse or bool(taught.get("terse")) or taught.get("model") == "embedded",
    )


def load(name: str, **options: Any) -> tuple[Any, Any]:
    """The model and its tokenizer, on the first CUDA device where there is one; prompts are padded on the left."""
    import torch

    from trimtab.lm.load import load_model

    model, tokenizer = load_model(located(name), device="cuda" if torch.cuda.is_available() else None, **options)
    return model, padded(tokenizer)


def padded(tokenizer: Any) -> Any:
    """The tokenizer, set up for generation: padded on the left, by the end where it has no token for that."""
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def end_ids(tokenizer: Any, config: Any) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model's generation configuration declares."""
    declared = getattr(config, "eos_token_id", None)
    listed = declared if isinstance(declared, list) else [declared]
    return frozenset(int(i) for i in [tokenizer.eos_token_id, *listed] if i is not None)
