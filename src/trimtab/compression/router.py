"""What is deployed after training? Scores of actions from a prompt's features, as plain numbers, and what to do in doubt.

The deployed choice is the highest lower confidence bound, mean - ``uncertainty`` x deviation, where the learner has one:
the deviation of action a is noise_a sqrt(z' S_a z), z the last hidden layer with an intercept; NeuralUCB's is that of its
gradients. Where the learned choice
was not shown to beat the best fixed action, that action is what is exported.

On disk: ``policy.safetensors`` (arrays) and ``policy.json`` (what they mean). Loading executes nothing from the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors.numpy import load_file, save_file

from trimtab.checkpoints import replace_file
from trimtab.plain import Plain
from trimtab.policies.linear import intercepted
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import under
from trimtab.policies.neural_ucb import Doubt
from trimtab.reading import refusing

FORMAT = "trimtab-compression-policy-1"
_REACH = 5.0
"""Standardised features are cut off at so many deviations: a strange prompt is no reason for a strange choice."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """Features brought to mean 0 and deviation 1 on the prompts learnt from; constant ones become 0."""

    mean_F: np.ndarray
    scale_F: np.ndarray

    @classmethod
    def of(cls, features_PF: np.ndarray) -> Self:
        deviation_F = features_PF.std(axis=0)
        return cls(features_PF.mean(axis=0), np.where(deviation_F > 1e-6, 1 / np.maximum(deviation_F, 1e-6), 0.0))

    def __call__(self, features_BF: np.ndarray) -> np.ndarray:
        """Contexts [B, F]. Raises ValueError for features of another width."""
        if features_BF.shape[1:] != self.mean_F.shape:
            raise ValueError(
                f"features of shape {features_BF.shape[1:]}: this policy was trained on {self.mean_F.shape}; tabulate "
                "with the features it was trained with"
            )
        return np.clip((features_BF - self.mean_F) * self.scale_F, -_REACH, _REACH)


@dataclass(frozen=True, eq=False)
class Scores:
    """Means by ``mlp``; with ``covariance_AZZ`` and ``noise_A``, or ``doubt`` (NeuralUCB's), also deviations."""

    mlp: MLP
    covariance_AZZ: np.ndarray | None = None
    noise_A: np.ndarray | None = None
    doubt: Doubt | None = None

    def means(self, contexts_BF: np.ndarray) -> np.ndarray:
        """Expected rewards [B, A]."""
        return self.mlp.scores(contexts_BF)

    def deviations(self, contexts_BF: np.ndarray) -> np.ndarray:
        """Their deviations [B, A]. Raises ValueError where the learner has none."""
        if self.doubt is not None:
            return self.doubt.deviations(contexts_BF)
        if self.covariance_AZZ is None or self.noise_A is None or self.mlp.activation != "tanh":
            raise ValueError(
                "this learner deploys no uncertainty: expected --uncertainty-coef 0, or one of the bandits"
            )
        hidden = contexts_BF
        for weight, bias in self.mlp.layers[:-1]:
            hidden = np.tanh(hidden @ weight + bias)
        regressors = intercepted(hidden)
        across = np.einsum("bz,azy->bay", regressors, self.covariance_AZZ, optimize=True)
        return self.noise_A * np.sqrt(np.maximum(np.einsum("bay,by->ba", across, regressors), 0))

    def bounds(self, contexts_BF: np.ndarray, uncertainty: float) -> np.ndarray:
        """Lower confidence bounds [B, A]."""
        means = self.means(contexts_BF)
        return means if uncertainty == 0 else means - uncertainty * self.deviations(contexts_BF)

    def arrays(self) -> dict[str, np.ndarray]:
        """For a file."""
        arrays = {f"mlp/{name}": array for name, array in self.mlp.arrays().items()}
        if self.covariance_AZZ is not None and self.noise_A is not None:
            arrays |= {"covariance_AZZ": self.covariance_AZZ, "noise_A": self.noise_A}
        if self.doubt is not None:
            arrays |= {f"doubt/{name}": array for name, array in self.doubt.arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        kept = under("doubt", arrays)
        doubt = Doubt.from_arrays(kept) if kept else None
        mlp = MLP.from_arrays(under("mlp", arrays))
        return cls(mlp, arrays.get("covariance_AZZ"), arrays.get("noise_A"), doubt)


@dataclass(frozen=True, eq=False)
class Router:
    """A policy of one budget. ``fixed``: the action used for every prompt instead, where that is the verdict.

    ``encoder``: the features it reads (``features.chosen``); ``about``: learner, reward, table's hash, verdict.
    """

    actions: tuple[str, ...]
    budget: int
    encoder: str
    scaler: Scaler
    scores: Scores
    uncertainty: float = 0.0
    fixed: str | None = None
    about: Mapping[str, Plain] = field(default_factory=dict[str, Plain])

    def __post_init__(self) -> None:
        if self.scores.mlp.outputs != len(self.actions) or self.scores.mlp.inputs != len(self.scaler.mean_F):
            raise ValueError(
                f"a network of {self.scores.mlp.inputs} inputs and {self.scores.mlp.outputs} outputs for "
                f"{len(self.scaler.mean_F)} features and {len(self.actions)} actions"
            )
        if self.fixed is not None and self.fixed not in self.actions:
            raise ValueError(f"the fixed action {self.fixed} is none of {', '.join(self.actions)}")

    def learned(self, features_BF: np.ndarray) -> np.ndarray:
        """Columns [B] of what was learned, whatever the verdict."""
        return self.scores.bounds(self.scaler(features_BF), self.uncertainty).argmax(axis=1)

    def choose(self, features_BF: np.ndarray) -> np.ndarray:
        """Columns [B] of the actions to take."""
        if self.fixed is not None:
            return np.full(len(features_BF), self.actions.index(self.fixed))
        return self.learned(features_BF)

    def with_verdict(self, fixed: str | None, verdict: Mapping[str, Plain]) -> Self:
        """The same policy, with what an evaluation found."""
        return replace(self, fixed=fixed, about={**self.about, "verdict": dict(verdict)})

    def about_verdict(self, name: str) -> Plain:
        """A field of the last verdict, None where there is none yet."""
        verdict = self.about.get("verdict")
        return verdict.get(name) if isinstance(verdict, dict) else None

    def check(self, actions: Sequence[str]) -> None:
        """Raises ValueError where a table is of other actions."""
        if tuple(actions) != self.actions:
            other = sorted(set(actions) ^ set(self.actions))
            what = f"these differ: {', '.join(other[:5])}" if other else "the same in another order"
            raise ValueError(f"the table is of other actions than the policy's ({what}): tabulate the policy's menu")

    def save(self, folder: Path) -> None:
        """Write ``folder/policy.safetensors`` and ``folder/policy.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = self.scores.arrays() | {"mean_F": self.scaler.mean_F, "scale_F": self.scaler.scale_F}
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        meaning: dict[str, Any] = {
            "format": FORMAT,
            "kind": "fixed" if self.fixed is not None else "learned",
            "fixed": self.fixed,
            "budget": self.budget,
            "encoder": self.encoder,
            "uncertainty": self.uncertainty,
            "actions": list(self.actions),
            "about": dict(self.about),
        }
        replace_file(folder / "policy.safetensors", lambda scratch: save_file(whole, scratch))
        text = json.dumps(meaning, indent=1) + "\n"
        replace_file(folder / "policy.json", lambda scratch: scratch.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote. Raises FileNotFoundError, ValueError where it is something else."""
        if not (folder / "policy.json").is_file():
            raise FileNotFoundError(f"{folder} holds no policy.json: expected a folder of `trimtab compression train`")
        with refusing(folder, "policy of compression", "train it again"):
            meaning = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
            if meaning.get("format") != FORMAT:
                raise ValueError(f"{folder} is of format {meaning.get('format')}: expected {FORMAT}")
            arrays = load_file(folder / "policy.safetensors")
            return cls(
                tuple(meaning["actions"]),
                meaning["budget"],
                meaning["encoder"],
                Scaler(arrays.pop("mean_F"), arrays.pop("scale_F")),
                Scores.from_arrays(arrays),
                meaning["uncertainty"],
                meaning["fixed"],
                meaning["about"],
            )
