"""After compression: positions stay true, in every way to go on; and the memory is really given back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from compression import tiny_models as tiny
from trimtab.compression.engine.cache import KeptLayer, cache_bytes, fork, gather
from trimtab.compression.engine.choose import choose, pooled
from trimtab.compression.engine.compressor import compress
from trimtab.compression.engine.layers import Pyramid, Shares
from trimtab.compression.engine.method import Method, Pool
from trimtab.compression.engine.weights import Curve

LAYOUTS = [None, Pyramid(4.0), Shares((1.0, 3.0, 2.0))]


def _reference(model, ids: Tensor, kept: list[Tensor], more: Tensor) -> Tensor:
    """Logits after ``more``, with everything dropped but ``kept``: by masking the full cache, a 4-D mask per layer.

    Naive: the whole text is read with eager attention, in which dropped keys are hidden from the new tokens by a hook.
    """
    model.set_attn_implementation("eager")
    total, count = ids.shape[1], more.shape[1]
    hooks = []
    for layer, module in enumerate(m for name, m in model.named_modules() if name.endswith("self_attn")):
        hidden = torch.ones(ids.shape[0], kept[layer].shape[1], total, dtype=torch.bool)
        hidden.scatter_(2, kept[layer], False)

        def blind(module, args, kwargs, hidden=hidden):
            heads = module.config.num_attention_heads
            mask = kwargs["attention_mask"].expand(-1, heads, -1, -1).clone()
            per_head = hidden.repeat_interleave(heads // hidden.shape[1], dim=1)
            mask[:, :, total:, :total].masked_fill_(per_head[:, :, None], torch.finfo(mask.dtype).min)
            return args, {**kwargs, "attention_mask": mask}

        hooks.append(module.register_forward_pre_hook(blind, with_kwargs=True))
    try:
        with torch.no_grad():
            return model(torch.cat([ids, more], dim=1), use_cache=False).logits[:, -count:]
    finally:
        for hook in hooks:
            hook.remove()
        model.set_attn_implementation("sdpa")


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
@pytest.mark.parametrize("layers", LAYOUTS, ids=str)
def test_a_continuation_sees_the_kept_tokens_where_they_were(architecture: str, layers) -> None:
    model, ids, more = tiny.model(architecture), tiny.tokens(70), tiny.tokens(6, seed=3)
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24, layers=layers, positions=True) as made:
        cache = model(ids).past_key_values
        stepwise = fork(cache)
        at_once = model(more, past_key_values=cache).logits
        steps = [model(more[:, i : i + 1], past_key_values=stepwise).logits for i in range(6)]
    expected = _reference(model, ids, made.positions, more)
    assert torch.allclose(at_once, expected, atol=2e-5)
    assert torch.allclose(torch.cat(steps, dim=1), expected, atol=2e-5)
    assert cache.get_seq_length() == 76


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_an_even_budget_goes_on_outside_of_the_context(implementation: str) -> None:
    model, ids, more = tiny.model(), tiny.tokens(70), tiny.tokens(6, seed=3)
    model.set_attn_implementation(implementation)
    with torch.no_grad():
        with compress(model, Curve(0.1, 8), budget_tokens=24, positions=True) as made:
            cache = model(ids).past_key_values
        after = model(more, past_key_values=cache).logits
    assert torch.allclose(after, _reference(model, ids, made.positions, more), atol=2e-5)


def test_layers_of_different_budgets_go_on_within_the_context() -> None:
    model, ids, more = tiny.model(), tiny.tokens(70), tiny.tokens(6, seed=3)
    with torch.no_grad():
        with compress(model, Curve(0.1, 8), budget_tokens=24, layers=Pyramid(4.0), positions=True) as made:
            cache = model(ids).past_key_values
        left = fork(cache)
        with pytest.raises(ValueError, match="within `with compress"):
            model(more, past_key_values=cache)
        with compress(model, Curve(0.1, 8), budget_tokens=24):  # any: it fits the masks
            after = model(more, past_key_values=left).logits
    assert torch.allclose(after, _reference(model, ids, made.positions, more), atol=2e-5)


@pytest.mark.parametrize("kernel", [3, 7])
def test_equals_under_a_pool_are_all_as_good(kernel: int) -> None:
    """Padding moves which of equal neighbours stay, never how good what stays is."""
    method = Method(Curve(math.inf, 8), sinks=2, recent=4, pool=Pool(kernel))
    scores = torch.rand(1, 2, 60, generator=torch.Generator().manual_seed(kernel))
    padded = torch.nn.functional.pad(scores, (20, 0))
    valid = torch.arange(80)[None] >= 20
    alone = choose(scores, method, 16, recent=4)
    beside = choose(padded, method, 16, recent=4, valid_BN=valid) - 20
    smooth = pooled(scores[..., :56], Pool(kernel))
    for kept in (alone, beside):
        assert (kept[..., :2] == torch.tensor([0, 1])).all()
        assert (kept[..., -4:] == torch.arange(56, 60)).all()
    values = [smooth.gather(2, kept[..., 2:-4]).sort(-1).values for kept in (alone, beside)]
    assert torch.equal(values[0], values[1])


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_generate_writes_what_a_loop_writes(architecture: str) -> None:
    model, ids = tiny.model(architecture), tiny.tokens(70)
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24):
        written = model.generate(ids, max_new_tokens=12, do_sample=False)
        output = model(ids)
        cache, token = output.past_key_values, output.logits[:, -1:].argmax(-1)
        loop = [token]
        for position in range(70, 81):
            logits = model(token, past_key_values=cache, position_ids=torch.tensor([[position]])).logits
            token = logits[:, -1:].argmax(-1)
            loop.append(token)
    assert torch.equal(written[:, 70:], torch.cat(loop, dim=1))


def test_a_second_question_on_the_same_context() -> None:
    model, context = tiny.model(), tiny.tokens(70)
    first, second = tiny.tokens(5, seed=4), tiny.tokens(7, seed=5)
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24):
        cache = model(context).past_key_values
        held = cache_bytes(cache)
        forked = fork(cache)
        assert cache_bytes(forked) == held
        model.generate(torch.cat([context, first], dim=1), past_key_values=cache, max_new_tokens=6, do_sample=False)
        after = model.generate(
            torch.cat([context, second], dim=1), past_key_values=forked, max_new_tokens=6, do_sample=False
        )
        fresh = model(context).past_key_values
        alone = model.generate(
            torch.cat([context, second], dim=1), past_key_values=fresh, max_new_tokens=6, do_sample=False
        )
    assert torch.equal(after, alone)


def test_a_chat_of_several_turns() -> None:
    model, text = tiny.model(), tiny.tokens(60)
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24) as made:
        cache = None
        for turn in range(3):
            if turn:
                text = torch.cat([text, tiny.tokens(5, seed=10 + turn)], dim=1)
            output = model.generate(
                text, past_key_values=cache, max_new_tokens=4, do_sample=False, return_dict_in_generate=True
            )
            cache, text = output.past_key_values, output.sequences
            assert cache.get_seq_length() == text.shape[1] - 1
            assert cache.layers[0].keys.shape[2] == 24 + text.shape[1] - 1 - 60
    assert len(made.reports) == 1
    with torch.no_grad():
        expected = _reference(model, text[:, :60], _positions(model, text[:, :60]), text[:, 60:])
    assert expected[:, -2].argmax(-1).tolist() == text[:, -1].tolist()


def _positions(model, ids: Tensor) -> list[Tensor]:
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24, positions=True) as made:
        model(ids)
    return made.positions


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("layers", [None, Pyramid(4.0)], ids=str)
def test_prompts_padded_on_the_left_are_each_as_alone(architecture: str, implementation: str, layers) -> None:
    model = tiny.model(architecture)
    model.set_attn_implementation(implementation)
    lengths, width, budget = [60, 41, 13], 60, 24  # the last fits into the budget: it must lose nothing
    texts = [tiny.tokens(length, seed=20 + length) for length in lengths]
    padded = torch.cat([torch.nn.functional.pad(text, (width - text.shape[1], 0), value=0) for text in texts])
    mask = torch.tensor([[0] * (width - length) + [1] * length for length in lengths])
    settings = {"max_new_tokens": 8, "do_sample": False}
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=budget, layers=layers):
        together = model.generate(padded, attention_mask=mask, **settings)
        for row, text in enumerate(texts):
            if layers is not None and lengths[row] < width:
                continue  # a pyramid is split by the batch's width
            alone = model.generate(text, **settings)
            assert together[row, width:].tolist() == alone[0, lengths[row] :].tolist()


def test_padding_on_the_right_is_refused() -> None:
    model, mask = tiny.model(), torch.ones(2, 40, dtype=torch.long)
    mask[1, 30:] = 0
    with (
        torch.no_grad(),
        compress(model, Curve(0.1, 8), budget_tokens=24),
        pytest.raises(ValueError, match="on the left"),
    ):
        model(tiny.tokens(40, batch=2), attention_mask=mask)


def test_the_memory_is_given_back() -> None:
    model, ids = tiny.model(), tiny.tokens(400)
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=64) as made:
        cache = model(ids).past_key_values
    layers, states, heads, width, size = tiny.LAYERS, 2, 2, 8, 4
    assert made.report.bytes_before == layers * states * heads * 400 * width * size
    assert made.report.bytes_after == layers * states * heads * 64 * width * size
    assert cache_bytes(cache) == made.report.bytes_after  # storages, not views
    assert made.report.kept_tokens == (64, 64, 64)
    assert made.report.kept_fraction == 64 / 400


def test_a_prompt_within_the_budget_is_left_alone() -> None:
    model = tiny.model()
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=64) as made:
        cache = model(tiny.tokens(30)).past_key_values
    assert not any(isinstance(layer, KeptLayer) for layer in cache.layers)
    assert made.report.kept_tokens == (30, 30, 30)


def test_a_kept_fraction() -> None:
    with torch.no_grad(), compress(tiny.model(), Curve(0.1, 8), kept_fraction=0.25) as made:
        made_of = [made.reports or None]
        tiny_model = tiny.model()
    assert made_of == [None]
    with torch.no_grad(), compress(tiny_model, Curve(0.1, 8), kept_fraction=0.25) as made:
        tiny_model(tiny.tokens(100))
        tiny_model(tiny.tokens(60))
    assert [report.kept_tokens for report in made.reports] == [(25,) * 3, (15,) * 3]


@pytest.mark.parametrize("curve", [Curve(0.5, 8), Curve(0.0, 1)], ids=str)
@pytest.mark.parametrize("prompt", [60, 20])
def test_compression_while_decoding_bounds_the_cache(curve: Curve, prompt: int) -> None:
    model, ids = tiny.model(), tiny.tokens(prompt)
    with torch.no_grad(), compress(model, curve, budget_tokens=24, every=8, positions=True) as made:
        output = model.generate(ids, max_new_tokens=60, do_sample=False, return_dict_in_generate=True)
    rows = [layer.keys.shape[2] for layer in output.past_key_values.layers]
    assert all(24 <= count < 32 for count in rows)
    assert output.past_key_values.get_seq_length() == prompt + 59
    for layer in made.positions:
        assert bool((layer.diff(dim=-1) > 0).all())
        assert bool((layer[..., :4] == torch.arange(4)).all())
    assert max(int(layer.max()) for layer in made.positions) >= prompt + 59 - 9


def test_the_first_compression_while_decoding_by_hand() -> None:
    """A prompt of 20 within the budget of 24; 12 new tokens: at 32 rows the last 8 queries choose 24 of them."""
    model, ids = tiny.model(), tiny.tokens(32)
    with (
        torch.no_grad(),
        compress(model, Curve(math.inf, 4), budget_tokens=24, every=8, recent=3, positions=True) as made,
    ):
        cache = model(ids[:, :20]).past_key_values
        for step in range(20, 32):
            model(ids[:, step : step + 1], past_key_values=cache)
    for layer, attention in enumerate(tiny.eager_attentions(model, ids)):
        scores = tiny.naive_scores(attention[0], 2, Curve(math.inf, 4), layer)
        assert made.positions[layer][0].tolist() == tiny.naive_kept(scores, 24, 4, 3)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("prompt", [60, 20])
def test_layers_of_different_budgets_while_decoding(prompt: int, implementation: str) -> None:
    """Layers fall due at different steps, and agree on every step's mask."""
    model, ids = tiny.model(), tiny.tokens(prompt + 40)
    model.set_attn_implementation(implementation)
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24, every=8, layers=Pyramid(4.0)):
        cache = model(ids[:, :prompt]).past_key_values
        for step in range(prompt, prompt + 40):
            model(ids[:, step : step + 1], past_key_values=cache)
            assert len({layer.rows + layer.behind for layer in cache.layers}) == 1
    # 4 sinks and 3 recent tokens in each; 51 more by the shares 1.75, 1, 0.25
    assert [layer.budget for layer in cache.layers] == [37, 24, 11]
    assert all(layer.budget <= layer.rows < layer.budget + 8 for layer in cache.layers)


