"""Does the reward say what the tests say, keep statuses apart, and stop where the engine failed?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from trimtab.qcode.attempts import Answer, Attempt, EngineSettings, Grader, drawn_tests
from trimtab.qcode.engine.protocol import CallTest, InfraError, Program, Status, Test, TestResult, Verdict
from trimtab.qcode.extraction import Extraction
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.prompts import PromptSettings
from trimtab.qcode.reward import CodeReward, RandomReward, RewardSettings, check, custom_part, rubric_of, status_shares

TESTS = tuple(CallTest((f"{n} {n + 1}",), str(2 * n + 1)) for n in range(6))
SUM = Problem("sum", "Sum.", "solve", "q", TESTS, references=("solve:{sum x}",), tags=("lists",))


def attempt(*statuses: Status, formed: bool = True, ended: bool = True, tokens: int = 0) -> Attempt:
    verdict = Verdict(tuple(TestResult(status) for status in statuses))
    return Attempt(SUM, "", Extraction("", formed), verdict, ended, tokens)


PASSED, WRONG, TIMEOUT, GAP = Status.PASSED, Status.WRONG, Status.TIMEOUT, Status.UNSUPPORTED


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(EngineSettings(workers=1), "direct") as opened:
        yield opened


def test_the_originals_reward_by_hand() -> None:
    rubric = rubric_of(RewardSettings())
    values = [g.value for g in rubric([attempt(PASSED, PASSED), attempt(PASSED, WRONG), attempt(TIMEOUT, WRONG)])]
    assert values == [2.0, 0.5, 0.0]


def test_binary() -> None:
    rubric = rubric_of(RewardSettings(mode="binary"))
    assert [g.value for g in rubric([attempt(PASSED, PASSED), attempt(PASSED, WRONG)])] == [1.0, 0.0]


def test_format_and_length() -> None:
    settings = RewardSettings(format_weight=0.5, length_weight=2.0, soft_tokens=100, hard_tokens=200)
    rubric = rubric_of(settings)
    told = rubric([attempt(WRONG, tokens=150), attempt(WRONG, formed=False), attempt(WRONG, ended=False, tokens=10)])
    assert [g.value for g in told] == [0.5 - 2.0 * 0.5, 0.0, 0.5 - 2.0]


def test_statuses_are_told_apart() -> None:
    told = status_shares([attempt(PASSED), attempt(TIMEOUT), attempt(GAP), attempt(WRONG)])
    assert (told["status/timeout"], told["status/unsupported"], told["status/wrong"]) == (0.25, 0.25, 0.25)
    assert sum(told.values()) == 1.0


def test_tests_are_drawn_anew_each_step_and_alike_for_a_group() -> None:
    first = drawn_tests(SUM, 3, "0 1")
    assert len(first) == 3
    assert first == drawn_tests(SUM, 3, "0 1")
    assert len({drawn_tests(SUM, 3, f"0 {step}") for step in range(20)}) > 5
    assert drawn_tests(SUM, None, "") == TESTS


def test_visible_tests_never_grade() -> None:
    shown = CallTest(("9 9",), "18", hidden=False)
    assert shown not in drawn_tests(Problem("p", "d", "solve", "q", (shown, *TESTS)), None, "")


def _called(reward: CodeReward, texts: Sequence[str], *, split: str = "train", **options: Any) -> list[float | None]:
    count = len(texts)
    return asyncio.run(
        reward(["x"] * count, list(texts), [[1, 2]] * count, ["sum"] * count, [split] * count, **options)  # type: ignore[arg-type]
    )


def _reward(grader: Grader, kind: type[CodeReward] = CodeReward, **settings: Any) -> CodeReward:
    by_split = {"train": {"sum": SUM}, "eval": {"sum": SUM}}
    return kind(by_split, grader, RewardSettings(**settings), ends=frozenset({2}))


def test_as_trl_calls_it(grader: Grader) -> None:
    logged: dict[str, float] = {}
    extra: dict[str, list[str]] = {}
    values = _called(
        _reward(grader),
        ["solve:{sum x}", "solve:{first x}", "", "solve:{while[1b;x+:1];x}"],
        log_metric=lambda name, value: logged.update({name: value}),
        log_extra=lambda name, column: extra.update({name: column}),
    )
    assert values[0] == 2.0
    assert values[2] == 0.0
    assert extra["status"][0] == "passed"
    assert extra["status"][3] == "timeout"
    assert logged["status/timeout"] == 0.25
    assert logged["reward/perfect"] == 0.25


def test_messages_are_read_too(grader: Grader) -> None:
    reward = _reward(grader)
    told = asyncio.run(reward([[]], [[{"role": "assistant", "content": "solve:{sum x}"}]], [[2]], ["sum"], ["eval"]))
    assert told == [2.0]


class Gaps:
    """An engine that lacks something for every second program."""

    name = "gaps"

    def run(self, programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> list[Verdict]:
        kinds = (Status.PASSED, Status.UNSUPPORTED)
        return [Verdict(tuple(TestResult(kinds[row % 2]) for _ in some)) for row, some in enumerate(tests)]

    def close(self) -> None:
        pass


class Broken(Gaps):
    def run(self, programs: Sequence[Program], tests: Sequence[Sequence[Test]]) -> list[Verdict]:
        raise InfraError("no memory")


def _with(engine: Any) -> Grader:
    made = Grader(EngineSettings(), "direct")
    made._executors["q"] = engine
    return made


def test_what_the_engine_lacks_is_no_reward_at_all() -> None:
    assert _called(_reward(_with(Gaps())), ["a", "b", "c", "d"]) == [2.0, None, 2.0, None]


def test_a_failing_engine_stops_with_what_to_do() -> None:
    with pytest.raises(InfraError, match=r"no memory.*--resume"):
        _called(_reward(_with(Broken())), ["a"])


def test_the_control_is_random_but_repeatable(grader: Grader) -> None:
    texts = ["solve:{sum x}"] * 40
    values = _called(_reward(grader, RandomReward), texts)
    assert set(values) == {0.0, 1.0}
    assert values == _called(_reward(grader, RandomReward), texts)


def test_the_judge_is_checked_first(grader: Grader) -> None:
    check([SUM], PromptSettings(), grader)
    wrong = Problem("bad", "d", "solve", "q", TESTS, references=("solve:{first x}",))
    with pytest.raises(ValueError, match=r"1 of 2 problems. bad: its reference gets"):
        check([SUM, wrong], PromptSettings(), grader)


def test_custom_parts() -> None:
    part = custom_part("qcode.custom_reward:shortness=0.25")
    assert (part.weight, list(part.measure([attempt(PASSED)]))) == (0.25, [1.0])
    with pytest.raises(ValueError, match="no weight"):
        custom_part("qcode.custom_reward:shortness=much")
    with pytest.raises(ValueError, match="cannot be imported"):
        custom_part("no.such:thing=1")


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="all weights of the reward are 0"):
        rubric_of(RewardSettings(base_weight=0, perfect_weight=0))
    with pytest.raises(ValueError, match="max_tests 0"):
        RewardSettings(max_tests=0)


def test_answers_of_two_languages_run_together() -> None:
    python = Problem(
        "py", "d", "solve", "python", (CallTest(([1, 2],), 3),), references=("def solve(x):\n    return sum(x)",)
    )
    with Grader(EngineSettings(workers=1), "direct") as grader:
        check([SUM, python], PromptSettings(), grader)
        answers = [Answer(SUM, "solve:{sum x}"), Answer(python, "def solve(x): return 4"), Answer(SUM, "solve:{x}")]
        found = grader.run(answers, [a.problem.tests for a in answers])
        assert [a.verdict.passed for a in found] == [True, False, False]
        assert grader.seconds > 0
