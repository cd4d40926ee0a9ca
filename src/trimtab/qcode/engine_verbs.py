"""What do ``trimtab qcode doctor`` and ``crosscheck`` do and print?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.checkpoints import replace_file
from trimtab.console import Table, progress_bar
from trimtab.qcode.engine import doctor as findings
from trimtab.qcode.engine.doctor import Finding
from trimtab.qcode.engine.engines import chosen, engine
from trimtab.qcode.engine.protocol import Executor, InfraError, Limits
from trimtab.qcode.problems import crosscheck as checking
from trimtab.qcode.problems.verbs import named

if TYPE_CHECKING:
    from trimtab.qcode.engine_recipe import Crosscheck, Doctor

SHOWN = 20
NOTE = "a test passed by one engine alone is a defect of one of them; failures may differ in kind where limits differ"


def _write(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=1) + "\n"
    replace_file(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def _table(title: str, column: str, found: Sequence[Finding]) -> Table:
    """A table of what is available; what is not, and why, follows as lines that no column cuts."""
    rows = [(one.name, one.use, one.available, one.isolation or None) for one in found]
    return Table(title, [column, "use", "available", "isolation"], list(rows))


def _say_why_not(found: Sequence[Finding]) -> None:
    for one in found:
        if one.detail:
            print(f"{one.name}: {one.detail}")


def doctor(recipe: Doctor) -> int:
    """Try everything, print the tables, and return 0 where programs can be graded."""
    total = len(findings.ENGINES) + len(findings.LEVELS)
    found: list[list[Finding]] = [[], []]
    with progress_bar("trying engines") as advance:
        for list_, source in zip(found, (findings.engines(recipe.q_ipc), findings.isolation()), strict=True):
            for one in source:
                list_.append(one)
                advance(sum(map(len, found)) / total)
    engines, levels = found
    _table("engines", "engine", engines).print()
    _say_why_not(engines)
    print()
    in_force = next((one.isolation for one in engines if one.isolation and one.name in findings.DEFAULTS), None)
    _table(f"levels of isolation (auto: {in_force or 'none is to be had'})", "level", levels).print()
    _say_why_not(levels)
    healthy = findings.healthy(engines, recipe.q_ipc)
    print(
        f"\nprograms {'can' if healthy else 'cannot'} be graded here (docs/engines.md says what each level keeps apart)"
    )
    if recipe.json:
        rows = {"engines": [asdict(one) for one in engines], "isolation": [asdict(one) for one in levels]}
        _write(recipe.json, {**rows, "auto": in_force, "healthy": healthy})
    return 0 if healthy else 1


def _opened(name: str, recipe: Crosscheck) -> Executor:
    from trimtab.qcode.engine.kdb.fresh import LEVEL

    name, options = chosen(name, recipe.q_ipc if name == "q-ipc" else None)
    if name in ("q-binary", "pykx"):
        options["isolation"] = LEVEL
    limits = Limits(cpu_seconds=recipe.cpu_seconds, wall_seconds=3 * recipe.cpu_seconds)
    return engine(name, limits=limits, **options)


def _checked(recipe: Crosscheck, executors: tuple[Executor, Executor]) -> list[checking.Compared]:
    problems = [problem for problem in named(recipe.file) if problem.language == "q"][: recipe.limit]
    if not problems:
        raise ValueError(f"{recipe.file}: no problem in q to compare engines on")
    found: list[checking.Compared] = []
    with progress_bar("comparing") as advance:

        def heard(one: checking.Compared) -> None:
            found.append(one)
            advance(len(found) / len(problems))

        try:
            checking.crosscheck(problems, executors, recipe.mutants, recipe.seed, heard)
        except InfraError as error:
            raise ValueError(f"{error} ({len(found)} of {len(problems)} problems were compared)") from error
    return found


def _say_differences(found: Sequence[checking.Compared], engines: Sequence[str]) -> None:
    every = [difference for one in found for difference in one.differences]
    every.sort(key=lambda difference: difference.kind != "passing")
    for difference in every[:SHOWN]:
        print(f"{difference.id}, test {difference.test}: {difference.code[:100]}")
        for name, status, detail in zip(engines, difference.statuses, difference.details, strict=True):
            print(f"    {name}: {status}{detail and ': ' + detail[:160]}")
    if len(every) > SHOWN:
        print(f"... and {len(every) - SHOWN} more (--json OUT writes them all)")


def crosscheck(recipe: Crosscheck) -> int:
    """Compare, print the table and the differences; 1 where a test is passed by one engine alone, or nothing compares."""
    if recipe.engines[0] == recipe.engines[1]:
        raise ValueError(f"--engines {recipe.engines[0]} twice: expected two that differ")
    if recipe.q_ipc is not None and "q-ipc" not in recipe.engines:
        raise ValueError(f"--q-ipc {recipe.q_ipc} without the engine q-ipc: name it in --engines")
    executors = (_opened(recipe.engines[0], recipe), _opened(recipe.engines[1], recipe))
    try:
        found = _checked(recipe, executors)
        levels = [str(getattr(executor, "isolation", "")) for executor in executors]
    finally:
        for executor in executors:
            executor.close()
    rows = checking.rows(found)
    title = " and ".join(f"{name} ({level})" for name, level in zip(recipe.engines, levels, strict=True))
    Table(f"{recipe.file}: {title}", list(rows[0]), [list(row.values()) for row in rows], note=NOTE).print()
    _say_differences(found, recipe.engines)
    if recipe.json:
        _write(recipe.json, checking.as_json(found, recipe.engines, levels))
    total = rows[-1]
    return 1 if total["differ_in_passing"] or total["tests"] == total["unsupported"] else 0
