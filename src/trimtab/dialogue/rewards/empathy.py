"""Does a reply meet what the user feels? A small head on sentence vectors, fitted to judged replies.

The head reads what the user said, u, and the reply, r, as vectors of a sentence encoder (MiniLM: 384 numbers), and
gives the probability that the reply is empathic: a perceptron over [u, r, u * r, |u - r|] with one hidden layer (or
none: logistic regression). It is a proxy: ``fit`` tells how good on replies that it was not fitted to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from trimtab.checkpoints import replace_file
from trimtab.dialogue.example import Example, Reply
from trimtab.dialogue.metrics import auc
from trimtab.encoders.minilm import MINILM
from trimtab.reading import refusing

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts -> vectors [N, width], float32."""

SHIPPED = Path(__file__).parents[1] / "weights" / "moods-empathy"
"""The head for the embedded task."""


@dataclass(frozen=True)
class HeadFit:
    """How a head is fitted: hidden units (0: logistic regression), passes, and what keeps it from learning by heart."""

    hidden: int = 128
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.3
    held_out: float = 0.2
    seed: int = 0


class Remembering:
    """An embedding that computes each text once, as long as there are not more than ``most`` of them."""

    def __init__(self, embed: Embed, most: int = 50_000) -> None:
        self._embed, self._most = embed, most
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors [N, width] of N texts, at least one."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if len(self._known) + len(new) > self._most:
            self._known, new = {}, list(dict.fromkeys(texts))
        if new:
            self._known.update(zip(new, self._embed(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def minilm(name: str = MINILM, device: str | None = None, *, bf16: bool = False) -> Remembering:
    """The sentence encoder, remembering what it read. Raises ValueError where its package is missing.

    ``bf16``: see ``TextEncoder``; grades of the shipped head move by less than 1e-2, and a resumed training is no
    longer the same to the last digit (what lies beside a text in a batch differs).
    """
    from trimtab.encoders.minilm import TextEncoder

    return Remembering(TextEncoder(name, device=device, bf16=bf16).encode)


def heard(example: Example) -> str:
    """All that the user said: moods and tastes may be told in any turn."""
    return " ".join(turn.text for turn in example.turns if turn.speaker == "user")


def pair_features(users: np.ndarray, replies: np.ndarray) -> Tensor:
    """[u, r, u * r, |u - r|] for vectors [N, width]: [N, 4 width]."""
    pairs = np.concatenate([users, replies, users * replies, np.abs(users - replies)], axis=1)
    return torch.from_numpy(pairs.astype(np.float32))


def _network(width: int, hidden: int) -> nn.Sequential:
    if not hidden:
        return nn.Sequential(nn.Linear(width, 1))
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))


class EmpathyHead:
    """P(empathic | what the user said, the reply), from a fitted head and the encoder that it was fitted on."""

    def __init__(self, network: nn.Sequential, embed: Embed, about: Mapping[str, object]) -> None:
        self._network, self._embed = network.eval(), embed
        self.about = dict(about)

    @classmethod
    def load(cls, folder: Path | str = SHIPPED, embed: Embed | None = None) -> EmpathyHead:
        """A head that ``save`` wrote. Raises ValueError where the folder holds none, or one for another encoder."""
        path = Path(folder)
        if not (path / "head.json").is_file():
            raise ValueError(f"{path} holds no empathy head: expected head.json and head.safetensors (see `fit`).")
        with refusing(path, "empathy head", "fit it again"):
            about = json.loads((path / "head.json").read_text(encoding="utf-8"))
            with safe_open(path / "head.safetensors", framework="pt") as file:
                weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            with torch.device("meta"):  # so that a file cannot ask for more memory than its weights have
                network = _network(4 * int(about["width"]), int(about["hidden"]))
            network.load_state_dict(weights, assign=True)
            encoder = str(about["encoder"])
        return cls(network, embed or minilm(encoder), about)

    def save(self, folder: Path) -> None:
        """Write head.safetensors (half precision) and head.json."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: weight.half() for name, weight in self._network.state_dict().items()}
        replace_file(folder / "head.safetensors", lambda scratch: save_file(weights, scratch))
        text = json.dumps(self.about, indent=2) + "\n"
        replace_file(folder / "head.json", lambda scratch: scratch.write_text(text, encoding="utf-8"))

    @torch.no_grad()
    def __call__(self, replies: Sequence[Reply]) -> list[float]:
        """Probabilities; 0 for a reply without a word."""
        if not replies:
            return []
        users = self._embed([heard(reply.example) for reply in replies])
        said = self._embed([reply.text for reply in replies])
        chances = self._network(pair_features(users, said))[:, 0].sigmoid().tolist()
        return [chance if reply.words else 0.0 for chance, reply in zip(chances, replies, strict=True)]


def fit(
    replies: Sequence[Reply],
    labels: Sequence[float],
    *,
    embed: Embed | None = None,
    encoder: str = MINILM,
    settings: HeadFit = HeadFit(),
) -> EmpathyHead:
    """Fit a head to replies judged in [0, 1]; a share of them, chosen by the seed, is held out to tell its AUC.

    ``about["held_out_auc"]``: how well the head tells judgements of at least 1/2 from those below. Raises ValueError for
    labels beyond [0, 1], or where all are on one side of 1/2.
    """
    _check_labels(replies, labels)
    read = embed or minilm(encoder)
    features = pair_features(read([heard(r.example) for r in replies]), read([r.text for r in replies]))
    target = torch.tensor(labels, dtype=torch.float32)
    order = np.random.default_rng(settings.seed).permutation(len(replies))
    cut = max(1, round(len(order) * settings.held_out))
    held, used = order[:cut], order[cut:]
    network = _fitted(features[used], target[used], settings)
    with torch.no_grad():
        chances = network(features[held])[:, 0].sigmoid().numpy()
    measured = auc(chances.tolist(), [float(labels[row] >= 0.5) for row in held])
    about = {"encoder": encoder, "width": features.shape[1] // 4, **asdict(settings), "examples": len(used)}
    return EmpathyHead(network, read, about | {"held_out_examples": cut, "held_out_auc": measured})


def _check_labels(replies: Sequence[Reply], labels: Sequence[float]) -> None:
    usable = all(0 <= label <= 1 for label in labels)
    if len(labels) != len(replies) or not usable or len({label >= 0.5 for label in labels}) < 2:
        raise ValueError(
            f"{len(labels)} labels {sorted(set(labels))[:5]} for {len(replies)} replies: expected one from 0 to 1 for "
            "each, some of them below 1/2 and some not."
        )


def _fitted(features: Tensor, target: Tensor, settings: HeadFit) -> nn.Sequential:
    generator = torch.Generator().manual_seed(settings.seed)
    network = _network(features.shape[1], settings.hidden)
    for parameter in network.parameters():
        scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.0
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(target), generator=generator).split(settings.batch_size):
            loss = nn.functional.binary_cross_entropy_with_logits(network(features[rows])[:, 0], target[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()
