"""The training loop learns, follows its schedule, and goes on exactly where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trimtab.lm.training import Fit, Metrics, fit

SETTINGS = Fit(steps=40, learning_rate=0.02, warmup=4, decay=0.5, log_every=10, checkpoint_every=7)


def task() -> tuple[nn.Module, Callable[[int], tuple[Tensor, Metrics]]]:
    """A small regression; the data of a step depend on the step alone."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    truth = torch.randn(6, 3)

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        inputs = torch.randn(32, 6, generator=torch.Generator().manual_seed(step))
        loss = (module(inputs) - inputs @ truth).square().mean()
        return loss, {"loss": float(loss.detach())}

    return module, loss_of_step


def weights(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def test_it_learns(tmp_path: Path) -> None:
    module, loss_of_step = task()
    losses: dict[int, float] = {}
    settings = replace(SETTINGS, steps=300, log_every=100)
    fit(module, loss_of_step, settings, tmp_path / "state.safetensors", log=lambda s, m: losses.update({s: m["loss"]}))
    assert sorted(losses) == [100, 200, 300]
    assert losses[300] < 0.3 * task()[1](0)[1]["loss"]


@pytest.mark.parametrize("stop_at", [5, 14, 33])
def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path, stop_at: int) -> None:
    whole, loss_of_step = task()
    fit(whole, loss_of_step, SETTINGS, tmp_path / "whole.safetensors", log=lambda _s, _m: None)
    stopped, loss_of_step = task()

    def until(step: int) -> tuple[Tensor, Metrics]:
        if step == stop_at:
            raise KeyboardInterrupt
        return loss_of_step(step)

    with pytest.raises(KeyboardInterrupt):
        fit(stopped, until, SETTINGS, tmp_path / "state.safetensors", log=lambda _s, _m: None)
    resumed, loss_of_step = task()
    at: list[int] = []
    fit(resumed, loss_of_step, SETTINGS, tmp_path / "state.safetensors", log=lambda _s, _m: None, resumed=at.append)
    assert at == ([stop_at // 7 * 7] if stop_at >= 7 else [])
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))


def test_the_rate_is_a_trapezoid() -> None:
    rates = [SETTINGS.rate(step) for step in range(SETTINGS.steps)]
    assert rates[0] == pytest.approx(0.02 / 4)
    assert rates[4:20] == pytest.approx([0.02] * 16)
    assert rates[-1] == pytest.approx(0.02 / 20)
    assert rates[20:] == sorted(rates[20:], reverse=True)
