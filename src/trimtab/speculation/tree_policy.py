"""How does a learned policy steer a live decode? Features, a plain perceptron, a tree: each round, in microseconds.

A saved policy is a folder: ``policy.safetensors`` (weights, normalisation, projection) and ``policy.json`` (its menu of
trees, the names of its features, the pair of models it was trained for, the costs it was trained on). Nothing in it is
executed on loading.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from trimtab.checkpoints import replace_file
from trimtab.plain import Plain
from trimtab.policies.mlp import MLP
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import FeatureSet, History, PositionFeatures
from trimtab.speculation.engine.generation import Round, RoundState
from trimtab.speculation.engine.speculator import Speculator
from trimtab.types import Choice, Metrics, Step

_FORMAT = 1
_WEIGHTS, _CARD = "policy.safetensors", "policy.json"


@dataclass(frozen=True)
class Widths:
    """The pair of models that a policy was trained for, by its widths: those of the target's and the head's vocabulary,
    and of the head's state."""

    vocabulary: int
    draft_vocabulary: int
    state: int

    @classmethod
    def of(cls, speculator: Speculator) -> Widths:
        """Those of a loaded pair."""
        embedding: Any = speculator.model.get_output_embeddings() or speculator.model.get_input_embeddings()
        config = speculator.head.config
        return cls(int(embedding.weight.shape[0]), config.draft_vocab_size, config.hidden_size)


