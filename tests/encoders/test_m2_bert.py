"""Is M2-BERT what was published: names, shapes, arithmetic; and is a text read at its own length?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from trimtab.encoders.m2_bert import LongConvolution, M2Bert, M2BertConfig, Mixer, good_length
from trimtab.encoders.m2_bert_files import load_m2_bert, vectors

SMALL = M2BertConfig(hidden=16, layers=2, intermediate=32, vocabulary=50, positions=64, filter_order=8)


def _published() -> dict[str, tuple[int, ...]]:
    """The checkpoint's names and shapes, written out by rule."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.position_ids": (1, 8192),
        "embeddings.word_embeddings.weight": (30528, 768),
        "embeddings.position_embeddings.weight": (8192, 768),
        "embeddings.token_type_embeddings.weight": (2, 768),
        "pooler.dense.weight": (768, 768),
        "pooler.dense.bias": (768,),
    }
    shapes |= {f"embeddings.LayerNorm.{part}": (768,) for part in ("weight", "bias")}
    for layer in range(12):
        at = f"encoder.layer.{layer}"
        shapes |= {f"{at}.attention.in_linear.weight": (2304, 768), f"{at}.attention.in_linear.bias": (2304,)}
        shapes |= {f"{at}.attention.out_linear.weight": (768, 768), f"{at}.attention.out_linear.bias": (768,)}
        shapes |= {f"{at}.attention.short_filter.weight": (2304, 1, 3), f"{at}.attention.short_filter.bias": (2304,)}
        shapes |= {f"{at}.mlp.gated_layers.weight": (4, 1536, 192), f"{at}.mlp.wo.weight": (4, 192, 768)}
        shapes |= {f"{at}.mlp.wo.bias": (768,), f"{at}.mlp.layernorm.weight": (768,)}
        shapes |= {f"{at}.mlp.layernorm.bias": (768,)}
        for conv in ("filter_fn", "filter_fn2"):
            here = f"{at}.attention.{conv}"
            shapes |= {f"{here}.bias": (768,), f"{here}.modulation.deltas": (1, 1, 768)}
            shapes |= {f"{here}.pos_emb.z": (1, 8192, 5), f"{here}.pos_emb.t": (1, 8192, 1)}
            for filter_ in ("implicit_filter", "implicit_filter_rev"):
                shapes |= {f"{here}.{filter_}.{place}.freq": (1, 128) for place in (1, 3, 5)}
                shapes |= {f"{here}.{filter_}.0.weight": (128, 5), f"{here}.{filter_}.6.weight": (768, 128)}
                shapes |= {f"{here}.{filter_}.{place}.weight": (128, 128) for place in (2, 4)}
                shapes |= {f"{here}.{filter_}.{place}.bias": (128,) for place in (0, 2, 4)}
    return shapes


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        model = M2Bert()
    given = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert given == _published()
    assert len(given) == 716
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(87.4e6, rel=0.01)


@pytest.mark.parametrize("length", [1, 2, 7, 13, 64])
def test_long_convolutions_are_sums_both_ways(length: int) -> None:
    torch.manual_seed(0)
    convolution, u = LongConvolution(SMALL), torch.randn(2, 16, length)
    back, ahead = convolution.filters(length)
    expected = u * convolution.bias[:, None]
    for t in range(length):
        for s in range(length):
            tap = back[t - s] if s <= t else ahead[s - t - 1]
            expected[:, :, t] = expected[:, :, t] + tap * u[:, :, s]
    torch.testing.assert_close(convolution(u), expected, atol=1e-5, rtol=1e-4)


def test_the_short_filter_is_the_causal_convolution() -> None:
    torch.manual_seed(0)
    mixer, u = Mixer(SMALL), torch.randn(2, 9, 48)
    expected = mixer.short_filter(u.transpose(1, 2))[..., :9].transpose(1, 2)
    torch.testing.assert_close(mixer._short(u), expected)


def _saved(folder: Path, prefix: str = "bert.") -> M2Bert:
    torch.manual_seed(1)
    model = M2Bert(SMALL).eval()
    tensors = {prefix + name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    return model


@pytest.mark.parametrize("prefix", ["bert.", "model.bert.", ""])
def test_a_checkpoint_is_read_as_it_was(tmp_path: Path, prefix: str) -> None:
    model = _saved(tmp_path, prefix)
    rows = [[1, 2, 3], [4, 5, 6, 7, 8]]
    read = vectors(load_m2_bert(tmp_path, SMALL), rows)
    np.testing.assert_array_equal(read, vectors(model, rows))
    assert read.shape == (2, 16)


def test_published_bin_files_are_read_by_the_restricted_loader(tmp_path: Path) -> None:
    model = _saved(tmp_path)
    tensors = {f"bert.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save(tensors | {"cls.predictions.bias": torch.zeros(3)}, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    np.testing.assert_array_equal(vectors(load_m2_bert(tmp_path, SMALL), [[3, 4]]), vectors(model, [[3, 4]]))


def test_a_text_counts_at_its_own_length() -> None:
    torch.manual_seed(2)
    model = M2Bert(SMALL).eval()
    alone, padded = vectors(model, [[1, 2, 3]]), vectors(model, [[1, 2, 3, 0, 0]])
    assert np.abs(alone - padded).max() > 1e-4  # padding is seen: hence it is never given
    np.testing.assert_array_equal(vectors(model, [[5, 6, 7, 8], [1, 2, 3]])[1:], alone)


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    model = _saved(tmp_path)
    with pytest.raises(ValueError, match="is no M2-BERT of this size"):
        load_m2_bert(tmp_path, M2BertConfig(hidden=16, layers=3, intermediate=32, vocabulary=50, positions=64))
    with pytest.raises(ValueError, match=r"word_embeddings.weight is \(50, 16\), expected \(51, 16\)"):
        load_m2_bert(tmp_path, M2BertConfig(16, 2, 32, 51, 64, filter_order=8))
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tensors["encoder.layer.0.attention.filter_fn.implicit_filter.3.freq"] += 1
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="expected one shared tensor"):
        load_m2_bert(tmp_path, SMALL)
    with pytest.raises(FileNotFoundError, match="expected one with model"):
        load_m2_bert(tmp_path / "none")
    with pytest.raises(ValueError, match="65 tokens: expected 1 to 64"):
        model(torch.zeros(1, 65, dtype=torch.long))


def test_good_lengths() -> None:
    assert [good_length(n) for n in (1, 7, 11, 26, 4096)] == [1, 8, 12, 27, 4096]
