"""How does a learned policy steer a live decode? Features, a plain perceptron, a tree: each round, in microseconds.

A saved policy is a folder: ``policy.safetensors`` (weights, normalisation, what the state's parts need) and
``policy.json``, which says all that it needs and is: its trees and their bins, the state and the names of its features,
the pair of models, how it acts (``inference``), the costs it was trained on. Nothing in it is executed on loading.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from trimtab.plain import Plain
from trimtab.policies.held import Counts, Plan, distance_B
from trimtab.policies.mlp import MLP
from trimtab.reading import refusing
from trimtab.speculation import policy_files
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import FeatureSet, History
from trimtab.speculation.device_path import DevicePath
from trimtab.speculation.engine.generation import Round, RoundState
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.flat_replay import FlatReplay, Rounds, roll
from trimtab.speculation.inference import Inference, drawn, softmax
from trimtab.speculation.states import Features, from_parts
from trimtab.types import Choice, Metrics, Step

_FORMAT = 2


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
    """A controller of ``Speculator.generate(policy=...)``, and a policy over replayed episodes.

    ``inference`` says how it acts; where that plans M rounds, the network has M scores for each tree, those of the next
    round first. ``expected_A`` (optional; for holds that end by surprise) is the acceptance expected of each tree.
    ``models`` names the pair that it steers, ``metadata`` is plain data about its origin. Raises ValueError where the
    parts do not fit one another.
    """

    def __init__(
        self,
        actions: Sequence[TreeShape],
        mlp: MLP,
        features: FeatureSet,
        position: Features,
        widths: Widths | None = None,
        metadata: Mapping[str, Plain] | None = None,
        *,
        inference: Inference | None = None,
        expected_A: np.ndarray | None = None,
        models: Mapping[str, str] | None = None,
    ) -> None:
        self.inference = inference or Inference()
        _fitting(actions, mlp, features, position, self.inference, expected_A)
        self.actions, self.mlp, self.features, self.position = list(actions), mlp, features, position
        self.widths, self.metadata, self.models = widths, dict(metadata or {}), dict(models or {})
        self.expected_A = None if expected_A is None else np.asarray(expected_A, dtype=np.float32)
        self.counts = Counts()
        self.last_probability, self.last_decided = 1.0, False
        self._memory, self._plan = _Memory(), Plan[int](self.inference.hold)
        self._probabilities: list[float] = []
        self._decided: np.ndarray | None = None
        self._generator = np.random.default_rng(self.inference.seed)
        self._on_device: DevicePath | None = None

    def acting(self, inference: Inference, *, expected_A: np.ndarray | None = None) -> TreePolicy:
        """The same policy in another mode of inference (``expected_A``: default its own)."""
        expected = self.expected_A if expected_A is None else expected_A
        parts = self.actions, self.mlp, self.features, self.position, self.widths, self.metadata
        return TreePolicy(*parts, inference=inference, expected_A=expected, models=self.models)

    # -- live ----------------------------------------------------------------------------------------------------------

    def __call__(self, state: RoundState, /) -> TreeShape:
        """The next tree of a live decode. ``last_decided`` says whether it was decided now, ``last_probability`` with
        which chance it was chosen, given what was held (1 for a held tree, and where nothing is left to chance)."""
        self.counts.rounds += 1
        age = self._plan.age(state.rounds)
        if age and self.inference.hold.drift is None:
            return self._kept(age)
        features, scores = self._seen(state)
        if age and not self._drifted(features):
            self.counts.checks += 1
            return self._kept(age)
        return self._decide(features, scores, state.rounds)

    def _seen(self, state: RoundState) -> tuple[np.ndarray, np.ndarray]:
        """Normalised features [F] and scores [M * A] of a round, computed where the engine's tensors lie."""
        history_F = self._memory.up_to(state.rounds).features()[0]
        device = state.root_logprobs_D.device
        if device.type != "cpu":
            if self._on_device is None or self._on_device.device != device:
                self._on_device = DevicePath(self.position, self.features, self.mlp, device)
            return self._on_device(state, history_F)
        features_F = self.features.normalise(np.concatenate((self.position.read(state), history_F)))
        return features_F, self.mlp.scores(features_F)

    def _drifted(self, features_F: np.ndarray) -> bool:
        drift = self.inference.hold.drift
        assert drift is not None
        assert self._decided is not None
        return bool(distance_B(features_F, self._decided) > drift)

    def _kept(self, age: int) -> TreeShape:
        begins = age % self.inference.hold_rounds == 0  # the next tree of a plan, chosen with a chance of its own
        self.last_probability = self._probabilities[age // self.inference.hold_rounds] if begins else 1.0
        self.last_decided = False
        return self.actions[self._plan.at(age)]

    def _decide(self, features_F: np.ndarray, scores: np.ndarray, rounds: list[Round]) -> TreeShape:
        columns, self._probabilities = self._chosen(scores)
        expected = [] if self.expected_A is None else self.expected_A[columns].tolist()
        self._plan.make(columns, expected, rounds)
        self._decided = features_F
        self.last_probability, self.last_decided = self._probabilities[0], True
        self.counts.decisions += 1
        return self.actions[columns[0]]

    def _chosen(self, scores: np.ndarray) -> tuple[list[int], list[float]]:
        """A plan's columns, and the chance of each, from scores [M * A]."""
        if self.inference.planned_rounds == 1 and self.inference.mode == "argmax":
            return [int(scores.argmax())], [1.0]
        plan_BM, chances_BM = self._drawn(self._by_round(scores[None]), self._generator)
        return plan_BM[0].tolist(), chances_BM[0].tolist()

    # -- in replay -----------------------------------------------------------------------------------------------------

    def scores(self, features_BF: np.ndarray) -> np.ndarray:
        """Scores [B, M, A] of each tree in each of the M planned rounds, for normalised features."""
        return self._by_round(self.mlp.scores(features_BF))

    def _by_round(self, scores: np.ndarray) -> np.ndarray:
        """The network's outputs [B, M * A] as [B, M, A]."""
        return scores.reshape(len(scores), self.inference.planned_rounds, len(self.actions))

    def _planned(self, features_BF: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Plans [B, M] for normalised features, and the chance of each choice [B, M]."""
        return self._drawn(self.scores(features_BF), generator)

    def _drawn(self, scores: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Plans [B, M] for scores [B, M, A], and the chance of each choice [B, M]."""
        if self.inference.mode == "argmax":
            return scores.argmax(axis=2), np.ones(scores.shape[:2])
        probabilities = softmax(scores, self.inference.temperature)
        columns = drawn(probabilities, generator)
        return columns, np.take_along_axis(probabilities, columns[..., None], axis=2)[..., 0]

    def columns(self, features_BF: np.ndarray) -> np.ndarray:
        """The best trees [B] for the next round, as columns of the menu, for joined features [B, F]: greedily."""
        return self.scores(self.features.normalise(features_BF))[:, 0].argmax(axis=1)

    def replay(self, replay: FlatReplay, *, seed: int | None = None) -> Rounds:
        """Decode all prompts of a replay as it would live: held, planned, by chance (``seed``: default its own).

        Raises ValueError for another menu or other features, naming both.
        """
        seen = replay.seeing(self.position.names)
        if replay.actions != self.actions:
            raise ValueError(f"the replay's trees are {_listed(replay.actions)}, the policy's {_listed(self.actions)}")
        generator = np.random.default_rng(self.inference.seed if seed is None else seed)
        return roll(
            seen,
            lambda features_BF, _rows: self._planned(self.features.normalise(features_BF), generator)[0],
            self.inference.hold,
            normalise=self.features.normalise,
            expected_A=self.expected_A,
        )

    def act(self, contexts: Sequence[np.ndarray], /) -> list[Choice[TreeShape]]:
        """A decision for each context, the joined features [F] of a ``SpeculationEpisode``: the next round's tree. An
        episode holds it by itself (``hold_rounds``)."""
        plans, chances = self._planned(self.features.normalise(np.stack(contexts)), self._generator)
        chosen = zip(plans[:, 0].tolist(), np.log(chances[:, 0]).tolist(), strict=True)
        return [Choice(self.actions[column], logprob=logprob) for column, logprob in chosen]

    def update(self, _episodes: Sequence[Sequence[Step[np.ndarray, TreeShape, Any]]], /) -> Metrics:
        """Its learning is done: ``trimtab.speculation.learning`` made it."""
        return {}

    def save(self, path: Path) -> None:
        """Write the folder ``path`` as a whole, or leave what was there. Raises ValueError where that is no policy."""
        policy_files.save(path, self._card(), self._arrays())

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {f"mlp.{name}": array for name, array in self.mlp.arrays().items()}
        arrays |= {f"features.{name}": array for name, array in self.features.arrays().items()}
        arrays |= {f"state.{name}": array for name, array in self.position.arrays().items()}
        return arrays if self.expected_A is None else arrays | {"expected_A": self.expected_A}

    def _card(self) -> dict[str, Plain]:
        return {
            "format": _FORMAT,
            "actions": [[a.total_tokens, a.depth, a.top_k] for a in self.actions],
            "bins": self.bins,
            "state": self.position.spec(),
            "features": list(self.features.names),
            "widths": None if self.widths is None else asdict(self.widths),
            "models": self.models,
            "inference": self.inference.plain(),
            "metadata": self.metadata,
        }

    @classmethod
    def load(
        cls, path: Path, speculator: Speculator | None = None, *, actions: Sequence[TreeShape] | None = None
    ) -> TreePolicy:
        """Read a saved policy; check it against a ``speculator`` that it shall steer, and the ``actions`` allowed.

        With one, the features that it needs are wired to it. Raises FileNotFoundError where there is none, ValueError
        where it is broken or was trained for other widths, other features or another menu, naming both.
        """
        with refusing(path, "policy", "train it again"):
            card = json.loads((path / policy_files.CARD).read_text())
            policy = cls._from(path, card, load_file(path / policy_files.WEIGHTS))
        if speculator is not None:
            policy.check_widths(Widths.of(speculator))
            policy.position = policy.position.bind(speculator)
        if actions is not None:
            policy.check_menu(actions)
        return policy

    @classmethod
    def _from(cls, path: Path, card: Any, arrays: Mapping[str, np.ndarray]) -> TreePolicy:
        card = _upgraded(path, card)
        try:
            widths = card["widths"]
            return cls(
                [TreeShape(*numbers) for numbers in card["actions"]],
                MLP.from_arrays(_under("mlp.", arrays)),
                FeatureSet.from_arrays(card["features"], _under("features.", arrays)),
                from_parts(card["state"], _under("state.", arrays)),
                None if widths is None else Widths(**widths),
                card["metadata"],
                inference=Inference.from_plain(card["inference"]),
                expected_A=arrays.get("expected_A"),
                models=card["models"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} lacks a part of a policy ({error}): train it again") from error

    # -- what it needs -------------------------------------------------------------------------------------------------

    @property
    def bins(self) -> dict[str, list[int]]:
        """The sizes that occur among its trees."""
        parts = ("total_tokens", "depth", "top_k")
        return {part: sorted({getattr(action, part) for action in self.actions}) for part in parts}

    def __str__(self) -> str:
        pair = " with ".join(self.models[part] for part in ("target", "head") if part in self.models)
        return (
            f"a policy of {len(self.actions)} trees over {self.features.width} features, {self.inference}"
            f"{f', for {pair}' if pair else ''}"
        )

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
                f"the policy chooses among {_listed(self.actions)}; of these {', '.join(foreign)} are not "
                f"in the menu {_listed(actions)}: train it on this menu"
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


def _listed(actions: Sequence[TreeShape]) -> str:
    return ", ".join(map(str, actions))


def _fitting(
    actions: Sequence[TreeShape],
    mlp: MLP,
    features: FeatureSet,
    position: Features,
    inference: Inference,
    expected_A: np.ndarray | None,
) -> None:
    """Raises ValueError where the parts of a policy do not fit one another."""
    rounds = inference.planned_rounds
    if (mlp.inputs, mlp.outputs) != (features.width, rounds * len(actions)):
        raise ValueError(
            f"a network of {mlp.inputs} inputs and {mlp.outputs} outputs for {features.width} features, a menu of "
            f"{len(actions)} trees and {rounds} planned rounds: they were not trained together"
        )
    if list(features.names[: len(position.names)]) != position.names:
        raise ValueError(f"features {list(features.names)} do not begin with those of the position: {position.names}")
    if expected_A is not None and np.shape(expected_A) != (len(actions),):
        raise ValueError(f"expected acceptances of shape {np.shape(expected_A)} for {len(actions)} trees")
    if inference.hold.surprise is not None and expected_A is None:
        raise ValueError("a hold that ends by surprise needs the acceptance expected of each tree: give expected_A")


def _upgraded(path: Path, card: Any) -> dict[str, Any]:
    """A card as this format has it; format 1 knew one state and one way to act. Raises ValueError for anything else."""
    found = card.get("format") if isinstance(card, dict) else None
    if found == 1:
        return {"state": "statistics", "models": {}, "inference": {}} | card
    if found != _FORMAT:
        raise ValueError(
            f"{path / policy_files.CARD} is of format {found}, expected format {_FORMAT}: train the policy again"
        )
    return card