def test_forks_are_compressed_while_decoding_each_by_itself() -> None:
    model, context = tiny.model(), tiny.tokens(70)
    questions = [tiny.tokens(20, seed=seed) for seed in (4, 5)]

    def alone(question: Tensor) -> Tensor:
        cache = model(context).past_key_values
        return torch.cat([model(question[:, i : i + 1], past_key_values=cache).logits for i in range(20)], dim=1)

    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24, every=8):
        expected = [alone(question) for question in questions]
        caches = [model(context).past_key_values]
        caches.append(fork(caches[0]))
        steps: list[list[Tensor]] = [[], []]
        for i in range(20):  # in turn
            for which in (0, 1):
                output = model(questions[which][:, i : i + 1], past_key_values=caches[which])
                steps[which].append(output.logits)
    for which in (0, 1):
        assert torch.equal(torch.cat(steps[which], dim=1), expected[which])


def test_beams_carry_their_queries() -> None:
    model, ids = tiny.model(), tiny.tokens(50)
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24, every=4):
        written = model.generate(ids, num_beams=3, max_new_tokens=12, do_sample=False)
    assert written.shape == (1, 62)


def test_a_cache_from_elsewhere_is_not_compressed_while_decoding() -> None:
    model = tiny.model()
    with torch.no_grad():
        cache = model(tiny.tokens(40)).past_key_values
        with (
            compress(model, Curve(0.1, 8), budget_tokens=24, every=4),
            pytest.raises(ValueError, match="begin it there"),
        ):
            model(tiny.tokens(1), past_key_values=cache)


