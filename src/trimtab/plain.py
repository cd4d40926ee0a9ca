"""How does a value become plain data (JSON, YAML), with its arrays set aside?

One way only, and lossless in what it keeps: dataclasses become mappings that name their class, arrays go to a sidecar
under the path of their field. Reading back gives plain data; no class is looked up and no code of the file is run.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, cast

import numpy as np

Plain = Any
"""None, bool, int, float, str, or lists and string-keyed dictionaries of these."""

Arrays = dict[str, np.ndarray]


def as_array(value: object) -> np.ndarray | None:
    """``value`` as a numpy array on the host if it is an array or a torch tensor (bf16 is widened), else None."""
    if isinstance(value, np.ndarray):
        return value
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return None
    tensor = cast("Any", value).detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _array_reference(array: np.ndarray, where: str, arrays: Arrays | None) -> Plain:
    if arrays is None:
        raise ValueError(f"{where or 'the value'} is an array: expected plain settings. Name a file that holds it.")
    if array.dtype.hasobject:
        raise ValueError(f"{where} is an array of objects: expected numbers or strings. Record them as a list.")
    arrays[where] = array
    return {"array": where}


def _items(value: object) -> Iterator[tuple[str, object]] | None:
    """The named parts of a dataclass or a mapping, None for anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return iter([("class", type(value).__name__), *fields])
    if isinstance(value, Mapping):
        return ((str(key), part) for key, part in value.items())
    return None


def to_plain(value: object, *, arrays: Arrays | None = None, where: str = "") -> Plain:
    """``value`` as plain data. Arrays are put into ``arrays`` and leave ``{"array": path}`` behind.

    Dataclasses become mappings with their class's name under ``class``; tuples and sets become lists; paths become
    strings; enumerations become names. Raises ValueError, naming the field, for anything else, and for arrays
    where ``arrays`` is None.
    """
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    array = as_array(value)
    if array is not None:
        return _array_reference(array, where, arrays)
    prefix = f"{where}." if where else ""
    if (items := _items(value)) is not None:
        return {name: to_plain(part, arrays=arrays, where=f"{prefix}{name}") for name, part in items}
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, (list, tuple)):
        return [to_plain(part, arrays=arrays, where=f"{prefix}{index}") for index, part in enumerate(value)]
    raise ValueError(
        f"{where or 'the value'} is a {type(value).__name__}, which has no plain form: expected numbers, strings, "
        "dataclasses, mappings, lists or arrays. Keep such objects out of recipes and steps."
    )


def restore_arrays(value: Plain, arrays: Mapping[str, np.ndarray]) -> Plain:
    """``value`` with each ``{"array": path}`` replaced by ``arrays[path]``."""
    if isinstance(value, dict):
        if set(value) == {"array"} and value["array"] in arrays:
            return arrays[value["array"]]
        return {name: restore_arrays(part, arrays) for name, part in value.items()}
    if isinstance(value, list):
        return [restore_arrays(part, arrays) for part in value]
    return value


def leaves(value: Plain, where: str = "") -> dict[str, Plain]:
    """Every leaf of plain data under its dotted path; empty lists and mappings are leaves."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    flat: dict[str, Plain] = {}
    for name, part in parts:
        flat |= leaves(part, f"{where}.{name}" if where else str(name))
    return flat or {where: value}


MISSING = "(absent)"


def differences(expected: Plain, given: Plain) -> list[tuple[str, Plain, Plain]]:
    """(path, expected, given) wherever two pieces of plain data differ; what one lacks is ``MISSING``."""
    before, after = leaves(expected), leaves(given)
    paths = list(before | after)
    pairs = [(path, before.get(path, MISSING), after.get(path, MISSING)) for path in paths]
    return [(path, old, new) for path, old, new in pairs if repr(old) != repr(new)]
