"""How does a small network train on its own, be stopped at any step, and go on to the same numbers?

One loop for the embedded models and the draft heads: matrices by Muon (Jordan et al. 2024, with the update scaled as in
Moonlight, arXiv:2502.16982), all else by AdamW, a trapezoidal learning rate, and a state file (safetensors: weights,
moments and the step) from which the loop continues exactly. The loss of step ``s`` must depend on the weights and on
``s`` alone: no random state lives between steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from trimtab.checkpoints import replace_file
from trimtab.tracking import Jsonl, read_jsonl

Metrics = dict[str, float]


@dataclass(frozen=True)
class Fit:
    """Hyper-parameters of ``fit``. The rate rises over ``warmup`` steps and falls over the last ``decay`` share."""

    steps: int
    learning_rate: float = 3e-3
    warmup: int = 50
    decay: float = 0.45
    weight_decay: float = 0.1
    clip: float = 1.0
    log_every: int = 10
    checkpoint_every: int = 100

    def rate(self, step: int) -> float:
        """Learning rate of ``step`` (0-based)."""
        rising = min(1.0, (step + 1) / max(1, self.warmup))
        falling = min(1.0, (self.steps - step) / max(1.0, self.decay * self.steps))
        return self.learning_rate * rising * falling


def optimizers(module: nn.Module, settings: Fit, *, vectors: tuple[str, ...]) -> list[torch.optim.Optimizer]:
    """Muon over the matrices of ``module``, AdamW over the rest: vectors, and names holding one of ``vectors``."""
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    matrices = [p for name, p in named if p.ndim == 2 and not any(part in name for part in vectors)]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    return [
        torch.optim.Muon(
            matrices,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _moments(optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    for index, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        for name, value in optimizer.state.get(parameter, {}).items():
            yield f"{index}.{name}", value


def save_state(path: Path, module: nn.Module, optimizers: list[torch.optim.Optimizer], step: int) -> None:
    """Write weights, moments and ``step`` to ``path`` atomically."""
    tensors = {f"weights.{name}": p.detach().clone() for name, p in module.named_parameters()}
    for number, optimizer in enumerate(optimizers):
        tensors |= {f"moments.{number}.{name}": value.detach().clone() for name, value in _moments(optimizer)}
    replace_file(path, lambda scratch: save_file(tensors, scratch, metadata={"step": str(step)}))


def load_state(path: Path, module: nn.Module, optimizers: list[torch.optim.Optimizer]) -> int:
    """Restore what ``save_state`` wrote, in place; returns the step to go on with."""
    with safe_open(path, framework="pt") as file:
        for name, parameter in module.named_parameters():
            parameter.data.copy_(file.get_tensor(f"weights.{name}"))
        for number, optimizer in enumerate(optimizers):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            prefix = f"moments.{number}."
            for key in (key for key in file.keys() if key.startswith(prefix)):  # noqa: SIM118 (safe_open is no dict)
                index, name = key.removeprefix(prefix).split(".", 1)
                parameter, value = parameters[int(index)], file.get_tensor(key)
                optimizer.state[parameter][name] = value if value.ndim == 0 else value.to(parameter.device)
        return int(file.metadata()["step"])


class StepLog:
    """Rows ``{"step", ...}`` in a JSON Lines file; those beyond a resumed step can be dropped (``rewind``)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = Jsonl(path)

    def __call__(self, step: int, metrics: Metrics) -> None:
        self._file.append({"step": step, **metrics})

    def rewind(self, step: int) -> None:
        """Drop the rows of steps after ``step``."""
        self._file.truncate(sum(row.get("step", 0) <= step for row in read_jsonl(self._file.path)))


def fit(
    module: nn.Module,
    loss_of_step: Callable[[int], tuple[Tensor, Metrics]],
    settings: Fit,
    state: Path,
    *,
    vectors: tuple[str, ...] = ("embed", "lm_head"),
    log: Callable[[int, Metrics], None],
    resumed: Callable[[int], None] | None = None,
) -> None:
    """Minimise ``loss_of_step`` over the parameters of ``module``; continue from ``state`` where that file exists.

    ``resumed`` is then told the step to go on with: what was logged beyond it will be logged again.
    """
    groups = optimizers(module, settings, vectors=vectors)
    step = 0
    if state.exists():
        step = load_state(state, module, groups)
        if resumed is not None:
            resumed(step)
    parameters = [p for p in module.parameters() if p.requires_grad]
    started = time.perf_counter()
    while step < settings.steps:
        for optimizer in groups:
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(step)
        loss, metrics = loss_of_step(step)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, settings.clip)
        for optimizer in groups:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % settings.log_every == 0 or step == settings.steps:
            seconds, started = time.perf_counter() - started, time.perf_counter()
            rate = settings.rate(step - 1)
            log(step, {**metrics, "gradient_norm": float(norm), "learning_rate": rate, "seconds": seconds})
        if step % settings.checkpoint_every == 0 or step == settings.steps:
            save_state(state, module, groups, step)
