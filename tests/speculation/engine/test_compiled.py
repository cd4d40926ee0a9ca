"""A compiled verification computes what the eager one does, and the text stays the target's own."""

from __future__ import annotations

import pytest
import torch
import torch._inductor.config as inductor
from torch._dynamo.utils import counters

from speculation import tiny
from speculation.engine.test_lossless import PROMPT, anything, stock
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.compiled import BUCKETS, COMPILE_MODES, MOST_ROWS
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.engine.target import Target

pytestmark = pytest.mark.filterwarnings("ignore:tau is")
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def pair(mode: str, layers: int = 8, **settings: object) -> Speculator:
    model = tiny.target(num_hidden_layers=layers, **settings)
    return Speculator(model, tiny.head(model), compile=mode)


def fan(rows: int) -> Inputs:
    """A tree: a root and its children, which do not see each other."""
    allowed = torch.eye(rows, dtype=torch.bool)
    allowed[:, 0] = True
    depths = torch.ones(rows, dtype=torch.long)
    depths[0] = 0
    return torch.arange(rows) % tiny.VOCABULARY, depths, allowed


def seen(target: Target, prompt: list[int], *trees: Inputs) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Logits and features of trees behind ``prompt``."""
    with torch.inference_mode(), target.tapped():
        target.reset()
        target.prefill(torch.tensor(prompt))
        return [target.forward(*tree) for tree in trees]


def test_an_unknown_mode_names_the_known_ones() -> None:
    for make in (
        lambda: pair("fast"),
        lambda: Speculator.from_pretrained("zoo:chat", "zoo:chat-eagle3", compile="fast"),
    ):
        with pytest.raises(ValueError, match=r"'fast': expected one of off, dynamic, buckets"):
            make()


def test_a_model_on_two_devices_is_not_compiled() -> None:
    model = tiny.target()
    head = tiny.head(model)
    model.model.layers[3].to("meta")
    with pytest.raises(ValueError, match="cpu, meta: use compile='off'"):
        Speculator(model, head, compile="dynamic")


def test_large_trees_and_prompts_stay_eager() -> None:
    eager, compiled = pair("off"), pair("dynamic")
    tree = fan(MOST_ROWS + 1)
    for one, other in zip(seen(eager.target, PROMPT, tree)[0], seen(compiled.target, PROMPT, tree)[0], strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("mode", COMPILE_MODES[1:])
def test_padding_rows_are_numbers_and_change_nothing(mode: str) -> None:
    """The padded inputs, through the stock model itself: no compiler needed to see what padding does."""
    eager, padded = pair("off"), pair(mode)
    compiled = padded.target._compiled
    assert compiled is not None
    compiled._graph = compiled._graph._orig_mod  # the graph's own code, interpreted
    compiled._ready.update({(0, 0), *((bucket, padded.target.cache.capacity) for bucket in BUCKETS)})
    trees = [fan(1), fan(5), fan(16), fan(40)]
    for one, other in zip(seen(eager.target, PROMPT, *trees), seen(padded.target, PROMPT, *trees), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    cache = padded.target.cache
    assert all(bool(block.isfinite().all()) for block in cache._blocks.values())


def test_the_views_of_a_compiled_cache_are_its_block() -> None:
    cache = pair("dynamic").target.cache
    with torch.inference_mode():
        cache.reserve(2 * cache.capacity)
        cache.views[3][1][0, 1, 700, 2] = 7.0
    (block,) = cache._blocks.values()
    assert block[3, 1, 0, 1, 700, 2] == 7.0
    assert block.is_inference()
    storages = {view.untyped_storage()._cdata for views in cache.views for view in views}
    assert len(storages) == 2 * len(cache.views)


@pytest.mark.slow
@pytest.mark.parametrize("version", [3, 1])
def test_one_dynamic_graph_serves_every_length(version: int) -> None:
    model = tiny.target()
    head = tiny.head(model, 3) if version == 3 else tiny.echo(model)
    eager, compiled = Speculator(model, head), Speculator(model, head, compile="dynamic")
    built = counters["stats"]["unique_graphs"]
    seen(compiled.target, PROMPT, fan(3))
    assert counters["stats"]["unique_graphs"] == built + 1
    trees = [fan(rows) for rows in (1, 2, 5, 12, 31, MOST_ROWS)]
    with torch.compiler.set_stance("fail_on_recompile"):
        for one, other in zip(seen(eager.target, PROMPT, *trees), seen(compiled.target, PROMPT, *trees), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
        for seed in range(4):
            written = compiled.generate(PROMPT[: seed + 1], 40, policy=anything(seed)).tokens
            assert written == stock(model, PROMPT[: seed + 1], 40)
        long = [(7 * i) % tiny.VOCABULARY for i in range(400)]  # the cache grows
        assert compiled.generate(long, 110, policy=anything(3)).tokens == stock(model, long, 110)
        assert compiled.generate(PROMPT, 20, shape=None).tokens == stock(model, PROMPT, 20)
    assert not inductor.freezing  # the compiler's settings are as they were
    assert not inductor.cpp_wrapper


@pytest.mark.slow
def test_each_model_runs_through_its_own_graph() -> None:
    for seed in (0, 5):  # alike in all but their weights
        speculator = pair("dynamic", layers=6, seed=seed)
        assert speculator.generate(PROMPT, 20, shape=TreeShape(7, 2, 3)).tokens == stock(speculator.model, PROMPT, 20)


@pytest.mark.slow
def test_buckets_compile_once_each_and_anew_for_a_larger_cache() -> None:
    speculator = pair("buckets", layers=6)
    shape = TreeShape(7, 2, 3)
    assert speculator.generate(PROMPT, 20, shape=shape).tokens == stock(speculator.model, PROMPT, 20)
    compiled = speculator.target._compiled
    assert compiled is not None
    assert compiled._ready == {(8, 512)}
    long = [(7 * i) % tiny.VOCABULARY for i in range(450)]
    assert speculator.generate(long, 60, shape=shape).tokens == stock(speculator.model, long, 60)
    assert compiled._ready == {(8, 512), (8, 1024)}


@pytest.mark.gpu
@pytest.mark.parametrize("mode", COMPILE_MODES[1:])
def test_on_a_gpu(mode: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    model = tiny.target().to("cuda")
    speculator = Speculator(model, tiny.head(model), compile=mode)
    ids = torch.tensor([PROMPT], device="cuda")
    truth = model.generate(ids, max_new_tokens=40, do_sample=False, pad_token_id=0)[0, len(PROMPT) :].tolist()
    for seed in range(3):
        assert speculator.generate(PROMPT, 40, policy=anything(seed)).tokens == truth
