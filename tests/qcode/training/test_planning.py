"""Does a dry run resolve every recipe, size it plausibly, and refuse what cannot work?"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml

from trimtab.qcode.training import memory, planning
from trimtab.qcode.training.alarms import Alarms, AlarmSettings
from trimtab.qcode.training_recipe import TRAIN_RECIPES, LoraSettings, Train

LARGE = ("1.5b", "3b", "7b", "14b", "32b")
SCRIPT = Path(__file__).parents[3] / "examples" / "qcode_experiments.sh"


def recipe(name: str) -> Train:
    found = TRAIN_RECIPES[name]
    assert isinstance(found, Train)
    return found


@pytest.mark.parametrize("name", LARGE)
def test_every_large_recipe(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert planning.dry_run(recipe(name)) == 0
    told = capsys.readouterr().out
    assert "trl vllm-serve" in told
    assert "CUDA_VISIBLE_DEVICES=1,2,3,4,5,6,7 accelerate launch" in told
    shown = yaml.safe_load(told.partition("\n\n")[0])["recipe"]
    assert (shown["learning_rate"], shown["generation_temp"], shown["eval_steps"]) == (2e-6, 0.8, 25)
    assert (shown["simple_eval_problems"], shown["repeat_eval_problems"], shown["processes"]) == (15, 4, 7)
    assert shown["use_reasoning_format"] == (name in ("14b", "32b"))


@pytest.mark.parametrize(
    ("name", "billions"), [("1.5b", 1.54), ("3b", 3.09), ("7b", 7.62), ("14b", 14.8), ("32b", 32.8)]
)
def test_parameters_are_those_published(name: str, billions: float) -> None:
    assert memory.QWEN25[name].parameters / 1e9 == pytest.approx(billions, rel=0.01)


def test_memory_by_hand() -> None:
    shape = memory.Shape(2, 8, 16, 2, 1, 10, True)
    assert shape.layer_parameters == 8 * 8 * 3 + 3 * 8 * 16
    assert shape.parameters == 2 * shape.layer_parameters + 80
    plan = memory.Plan(1, 4, 2, 2, "zero3", generating=False)
    parts = memory.estimate(shape, plan)
    assert parts["weights"] * memory.GIB == shape.parameters
    assert parts["optimizer"] * memory.GIB == 6 * shape.parameters
    alone = memory.estimate(shape, replace(plan, sharding="none", trained_parameters=10, reference=True))
    assert alone["optimizer"] * memory.GIB == 120
    assert alone["reference"] == alone["weights"]


def test_too_large_is_refused_with_ways_out() -> None:
    with pytest.raises(ValueError, match=r"GiB are needed.*--launch zero3"):
        planning.dry_run(replace(recipe("32b"), launch="none"))
    assert planning.dry_run(replace(recipe("7b"), launch="none", lora=LoraSettings(rank=16))) == 0


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"processes": 6, "num_generations": 7}, "--gradient-accumulation-steps 7 or 14"),
        ({"grpo": ("vllm_gpu_memory=0.5",)}, "did you mean vllm_gpu_memory_utilization"),
        ({"model": "/nowhere", "size": "huge"}, "no model '/nowhere'"),
        ({"model": "owner/name", "size": "huge"}, "shape of owner/name is not known"),
        ({"lora": LoraSettings(rank=4, targets=("x_proj",))}, "LoRA targets x_proj"),
        ({"grpo": ("num_generations=1",)}, "give --num-generations"),
    ],
)
def test_contradictions(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        planning.dry_run(replace(recipe("7b"), **wrong))


def test_colocated_vllm_takes_its_share(capsys: pytest.CaptureFixture[str]) -> None:
    planning.dry_run(replace(recipe("7b"), vllm_mode="colocate", grpo=("vllm_gpu_memory_utilization=0.4",)))
    told = capsys.readouterr().out
    assert "vllm-serve" not in told
    assert "32" in told.partition("vllm ")[2][:40]


@pytest.mark.parametrize("name", ["zero2", "zero3", "fsdp"])
def test_launch_files(name: str) -> None:
    file = planning.launch_file(name)
    told = yaml.safe_load(file.read_text())
    assert told["distributed_type"] == ("FSDP" if name == "fsdp" else "DEEPSPEED")
    assert name == "fsdp" or told["deepspeed_config"]["zero_stage"] == int(name[-1])


def test_every_line_of_the_script_is_a_valid_training() -> None:
    lines = [line for line in SCRIPT.read_text().replace("\\\n", " ").splitlines() if line.startswith("train ")]
    assert [shlex.split(line)[1] for line in lines] == list(LARGE)
    for line in lines:
        _, name, model, *flags = shlex.split(line)
        known = ["--model", model, *flags]
        assert planning.dry_run(tyro.cli(Train, args=known, default=recipe(name))) == 0


def test_alarms_begin_once_and_end() -> None:
    alarms = Alarms(AlarmSettings(times=2))
    bad = {"frac_reward_zero_std": 0.9, "completions/clipped_ratio": 0.5, "entropy": 1.0, "kl": 2.0}
    assert alarms.look(bad)[1] == []
    told, begun = alarms.look({**bad, "entropy": 0.01})
    assert begun == ["zero_variance", "clipped_length", "kl_running_away"]
    assert told["alarm/kl_running_away"] == 1.0
    assert alarms.look({**bad, "entropy": 0.01})[1] == ["entropy_collapsing"]
    quiet = alarms.look({"frac_reward_zero_std": 0.1, "entropy": 1.0})[0]
    assert set(quiet.values()) == {0.0}
    again = Alarms(AlarmSettings(times=2))
    again.restore(alarms.state())
    assert again.state() == alarms.state()
