"""How is the published M2-BERT read, from a folder or the hub, without running a line of its code?

safetensors where there are; ``.bin`` only through torch's restricted loader, which executes nothing. Every tensor is
expected, present and of its shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trimtab.encoders.m2_bert import M2Bert, M2BertConfig

M2_BERT = "togethercomputer/m2-bert-80M-8k-retrieval"
_TOKENIZER = "bert-base-uncased"
_PREFIXES = ("model.bert.", "bert.", "model.")
_HEADS = ("cls.", "classifier.", "loss_fn.")


def locate(name: str | Path = M2_BERT) -> Path:
    """The model's folder: a local path, or a hub id (downloaded). Raises FileNotFoundError for a path without one."""
    path = Path(name)
    if path.is_dir():
        return path
    if path.exists() or str(name).startswith((".", "/", "~")):
        raise FileNotFoundError(f"{name} is no folder: expected one with model.safetensors or pytorch_model.bin")
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(str(name), allow_patterns=["*.json", "*.txt", "*.safetensors", "*.bin"]))


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, under the model's own names; those of pretraining heads are left out."""
    from safetensors.torch import load_file

    found: dict[str, Tensor] = {}
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*model*.bin"))
    for file in files:
        found |= load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    if not found:
        raise FileNotFoundError(f"{folder} holds no weights: expected model.safetensors or pytorch_model.bin")
    return canonical(found)


def canonical(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without their prefix; heads left out."""
    named: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        bare = next((name.removeprefix(p) for p in _PREFIXES if name.startswith(p)), name)
        if not bare.startswith(_HEADS):
            named[bare] = tensor
    return named


def load_m2_bert(name: str | Path = M2_BERT, config: M2BertConfig | None = None) -> M2Bert:
    """The model in float32. Raises ValueError naming the tensors that are missing, surplus or of another shape."""
    model, tensors = M2Bert(config), read_tensors(locate(name))
    check(str(name), model.state_dict(), tensors)
    model.load_state_dict({key: tensor.to(model.state_dict()[key].dtype) for key, tensor in tensors.items()})
    return model.eval()


def check(name: str, expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Strictly the expected tensors, and the shared frequencies of a filter the same wherever they are stored."""
    missing, surplus = sorted(set(expected) - set(given)), sorted(set(given) - set(expected))
    if missing or surplus:
        raise ValueError(f"{name} is no M2-BERT of this size: it lacks {missing[:5]} and has {surplus[:5]} beside")
    shapes = {k: (tuple(given[k].shape), tuple(t.shape)) for k, t in expected.items() if given[k].shape != t.shape}
    if shapes:
        told = [f"{key} is {was}, expected {wanted}" for key, (was, wanted) in list(shapes.items())[:5]]
        raise ValueError(f"{name} is no M2-BERT of this size: {'; '.join(told)}")
    for key, tensor in given.items():
        filter_of, found, rest = key.partition(".implicit_filter")
        if found and rest.endswith(".freq") and not tensor.equal(given[f"{filter_of}.implicit_filter.1.freq"]):
            raise ValueError(f"{name}: {key} differs from the filter's other frequencies: expected one shared tensor")


class M2BertEncoder:
    """Texts to vectors of ``width`` numbers, each text read at its true length (up to the model's 8,192 tokens).

    ``pooling``: ``cls``, the first token's last state, or ``sentence``, the published embedding made of it.
    """

    def __init__(self, name: str | Path = M2_BERT, *, tokenizer: str | None = None, pooling: str = "cls") -> None:
        if pooling not in ("cls", "sentence"):
            raise ValueError(f"pooling {pooling!r}: expected cls or sentence")
        from transformers import AutoTokenizer

        folder = locate(name)
        self._model, self._pooling = load_m2_bert(folder), pooling
        own = str(folder) if (folder / "tokenizer.json").exists() or (folder / "vocab.txt").exists() else _TOKENIZER
        self._tokenizer = AutoTokenizer.from_pretrained(tokenizer or own, trust_remote_code=False)
        self.width = self._model.config.hidden

    @property
    def fingerprint(self) -> str:
        """A digest of the weights: vectors of other encoders mean something else."""
        from trimtab.lm.fingerprint import of_weights

        return of_weights(self._model)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors [N, width] of N texts, float32; the first 8,192 tokens of each count."""
        most = self._model.config.positions
        rows = [self._tokenizer(text, truncation=True, max_length=most)["input_ids"] for text in texts]
        return vectors(self._model, rows, self._pooling)


@torch.no_grad()
def vectors(model: M2Bert, rows: Sequence[Sequence[int]], pooling: str = "cls") -> np.ndarray:
    """The vectors [N, width] of N token rows, one at a time: no padding, no other's length."""
    made = np.zeros((len(rows), model.config.hidden), np.float32)
    for place, row in enumerate(rows):
        states = model(torch.tensor([list(row)]))
        made[place] = (states[:, 0] if pooling == "cls" else model.sentence(states))[0].float().numpy()
    return made
