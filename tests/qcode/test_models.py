"""Is a model named, and are problems put to it, as it was made?"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from trimtab.qcode import models
from trimtab.qcode.prompts import PromptSettings


def run_of(path: Path, **recipe: object) -> str:
    path.mkdir()
    (path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return str(path)


def test_a_run_is_asked_as_it_was_taught(tmp_path: Path) -> None:
    plain, given = PromptSettings(), PromptSettings("fenced")
    assert models.prompt_of("owner/name", given) == given
    assert models.prompt_of("zoo:q", plain) == PromptSettings(terse=True)
    assert models.prompt_of(run_of(tmp_path / "a", model="embedded"), plain) == PromptSettings(terse=True)
    reasons = run_of(tmp_path / "b", model="owner/name", use_reasoning_format=True, form="plain")
    assert models.prompt_of(reasons, plain) == PromptSettings("reasoning", "plain")
    assert models.prompt_of(reasons, given) == PromptSettings("fenced", "plain")


@pytest.mark.parametrize(
    ("name", "told"), [("/no/such", "no folder of that name"), ("zoo:none", "zoo"), ("one", "no model 'one'")]
)
def test_a_model_that_is_not_there(name: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        models.located(name)


def test_a_run_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trained no model yet"):
        models.located(run_of(tmp_path / "run", model="embedded"))
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match="holds no model"):
        models.located(str(tmp_path / "bare"))
