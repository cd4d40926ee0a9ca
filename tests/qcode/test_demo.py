"""Does the demonstration end in an outcome, and say plainly where nothing was shown?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trimtab.outcomes import read_outcome
from trimtab.qcode import demo, sources
from trimtab.qcode.attempts import Attempt, EngineSettings
from trimtab.qcode.demo_recipe import TRAIN, Demo
from trimtab.qcode.engine.protocol import Status, TestResult, Verdict
from trimtab.qcode.evaluation.results import Evaluation
from trimtab.qcode.extraction import Extraction


def evaluation(solved: int, count: int = 100) -> Evaluation:
    """An evaluation in which the first ``solved`` problems are solved."""
    problem = sources.load("onelines")[0]
    verdicts = [Verdict((TestResult(Status.PASSED if n < solved else Status.WRONG),)) for n in range(count)]
    return Evaluation("m", [problem] * count, [Attempt(problem, "", Extraction("", True), v) for v in verdicts], [])


@pytest.mark.parametrize(("after", "verdict"), [(60, "improved"), (41, "not shown"), (20, "worse")])
def test_the_verdict_follows_the_interval(after: int, verdict: str) -> None:
    found = demo.outcome_of(evaluation(40), evaluation(after), TRAIN, 1.0)
    assert found.verdict == verdict
    assert (found.fixed.value, found.policy.value) == (0.4, after / 100)
    assert demo.ADVICE[verdict] in found.sentence


@pytest.mark.slow
def test_the_verb(tmp_path: Path) -> None:
    train = replace(
        TRAIN,
        max_steps=2,
        save_steps=2,
        prompts_per_step=2,
        per_device_train_batch_size=16,
        engine=EngineSettings(workers=1),
        name="run",
    )
    Demo(train, problems=12, out=tmp_path).run()
    found = read_outcome(tmp_path / "run")
    assert found is not None
    assert found.room == "qcode"
    assert found.over == "12 held-out problems"
    assert (tmp_path / "run" / "samples.html").is_file()
    assert (tmp_path / "run" / "model" / "config.json").is_file()
