"""Two processes, started by ``accelerate launch``, write the replies, earn the rewards and learn what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
SCRIPT = Path(__file__).with_name("train_enumerable.py")


def trained(launcher: list[str], out: Path) -> dict[str, Any]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, str(SCRIPT), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    one, two = trained([], tmp_path / "one.json"), trained(LAUNCH, tmp_path / "two.json")
    assert (one["processes"], two["processes"]) == (1, 2)
    for alone, together in zip(one["rows"], two["rows"], strict=True):
        assert together["rewards"] == alone["rewards"]
        assert together["replies"] == alone["replies"]
        for name in ("kl", "policy_loss", "value_loss", "entropy", "clipped_share", "gradient_norm"):
            assert together[name] == pytest.approx(alone[name], abs=1e-4), name
    np.testing.assert_allclose(two["logprobs"], one["logprobs"], atol=1e-3)
