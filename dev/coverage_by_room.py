"""Which share of each room do the tests run? ``python dev/coverage_by_room.py coverage.json`` (of ``make coverage``)."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from trimtab.console import Table


def main() -> None:
    """Print statements, and the share of them that was run, by the first folder below ``trimtab``."""
    files = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"]
    there, run = Counter[str](), Counter[str]()
    for name, found in files.items():
        below = Path(name).parts[Path(name).parts.index("trimtab") + 1 :]
        room = below[0] if len(below) > 1 else "trimtab"
        there[room] += found["summary"]["num_statements"]
        run[room] += found["summary"]["covered_lines"]
    table = Table("coverage", ("room", "statements", "covered_share"))
    for room in sorted(there):
        table.add(room, there[room], run[room] / there[room] if there[room] else None)
    table.print()


if __name__ == "__main__":
    main()
