"""What does a language model think of a reply? Scores on the five rubrics of ECR's study, the whole dialogue in view.

The judge must answer in JSON and nothing else; told once what was wrong, it may try again; an answer that is no JSON
then is a missing score: counted, never a number. Scores are kept on disk by judge, dialogue and reply.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trimtab.dialogue.audit import spearman
from trimtab.dialogue.example import Reply
from trimtab.tracking import Jsonl, read_jsonl

RUBRICS: dict[str, str] = {
    "emotional_intensity": "how strongly the reply expresses and conveys emotion",
    "emotional_persuasiveness": "how well it moves the user, by emotion, towards the recommendation",
    "logic_persuasiveness": "how well it convinces the user by reasons that hold",
    "informativeness": "how much useful knowledge it gives about what it recommends",
    "lifelikeness": "how much it sounds like a person who cares",
}
"""Zhang et al., RecSys 2024, section 5.1; each from 0 to 9."""
HIGHEST = 9

Scores = dict[str, float]
Say = Callable[[Sequence[Mapping[str, str]]], str]
"""Chat messages -> the model's answer."""


def question(reply: Reply) -> list[dict[str, str]]:
    """What the judge is asked: the rubrics' definitions, the dialogue, the reply."""
    rubrics = "\n".join(f"- {name}: {meaning}" for name, meaning in RUBRICS.items())
    form = json.dumps(dict.fromkeys(RUBRICS, 0))
    names = {"user": "User", "system": "Recommender"}
    dialogue = "\n".join(f"{names[turn.speaker]}: {turn.text}" for turn in reply.example.turns) or "(it begins here)"
    system = (
        f"You judge replies of a movie recommender. Give each rubric a score from 0 (not at all) to {HIGHEST} (fully):\n"
        f"{rubrics}\nAnswer with one JSON object in this form and nothing else: {form}"
    )
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": f"The dialogue:\n{dialogue}\n\nThe reply to judge:\n{reply.text or '(nothing)'}"},
    ]


def parse_scores(answer: str) -> Scores:
    """The scores of an answer. Raises ValueError that says what is wrong with it, for the judge to read."""
    try:
        found = json.loads(answer)
    except json.JSONDecodeError as error:
        raise ValueError(f"That was no JSON ({error}).") from error
    if not isinstance(found, dict) or set(found) != set(RUBRICS):
        raise ValueError(f"Expected an object with exactly the keys {', '.join(RUBRICS)}.")
    for name, score in found.items():
        number = isinstance(score, (int, float)) and not isinstance(score, bool) and math.isfinite(score)
        if not number or not 0 <= score <= HIGHEST:
            raise ValueError(f"{name} is {score!r}: expected a number from 0 to {HIGHEST}.")
    return {name: float(found[name]) for name in RUBRICS}


class Judge:
    """A model that scores replies. ``name``: which (part of the cache's key); ``cache``: a JSON Lines file, or None.

    ``asked``, ``retried``, ``missing`` and ``remembered`` count what happened.
    """

    def __init__(self, say: Say, name: str, cache: Path | None = None) -> None:
        self._say, self.name = say, name
        self._known: dict[str, Scores] = {}
        self._file: Jsonl | None = None
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            self._file = Jsonl(cache)
            self._known = {row["key"]: row["scores"] for row in read_jsonl(cache)} if cache.exists() else {}
        self.asked = self.retried = self.missing = self.remembered = 0

    def score(self, reply: Reply) -> Scores | None:
        """The scores of a reply; None where the judge gave no JSON twice. Failures of the line to it are raised."""
        messages = question(reply)
        key = hashlib.sha256(json.dumps([self.name, messages]).encode()).hexdigest()
        if key in self._known:
            self.remembered += 1
            return dict(self._known[key])
        scores = self._ask(messages)
        if scores is None:
            self.missing += 1
            return None
        self._known[key] = scores
        if self._file is not None:
            self._file.append({"key": key, "judge": self.name, "scores": scores})
        return dict(scores)

    def _ask(self, messages: list[dict[str, str]]) -> Scores | None:
        self.asked += 1
        answer = self._say(messages)
        try:
            return parse_scores(answer)
        except ValueError as error:
            self.retried += 1
            again = f"{error} Answer with the JSON object alone."
            told = [*messages, {"role": "assistant", "content": answer}, {"role": "user", "content": again}]
        try:
            return parse_scores(self._say(told))
        except ValueError:
            return None


