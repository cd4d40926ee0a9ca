"""How is a published EAGLE head read and written? Strictly: every tensor is expected, present and of its shape.

safetensors where there is one; ``.bin`` only through torch's restricted loader, which executes nothing.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from trimtab.lm.load import embedding_weight, output_weight
from trimtab.reading import refusing
from trimtab.speculation.engine.head import EagleHead
from trimtab.speculation.engine.head_config import HeadConfig, read_config

_LAYER_PREFIXES = ("layers.0.", "model.layers.0.", "model.midlayer.")
_VOCABULARY_MAPS = ("d2t", "t2d")
_IGNORED = ("embed_tokens.weight", "rotary_emb.inv_freq")


def locate(name: str | Path) -> Path:
    """A head's folder: a local path, or a hub id (downloaded)."""
    path = Path(name)
    if path.is_dir():
        return path
    if path.exists() or str(name).startswith((".", "/", "~")):
        raise FileNotFoundError(f"{name} is not a folder: expected one with an EAGLE head's config.json and weights")
    return Path(snapshot_download(str(name), allow_patterns=["*.json", "*.safetensors", "*.bin"]))


def _canonical(name: str) -> str:
    for prefix in _LAYER_PREFIXES:
        if name.startswith(prefix):
            return f"midlayer.{name.removeprefix(prefix)}"
    return name.removeprefix("model.")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a head's folder, under canonical names. Raises FileNotFoundError where there are none."""
    files = sorted(path.glob("*.safetensors")) or sorted(path.glob("pytorch_model*.bin"))
    if not files:
        raise FileNotFoundError(f"{path} holds no weights: expected *.safetensors or pytorch_model.bin")
    return {_canonical(name): tensor for file in files for name, tensor in _tensors_of(file).items()}


def _tensors_of(file: Path) -> dict[str, Tensor]:
    """The tensors of one file. A pickled one is read by torch's reader of weights alone, which runs nothing."""
    with refusing(file, "file of a head's weights", "take the head from its publisher again"):
        return load_file(file) if file.suffix == ".safetensors" else _unpacked(file)


