"""How is a text of thousands of tokens read without attention? M2-BERT: gated long convolutions, block-diagonal layers.

Monarch Mixer (Fu et al. 2023, arXiv:2310.12109). A layer mixes tokens by two long convolutions that look both ways, whose
filters are small networks of the position, and channels by a gated block-diagonal perceptron:

    x1, x2, v = short(in(u));  y = x2 * conv(x1 * v) + conv2(u);  h = out(y);  LayerNorm(h + mlp(h))

Names and shapes are those of the published checkpoint (togethercomputer/m2-bert-80M-8k-retrieval): 716 tensors. The mixers
know no mask: padding would change the vectors, so every text is read at its true length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class M2BertConfig:
    """Sizes; the defaults are the published model's."""

    hidden: int = 768
    layers: int = 12
    intermediate: int = 3072
    vocabulary: int = 30528
    positions: int = 8192
    position_features: int = 5
    filter_order: int = 128
    blocks: int = 4
    frequency: float = 10.0
    layer_norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        if self.position_features < 3 or self.position_features % 2 == 0:
            raise ValueError(f"{self.position_features} position features: expected an odd number from 3")
        if self.hidden % self.blocks or self.intermediate % self.blocks:
            raise ValueError(f"{self}: expected widths that {self.blocks} blocks divide")


def good_length(least: int) -> int:
    """The smallest number from ``least`` on without prime factors above 5: Fourier transforms of it are fast."""
    size = least
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1


class _Sine(nn.Module):
    def __init__(self, width: int, frequency: float) -> None:
        super().__init__()
        self.freq = nn.Parameter(torch.full((1, width), frequency))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.freq * x)


class _Positions(nn.Module):
    """Time from 0 to 1, and slow waves of it."""

    t: Tensor

    def __init__(self, features: int, length: int) -> None:
        super().__init__()
        bands = (features - 1) // 2
        device = torch.get_default_device()
        time = torch.linspace(0, 1, length, device=device)[None, :, None]
        waves = torch.linspace(1e-4, bands - 1, bands, device=device)
        angle = 2 * math.pi * torch.arange(length, device=device)[None, :, None] / length * waves
        self.z = nn.Parameter(torch.cat((time, angle.cos(), -angle.sin()), dim=-1))
        self.register_buffer("t", time)


class _Decay(nn.Module):
    deltas: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        reach = torch.linspace(math.log(1e-2) / 1.5, math.log(1e-2) / 0.3, width)
        self.register_buffer("deltas", reach[None, None])


class LongConvolution(nn.Module):
    """y[t] = sum over s <= t of k[t - s] u[s], over s > t of k_rev[s - t - 1] u[s], and bias u[t], per channel."""

    def __init__(self, config: M2BertConfig) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(config.hidden))
        self.pos_emb = _Positions(config.position_features, config.positions)
        sine = _Sine(config.filter_order, config.frequency)  # one for all, as published
        self.implicit_filter, self.implicit_filter_rev = _filter(config, sine), _filter(config, sine)
        self.modulation = _Decay(config.hidden)

    def filters(self, length: int) -> tuple[Tensor, Tensor]:
        """Both filters [length, width]: back in time, and ahead."""
        z, t = self.pos_emb.z[0, :length], self.pos_emb.t[0, :length]
        decay = torch.exp(-t * self.modulation.deltas[0].abs())
        return self.implicit_filter(z) * decay, self.implicit_filter_rev(z) * decay

    def forward(self, u_BDL: Tensor) -> Tensor:
        length = u_BDL.shape[-1]
        size = good_length(2 * length)
        back, ahead = self.filters(length)
        kernel = F.pad(back.T, (0, size - length)) + F.pad(ahead.T.flip(-1), (size - length, 0))
        spectrum = torch.fft.rfft(u_BDL, n=size) * torch.fft.rfft(kernel)
        return torch.fft.irfft(spectrum, n=size)[..., :length] + u_BDL * self.bias[:, None]


def _filter(config: M2BertConfig, sine: nn.Module) -> nn.Sequential:
    order = config.filter_order
    layers: list[nn.Module] = [nn.Linear(config.position_features, order), sine]
    for _ in range(2):
        layers += [nn.Linear(order, order), sine]
    return nn.Sequential(*layers, nn.Linear(order, config.hidden, bias=False))


