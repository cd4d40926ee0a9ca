"""Do arrows go down only?"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT = [*sorted(ROOT.glob("src/trimtab/*/recipe.py")), ROOT / "src/trimtab/cli.py"]
HEAVY = {"torch", "transformers", "stable_baselines3", "datasets", "accelerate", "matplotlib"}


def test_import_contracts_are_kept() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_the_command_line_reads_is_light(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert not imported & HEAVY


def test_nothing_pickles() -> None:
    """Neither by name nor by numpy's or torch's back door."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pickle", "dill", "joblib", "cloudpickle"} & set(names), path
            if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "weights_only"):
                expected = node.arg == "weights_only"
                assert isinstance(node.value, ast.Constant), path
                assert node.value.value is expected, path
