"""How are the three seeds of ``zoo:recall`` trained at once on one GPU, and how well do they recall?

    PYTHONPATH=src python dev/train_recall.py --out OUT [--device cuda] [--seeds 0 1 2] [--workers 5] [--steps N]

Needs torch, transformers, tokenizers, safetensors and numpy alone (`trimtab zoo build recall` trains one seed where the
package is installed). One process a seed; run it again to go on where it stopped. OUT/seed-N/model holds the weights,
OUT/seed-N/log.jsonl the metrics, OUT/seed-N/recall.json the held-out accuracy by kind of prompt and answer token.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from trimtab.compression.tasks.recall import ANNOUNCED, Recall
from trimtab.lm.training import Metrics, StepLog
from trimtab.zoo.recall import RecallRecipe, build, shortened


@torch.no_grad()
def recall_by_mode(model: LlamaForCausalLM, settings: Recall, count: int) -> dict[str, dict[str, object]]:
    """Teacher-forced accuracy of each answer token, and of whole answers, by where the question is announced."""
    rows: dict[str, list[torch.Tensor]] = {f"recall/{mode}": [] for mode in ANNOUNCED}
    for prompt in settings.prompts(2**31, count):
        ids = torch.tensor([[*prompt.token_ids, *prompt.answer_ids]], device=model.device)
        predicted = model(input_ids=ids, use_cache=False).logits[0].argmax(-1)
        start = len(prompt.token_ids)
        rows[prompt.group].append((predicted[start - 1 : -1] == ids[0, start:]).float().cpu())
    stacked = {mode: torch.stack(right) for mode, right in rows.items()}
    return {
        mode: {"exact": float(right.prod(1).mean()), "by_token": [round(x, 4) for x in right.mean(0).tolist()]}
        for mode, right in stacked.items()
    }


def train(seed: int, options: argparse.Namespace) -> None:
    """One seed, in this process."""
    torch.set_num_threads(1)
    recipe = replace(RecallRecipe(), seed=seed)
    recipe = replace(recipe, batch_tokens=options.batch_tokens or recipe.batch_tokens)
    recipe = shortened(recipe, options.steps) if options.steps else recipe
    out, started = options.out / f"seed-{seed}", time.perf_counter()
    journal = StepLog(out / "log.jsonl")

    def log(step: int, metrics: Metrics) -> None:
        journal(step, metrics)
        if step % 50 == 0:
            shown = " ".join(f"{name.rpartition('/')[2]} {value:.3f}" for name, value in metrics.items())
            print(f"seed {seed} step {step} at {time.perf_counter() - started:.0f} s: {shown}", flush=True)

    model, _ = build(recipe, out, log=log, resumed=journal.rewind, device=options.device, workers=options.workers)
    half = LlamaForCausalLM.from_pretrained(out / "model", dtype=torch.float32)
    found = recall_by_mode(half.to(options.device).eval(), Recall(), options.prompts)
    parameters = sum(weight.numel() for weight in model.parameters())
    seconds = time.perf_counter() - started
    report = {"seed": seed, "parameters": parameters, "steps": recipe.fit.steps, "seconds": seconds, "recall": found}
    (out / "recall.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report), flush=True)


def main() -> None:
    """Train every seed, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=4, help="processes a seed that make documents")
    parser.add_argument("--steps", type=int, default=0, help="another number of steps than the recipe's")
    parser.add_argument("--batch-tokens", type=int, default=0, help="another batch than the recipe's")
    parser.add_argument("--prompts", type=int, default=300, help="held-out prompts")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if len(options.seeds) == 1:
        train(options.seeds[0], options)
        return
    given = sys.argv[1:]
    place = given.index("--seeds") if "--seeds" in given else len(given)
    rest = given[:place] + given[place + 1 + len(options.seeds) :]
    running = [subprocess.Popen([sys.executable, __file__, *rest, "--seeds", str(seed)]) for seed in options.seeds]
    sys.exit(max(abs(process.wait()) for process in running))


if __name__ == "__main__":
    main()
