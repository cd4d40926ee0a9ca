"""Is a training tracked where its command says, also when it goes on?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from trimtab.cli import run as trimtab
from trimtab.runs import Run
from trimtab.speculation.recipe import Train
from trimtab.speculation.train_verb import begin
from trimtab.speculation.trained import recipe_of


def tracked_by_tensorboard(run: Run) -> bool:
    """Whether a row logged now reaches TensorBoard."""
    events = run.path / "tensorboard"
    before = len(list(events.glob("*")))
    with run:
        run.log(1, {"reward": 1.0})
    return len(list(events.glob("*"))) > before


def test_a_run_goes_on_as_it_was_tracked_unless_told_otherwise(tmp_path: Path) -> None:
    first = begin(Train(out=tmp_path, track=()))
    assert not tracked_by_tensorboard(first)
    assert not tracked_by_tensorboard(begin(Train(resume=first.path)))
    second = begin(Train(out=tmp_path, seed=4))
    assert tracked_by_tensorboard(second)
    assert tracked_by_tensorboard(begin(Train(resume=second.path)))
    assert not tracked_by_tensorboard(begin(Train(resume=second.path, track=())))
    assert not tracked_by_tensorboard(begin(Train(resume=second.path, out=tmp_path, track=(), seed=4)))
    with pytest.raises(ValueError, match="another recipe: seed is 4 there, given 5"):
        begin(Train(resume=second.path, out=tmp_path, track=(), seed=5))


def test_a_recipe_comes_back_with_its_tracking(tmp_path: Path) -> None:
    recipe = Train(out=tmp_path, track=(), total_tokens_bins=(4, 8), depth_bins=(2,), from_data=(Path("a.jsonl"),))
    path = begin(recipe).path
    assert recipe_of(path) == recipe
    file = path / "recipe.yaml"
    raw = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({k: v for k, v in raw.items() if not k.startswith("track")}))  # as of an older run
    assert recipe_of(path) == replace(recipe, track=("tensorboard",))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--track", "wanbd"], "Did you mean 'wandb'?"),
        (["--wandb-project", "mine"], "name wandb among the trackers too"),
        (["--track", "--trackio-project", "mine"], "tracked by nothing"),
    ],
)
def test_a_mistake_is_one_clear_line_before_any_work(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trimtab(["speculation", "train", "--out", str(tmp_path / "runs"), *flags]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
