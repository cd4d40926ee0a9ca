"""Which problems are meant, and may they be trained on? Named sets and files, split, with benchmarks guarded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trimtab.qcode.problems import build, onelines
from trimtab.qcode.problems import format as layout
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.problems.readers import READERS

NAMED = "shipped, onelines, onelines-evaluation, a file of problems, or LAYOUT:FILE"


def load(name: str) -> list[Problem]:
    """The problems of ``shipped``, ``onelines`` (inputs for rewards), ``onelines-evaluation``, a file of our format, or
    ``layout:file`` as published (humaneval, q-humaneval, mbpp, hub, sft). Raises ValueError where there are none."""
    if name == "shipped":
        return build.shipped()
    if name in ("onelines", "onelines-evaluation"):
        return onelines.generate(0, "evaluation" if name.endswith("evaluation") else "reward")
    kind, colon, path = name.partition(":")
    if colon and kind in READERS:
        found = READERS[kind](Path(path))
        if not found.problems:
            raise ValueError(
                f"{name}: none of its {len(found.left_out)} problems could be read; {found.left_out[0][1]}"
            )
        return list(found.problems)
    if not Path(name).is_file():
        raise ValueError(f"{name}: no such problems; expected {NAMED} (layouts: {', '.join(READERS)})")
    return layout.read(Path(name))


def of_split(problems: Sequence[Problem], split: str, name: str) -> list[Problem]:
    """The problems of a split. Raises ValueError naming the splits that there are."""
    found = [problem for problem in problems if problem.split == split]
    if not found:
        there = ", ".join(sorted({problem.split for problem in problems}))
        raise ValueError(
            f"{name} has no {split} split (it has {there}): choose another split, or give a file that has it"
        )
    return found


def for_training(name: str, *, force: bool = False) -> list[Problem]:
    """The train split. Raises ValueError for a published benchmark, unless forced: a model trained on it cannot be judged
    by it any more."""
    problems = load(name)
    benchmark = [problem for problem in problems if problem.evaluation_only]
    if benchmark and not force:
        raise ValueError(
            f"{name} holds {len(benchmark)} problems of a benchmark ({benchmark[0].id}, ...), which is for evaluation "
            "only. Train on other problems, or give --force and judge the model by something else"
        )
    if benchmark:
        return problems
    return of_split(problems, "train", name)
