"""Which commands has the compression room? tabulate, train, evaluate, promise, generate, bench.

Light to import: whatever needs torch is imported by ``run``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trimtab.compression import promise_recipe, train_recipe, use_recipe


@dataclass(frozen=True)
class Tabulate:
    """Compute the reward of every action at every budget on every prompt, with the prompts' features."""

    out: Path = Path("runs/table")
    """The folder of table.npz and table.json; one that was begun is gone on with."""
    model_name: str = "zoo:recall"
    """zoo:recall, llama, llama2, llama3, opt, a hub id, or a path."""
    gpus: tuple[int, ...] = ()
    """The CUDA device to use; several: `accelerate launch` one process each."""
    dtype: str = "auto"
    """Arithmetic of the model: auto (the file's own), float32, bfloat16, float16."""
    prompts: str = "recall"
    """recall (for zoo:recall), ruler, ruler/TASK, a JSON Lines file in LongBench's format, longbench/DATASET (from the
    hub); several joined by +."""
    prompt_count: int | None = 600
    """Use the first so many prompts; None: 600 generated ones, or all of a file."""
    max_tokens: int = 7500
    """Longer prompts lose their middle; generated ones are made so long."""
    menu: str = "default"
    """Actions: default, seed (the reference's grid of 60), waits, u5b, methods; layered (learns the layers' budgets)."""
    budgets: tuple[int, ...] = (32, 64, 128, 256)
    """Tokens kept per KV head, averaged over the layers."""
    context_encoder_model: str = "structural+hidden"
    """Vectors kept for policies, joined by +: structural, hidden (always there), kept (what each action keeps), minilm,
    m2-bert, m2-bert=FOLDER, text=NAME (any sentence-transformers model)."""
    scored_tokens: int = 4
    """Answer tokens scored, beyond the first, which is free."""
    new_tokens: int = 0
    """Also let every compressed cache answer freely, so many tokens, for the rewards rouge_l and metric; 0: none."""
    cosine_model: str = ""
    """The text encoder of the reward cosine (needs new tokens): minilm, m2-bert, m2-bert=FOLDER, text=NAME; or none."""

    def run(self) -> None:
        from trimtab.compression.tabulate_verb import tabulate_prompts

        tabulate_prompts(self)


RECIPES: dict[str, dict[str, train_recipe.Train]] = {**train_recipe.RECIPES}
VERBS: dict[str, type] = {"tabulate": Tabulate, **train_recipe.VERBS, **promise_recipe.VERBS, **use_recipe.VERBS}
