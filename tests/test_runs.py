"""Does a run keep what it was given, and go on after a kill to the numbers of an uninterrupted run?"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file

from trimtab import checkpoints, randomness
from trimtab.runs import TIMING_FIELDS, Run, read_metrics, read_steps
from trimtab.types import Choice, Grade, Step


@dataclass(frozen=True)
class Optimiser:
    learning_rate: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.95)


@dataclass(frozen=True)
class Recipe:
    seed: int = 7
    folder: Path = Path("data")
    optimiser: Optimiser = field(default_factory=Optimiser)


def begin(root: Path, recipe: object = Recipe(), **given: object) -> Run:
    return Run.begin(root, recipe, **{"name": "run", "track": (), **given})


def resume(path: Path, recipe: object | None = None) -> Run:
    return Run.resume(path, recipe, track=())


def step(value: float) -> Step[np.ndarray, int, dict[str, object]]:
    return Step("task", np.full(3, value), Choice(2, -0.5), {"tokens": 4}, Grade(value, {"speed": value}))


def test_begin_writes_recipe_and_circumstances(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        pass
    recipe = yaml.safe_load((run.path / "recipe.yaml").read_text())
    assert recipe == {
        "class": "Recipe",
        "seed": 7,
        "folder": "data",
        "optimiser": {"class": "Optimiser", "learning_rate": 1e-5, "betas": [0.9, 0.95]},
    }
    about = json.loads((run.path / "run.json").read_text())
    assert about["seed"] == 7
    assert about["versions"]["torch"] == torch.__version__
    assert about["hardware"]["cores"] >= 1
    assert about["command"]
    described = (run.path / "about.md").read_text()
    assert all(
        name in described for name in ("recipe.yaml", "run.json", "metrics.jsonl", "steps.jsonl", "checkpoints/")
    )


def test_begin_never_reuses_a_directory(tmp_path: Path) -> None:
    begin(tmp_path).close()
    with pytest.raises(ValueError, match=r"already.*Run\.resume"):
        begin(tmp_path)
    unnamed = {begin(tmp_path, name=None).path for _ in range(3)}
    assert len(unnamed) == 3


def test_begin_refuses_recipes_that_are_not_plain(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="optimiser is a object"):
        begin(tmp_path, Recipe(optimiser=object()))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_log_writes_rows_and_refuses_reserved_names(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.log(1, {"reward": 0.5})
        run.log(2, {"reward": np.float32(0.75)})
        with pytest.raises(ValueError, match="elapsed_seconds"):
            run.log(3, {"elapsed_seconds": 1.0})
    rows = read_metrics(run.path)
    assert [(row["step"], row["reward"]) for row in rows] == [(1, 0.5), (2, 0.75)]
    assert all(row["elapsed_seconds"] >= 0 for row in rows)


def test_attached_sinks_get_the_same_metrics(tmp_path: Path) -> None:
    got: list[tuple[int, dict[str, float]]] = []

    class Kept:
        def log(self, step: int, metrics: dict[str, float]) -> None:
            got.append((step, dict(metrics)))

        def close(self) -> None:
            got.append((-1, {}))

    with begin(tmp_path) as run:
        run.attach(Kept())
        run.log(4, {"kl": 0.1})
    assert got == [(4, {"kl": 0.1}), (-1, {})]


def test_steps_come_back_with_their_arrays(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.record([step(1.0), step(2.0)])
        run.record([Step("plain", None, Choice("a"), 3, Grade(0.0))])
        run.record([step(4.0)])
    rows = list(read_steps(run.path))
    assert [row["task"] for row in rows] == ["task", "task", "plain", "task"]
    np.testing.assert_array_equal(rows[1]["context"], np.full(3, 2.0))
    np.testing.assert_array_equal(rows[3]["context"], np.full(3, 4.0))
    assert rows[0]["choice"] == {"class": "Choice", "action": 2, "logprob": -0.5, "notes": {}}
    assert rows[2]["outcome"] == 3
    assert sorted(path.name for path in (run.path / "steps").iterdir()) == ["00000000.npz", "00000003.npz"]


def test_record_refuses_objects_and_writes_nothing(tmp_path: Path) -> None:
    with begin(tmp_path) as run, pytest.raises(ValueError, match=r"1\.outcome is a object"):
        run.record([step(1.0), Step("t", None, Choice(0), object(), Grade(0.0))])
    assert list(read_steps(run.path)) == []


def test_checkpoint_round_trip_of_arrays_tensors_and_state(tmp_path: Path) -> None:
    arrays = {"transposed": np.arange(6.0).reshape(2, 3).T, "scalar": np.array(3)}
    with begin(tmp_path) as run:
        assert run.latest_checkpoint() is None
        run.checkpoint(5, arrays, {"position": [1, 2]})
        kept = run.latest_checkpoint()
        assert kept is not None
        assert (kept.step, kept.state) == (5, {"position": [1, 2]})
        for name, array in kept.arrays().items():
            np.testing.assert_array_equal(array, arrays[name])
        half = torch.tensor([[1.0, 2.5]], dtype=torch.bfloat16).T
        run.checkpoint(6, {"half": half, **arrays}, {})
        tensors = resume(run.path).latest_checkpoint().tensors()  # type: ignore[union-attr]
    assert torch.equal(tensors["half"], half)
    assert torch.equal(tensors["transposed"], torch.from_numpy(arrays["transposed"]))


def test_only_the_newest_checkpoints_are_kept_and_steps_do_not_go_backwards(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        for number in range(1, 7):
            run.checkpoint(number, {"a": np.ones(1)}, {})
        names = sorted(path.name for path in (run.path / "checkpoints").iterdir())
        assert names == ["00000004.safetensors", "00000005.safetensors", "00000006.safetensors"]
        with pytest.raises(ValueError, match="backwards"):
            run.checkpoint(5, {"a": np.ones(1)}, {})
        with pytest.raises(ValueError, match="no JSON"):
            run.checkpoint(7, {}, {"array": np.ones(1)})


def test_resume_drops_what_was_recorded_after_the_checkpoint(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.log(1, {"a": 1.0})
        run.record([step(1.0)])
        run.checkpoint(1, {}, {})
        run.log(2, {"a": 2.0})
        run.record([step(2.0)])
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "a"')  # killed while writing
    with resume(run.path, Recipe()) as again:
        assert [row["step"] for row in read_metrics(run.path)] == [1]
        assert len(list(read_steps(run.path))) == 1
        again.log(2, {"a": 2.5})
        again.record([step(2.5)])
    assert [row["a"] for row in read_metrics(run.path)] == [1.0, 2.5]
    assert [row["context"][0] for row in read_steps(run.path)] == [1.0, 2.5]
    assert [entry["from_step"] for entry in json.loads((run.path / "run.json").read_text())["resumed"]] == [1]


def test_resume_without_a_checkpoint_starts_over(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.log(1, {"a": 1.0})
        run.record([step(1.0)])
    with resume(run.path) as again:
        assert again.latest_checkpoint() is None
    assert read_metrics(run.path) == []
    assert list((run.path / "steps").iterdir()) == []


def test_readers_leave_out_a_half_written_line_and_name_a_broken_one(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.log(1, {"a": 1.0})
    lines = run.path / "metrics.jsonl"
    whole = lines.read_text()
    lines.write_text(whole + '{"step": 2')
    assert [row["step"] for row in read_metrics(run.path)] == [1]
    lines.write_text(whole + "oops\n")
    with pytest.raises(ValueError, match="line 2"):
        read_metrics(run.path)


def test_resuming_with_another_recipe_names_the_fields(tmp_path: Path) -> None:
    begin(tmp_path).close()
    other = Recipe(seed=8, optimiser=Optimiser(betas=(0.9, 0.99)))
    with pytest.raises(ValueError, match=r"seed is 7 there, given 8; optimiser\.betas\.1 is 0\.95 there, given 0\.99"):
        resume(tmp_path / "run", other)
    with pytest.raises(ValueError, match="class is 'Recipe' there, given 'Optimiser'"):
        resume(tmp_path / "run", Optimiser())


def test_resuming_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is no run"):
        resume(tmp_path)


def test_an_unreadable_checkpoint_is_an_error_that_names_it(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        path = run.checkpoint(1, {"a": np.ones(100)}, {})
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"00000001.*Delete it"):
        resume(run.path)


def _full_at_sync(_: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _full_at_save(path: Path, *_: object) -> None:
    path.write_bytes(b"half")
    raise checkpoints.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(("function", "failing"), [("_sync", _full_at_sync), ("_save", _full_at_save)])
def test_a_full_disk_at_a_checkpoint_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, failing: object
) -> None:
    with begin(tmp_path) as run:
        run.checkpoint(1, {"a": np.ones(3)}, {})
        with monkeypatch.context() as full:
            full.setattr(checkpoints, function, failing)
            with pytest.raises(OSError, match=r"No space left.*00000001\.safetensors, is intact.*Make room") as caught:
                run.checkpoint(2, {"a": np.zeros(3)}, {})
        assert caught.value.errno == errno.ENOSPC
        assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["00000001.safetensors"]
        kept = run.latest_checkpoint()
        assert kept is not None
        np.testing.assert_array_equal(kept.arrays()["a"], np.ones(3))


def test_a_full_disk_at_a_row_leaves_whole_rows(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    code = f"""
import resource, signal
from pathlib import Path
from trimtab.tracking import Jsonl
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
lines = Jsonl(Path({str(tmp_path / "rows.jsonl")!r}))
try:
    for number in range(100):
        lines.append({{"number": number, "text": "x" * 20}})
