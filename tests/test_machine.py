"""Is what a run ran on told truly?"""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest
import torch

from trimtab import machine


def test_versions_and_hardware() -> None:
    versions = machine.versions()
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == torch.__version__
    hardware = machine.hardware()
    assert hardware["threads"] == torch.get_num_threads()
    assert len(hardware["accelerators"]) == torch.cuda.device_count()
    assert 0 < hardware["memory_gib"] < 100_000


def test_the_commit_is_that_of_our_own_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    ours = tmp_path / "machine.py"
    ours.write_text("")
    monkeypatch.setattr(machine, "__file__", str(ours))
    assert machine.commit() is None  # no checkout at all
    git("init")
    (tmp_path / "other").write_text("")
    git("add", "other")
    git("commit", "-m", "somebody else's")
    assert machine.commit() is None  # a checkout, but not of this file
    git("add", "machine.py")
    git("commit", "-m", "ours")
    assert machine.commit() == git("rev-parse", "HEAD")
    ours.write_text("changed")
    assert machine.commit() == git("rev-parse", "HEAD") + "+changes"
