"""How is compression used, and what does it give on this machine? ``trimtab compression generate | bench | demo``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from trimtab.compression.train_recipe import RECIPES, Train


@dataclass(frozen=True)
class Generate:
    """Answer one prompt from a compressed cache, and say what was kept."""

    prompt: tyro.conf.Positional[str]
    """The prompt's text; @FILE reads it from a file. Of zoo:recall: @recall/N is its generated prompt number N."""
    model_name: str = "zoo:recall"
    """zoo:recall, llama, llama2, llama3, opt, a hub id, or a path."""
    gpus: tuple[int, ...] = ()
    """The CUDA device to use."""
    dtype: str = "auto"
    """Arithmetic of the model: auto (the file's own), float32, bfloat16, float16."""
    action: str = "snapkv"
    """What is kept: h2o, tova, snapkv, pyramidkv, streaming, sigmoid(a,b) or geometric(alpha)."""
    policy: Path | None = None
    """A trained policy's folder: it picks the action and gives the budget (the prompt is then read twice)."""
    promise: Path | None = None
    """A folder of `trimtab compression promise`: it picks action and budget, or the full cache."""
    budget_tokens: int = 128
    """Tokens kept per KV head, averaged over the layers."""
    every: int | None = None
    """Compress again whenever so many new tokens have come."""
    max_new_tokens: int = 32
    """At most so many new tokens."""
    compare: bool = True
    """Show the full cache's answer beside."""

    def run(self) -> None:
        from trimtab.compression.generating import generate

        generate(self)


@dataclass(frozen=True)
class Bench:
    """Time prefill and decoding, and count the cache's bytes: the full cache beside the methods of a menu."""

    model_name: str = "zoo:recall"
    """zoo:recall, llama, llama2, llama3, opt, a hub id, or a path."""
    gpus: tuple[int, ...] = ()
    """The CUDA device to use."""
    dtype: str = "auto"
    """Arithmetic of the model: auto (the file's own), float32, bfloat16, float16."""
    tokens: int = 960
    """Tokens of the prompt (random ones: time does not depend on them)."""
    budget_tokens: int = 128
    """Tokens kept per KV head, averaged over the layers."""
    menu: str = "methods"
    """Actions: methods, u5b, waits, default or seed."""
    decode_tokens: int = 16
    """Tokens decoded to time them."""
    repeats: int = 3
    """Times that everything is measured, in turn; medians count."""
    json: Path | None = None
    """Also write the rows here."""

    def run(self) -> None:
        from trimtab.compression.bench import bench

        bench(self)


@dataclass(frozen=True)
class Demo:
    """The whole of it in minutes: tabulate, learn which action to take for which prompt, judge, report."""

    train: Train = field(default_factory=lambda: RECIPES["train"]["demo"])
    out: Path | None = None
    """Where the run is kept; None: as the recipe of the training says."""

    def run(self) -> None:
        from trimtab.compression.demo import demo

        demo(self)


VERBS: dict[str, type] = {"generate": Generate, "bench": Bench, "demo": Demo}
