"""Does every benchmark still fit the code that it measures?"""

import importlib.util
import inspect
import sys
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_loads_and_takes_a_file_for_its_numbers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"benchmark_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    recipes = [thing for thing in vars(module).values() if inspect.isclass(thing) and is_dataclass(thing)]
    flags = {field.name for recipe in recipes for field in fields(recipe)} | set(_parameters(module))
    assert "json" in flags, "no --json"
    assert f"python benchmarks/{path.name}" in (module.__doc__ or ""), "its docstring names no command"


def _parameters(module: ModuleType) -> Iterable[str]:
    """Of a ``main`` whose parameters are its flags."""
    return inspect.signature(module.main).parameters if hasattr(module, "main") else ()
