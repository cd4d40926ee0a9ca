"""How is a budget split over the layers? Evenly, as a pyramid (PyramidKV, arXiv:2406.02069), or by learned shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Uniform:
    """The same budget in each layer."""

    def shares(self, layers: int) -> list[float]:
        return [1.0] * layers

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True)
class Pyramid:
    """Falls linearly from the first layer to the last, which gets 1/``slope`` of the mean (PyramidKV's beta, 20)."""

    slope: float = 20.0

    def __post_init__(self) -> None:
        if not self.slope >= 1:
            raise ValueError(f"the pyramid's slope is {self.slope}: expected 1 (even) or more")

    def shares(self, layers: int) -> list[float]:
        if layers == 1:
            return [1.0]
        last = 1 / self.slope
        return [2 - last - 2 * (1 - last) * layer / (layers - 1) for layer in range(layers)]

    def __str__(self) -> str:
        return f"pyramid({self.slope:g})"


@dataclass(frozen=True)
class Shares:
    """Given shares, one per layer, above 0; only their ratios count."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values or not all(0 < value < float("inf") for value in self.values):
            raise ValueError(f"the layers' shares are {self.values}: expected numbers above 0, one per layer")

    def shares(self, layers: int) -> list[float]:
        if len(self.values) != layers:
            raise ValueError(f"{len(self.values)} shares for {layers} layers: expected one for each")
        mean = sum(self.values) / layers
        return [value / mean for value in self.values]

    def __str__(self) -> str:
        return "shares(" + ",".join(f"{value:g}" for value in self.values) + ")"


Allocation = Uniform | Pyramid | Shares


def split(allocation: Allocation, budget_tokens: int, layers: int, *, protected: int, available: int) -> list[int]:
    """Tokens kept in each layer; their sum is at most ``layers * budget_tokens``.

    ``protected`` tokens stay in every layer, the shares split the rest; no layer gets more than ``available``: what is
    left over goes to the others, by their shares.
    """
    shares = allocation.shares(layers)
    if budget_tokens >= available:
        return [available] * layers
    rest = layers * (budget_tokens - protected)
    room = available - protected
    given = _filled(shares, rest, room)
    return [protected + tokens for tokens in given]


def _filled(shares: Sequence[float], tokens: int, room: int) -> list[int]:
    """``tokens`` dealt by ``shares``, at most ``room`` to each; whole numbers, largest remainders first."""
    exact = [0.0] * len(shares)
    open_layers = set(range(len(shares)))
    left = float(tokens)
    while left > 1e-9 and open_layers:
        scale = left / sum(shares[layer] for layer in open_layers)
        left = 0.0
        for layer in sorted(open_layers):
            wanted = exact[layer] + scale * shares[layer]
            exact[layer] = min(float(room), wanted)
            left += wanted - exact[layer]
        open_layers = {layer for layer in open_layers if exact[layer] < room}
    whole = [int(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda layer: (whole[layer] - exact[layer], layer))
    for layer in by_remainder[: min(tokens, len(shares) * room) - sum(whole)]:
        whole[layer] += 1
    return whole
