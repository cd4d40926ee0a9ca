"""Is the shipped ``zoo:q`` small, described, and able to do what its card says?"""

from __future__ import annotations

import pytest

from trimtab.lm.load import resolve
from trimtab.qcode import models, sources
from trimtab.qcode.attempts import EngineSettings, Grader
from trimtab.qcode.evaluation.verb import judged
from trimtab.qcode.evaluation.writing import LocalWriter, Manner
from trimtab.qcode.training_recipe import TINY


def test_it_is_small_and_has_a_card() -> None:
    folder = resolve("zoo:q")
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10_000_000
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("license: apache-2.0", "nats per answer token", "trimtab qcode sft"):
        assert part in card


@pytest.mark.slow
def test_it_writes_compositions_that_it_was_not_taught() -> None:
    problems = sources.of_split(sources.load("onelines-evaluation"), "test", "onelines")[::8]
    model, tokenizer = models.load("zoo:q", dtype="float32")
    with Grader(EngineSettings(workers=1), "direct") as grader:
        writer = LocalWriter(model, tokenizer, TINY.prompt)
        found = judged(writer, problems, grader, Manner(samples=0, max_new_tokens=40), greedy=True)
    share = sum(attempt.verdict.passed for attempt in found.greedy) / len(problems)
    assert 0.5 < share < 0.9
