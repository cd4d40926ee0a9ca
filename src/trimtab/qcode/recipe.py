"""Which commands does this room have, and what can be set? ``trimtab qcode <verb>``, as frozen recipes.

Light to import: whatever is heavy is imported by ``run``.
"""

from __future__ import annotations

from trimtab.qcode.problems import recipe as problems

VERBS: dict[str, type] = {**problems.VERBS}