except OSError as error:
    print("refused", lines.rows)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    content = (tmp_path / "rows.jsonl").read_text()
    assert done.stdout.split() == ["refused", str(content.count("\n"))]
    assert [json.loads(line)["number"] for line in content.splitlines()] == [0, 1]


def test_global_randomness_is_kept(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, float, float]:
        return random.gauss(0, 1), random.random(), float(np.random.standard_normal()), float(torch.rand(()))

    randomness.seed_everything(3)
    draw()  # leaves a second gaussian waiting in python's and numpy's generators
    with begin(tmp_path) as run:
        run.checkpoint(0, randomness.capture(), {})
        expected = [draw() for _ in range(3)]
        kept = run.latest_checkpoint()
        assert kept is not None
        for state in (kept.arrays(), kept.tensors()):
            randomness.restore(state)
            assert [draw() for _ in range(3)] == expected
    with pytest.raises(ValueError, match="randomness/torch"):
        randomness.restore({name: array for name, array in randomness.capture().items() if "torch" not in name})


TRAINING = """
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from trimtab import randomness
from trimtab.runs import Run
from trimtab.types import Choice, Grade, Step


@dataclass(frozen=True)
class Recipe:
    seed: int = 11
    steps: int = 40


path, pause_seconds = sys.argv[1], float(sys.argv[2])
recipe = Recipe()
try:
    run = Run.resume(path, recipe, track=())
except FileNotFoundError:
    root, _, name = path.rpartition("/")
    run = Run.begin(root, recipe, name=name, track=())
randomness.seed_everything(recipe.seed)
weights = torch.zeros(4)
first = 0
kept = run.latest_checkpoint()
if kept is not None:
    weights, first = kept.tensors()["weights"], kept.step
    randomness.restore(kept.arrays())
for step in range(first + 1, recipe.steps + 1):
    noise = torch.randn(4) + float(np.random.rand())
    weights = 0.9 * weights + noise
    run.log(step, {"loss": float(weights.square().sum())})
    run.record([Step(f"task {step}", noise, Choice(step), float(noise.sum()), Grade(0.0))])
    if step % 7 == 0 or step == recipe.steps:
        run.checkpoint(step, {"weights": weights, **randomness.capture()}, {})
    time.sleep(pause_seconds)
run.close()
"""


