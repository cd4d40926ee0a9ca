"""Under which licences is what trimtab depends on? ``python dev/licences.py`` prints docs/licences.md."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PINS = Path(__file__).parents[1] / "constraints.txt"


def licence(name: str) -> str:
    """What the package's metadata declare: the SPDX expression, else the classifiers, else the first line of its text."""
    found = distribution(name).metadata
    classified = [c.rsplit(" :: ", 1)[-1] for c in found.get_all("Classifier") or [] if c.startswith("License ::")]
    text = (found["License"] or "").strip().partition("\n")[0][:80]
    return found["License-Expression"] or ", ".join(classified) or text or "not declared"


def main() -> None:
    """Print the page."""
    names = re.findall(r"^([\w.-]+)==([^\s;]+)", PINS.read_text(encoding="utf-8"), re.MULTILINE)
    print("# Licences of dependencies\n")
    print("As the metadata of the pinned packages declare them (`python dev/licences.py > docs/licences.md`).\n")
    print("| package | version | licence |\n|---|---|---|")
    for name, version in names:
        try:
            print(f"| {name} | {version} | {licence(name).replace('|', '/')} |")
        except PackageNotFoundError:
            print(f"| {name} | {version} | not installed here |")


if __name__ == "__main__":
    main()
