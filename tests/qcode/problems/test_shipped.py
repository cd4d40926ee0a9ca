"""Is the shipped set what its sources say, and does it tell right programs from wrong ones?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from trimtab.qcode.engine.protocol import CallTest
from trimtab.qcode.engine.sandboxed import Sandboxed
from trimtab.qcode.problems import build, families, onelines, verify
from trimtab.qcode.problems import format as layout
from trimtab.qcode.problems.format import Problem


@pytest.fixture(scope="module")
def shipped() -> list[Problem]:
    return build.shipped()


@pytest.fixture(scope="module")
def engine() -> Iterator[Sandboxed]:
    with Sandboxed("q-embedded", workers=1) as executor:
        yield executor


def test_the_file_is_built_from_its_sources_to_the_byte() -> None:
    assert layout.dumps(build.build()) == build.SHIPPED.read_text(encoding="utf-8")


def test_size_and_shape(shipped: list[Problem]) -> None:
    assert len(shipped) >= 300
    assert len(families.FAMILIES) >= 20
    assert min(Counter(problem.tags[0] for problem in shipped).values()) >= 14
    assert len({problem.description for problem in shipped}) == len(shipped)
    assert len({problem.references for problem in shipped}) >= len(shipped) - 1  # pairs of rows, pairs of items
    for problem in shipped:
        assert len(problem.visible) >= 2, problem.id
        assert len(problem.hidden) >= 4, problem.id
        shown = {test.arguments for test in problem.visible if isinstance(test, CallTest)}
        assert not shown & {test.arguments for test in problem.hidden if isinstance(test, CallTest)}, problem.id


def test_no_constant_passes(shipped: list[Problem]) -> None:
    for problem in shipped:
        assert len({test.expected for test in problem.hidden if isinstance(test, CallTest)}) > 1, problem.id


def test_a_composition_of_families_lies_in_one_split(shipped: list[Problem]) -> None:
    where: dict[frozenset[str], set[str]] = {}
    for problem in shipped:
        where.setdefault(frozenset(problem.tags), set()).add(problem.split)
    assert all(len(splits) == 1 for splits in where.values())
    sizes = Counter(problem.split for problem in shipped)
    assert sizes["train"] > 0.5 * len(shipped)
    assert sizes["test"] > 0.2 * len(shipped)
    assert sizes["validation"] > 0.08 * len(shipped)


def test_every_reference_agrees_with_its_gold(shipped: list[Problem], engine: Sandboxed) -> None:
    verdicts = engine.run([p.program(p.references[0]) for p in shipped], [p.tests for p in shipped])
    failed = {
        problem.id: verdict.detail for problem, verdict in zip(shipped, verdicts, strict=True) if not verdict.passed
    }
    assert not failed


def test_references_run_on_fresh_arguments(shipped: list[Problem], engine: Sandboxed) -> None:
    for problem in shipped:
        tests = [CallTest(arguments, "0") for arguments in problem.fresh_arguments(7, 3)]
        (verdict,) = engine.run([problem.program(problem.references[0])], [tests])
        assert all(test.status in ("passed", "wrong") for test in verdict.tests), (problem.id, verdict.detail)


@pytest.mark.slow
def test_hidden_tests_kill_mutants(shipped: list[Problem], engine: Sandboxed) -> None:
    checks = verify.verify(shipped[::6], engine, verify.Settings(mutants=8))
    assert all(check.sound for check in checks), [check.id for check in checks if not check.sound]
    assert verify.row("all", checks)["kill_rate"] > 0.9


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_liners(seed: int) -> None:
    problems = onelines.generate(seed)
    assert len(problems) >= 1200
    sizes = Counter(problem.split for problem in problems)
    assert sizes["test"] >= 300
    assert sizes["train"] >= 400
    assert problems == onelines.generate(seed)
    train = [problem for problem in problems if problem.split == "train"]
    parts = {(tag_number, tag) for problem in train for tag_number, tag in enumerate(problem.tags)}
    pairs = {problem.tags[::2] for problem in train} | {(problem.tags[0], *problem.tags[2:4]) for problem in train}
    for problem in problems:
        assert {(number, tag) for number, tag in enumerate(problem.tags[:4])} <= parts, problem.id
        assert ("unseen-pair" in problem.tags) <= ((problem.tags[0], *problem.tags[2:4]) not in pairs)


def test_rewards_and_evaluation_never_share_an_input() -> None:
    for one, other in zip(onelines.generate(0, "reward"), onelines.generate(0, "evaluation"), strict=True):
        assert one.id == other.id
        assert not {t.arguments for t in one.tests if isinstance(t, CallTest)} & {
            t.arguments for t in other.tests if isinstance(t, CallTest)
        }


def test_one_liners_references_pass_both_uses(engine: Sandboxed) -> None:
    for use in ("reward", "evaluation"):
        problems = onelines.generate(0, use)[::3]
        verdicts = engine.run([p.program(p.references[0]) for p in problems], [p.tests for p in problems])
        assert not {p.id: v.detail for p, v in zip(problems, verdicts, strict=True) if not v.passed}