def test_what_came_after_can_be_taken_back() -> None:
    model, more = tiny.model(), tiny.tokens(5, seed=6)
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24):
        cache = model(tiny.tokens(70)).past_key_values
        first = model(more, past_key_values=cache).logits
        cache.crop(-5)
        assert cache.get_seq_length() == 70
        assert torch.equal(model(more, past_key_values=cache).logits, first)
        with pytest.raises(ValueError, match="cannot be taken back"):
            cache.crop(-6)


def test_beams_follow_their_caches() -> None:
    model, ids = tiny.model(), tiny.tokens(50)
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=50):
        kept = model.generate(ids, num_beams=3, max_new_tokens=6, do_sample=False)
    assert torch.equal(kept, model.generate(ids, num_beams=3, max_new_tokens=6, do_sample=False))
    with torch.no_grad(), compress(model, Curve(0.1, 8), budget_tokens=24):
        assert model.generate(ids, num_beams=3, max_new_tokens=6, do_sample=False).shape == (1, 56)


def test_gather_by_hand() -> None:
    states = torch.arange(12.0).view(1, 2, 3, 2)
    assert gather(states, torch.tensor([[[0, 2], [1, 2]]])).tolist() == [[[[0, 1], [4, 5]], [[8, 9], [10, 11]]]]
