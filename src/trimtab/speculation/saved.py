"""Which policy is in this folder? The one place that knows all kinds of saved policies."""

from __future__ import annotations

from pathlib import Path

from trimtab.speculation import policy_files
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.level_policy import KIND, LevelPolicy
from trimtab.speculation.tree_policy import TreePolicy

SavedPolicy = TreePolicy | LevelPolicy


def folder_of(path: Path) -> Path:
    """A policy's own folder, given that or a run's directory."""
    return path / "policy" if (path / "policy").is_dir() else path


def load_tree_policy(path: Path, speculator: Speculator | None = None) -> TreePolicy:
    """``load_policy`` for what needs a policy over a menu of trees. Raises ValueError for another kind."""
    policy = load_policy(path, speculator)
    if not isinstance(policy, TreePolicy):
        raise ValueError(
            f"{path} holds {policy}; expected one that chooses among trees beforehand: train it with another learner, "
            "for example --learner ppo"
        )
    return policy


def load_policy(path: Path, speculator: Speculator | None = None) -> SavedPolicy:
    """The policy of a run's directory, or of its own folder.

    Raises FileNotFoundError; ValueError where it is broken, or was trained for another pair than ``speculator``.
    """
    folder = folder_of(path)
    if policy_files.card_of(folder).get("kind") == KIND:
        return LevelPolicy.load(folder, speculator)
    return TreePolicy.load(folder, speculator)
