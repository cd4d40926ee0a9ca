"""What did a training run leave? Its recipe and its parts, read back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trimtab.speculation.costs import CostModel
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.levels import LevelTable
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.saved import load_policy
from trimtab.speculation.stages import Prepared
from trimtab.trackers import TrackSettings

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Train


def recipe_of(run_directory: Path) -> Train:
    """The recipe that a training run (or a demo) was begun with. Raises FileNotFoundError or ValueError."""
    from trimtab.speculation.recipe import Pair, Train

    path = run_directory / "recipe.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{run_directory} is no run: expected a directory made by trimtab speculation train")
    raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    raw = raw.get("train", raw)  # a demo's run holds its training recipe
    if raw.pop("class") != "Train":
        raise ValueError(f"{path} is no recipe of a training run: expected one of trimtab speculation train")
    pair = {name: value for name, value in raw.pop("pair").items() if name != "class"}
    tracking = {name: value for name, value in raw.pop("tracking", {}).items() if name != "class"}
    paths: dict[str, Any] = {"out": Path(raw["out"]), "from_data": tuple(map(Path, raw.get("from_data", ())))}
    bins = raw.pop("bins", None)  # of runs from before each part had its own
    if bins:
        raw |= dict(zip(("total_tokens_bins", "depth_bins", "top_k_bins"), bins, strict=True))
    settings = {name: _tuples(value) for name, value in raw.items()} | paths
    return Train(**settings, tracking=TrackSettings(**tracking), pair=Pair(**pair))


def _tuples(value: Any) -> Any:
    """Lists, as YAML has them, as the tuples that they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def prepared_of(run_directory: Path, speculator: Speculator | None = None) -> Prepared:
    """What a finished training run left. Raises FileNotFoundError naming what is missing."""
    parts = {name: run_directory / name for name in ("costs.json", "replay.npz", "policy")}
    missing = [str(path) for path in parts.values() if not path.exists()]
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)} not found: expected a finished run of trimtab speculation train "
            "(go on with a stopped one by --resume)"
        )
    return Prepared(
        CostModel.load(parts["costs.json"]),
        ReplayTable.load(parts["replay.npz"]),
        load_policy(parts["policy"], speculator),
        [LevelTable.load(path) for path in sorted(run_directory.glob("levels-*.npz"))],
    )
