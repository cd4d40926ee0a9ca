"""What compression must equal: the full cache, H2O, TOVA, SnapKV, and what eager attention selects."""

from __future__ import annotations

import math

import pytest
import torch

from compression import tiny_models as tiny
from trimtab.compression.engine.compressor import compress
from trimtab.compression.engine.method import Method, Pool
from trimtab.compression.engine.weights import Curve, Geometric, Newest

CURVES = [
    Curve(0.0, 1),
    Curve(0.01, 32),
    Curve(0.5, 8),
    Curve(10.0, 1),
    Curve(10.0, 16),
    Geometric(0.8),
]
TWO_HEADS = Curve((0.0, 0.1, 10.0), ((4.0, 9.0), (2.0, 30.0), (1.0, 5.0)))
"""A curve for each of 2 KV heads: not for OPT, whose heads all have their own."""
COMBINATIONS = [
    *((architecture, curve) for architecture in tiny.ARCHITECTURES for curve in CURVES),
    *((architecture, TWO_HEADS) for architecture in tiny.ARCHITECTURES if architecture != "opt"),
]


def _kept(model, ids, method, budget, mask=None, **settings):
    with torch.no_grad(), compress(model, method, budget_tokens=budget, positions=True, **settings) as compression:
        model(ids, attention_mask=mask)
    return [layer.tolist() for layer in compression.positions]


@pytest.mark.parametrize(("architecture", "curve"), COMBINATIONS, ids=str)
def test_the_recomputed_selection_is_the_eager_one(architecture: str, curve) -> None:
    model, ids = tiny.model(architecture), tiny.tokens(90)
    groups = 4 if architecture == "opt" else 2
    kept = _kept(model, ids, curve, 20, sinks=2, recent=3)
    for layer, attention in enumerate(tiny.eager_attentions(model, ids)):
        scores = tiny.naive_scores(attention[0], groups, curve, layer)
        assert kept[layer][0] == tiny.naive_kept(scores, 20, 2, 3)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_budget_for_all_changes_nothing(architecture: str, dtype: torch.dtype) -> None:
    model, ids = tiny.model(architecture, dtype=dtype), tiny.tokens(60)
    more = tiny.tokens(9, seed=2)
    with torch.no_grad():
        full = model(ids)
        then = model(more, past_key_values=full.past_key_values).logits
        with compress(model, Curve(0.1, 8), budget_tokens=60) as compression:
            same = model(ids)
            after = model(more, past_key_values=same.past_key_values).logits
    assert torch.equal(full.logits, same.logits)
    assert torch.equal(then, after)
    assert compression.report.bytes_after == compression.report.bytes_before


def test_a_0_is_accumulated_attention() -> None:
    model, ids = tiny.model(), tiny.tokens(80)
    kept = _kept(model, ids, Curve(0.0, 1), 16, sinks=0, recent=4)
    for layer, attention in enumerate(tiny.eager_attentions(model, ids)):
        h2o = attention[0].sum(1).view(2, 2, 80).sum(1)  # over queries, then over the two heads of each KV head
        assert kept[layer][0] == tiny.naive_kept(h2o, 16, 0, 4)


def test_a_steep_curve_of_one_query_is_the_last_one() -> None:
    model, ids = tiny.model(), tiny.tokens(80)
    kept = _kept(model, ids, Method(Curve(math.inf, 1), sinks=0, recent=1, share_heads=True), 16)
    for layer, attention in enumerate(tiny.eager_attentions(model, ids)):
        tova = attention[0, :, -1].mean(0).expand(2, -1)
        assert kept[layer][0] == tiny.naive_kept(tova, 16, 0, 1)


@pytest.mark.parametrize("kernel", [1, 5])
@pytest.mark.parametrize("kind", ["max", "average"])
def test_a_steep_curve_of_a_window_is_snapkv(kernel: int, kind) -> None:
    window, model, ids = 8, tiny.model(), tiny.tokens(80)
    pool = Pool(kernel, kind)
    kept = _kept(model, ids, Method(Curve(math.inf, window), sinks=0, recent=window, pool=pool), 24)
    pooling = torch.nn.functional.max_pool1d if kind == "max" else torch.nn.functional.avg_pool1d
    for layer, attention in enumerate(tiny.eager_attentions(model, ids)):
        votes = attention[0, :, -window:, :-window].mean(1).view(2, 2, 72).mean(1)
        smooth = pooling(votes[None], kernel, stride=1, padding=kernel // 2)[0]
        whole = torch.cat([smooth, torch.ones(2, window)], dim=1)
        for head, chosen in enumerate(tiny.naive_kept(whole, 24, 0, window)):
            # max-pooling makes ties: the same scores are kept, if not the same tokens
            ours, naive = whole[head][kept[layer][0][head]], whole[head][chosen]
            assert torch.allclose(ours.sort().values, naive.sort().values, atol=1e-6)
            assert kind == "max" or kept[layer][0][head] == chosen


def test_no_weights_is_a_stream_with_sinks() -> None:
    kept = _kept(tiny.model(), tiny.tokens(50), Newest(), 12, sinks=4)
    assert all(head == [0, 1, 2, 3, *range(42, 50)] for layer in kept for head in layer[0])


def test_bfloat16_selects_nearly_as_float32() -> None:
    ids = tiny.tokens(90)
    exact = _kept(tiny.model(), ids, Curve(0.5, 8), 30)
    rough = _kept(tiny.model(dtype=torch.bfloat16), ids, Curve(0.5, 8), 30)
    pairs = [(set(a), set(b)) for x, y in zip(exact, rough, strict=True) for a, b in zip(x[0], y[0], strict=True)]
    assert sum(len(a & b) for a, b in pairs) / sum(len(a) for a, _ in pairs) > 0.85


def test_equal_prompts_in_a_batch_are_each_as_alone() -> None:
    model, ids = tiny.model(), tiny.tokens(70, batch=3)
    together = _kept(model, ids, Curve(0.1, 16), 20)
    for row in range(3):
        alone = _kept(model, ids[row : row + 1], Curve(0.1, 16), 20)
        assert [layer[row] for layer in together] == [layer[0] for layer in alone]
