"""Are the trees the published ones? Recorded traces of the original implementation, round by round, in float32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.head_files import load_head
from trimtab.speculation.engine.speculator import Speculator


@pytest.mark.parametrize("name", ["random_reduced_vocab", "trained"])
@pytest.mark.filterwarnings("ignore:tau is")
def test_every_round_of_the_published_traces_is_reproduced(shared: Path, name: str) -> None:
    folder = shared / "golden" / "eagle" / name
    cases = torch.load(folder / "trace.pt", weights_only=True)["cases"]
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    speculator = Speculator(model, load_head(folder / "ea", model))
    compared = 0
    for case in cases:
        prompt, written = case["prompt"].tolist(), case["out"].tolist()
        shape = TreeShape(case["total_token"], case["depth"], case["top_k"])
        beyond = len(written) - len(prompt) + shape.depth + 2
        made = speculator.generate(prompt, beyond, shape=shape, trace=True, stop_at_eos=False)
        assert made.tokens[: len(written) - len(prompt)] == written[len(prompt) :]
        assert len(made.rounds) >= len(case["steps"])
        for step, round_ in zip(case["steps"], made.rounds, strict=False):
            trace = round_.trace
            assert trace is not None
            assert trace.tokens_N == step["draft"].flatten().tolist()
            assert trace.ancestors_NN == step["mask"].bool().tolist()
            assert trace.depths_N == step["pos"].flatten().tolist()
            assert round_.accepted == step["accept"]
            assert trace.path == step["path"].tolist()
            compared += 1
    assert compared == sum(len(case["steps"]) for case in cases) > 100