def _unpacked(file: Path) -> dict[str, Tensor]:
    try:
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 (torch tells of it by errors of a module that is not imported here)
        raise TypeError(f"it holds more than tensors, or is broken: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise TypeError("it holds more than tensors")
    return found


def _check(path: Path, expected: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    missing = sorted(expected.keys() - given.keys())
    surplus = sorted(given.keys() - expected.keys())
    if missing or surplus:
        said = [f"missing {', '.join(missing)}"] if missing else []
        said += [f"not expected {', '.join(surplus)}"] if surplus else []
        raise ValueError(f"the EAGLE head in {path} does not match its config.json: {'; '.join(said)}")
    for name, tensor in expected.items():
        if tensor.shape != given[name].shape:
            raise ValueError(
                f"the EAGLE head in {path} has {name} of shape {list(given[name].shape)}; its config.json "
                f"(hidden_size, intermediate_size, heads, draft_vocab_size, taps) gives {list(tensor.shape)}"
            )


def _target_ids(path: Path, config: HeadConfig, maps: dict[str, Tensor]) -> Tensor:
    """The map from draft ids to the target's. ``d2t`` holds offsets; ``t2d`` marks the ids that can be drafted."""
    ids = torch.arange(config.draft_vocab_size)
    if config.draft_vocab_size != config.vocab_size:
        if "d2t" not in maps:
            raise ValueError(f"the EAGLE head in {path} drafts {len(ids)} of {config.vocab_size} tokens but has no d2t")
        if maps["d2t"].shape != ids.shape:
            raise ValueError(f"d2t in {path} has shape {list(maps['d2t'].shape)}; draft_vocab_size is {len(ids)}")
        ids = ids + maps["d2t"].long()
    if int(ids.min()) < 0 or int(ids.max()) >= config.vocab_size or len(ids.unique()) != len(ids):
        raise ValueError(f"d2t in {path} does not map to distinct tokens below the vocab_size {config.vocab_size}")
    if "t2d" in maps and not torch.equal(maps["t2d"].bool().nonzero().flatten(), ids.sort().values):
        raise ValueError(f"t2d and d2t in {path} disagree on which tokens can be drafted (t2d of another vocabulary?)")
    return ids


def default_taps(layers: int) -> tuple[int, int, int]:
    """The published taps of a target with that many layers: inputs of layers 2, L//2 and L-3."""
    taps = (2, layers // 2, layers - 3)
    if len(set(taps)) < 3 or min(taps) < 0:
        raise ValueError(
            f"the target has {layers} layers; EAGLE-3's default taps (2, L//2, L-3) = {taps} need at least 7. "
            "Name others by eagle_aux_hidden_state_layer_ids in the head's config.json."
        )
    return taps


def _check_fit(path: Path, config: HeadConfig, target: PreTrainedModel) -> None:
    """Whether a head of this configuration can draft for this target."""
    wanted = target.config.get_text_config()
    rows = embedding_weight(target).shape[0]
    if config.target_hidden_size != wanted.hidden_size:
        raise ValueError(
            f"the EAGLE head in {path} is made for targets of hidden size {config.target_hidden_size}; "
            f"this target's is {wanted.hidden_size}. Load the head that was trained for this model."
        )
    if config.vocab_size != rows:
        raise ValueError(
            f"the EAGLE head in {path} is made for a vocabulary of {config.vocab_size} tokens; this target embeds {rows}"
        )
    wrong = [tap for tap in config.taps or () if not 0 <= tap < wanted.num_hidden_layers]
    if wrong:
        raise ValueError(f"the EAGLE head in {path} taps layers {wrong}; the target has {wanted.num_hidden_layers}")
    if config.version == 1 and config.hidden_size != wanted.hidden_size:
        raise ValueError(
            f"an EAGLE-1 head shares the target's LM head, so its hidden size {config.hidden_size} must equal the "
            f"target's {wanted.hidden_size}"
        )


def resolve(config: HeadConfig, target: PreTrainedModel) -> HeadConfig:
    """The configuration with the published default taps filled in where it names none."""
    if config.version == 1 or config.taps is not None:
        return config
    return replace(config, taps=default_taps(target.config.get_text_config().num_hidden_layers))


def share_target(head: EagleHead, target: PreTrainedModel, embedding: Tensor | None = None) -> None:
    """Give the head the target's embedding (or its own, where the file carries one) and output weights; no copies."""
    embedded = embedding_weight(target) if embedding is None else embedding
    if embedded.shape[1] != head.config.hidden_size:
        raise ValueError(
            f"the head embeds tokens in {head.config.hidden_size} dimensions; the embedding it would use has "
            f"{embedded.shape[1]}. A head narrower than its target must carry embed_tokens.weight itself."
        )
    head.embedding_weight = embedded.detach()
    if head.config.version == 1:
        head.output_weight = output_weight(target).detach()


def load_head(name: str | Path, target: PreTrainedModel) -> EagleHead:
    """The published EAGLE head ``name`` (folder or hub id), bound to ``target``, in its dtype and on its device.

    Raises ValueError naming each missing or surplus tensor, wrong shape, wrong tap, or vocabulary that does not fit.
    """
    path = locate(name)
    config = read_config(path)
    _check_fit(path, config, target)
    head = EagleHead(resolve(config, target))
    tensors = read_tensors(path)
    maps = {name: tensors.pop(name) for name in _VOCABULARY_MAPS if name in tensors}
    embedding = tensors.get("embed_tokens.weight") if head.config.version == 3 else None
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(_IGNORED)}
    _check(path, head.state_dict(), kept)
    head.load_state_dict(kept)
    head.target_ids = _target_ids(path, config, maps)
    weight = embedding_weight(target)
    head = head.to(device=weight.device, dtype=weight.dtype).eval().requires_grad_(False)
    share_target(head, target, None if embedding is None else embedding.to(weight))
    return head


def save_head(head: EagleHead, path: Path) -> None:
    """Write an EAGLE-3 head in the published format: config.json and model.safetensors (bf16)."""
    assert head.config.version == 3, "only EAGLE-3 heads are trained here"
    path.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to("cpu", torch.bfloat16).contiguous() for name, tensor in head.state_dict().items()
    }
    ids = head.target_ids.cpu()
    if head.config.draft_vocab_size != head.config.vocab_size:
        keep = torch.zeros(head.config.vocab_size, dtype=torch.bool)
        keep[ids] = True
        tensors |= {"d2t": ids - torch.arange(len(ids)), "t2d": keep}
    scratch = path / "model.safetensors.partial"
    save_file(tensors, scratch, metadata={"format": "pt"})
    scratch.replace(path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(head.config.to_json(), indent=2) + "\n", encoding="utf-8")
