"""Bad input is told what was given, what was expected, and what to do."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, StaticCache

from compression import tiny_models as tiny
from trimtab.compression.actions import parse
from trimtab.compression.engine.compressor import compress
from trimtab.compression.engine.method import Method, Pool
from trimtab.compression.engine.prefill import prefill
from trimtab.compression.engine.weights import Curve

H2O = Curve(0.0, 1)


def _open_with(model, method) -> None:
    with compress(model, method, budget_tokens=30):
        pass


def _open(model, **settings) -> None:
    with compress(model, Curve(0.1, 8), **settings):
        pass


def test_a_budget_below_what_is_protected_names_the_smallest() -> None:
    with pytest.raises(ValueError, match=r"below the 4 sinks and 16 recent tokens .* expected 20 or more"):
        _open(tiny.model(), budget_tokens=19, sinks=4, recent=16)
    # an eighth of 8 tokens and 8 sinks: 9 hold them (a fraction protects one token at least)
    with pytest.raises(ValueError, match="expected 9 or more"):
        _open(tiny.model(), budget_tokens=8, sinks=8, recent=0.125)
    _open(tiny.model(), budget_tokens=20, sinks=4, recent=16)


def test_the_budget_is_given_once() -> None:
    with pytest.raises(ValueError, match="one of them"):
        _open(tiny.model())
    with pytest.raises(ValueError, match="one of them"):
        _open(tiny.model(), budget_tokens=30, kept_fraction=0.5)
    with pytest.raises(ValueError, match="at most 1"):
        _open(tiny.model(), kept_fraction=1.5)


def test_what_is_no_model_no_method_or_no_number_is_named() -> None:
    model = tiny.model()
    with pytest.raises(ValueError, match="the model is str: expected a causal language model"):
        _open("llama", budget_tokens=30)
    for method in ("snapkv", parse("snapkv")):
        with pytest.raises(ValueError, match=r"expected a Curve.*parse\('snapkv'\)\.method"):
            _open_with(model, method)
    with pytest.raises(ValueError, match=r"budget_tokens is 64\.5: expected a whole number"):
        _open(model, budget_tokens=64.5)


def test_a_fraction_below_what_is_protected_is_refused_at_the_prompt() -> None:
    model = tiny.model()
    with (
        torch.no_grad(),
        compress(model, Curve(0.1, 8), kept_fraction=0.1),
        pytest.raises(ValueError, match="below the 4 sinks"),
    ):
        model(tiny.tokens(30))


def test_unknown_architectures_and_caches() -> None:
    other = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(ValueError, match="expected one of llama, mistral, qwen2, qwen3, opt"):
        _open(other, budget_tokens=30)
    model = tiny.model()
    static = StaticCache(config=model.config, max_cache_len=64)
    with (
        torch.no_grad(),
        compress(model, Curve(0.1, 8), budget_tokens=24),
        pytest.raises(ValueError, match="DynamicCache"),
    ):
        model(tiny.tokens(40), past_key_values=static)


def test_sliding_windows() -> None:
    with pytest.raises(ValueError, match="all layers attend through a sliding window"):
        _open(tiny.model("mistral", sliding_window=16), budget_tokens=24)
    kinds = ["full_attention", "sliding_attention", "full_attention"]
    mixed = tiny.model("qwen2", use_sliding_window=True, sliding_window=16, layer_types=kinds)
    with torch.no_grad(), compress(mixed, Curve(0.1, 8), budget_tokens=24) as made:
        written = mixed.generate(tiny.tokens(60), max_new_tokens=5, do_sample=False)
    assert written.shape == (1, 65)
    assert made.report.kept_tokens == (24, 24)
    with pytest.raises(ValueError, match="expected full attention in every layer"):
        prefill(mixed, [1, 2, 3])


def test_nothing_compressed_is_no_report() -> None:
    model = tiny.model()
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24) as made:
        model(tiny.tokens(60), use_cache=False)
    with pytest.raises(ValueError, match="no prompt was compressed"):
        _ = made.report
    with pytest.raises(ValueError, match="positions were not noted"):
        _ = made.positions


def test_the_model_is_as_before_after_an_error() -> None:
    model, ids = tiny.model(), tiny.tokens(40)
    with torch.no_grad():
        before = model(ids).logits
        with pytest.raises(RuntimeError, match="stop"), compress(model, Curve(0.1, 8), budget_tokens=24):
            raise RuntimeError("stop")
        cache = model(ids).past_key_values
    assert cache.layers[0].keys.shape[2] == 40
    assert torch.equal(model(ids).logits, before)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pool(4),
        lambda: Pool(3, "median"),
        lambda: Method(Curve(0.1, 8), sinks=-1),
        lambda: Method(Curve(0.1, 8), recent=1.5),
    ],
)
def test_settings_out_of_range(make) -> None:
    with pytest.raises(ValueError, match=r"expected|no pool"):
        make()