def _train(script: Path, path: Path, pause_seconds: float = 0.0) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(script), str(path), str(pause_seconds)])


def _rows(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _kill_once_there_are(rows: int, process: subprocess.Popen[bytes], path: Path) -> None:
    deadline = time.monotonic() + 60
    while _rows(path / "metrics.jsonl") < rows:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run did not get there"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def _without_timing(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name not in TIMING_FIELDS} for row in rows]


def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert _train(script, whole).wait() == 0
    _kill_once_there_are(10, _train(script, broken, 0.05), broken)  # after a checkpoint, between two
    with (broken / "metrics.jsonl").open("a") as file:
        file.write('{"step": 12, "lo')
    _kill_once_there_are(24, _train(script, broken, 0.05), broken)
    assert _train(script, broken).wait() == 0

    metrics = read_metrics(whole)
    assert [row["step"] for row in metrics] == list(range(1, 41))
    assert _without_timing(read_metrics(broken)) == _without_timing(metrics)
    for one, other in zip(read_steps(whole), read_steps(broken), strict=True):
        np.testing.assert_array_equal(one.pop("context"), other.pop("context"))
        assert one == other
    names = sorted(path.name for path in (whole / "checkpoints").iterdir())
    assert names == sorted(path.name for path in (broken / "checkpoints").iterdir())
    expected, got = (load_file(path / "checkpoints" / names[-1]) for path in (whole, broken))
    assert expected.keys() == got.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(array, got[name])
    assert len(json.loads((broken / "run.json").read_text())["resumed"]) == 2