class TreePolicy:
    """A controller of ``Speculator.generate(policy=...)``, and a policy over replayed episodes. It acts greedily.

    ``metadata`` is plain data about its origin. Raises ValueError where the parts do not fit one another.
    """

    def __init__(
        self,
        actions: Sequence[TreeShape],
        mlp: MLP,
        features: FeatureSet,
        position: PositionFeatures,
        widths: Widths | None = None,
        metadata: Mapping[str, Plain] | None = None,
    ) -> None:
        if (mlp.inputs, mlp.outputs) != (features.width, len(actions)):
            raise ValueError(
                f"a network of {mlp.inputs} inputs and {mlp.outputs} outputs for {features.width} features and a menu "
                f"of {len(actions)} trees: they were not trained together"
            )
        if list(features.names[: len(position.names)]) != position.names:
            raise ValueError(
                f"features {list(features.names)} do not begin with those of the position: {position.names}"
            )
        self.actions, self.mlp, self.features, self.position = list(actions), mlp, features, position
        self.widths, self.metadata = widths, dict(metadata or {})
        self._memory = _Memory()

    def __call__(self, state: RoundState, /) -> TreeShape:
        """The next tree of a live decode."""
        history = self._memory.up_to(state.rounds)
        position = self.position(state.root_logprobs_D, state.target_logits_V, state.root_state_H, state.context_tokens)
        joined = np.concatenate((position, history.features()[0]))
        return self.actions[self.mlp.choose(self.features.normalise(joined))]

    def columns(self, features_BF: np.ndarray) -> np.ndarray:
        """The chosen trees [B], as columns of the menu, for joined features [B, F]."""
        return self.mlp.scores(self.features.normalise(features_BF)).argmax(axis=1)

    def act(self, contexts: Sequence[np.ndarray], /) -> list[Choice[TreeShape]]:
        """A choice for each context, the joined features [F] of a ``SpeculationEpisode``."""
        return [Choice(self.actions[column], logprob=0.0) for column in self.columns(np.stack(contexts)).tolist()]

    def update(self, _episodes: Sequence[Sequence[Step[np.ndarray, TreeShape, Any]]], /) -> Metrics:
        """Its learning is done: ``trimtab.speculation.learning`` made it."""
        return {}

    def save(self, path: Path) -> None:
        """Write the folder ``path`` as a whole, or leave what was there. Raises ValueError where that is no policy."""
        if path.exists() and not (path / _CARD).is_file():
            raise ValueError(f"{path} exists and is no saved policy: name a new folder")
        scratch, former = (path.with_name(f"{path.name}.{suffix}") for suffix in ("partial", "former"))
        for left in (scratch, former):
            shutil.rmtree(left, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            replace_file(scratch / _WEIGHTS, lambda file: save_file(self._arrays(), file))
            replace_file(scratch / _CARD, lambda file: file.write_text(json.dumps(self._card(), indent=1) + "\n"))
            if path.exists():
                path.rename(former)
            scratch.rename(path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {f"mlp.{name}": array for name, array in self.mlp.arrays().items()}
        arrays |= {f"features.{name}": array for name, array in self.features.arrays().items()}
        projection = self.position.projection_HK
        return arrays if projection is None else arrays | {"projection_HK": projection}

    def _card(self) -> dict[str, Plain]:
        return {
            "format": _FORMAT,
            "actions": [[a.total_tokens, a.depth, a.top_k] for a in self.actions],
            "features": list(self.features.names),
            "widths": None if self.widths is None else asdict(self.widths),
            "metadata": self.metadata,
        }

    @classmethod
    def load(
        cls, path: Path, speculator: Speculator | None = None, *, actions: Sequence[TreeShape] | None = None
    ) -> TreePolicy:
        """Read a saved policy; check it against a ``speculator`` that it shall steer, and the ``actions`` allowed.

        Raises FileNotFoundError where there is none, ValueError where it is broken or was trained for other widths or
        another menu, naming both.
        """
        try:
            card = json.loads((path / _CARD).read_text())
            arrays = load_file(path / _WEIGHTS)
        except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no policy that can be read ({error}): train it again") from error
        policy = cls._from(path, card, arrays)
        if speculator is not None:
            policy.check_widths(Widths.of(speculator))
        if actions is not None:
            policy.check_menu(actions)
        return policy

    @classmethod
    def _from(cls, path: Path, card: Any, arrays: Mapping[str, np.ndarray]) -> TreePolicy:
        if not isinstance(card, dict) or card.get("format") != _FORMAT:
            raise ValueError(f"{path / _CARD} is no policy of format {_FORMAT}: train it again, or update trimtab")
        try:
            widths = card["widths"]
            return cls(
                [TreeShape(*bins) for bins in card["actions"]],
                MLP.from_arrays(_under("mlp.", arrays)),
                FeatureSet.from_arrays(card["features"], _under("features.", arrays)),
                PositionFeatures(arrays.get("projection_HK")),
                None if widths is None else Widths(**widths),
                card["metadata"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} lacks a part of a policy ({error}): train it again") from error

    def check_widths(self, widths: Widths) -> None:
        """Raises ValueError where the policy was trained for models of other widths, or does not say."""
        if self.widths != widths:
            trained = "models whose widths it does not record" if self.widths is None else str(self.widths)
            raise ValueError(f"the policy was trained for {trained}, these models have {widths}: train one for them")

    def check_menu(self, actions: Sequence[TreeShape]) -> None:
        """Raises ValueError where the policy may choose a tree that is not among ``actions``."""
        foreign = [str(action) for action in self.actions if action not in actions]
        if foreign:
            raise ValueError(
                f"the policy chooses among {', '.join(map(str, self.actions))}; of these {', '.join(foreign)} are not "
                f"in the menu {', '.join(map(str, actions))}: train it on this menu"
            )


@dataclass
class _Memory:
    """The history of the decode under way, brought up to date from the engine's list of rounds."""

    rounds: list[Round] = field(default_factory=list[Round])
    seen: int = 0
    history: History = field(default_factory=History)

    def up_to(self, rounds: list[Round]) -> History:
        """The history after ``rounds``; another list, or an empty one, is a new decode."""
        if rounds is not self.rounds or len(rounds) < self.seen:
            self.rounds, self.seen = rounds, 0
            self.history.reset()
        for done in rounds[self.seen :]:
            if done.shape is not None:  # plain decoding tells nothing of the draft
                self.history.observe_one(done.accepted, done.shape.depth)
        self.seen = len(rounds)
        return self.history


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