@dataclass(frozen=True)
class Endpoint:
    """A server with OpenAI's chat interface: ``url`` up to ``/v1``; the key, where one is needed, from ``key_variable``."""

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    temperature: float = 0.0
    timeout_seconds: float = 60.0

    def __call__(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The answer. Raises OSError or ValueError where the server cannot be reached or says something else."""
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"the endpoint {self.url!r}: expected http://... or https://..., up to /v1.")
        body = {"model": self.model, "messages": list(messages), "temperature": self.temperature}
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_seconds) as response:
                told: Any = json.load(response)
            return str(told["choices"][0]["message"]["content"])
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:300]
            raise ValueError(f"the judge at {address} refused ({error.code}): {detail}") from error
        except urllib.error.URLError as error:
            raise OSError(f"the judge at {address} cannot be reached ({error.reason}).") from error
        except (KeyError, IndexError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"the server at {address} does not speak OpenAI's chat interface ({error!r}).") from error


class LocalModel:
    """Any causal language model with a chat template, answering greedily."""

    def __init__(self, name: str, *, device: str | None = None, max_new_tokens: int = 160) -> None:
        from trimtab.lm.load import load_model

        self._model, self._tokenizer = load_model(name, device=device)
        if not self._tokenizer.chat_template:
            raise ValueError(f"{name} has no chat template: a judge has to be a chat model.")
        self._max_new_tokens = max_new_tokens

    def __call__(self, messages: Sequence[Mapping[str, str]]) -> str:
        import torch

        model, tokenizer = self._model, self._tokenizer
        text: Any = tokenizer.apply_chat_template(
            [dict(said) for said in messages], tokenize=False, add_generation_prompt=True
        )
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"].to(model.device)
        generate: Any = model.generate
        with torch.no_grad():
            made = generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=self._max_new_tokens
            )
        return str(tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True))


def judge_of(
    model: str,
    endpoint: str | None = None,
    key_variable: str = "OPENAI_API_KEY",
    cache: Path | None = None,
    *,
    device: str | None = None,
) -> Judge:
    """The judge that these settings mean: a model at an endpoint, or a local one."""
    say = Endpoint(endpoint, model, key_variable) if endpoint else LocalModel(model, device=device)
    return Judge(say, model, cache)


class JudgePart:
    """The judge as a part of a reward: the mean of its scores as a share of the highest, in [0, 1].

    ``missing``: what a missing score counts; None raises ValueError. A judge that rewards must not evaluate as well.
    """

    def __init__(self, judge: Judge, missing: float | None = None) -> None:
        self._judge, self._missing = judge, missing

    def __call__(self, replies: Sequence[Reply]) -> list[float]:
        return [self._value(reply) for reply in replies]

    def _value(self, reply: Reply) -> float:
        scores = self._judge.score(reply)
        if scores is not None:
            return sum(scores.values()) / len(scores) / HIGHEST
        if self._missing is None:
            raise ValueError(
                f"the judge {self._judge.name} gave no JSON twice for {reply.text[:200]!r}: say what a missing score "
                "counts, or use a judge that keeps to the form."
            )
        return self._missing


def agreement(first: Sequence[Scores | None], second: Sequence[Scores | None]) -> dict[str, dict[str, float]]:
    """How far two judges agree, by rubric, on the replies that both scored: Spearman, Krippendorff's alpha, the number.

    Raises ValueError where they share fewer than three.
    """
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if len(both) < 3:
        raise ValueError(f"{len(both)} replies have scores of both judges: expected three at least.")
    found: dict[str, dict[str, float]] = {}
    for name in RUBRICS:
        pairs = np.array([(a[name], b[name]) for a, b in both])
        rank = spearman(pairs[:, 0], pairs[:, 1])
        found[name] = {"spearman": rank, "alpha": krippendorff_alpha(pairs), "replies": float(len(both))}
    return found


def krippendorff_alpha(pairs_N2: np.ndarray) -> float:
    """Krippendorff's alpha for two raters, squared differences, none missing: 1 - observed / expected disagreement.

    1 for full agreement, 0 for that of chance; 1 where all scores are the same.
    """
    values = pairs_N2.ravel()
    observed = float(((pairs_N2[:, 0] - pairs_N2[:, 1]) ** 2).mean())
    count = len(values)
    expected = float(2 * (count * (values**2).sum() - values.sum() ** 2) / (count * (count - 1)))
    return 1 - observed / expected if expected else 1.0


def judged_rows(replies: Iterable[Reply], judge: Judge) -> Iterable[dict[str, Any]]:
    """A row per reply: key, reply, scores (None where missing), their mean."""
    for reply in replies:
        scores = judge.score(reply)
        mean = None if scores is None else sum(scores.values()) / len(scores)
        row = {"key": reply.example.key, "reply": reply.text, "judge": judge.name, "scores": scores, "mean": mean}
        yield row
