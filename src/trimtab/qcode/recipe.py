"""Which commands does this room have, and what can be set? ``trimtab qcode <verb>``, as frozen recipes.

Light to import: whatever is heavy is imported by ``run``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from trimtab.qcode import demo_recipe, engine_recipe, training_recipe
from trimtab.qcode.problems import recipe as problems


@dataclass(frozen=True)
class Console:
    """Run a q script, or talk to the embedded q interpreter: a console with history."""

    file: tyro.conf.Positional[Path | None] = None
    """The script; without it, the console."""

    def run(self) -> int:
        from trimtab.qcode.q import verbs

        return verbs.run_file(self.file) if self.file else verbs.interact()


@dataclass(frozen=True)
class Conformance:
    """Replay published examples of q and count those whose console text agrees, by section and reason of failure."""

    file: tyro.conf.Positional[Path]
    """Examples as JSON Lines (page, input, expected, testable, compare, tags)."""
    json: Path | None = None
    """Also write passed, testable, the failed rows and the bars here."""
    failures: bool = False
    """Print every example that fails, with what was expected and what came."""

    def run(self) -> int:
        from trimtab.qcode.q import verbs

        return verbs.conformance(self.file, self.json, self.failures)


VERBS: dict[str, type] = {
    "q": Console,
    "conformance": Conformance,
    **engine_recipe.VERBS,
    **problems.VERBS,
    **training_recipe.VERBS,
    **demo_recipe.VERBS,
}

RECIPES: dict[str, dict[str, object]] = training_recipe.RECIPES
