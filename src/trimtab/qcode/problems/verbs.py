"""What do ``trimtab qcode verify``, ``problems`` and ``convert`` do and print?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.checkpoints import replace_file
from trimtab.console import Table, progress_bar
from trimtab.qcode.engine.engines import chosen, engine
from trimtab.qcode.engine.protocol import InfraError, Language, Limits
from trimtab.qcode.problems import build, onelines
from trimtab.qcode.problems import format as layout
from trimtab.qcode.problems import verify as verification
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.problems.readers import READERS

if TYPE_CHECKING:
    from trimtab.qcode.problems.recipe import Convert, Problems, Verify

SHOWN = 20
LANGUAGES: tuple[Language, ...] = ("q", "python")
NOTE = "kill rate: the share of wrong programs (one token changed, or a constant answer) that the hidden tests fail"


def named(file: Path) -> list[Problem]:
    """The problems of a file, or of one of the two sets that have names."""
    if str(file) == "shipped":
        return build.shipped()
    if str(file) == "onelines":
        return onelines.generate()
    return layout.read(file)


def _checks(problems: Sequence[Problem], recipe: Verify) -> list[verification.Check]:
    settings = verification.Settings(recipe.mutants, recipe.seed)
    limits = Limits(cpu_seconds=recipe.cpu_seconds, wall_seconds=3 * recipe.cpu_seconds)
    checks: list[verification.Check] = []
    with progress_bar("verifying") as advance:

        def heard(check: verification.Check) -> None:
            checks.append(check)
            advance(len(checks) / len(problems))

        for language in LANGUAGES:
            some = [problem for problem in problems if problem.language == language]
            if not some:
                continue
            name, options = chosen(recipe.engine, recipe.q_ipc) if language == "q" else ("python", {})
            executor = engine(name, limits=limits, isolation=recipe.isolation, **options)
            try:
                verification.verify(some, executor, settings, heard)
            except InfraError as error:
                raise ValueError(
                    f"{error} (nothing was verified; `trimtab qcode doctor` says what is there)"
                ) from error
            finally:
                executor.close()
    return checks


def _say_what_is_wrong(checks: Sequence[verification.Check], survivors: bool) -> None:
    unsound = [check for check in checks if not check.sound]
    for check in unsound[:SHOWN]:
        why = check.detail or ("a second run differs" if not check.agreeing else "the empty program passes")
        print(f"{check.id}: {why}")
    if len(unsound) > SHOWN:
        print(f"... and {len(unsound) - SHOWN} more")
    if survivors:
        for check in checks:
            for code in check.survivors:
                print(f"{check.id}: survives: {code}")


def verify(recipe: Verify) -> int:
    """Verify, print the table, and return 1 unless every problem is sound."""
    problems = named(recipe.file)
    checks = _checks(problems, recipe)
    rows = verification.rows(checks)
    Table(f"{recipe.file}", list(rows[0]), [list(row.values()) for row in rows], note=NOTE).print()
    _say_what_is_wrong(checks, recipe.survivors)
    if recipe.json:
        content = json.dumps(verification.as_json(checks), indent=1) + "\n"
        replace_file(recipe.json, lambda scratch: scratch.write_text(content, encoding="utf-8"))
    return 0 if all(check.sound for check in checks) else 1


def _sizes(problems: Sequence[Problem]) -> str:
    splits = Counter(problem.split for problem in problems)
    return ", ".join(f"{splits[split]} {split}" for split in layout.SPLITS if splits[split])


def write(recipe: Problems) -> None:
    """Write one of our own sets."""
    problems = build.build() if recipe.which == "shipped" else onelines.generate(recipe.seed, recipe.use)
    layout.write(recipe.out, problems)
    print(f"{recipe.out}: {len(problems)} problems ({_sizes(problems)})")


def convert(recipe: Convert) -> None:
    """Read published problems, say what was left out and why, write the rest. Raises ValueError where nothing is left."""
    found = READERS[recipe.layout](recipe.source)
    for problem_id, why in found.left_out[:SHOWN]:
        print(f"left out {problem_id}: {why}")
    if not found.problems:
        raise ValueError(f"{recipe.source}: none of its {len(found.left_out)} problems could be kept; see why above")
    layout.write(recipe.out, found.problems)
    print(f"{recipe.out}: {len(found.problems)} problems ({_sizes(found.problems)}), {len(found.left_out)} left out")