class Mixer(nn.Module):
    """Mixes tokens. [B, L, D] to [B, L, D]."""

    def __init__(self, config: M2BertConfig) -> None:
        super().__init__()
        width = config.hidden
        self.filter_fn, self.filter_fn2 = LongConvolution(config), LongConvolution(config)
        self.in_linear, self.out_linear = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.short_filter = nn.Conv1d(3 * width, 3 * width, 3, groups=3 * width, padding=2)

    def forward(self, u_BLD: Tensor) -> Tensor:
        x1, x2, v = self._short(self.in_linear(u_BLD)).transpose(1, 2).chunk(3, dim=1)
        mixed = self.filter_fn(x1 * v) * x2 + self.filter_fn2(u_BLD.transpose(1, 2))
        return self.out_linear(mixed.transpose(1, 2))

    def _short(self, u_BLC: Tensor) -> Tensor:
        """The causal convolution over three tokens, as three products (many times faster on a CPU)."""
        taps, bias = self.short_filter.weight[:, 0], self.short_filter.bias
        padded, length = F.pad(u_BLC, (0, 0, 2, 0)), u_BLC.shape[1]
        assert bias is not None
        return sum((padded[:, i : i + length] * taps[:, i] for i in range(3)), start=bias)


class BlockDiagonal(nn.Module):
    """A linear layer whose matrix is zero but for ``blocks`` square ones: weight [blocks, out, in] per block."""

    def __init__(self, inputs: int, outputs: int, blocks: int, bias: bool) -> None:
        super().__init__()
        weight = torch.empty(blocks, outputs // blocks, inputs // blocks)
        self.weight = nn.Parameter(nn.init.kaiming_uniform_(weight, a=math.sqrt(5)))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.weight), dim=-1)
        out = torch.cat([F.linear(part, weight) for part, weight in zip(parts, self.weight, strict=True)], dim=-1)
        return out if self.bias is None else out + self.bias


class GatedPerceptron(nn.Module):
    """Mixes channels, with a residual and a LayerNorm after it."""

    def __init__(self, config: M2BertConfig) -> None:
        super().__init__()
        self.gated_layers = BlockDiagonal(config.hidden, 2 * config.intermediate, config.blocks, bias=False)
        self.wo = BlockDiagonal(config.intermediate, config.hidden, config.blocks, bias=True)
        self.layernorm = nn.LayerNorm(config.hidden, eps=config.layer_norm_eps)

    def forward(self, x_BLD: Tensor) -> Tensor:
        gate, value = self.gated_layers(x_BLD).chunk(2, dim=-1)
        return self.layernorm(self.wo(F.gelu(gate) * value) + x_BLD)


class _Layer(nn.Module):
    def __init__(self, config: M2BertConfig) -> None:
        super().__init__()
        self.attention, self.mlp = Mixer(config), GatedPerceptron(config)

    def forward(self, x_BLD: Tensor) -> Tensor:
        return self.mlp(self.attention(x_BLD))


class _Embeddings(nn.Module):
    position_ids: Tensor

    def __init__(self, config: M2BertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocabulary, config.hidden, padding_idx=0)
        self.position_embeddings = nn.Embedding(config.positions, config.hidden)
        self.token_type_embeddings = nn.Embedding(2, config.hidden)
        self.LayerNorm = nn.LayerNorm(config.hidden, eps=config.layer_norm_eps)
        self.register_buffer("position_ids", torch.arange(config.positions)[None])

    def forward(self, ids_BL: Tensor) -> Tensor:
        positions = self.position_embeddings(self.position_ids[:, : ids_BL.shape[1]])
        return self.LayerNorm(self.word_embeddings(ids_BL) + self.token_type_embeddings.weight[0] + positions)


class _Encoder(nn.Module):
    def __init__(self, config: M2BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList([_Layer(config) for _ in range(config.layers)])


class _Pooler(nn.Module):
    def __init__(self, config: M2BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden, config.hidden)


class M2Bert(nn.Module):
    """Token ids [B, L], all of length L, to hidden states [B, L, D]. Raises ValueError for lengths out of reach."""

    def __init__(self, config: M2BertConfig | None = None) -> None:
        super().__init__()
        self.config = config or M2BertConfig()
        self.embeddings = _Embeddings(self.config)
        self.encoder = _Encoder(self.config)
        self.pooler = _Pooler(self.config)

    def forward(self, ids_BL: Tensor) -> Tensor:
        if not 1 <= ids_BL.shape[1] <= self.config.positions:
            raise ValueError(f"{ids_BL.shape[1]} tokens: expected 1 to {self.config.positions}")
        states = self.embeddings(ids_BL)
        for layer in self.encoder.layer:
            states = layer(states)
        return states

    def sentence(self, states_BLD: Tensor) -> Tensor:
        """The published model's sentence embedding: tanh of a dense layer on the first token's state, [B, D]."""
        return torch.tanh(self.pooler.dense(states_BLD[:, 0]))
