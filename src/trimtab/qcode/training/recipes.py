"""With which recipe was a run begun? Plain data back to the frozen dataclasses that it was written from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from trimtab.plain import to_plain

T = TypeVar("T")
TRANSIENT = (
    "resume",
    "dry_run",
    "output_dir",
    "name",
    "track",
    "tracking",
    "use_wandb",
    "processes",
    "gpu_gib",
    "launch",
)
"""Fields that do not make a training another one."""


def _restored(value: Any, hint: Any) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _restored(value, inner[0])
    if value is None:
        return None
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_plain(value, hint)
    if origin is tuple:
        return tuple(value)
    if hint is Path or Path in inner:
        return Path(value)
    return value


def from_plain(plain: dict[str, Any], kind: type[T]) -> T:
    """The dataclass that ``to_plain`` made ``plain`` of."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return kind(**{name: _restored(value, hints[name]) for name, value in plain.items() if name != "class"})


def recipe_in(path: Path, kind: type[T]) -> T:
    """The recipe of the run in ``path``. Raises ValueError where it is no run, or another verb's."""
    file = path / "recipe.yaml"
    if not file.is_file():
        raise ValueError(f"{path} is no run: expected a folder with recipe.yaml")
    plain: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    if plain.get("class") != kind.__name__:
        raise ValueError(
            f"the run in {path} is one of `{plain.get('class')}`, not of `{kind.__name__}`: resume it by the "
            "verb that began it"
        )
    return from_plain(plain, kind)


def digest(recipe: Any) -> str:
    """Of everything that makes a training this one."""
    plain: Any = to_plain(recipe)
    kept = {name: value for name, value in plain.items() if name not in TRANSIENT}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
