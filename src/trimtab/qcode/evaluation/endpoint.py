"""How is a model judged that runs elsewhere? Through OpenAI's chat interface: vLLM, SGLang, llama.cpp, or a service."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from trimtab.qcode import prompts
from trimtab.qcode.attempts import Answer
from trimtab.qcode.evaluation.writing import Manner
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.prompts import PromptSettings

AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
"""Statuses of HTTP after which the same request may succeed."""


@dataclass(frozen=True)
class EndpointWriter:
    """A model behind ``url`` (up to /v1). One request per answer, ``at_once`` of them at a time."""

    url: str
    name: str
    settings: PromptSettings
    key_variable: str = "OPENAI_API_KEY"
    at_once: int = 8
    attempts: int = 4
    timeout_seconds: float = 300.0
    pause_seconds: float = 1.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"endpoint {self.url!r}: expected an address such as http://localhost:8000/v1")
        if self.settings.form != "chat":
            raise ValueError("an endpoint takes messages: leave --form at chat")

    def write(
        self, problems: Sequence[Problem], manner: Manner, advance: Callable[[float], None] = lambda done: None
    ) -> list[list[Answer]]:
        """Answers by problem. Raises ValueError where the server refuses, OSError where it cannot be reached."""
        jobs = [(place, sample) for place in range(len(problems)) for sample in range(manner.samples)]
        found: list[list[Answer]] = [[] for _ in problems]
        with ThreadPoolExecutor(self.at_once) as threads:
            answers = threads.map(lambda job: self._answer(problems[job[0]], manner, job[1]), jobs)
            for done, ((place, _), answer) in enumerate(zip(jobs, answers, strict=True), 1):
                found[place].append(answer)
                advance(done / len(jobs))
        return found

    def _answer(self, problem: Problem, manner: Manner, sample: int) -> Answer:
        body = {
            "model": self.name,
            "messages": prompts.build(problem, self.settings),
            "temperature": manner.temperature,
            "max_tokens": manner.max_new_tokens,
            "seed": manner.seed * 1_000_003 + sample,
        }
        reply = self._post(body)
        try:
            choice = reply["choices"][0]
            text = choice["message"]["content"] or ""
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"{self.url} answered with no choice: {json.dumps(reply)[:200]}") from None
        tokens = (reply.get("usage") or {}).get("completion_tokens") or 0
        return Answer(problem, text, choice.get("finish_reason") != "length", int(tokens))

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.key_variable)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        address = self.url.rstrip("/") + "/chat/completions"
        for attempt in range(1, self.attempts + 1):
            request = urllib.request.Request(address, json.dumps(body).encode(), headers)  # noqa: S310 (checked above)
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_seconds) as reply:  # noqa: S310
                    return json.loads(reply.read())
            except urllib.error.HTTPError as error:
                told = error.read().decode(errors="replace")[:200]
                if error.code not in AGAIN or attempt == self.attempts:
                    raise ValueError(f"{address} refuses ({error.code}): {told}") from error
            except (urllib.error.URLError, TimeoutError) as error:
                if attempt == self.attempts:
                    raise OSError(f"{address} cannot be reached ({error}): is the server running?") from error
            time.sleep(self.pause_seconds * 2 ** (attempt - 1))
        raise AssertionError("unreachable")
