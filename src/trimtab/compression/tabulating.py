"""How is a reward table made, stopped, gone on with, and spread over processes?

Prompts are dealt in chunks; each chunk's outcomes go to a file of their own below ``folder/chunks``, named after what
they depend on, and are not made again. The processes that ``accelerate launch`` or ``torchrun`` started take every
n-th chunk; the table is joined from the files, and is the same however many there were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from trimtab.checkpoints import replace_file
from trimtab.compression.actions import Action
from trimtab.compression.engine.prefill import Prefilled
from trimtab.compression.prompts import Prompt
from trimtab.compression.scoring import DEFAULTS, Features, Scored, ScoreSettings, score
from trimtab.compression.table import RewardTable
from trimtab.compression.text_measures import TextMeasures
from trimtab.console import progress_bar, say
from trimtab.lm import fingerprint
from trimtab.parallel import ALONE, Workers
from trimtab.plain import Plain, to_plain

CHUNK = 8
"""Prompts per file: what a killed process loses at most."""


def tabulate(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    actions: Sequence[Action],
    budgets: Sequence[int],
    folder: Path,
    *,
    settings: ScoreSettings = DEFAULTS,
    texts: TextMeasures | None = None,
    features: Features | None = None,
    about: Mapping[str, Plain] | None = None,
    team: Workers = ALONE,
) -> RewardTable:
    """Every measure of every action at every budget on every prompt; written to ``folder/table.npz`` and ``.json``.

    ``features``: named vectors of each prompt, from its prefill, kept beside (the same names and widths for all).
    ``about``: what else the table should say of itself. ``team``: the processes (``trimtab.parallel.workers()``). Run
    again with the same arguments, it goes on where it was stopped. Raises ValueError as ``score``, and where prompts or
    actions repeat.
    """
    job = _Job(model, tuple(prompts), tuple(actions), tuple(budgets), folder, settings, texts, features, about or {})
    job.check()
    folder.mkdir(parents=True, exist_ok=True)
    pieces = team.shared(job.chunks, job.make)
    table = job.join(pieces)
    if team.main:
        table.save(folder / "table")
    return table


class _Job:
    """What is tabulated, and where its chunks are."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: tuple[Prompt, ...],
        actions: tuple[Action, ...],
        budgets: tuple[int, ...],
        folder: Path,
        settings: ScoreSettings,
        texts: TextMeasures | None,
        features: Features | None,
        about: Mapping[str, Plain],
    ) -> None:
        self._model, self._prompts, self._actions, self._budgets = model, prompts, actions, budgets
        self._folder = folder / "chunks"
        self._settings, self._texts, self._features = settings, texts, features
        self.chunks = [prompts[start : start + CHUNK] for start in range(0, len(prompts), CHUNK)]
        self.about: dict[str, Plain] = {
            "fingerprint": fingerprint.of_weights(model),
            "dtype": str(model.dtype).removeprefix("torch."),
            "actions": {action.name: to_plain(action.method) for action in actions},
            "settings": to_plain(settings),
            "texts": None if texts is None else {"new_tokens": texts.new_tokens, "measures": list(texts.names)},
            **about,
        }

    def check(self) -> None:
        for what, names in (
            ("prompts", [prompt.name for prompt in self._prompts]),
            ("actions", [action.name for action in self._actions]),
            ("budgets", list(self._budgets)),
        ):
            if not names or len(set(names)) < len(names):
                raise ValueError(
                    f"{len(names)} {what}, {len(set(names))} of them distinct: expected one at least, each once"
                )

    def make(self, chunks: Sequence[tuple[Prompt, ...]]) -> list[dict[str, np.ndarray]]:
        """The arrays of each chunk: from its file, or made and kept there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        paths = [self._path(chunk) for chunk in chunks]
        found = sum(path.exists() for path in paths)
        if found:
            say(f"{found} of {len(chunks)} chunks of prompts were tabulated before")
        pieces: list[dict[str, np.ndarray]] = []
        with progress_bar("tabulating") as at:
            for done, (path, chunk) in enumerate(zip(paths, chunks, strict=True)):
                if not path.exists():
                    arrays = self._outcomes(chunk)
                    replace_file(path, lambda scratch, arrays=arrays: _write(scratch, arrays))
                with np.load(path, allow_pickle=False) as file:
                    pieces.append({name: file[name] for name in file.files})
                at((done + 1) / len(chunks))
        return pieces

    def _path(self, chunk: Sequence[Prompt]) -> Path:
        """Named after all that its content depends on."""
        inputs = {"about": self.about, "budgets": self._budgets, "prompts": to_plain(list(chunk))}
        inputs["features"] = None if self._features is None else self._features.name
        digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:24]
        return self._folder / f"{digest}.npz"

    def _outcomes(self, chunk: Sequence[Prompt]) -> dict[str, np.ndarray]:
        rows: list[dict[str, np.ndarray]] = []
        also = () if self._features is None else self._features.weights
        for prompt in chunk:
            scored = score(
                self._model, prompt, self._actions, self._budgets, self._settings, texts=self._texts, also=also
            )
            rows.append(self._row(prompt, scored))
        if any(row.keys() != rows[0].keys() for row in rows):
            raise ValueError("the features of the prompts have different names: expected the same for all")
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, prompt: Prompt, scored: Scored) -> dict[str, np.ndarray]:
        parts = {f"parts/{name}": values.astype(np.float32) for name, values in scored.parts.items()}
        vectors = _features(self._features, scored.prefilled, prompt)
        named = {f"features/{name}": np.asarray(vector, np.float32) for name, vector in vectors.items()}
        return {**parts, **named, "distinct": np.int64(scored.distinct)}  # pyright: ignore[reportReturnType]

    def join(self, pieces: Sequence[Mapping[str, np.ndarray]]) -> RewardTable:
        """The table of all chunks."""
        whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        under = {
            kind: {name.removeprefix(kind): array for name, array in whole.items() if name.startswith(kind)}
            for kind in ("parts/", "features/")
        }
        return RewardTable(
            tuple(prompt.name for prompt in self._prompts),
            tuple(action.name for action in self._actions),
            self._budgets,
            under["parts/"],
            np.array([len(prompt.token_ids) for prompt in self._prompts]),
            tuple(prompt.group for prompt in self._prompts),
            under["features/"],
            {**self.about, "distinct_caches": int(whole["distinct"].sum())},
        )


def _features(features: Features | None, read: Prefilled, prompt: Prompt) -> dict[str, np.ndarray]:
    return {} if features is None else features(read, prompt)


def _write(scratch: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with scratch.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
