"""How does a trained model leave its run? As one folder for transformers, vLLM or the hub, read back and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.console import say
from trimtab.qcode import models
from trimtab.qcode.training import layout

if TYPE_CHECKING:
    from trimtab.qcode.training_recipe import Export


def source_of(run: Path, checkpoint: int | None) -> Path:
    """The folder of the weights that are meant. Raises ValueError naming the checkpoints that there are."""
    if checkpoint is not None:
        found = {layout.step_of(path): path for path in run.glob("final_outputs/*/*/checkpoints/checkpoint-*")}
        if checkpoint not in found:
            raise ValueError(f"{run} has no checkpoint of step {checkpoint}; it has {sorted(found) or 'none'}")
        return found[checkpoint]
    for folder in (run / "best", run / models.MODEL):
        if folder.is_dir():
            return folder
    raise ValueError(f"{run} has trained no model yet: go on with it by --resume {run}")


def merged(folder: Path) -> Any:
    """The model in ``folder``; an adapter is merged into the model that it was trained on."""
    from trimtab.lm.load import load_model

    if not (folder / "adapter_config.json").is_file():
        return load_model(folder)[0]
    from peft import PeftModel

    base = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    adapted: Any = PeftModel.from_pretrained(load_model(base, dtype="float32")[0], str(folder))
    return adapted.merge_and_unload()


def logits_of(model: Any) -> Any:
    """Logits of a fixed text of token ids, for comparing two copies of a model."""
    import torch

    ids = torch.arange(24).reshape(2, 12) * 7 % model.config.vocab_size
    with torch.no_grad():
        return model.eval()(input_ids=ids.to(model.device)).logits.float().cpu()


def export(command: Export) -> None:
    """``trimtab qcode export``. Raises RuntimeError where what was written reads back as another model."""
    from trimtab.lm.load import load_model, load_tokenizer

    if command.out.exists() and any(command.out.iterdir()):
        raise ValueError(f"{command.out} is not empty: give a new folder")
    folder = source_of(command.run_dir, command.checkpoint)
    model = merged(folder)
    command.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(command.out)
    named = (folder, command.run_dir / models.MODEL)
    tokenizer = load_tokenizer(next(path for path in named if (path / "tokenizer_config.json").is_file()))
    tokenizer.save_pretrained(command.out)
    apart = float((logits_of(model) - logits_of(load_model(command.out, dtype=model.dtype)[0])).abs().max())
    if apart > 0:
        raise RuntimeError(
            f"the model in {command.out} reads back with logits that differ by {apart:.2g}: do not use it"
        )
    say(f"{command.out}: the model of {folder}, read back with the same logits")
