"""On CUDA the compressor keeps what it keeps on the CPU, goes on the same way, and gives the memory back."""

from __future__ import annotations

import pytest
import torch

from compression import tiny_models as tiny
from trimtab.compression.actions import menu
from trimtab.compression.engine.cache import cache_bytes
from trimtab.compression.engine.compressor import compress
from trimtab.compression.engine.weights import Curve
from trimtab.compression.prompts import Prompt
from trimtab.compression.scoring import ScoreSettings, score

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def _kept(model, ids: torch.Tensor, curve: Curve):
    with torch.no_grad(), compress(model, curve, budget_tokens=48, positions=True) as made:
        cache = model(ids).past_key_values
        more = model(tiny.tokens(5, seed=2).to(ids.device), past_key_values=cache).logits
    return [layer.cpu() for layer in made.positions], more.float().cpu(), cache


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
@pytest.mark.parametrize("curve", [Curve(0.0, 1), Curve(0.1, 16), Curve(10.0, 8)], ids=str)
def test_cuda_keeps_what_the_cpu_keeps(architecture: str, curve: Curve) -> None:
    model, ids = tiny.model(architecture), tiny.tokens(300)
    here, logits, _ = _kept(model, ids, curve)
    there, on_device, cache = _kept(model.cuda(), ids.cuda(), curve)
    assert cache.layers[0].keys.is_cuda
    # rounding may swap two tokens of nearly the same score
    for a, b in zip(here, there, strict=True):
        assert float((a == b).float().mean()) > 0.9
    if all(torch.equal(a, b) for a, b in zip(here, there, strict=True)):
        assert torch.allclose(logits, on_device, atol=1e-3)


def test_bfloat16_gives_its_memory_back() -> None:
    model = tiny.model(dtype=torch.bfloat16, max_position_embeddings=16384).cuda()
    ids = tiny.tokens(8192).cuda()
    with torch.no_grad():
        model(ids[:, :64])
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        with compress(model, Curve(10.0, 16), budget_tokens=256) as made:
            cache = model(ids, logits_to_keep=1).past_key_values
        torch.cuda.synchronize()
        held = torch.cuda.memory_allocated() - before
        written = model.generate(ids, max_new_tokens=4, do_sample=False)
    assert made.report.bytes_before == 32 * made.report.bytes_after
    assert cache_bytes(cache) == made.report.bytes_after
    assert held < 0.25 * made.report.bytes_before
    assert written.shape == (1, 8196)


def test_prompts_padded_on_the_left_while_decoding() -> None:
    model, ids = tiny.model(dtype=torch.bfloat16).cuda(), tiny.tokens(100, batch=2).cuda()
    mask = torch.ones_like(ids)
    mask[1, :40] = 0
    with torch.no_grad(), compress(model, Curve(0.5, 8), budget_tokens=32, every=8):
        output = model.generate(
            ids, attention_mask=mask, max_new_tokens=30, do_sample=False, return_dict_in_generate=True
        )
    assert output.sequences.shape == (2, 130)
    assert all(32 <= layer.rows < 40 for layer in output.past_key_values.layers)


def test_a_table_row_is_the_same_on_cuda() -> None:
    prompt = Prompt("one", tuple(tiny.tokens(200)[0].tolist()), tuple(tiny.tokens(5, seed=3)[0].tolist()))
    model, settings = tiny.model(), ScoreSettings(scored_tokens=4)
    here = score(model, prompt, menu("u5b"), (32, 64), settings)
    there = score(model.cuda(), prompt, menu("u5b"), (32, 64), settings)
    assert abs(here.parts["fidelity"] - there.parts["fidelity"]).max() < 0.05
