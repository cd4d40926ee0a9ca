"""What do the tests share? The folder of data and golden traces, where a developer has it."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1] / ".." / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ``../shared`` beside the checkout (golden traces, data); the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the folder {SHARED.resolve()}, which is not part of the repository")
    return SHARED.resolve()
