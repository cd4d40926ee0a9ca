"""What is the outcome of every action on every prompt at every budget? The reward table, on disk and checked.

Two files: ``NAME.npz`` (arrays, no pickle) and ``NAME.json`` (what they mean, and a hash of both), so that a table of
other actions, of another model, or one that was changed is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from trimtab.checkpoints import replace_file
from trimtab.logged import ActionTable
from trimtab.plain import Plain, differences
from trimtab.reading import refusing

FORMAT = 1


@dataclass(frozen=True, eq=False)
class RewardTable:
    """``parts``: each [P, A, B] over prompts, actions and budgets (tokens per KV head, averaged over layers).

    ``prompts``: names; ``groups``: the kind of task of each; ``actions``: names; ``features``: named [P, K].
    ``about``: the model's fingerprint, the actions in full, settings. Raises ValueError where shapes disagree, names
    repeat, or a number is not finite.
    """

    prompts: tuple[str, ...]
    actions: tuple[str, ...]
    budgets: tuple[int, ...]
    parts: Mapping[str, np.ndarray]
    prompt_tokens_P: np.ndarray
    groups: tuple[str, ...] = ()
    features: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    about: Mapping[str, Plain] = field(default_factory=dict[str, Plain])

    def __post_init__(self) -> None:
        expected = (len(self.prompts), len(self.actions), len(self.budgets))
        if 0 in expected or not self.parts:
            raise ValueError(
                f"a table of {expected} prompts, actions, budgets and {len(self.parts)} parts: it is empty"
            )
        for what, names in (("prompts", self.prompts), ("actions", self.actions), ("budgets", self.budgets)):
            if len(set(names)) < len(names):
                raise ValueError(f"the table's {what} repeat: expected each once")
        for name, values in self.parts.items():
            if values.shape != expected or not np.isfinite(values).all():
                raise ValueError(f"part {name!r} is {values.shape}: expected {expected}, all numbers finite")
        rows = {**self.features, "prompt_tokens": self.prompt_tokens_P, "groups": np.array(self.groups or self.prompts)}
        for name, values in rows.items():
            if len(values) != expected[0]:
                raise ValueError(f"{name} has {len(values)} rows: expected one for each of {expected[0]} prompts")

    def rewards(self, part: str, budget: int) -> Float[np.ndarray, "P A"]:
        """A part at a budget. Raises ValueError naming what there is."""
        if part not in self.parts:
            raise ValueError(f"no part {part!r} in the table: expected one of {', '.join(self.parts)}")
        if budget not in self.budgets:
            raise ValueError(f"no budget {budget} in the table: expected one of {', '.join(map(str, self.budgets))}")
        return self.parts[part][:, :, self.budgets.index(budget)]

    def at(self, part: str, budget: int, contexts_PK: Float[np.ndarray, "P K"]) -> ActionTable[str]:
        """The one-step tasks of a budget, for policies to learn from by replay; actions are names."""
        return ActionTable(contexts_PK, self.rewards(part, budget), self.actions, self.prompts)

    def subset(self, rows: Sequence[int]) -> Self:
        """The table of some of the prompts."""
        chosen = list(rows)
        return type(self)(
            tuple(self.prompts[row] for row in chosen),
            self.actions,
            self.budgets,
            {name: values[chosen] for name, values in self.parts.items()},
            self.prompt_tokens_P[chosen],
            tuple(self.groups[row] for row in chosen) if self.groups else (),
            {name: values[chosen] for name, values in self.features.items()},
            self.about,
        )

    # files ------------------------------------------------------------------------------------------------------------

    def _arrays(self) -> dict[str, np.ndarray]:
        parts = {f"parts/{name}": values for name, values in self.parts.items()}
        features = {f"features/{name}": values for name, values in self.features.items()}
        return {**parts, **features, "prompt_tokens": self.prompt_tokens_P}

    def _meaning(self) -> dict[str, Plain]:
        return {
            "format": FORMAT,
            "prompts": list(self.prompts),
            "groups": list(self.groups),
            "actions": list(self.actions),
            "budgets": list(self.budgets),
            "about": dict(self.about),
        }

    @property
    def content_hash(self) -> str:
        """Sixteen hexadecimal digits of all arrays and names."""
        return _digest(self._arrays(), self._meaning())

    def save(self, path: Path) -> None:
        """Write ``path`` with the suffixes .npz and .json, whole or not at all."""
        arrays = self._arrays()

        def write(scratch: Path) -> None:
            with scratch.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **arrays)

        meaning = {**self._meaning(), "content_hash": self.content_hash}
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path.with_suffix(".npz"), write)
        text = json.dumps(meaning, indent=1, ensure_ascii=False) + "\n"
        replace_file(path.with_suffix(".json"), lambda scratch: scratch.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, path: Path, *, fingerprint: str | None = None, actions: Sequence[str] | None = None) -> Self:
        """Read a table (``path`` with or without a suffix).

        Raises ValueError where it was changed, where it is of another model than ``fingerprint`` (of
        ``trimtab.lm.fingerprint``) or of other ``actions``; FileNotFoundError where it is not there.
        """
        path = path if path.suffix in (".npz", ".json") else path.with_name(path.name + ".npz")
        with refusing(path, "reward table", "tabulate anew"):
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            meaning = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            _check(path, arrays, meaning, fingerprint, actions)
            return cls._from(arrays, meaning)

    @classmethod
    def _from(cls, arrays: Mapping[str, np.ndarray], meaning: Mapping[str, Any]) -> Self:
        named = {kind: _under(arrays, kind) for kind in ("parts", "features")}
        return cls(
            tuple(meaning["prompts"]),
            tuple(meaning["actions"]),
            tuple(meaning["budgets"]),
            named["parts"],
            arrays["prompt_tokens"],
            tuple(meaning["groups"]),
            named["features"],
            meaning["about"],
        )


def _under(arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    prefix = f"{kind}/"
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def _digest(arrays: Mapping[str, np.ndarray], meaning: Mapping[str, Plain]) -> str:
    digest = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode())
    for name, values in sorted(arrays.items()):
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


def _check(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    meaning: dict[str, Any],
    fingerprint: str | None,
    actions: Sequence[str] | None,
) -> None:
    noted = meaning.pop("content_hash", None)
    if meaning.get("format") != FORMAT:
        raise ValueError(f"{path} has format {meaning.get('format')}: expected {FORMAT}; tabulate anew")
    if noted != _digest(arrays, meaning):
        raise ValueError(f"{path} and its .json do not belong together, or were changed: tabulate anew")
    of_model = meaning["about"].get("fingerprint")
    if fingerprint is not None and of_model != fingerprint:
        raise ValueError(f"{path} was made with model {of_model}, this is model {fingerprint}: tabulate anew")
    if actions is not None and list(actions) != meaning["actions"]:
        found = differences(meaning["actions"], list(actions))
        place, there, given = found[0]
        raise ValueError(f"{path} is a table of other actions: action {place} is {there!r} there, given {given!r}")
