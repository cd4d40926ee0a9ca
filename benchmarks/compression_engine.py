"""What does compression cost, and what does it give? The engine's bars, on this machine.

python benchmarks/compression_engine.py [--json OUT]

1. The reward table of the reference's 60-point grid at 4 budgets, 4 scored answer tokens, against prefilling the same
   prompts once: a sample of the prompts, interleaved, prompt by prompt.
2. A long prompt on a random Llama of about 100 million parameters in bf16: time added to the prefill by a steep curve,
   and memory beyond what the same prefill takes without compression; tokens per second from the compressed cache and from
   a cache of the whole prompt's size (of random keys and values: time does not depend on them), token by token in turn.

Part 2 measures in processes of their own, so that peaks are those of one prefill. About 10 minutes on one core.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from transformers import Cache, DynamicCache, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from trimtab import machine
from trimtab.compression import Curve, ScoreSettings, compress, menu, score
from trimtab.compression.engine.prefill import prefill
from trimtab.compression.model_names import load
from trimtab.compression.tasks.recall import Recall
from trimtab.console import Table, say
from trimtab.records import bar, write_json

KEPT = 1024
BUDGETS = (32, 64, 128, 256)
TABLE_BOUND, TIME_BOUND, MEMORY_BOUND, SPEED_BOUND = 5.0, 0.10, 0.10, 1.5


@dataclass(frozen=True)
class Bench:
    """Measure the table and the long prompt."""

    prompts: int = 120
    """Prompts of 900 to 1,024 tokens in the sample (the bar speaks of 1,000: all cost alike)."""
    model: str = "zoo:recall"
    """The model of the table."""
    long_tokens: int = 16384
    """Tokens of the long prompt."""
    repeats: int = 2
    """Long prompts with and without compression, in turn."""
    decode_tokens: int = 32
    """Tokens decoded to time them."""
    b: int = 64
    """The steep curve's window."""
    json: Path | None = None
    """Where to write rows and bars."""
    part: str = ""
    """For the processes that this starts: full or compressed."""


def random_llama() -> PreTrainedModel:
    """About 100 million parameters, two query heads for each of 5 KV heads, in bf16."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32000,
        hidden_size=640,
        intermediate_size=1792,
        num_hidden_layers=14,
        num_attention_heads=10,
        num_key_value_heads=5,
        max_position_embeddings=32768,
        attn_implementation="sdpa",
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).to(torch.bfloat16).eval()


# the table ------------------------------------------------------------------------------------------------------------


def table_costs(command: Bench) -> dict[str, float]:
    """Seconds of a prefill, and of a prompt's whole part of the table (its prefill included), medians and totals."""
    model, _ = load(command.model)
    prompts = Recall(tokens=(900, 1019)).prompts(7, command.prompts)
    actions = menu("seed")
    settings = ScoreSettings(scored_tokens=4)
    plain: list[float] = []
    whole: list[float] = []
    distinct: list[int] = []
    for prompt in [prompts[0], *prompts]:  # the first one warms up
        started = time.perf_counter()
        prefill(model, prompt.token_ids)
        read = time.perf_counter()
        scored = score(model, prompt, actions, BUDGETS, settings)
        plain.append(read - started)
        whole.append(time.perf_counter() - read)
        distinct.append(scored.distinct)
    return {
        "prompts": float(command.prompts),
        "prefill_seconds": sum(plain[1:]),
        "table_seconds": sum(whole[1:]),
        "ratio": sum(whole[1:]) / sum(plain[1:]),
        "median_ratio": float(np.median(np.array(whole[1:]) / np.array(plain[1:]))),
        "distinct_caches": float(np.mean(distinct[1:])),
    }


# the long prompt ------------------------------------------------------------------------------------------------------


def _forget_peak() -> None:
    """The highest memory so far no longer counts: building the model takes more than it holds afterwards. Linux only."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _memory(field: str) -> int:
    """Bytes that this process holds now (VmRSS), or held at most (VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def _long_prompt(command: Bench) -> torch.Tensor:
    return torch.randint(1, 32000, (1, command.long_tokens), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def full_prefill(command: Bench) -> dict[str, float]:
    """One prefill: seconds, and the peak of memory above what the model holds."""
    model, ids = random_llama(), _long_prompt(command)
    model(ids[:, :64])
    _forget_peak()
    before, started = _memory("VmRSS"), time.perf_counter()
    cache = model(ids, logits_to_keep=1).past_key_values
    seconds = time.perf_counter() - started
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    return {"seconds": seconds, "peak": float(_memory("VmHWM") - before), "cache": float(held)}


@torch.no_grad()
def compressed_prefill(command: Bench) -> dict[str, float]:
    """The same with compression; then tokens per second from what was kept, and from a cache of the prompt's size."""
    model, ids = random_llama(), _long_prompt(command)
    model(ids[:, :64])
    _forget_peak()
    before, started = _memory("VmRSS"), time.perf_counter()
    with compress(model, Curve(10.0, command.b), budget_tokens=KEPT) as made:
        small = model(ids, logits_to_keep=1).past_key_values
    seconds, peak = time.perf_counter() - started, _memory("VmHWM") - before
    return {
        "seconds": seconds,
        "added": made.report.seconds,
        "peak": float(peak),
        "cache": float(made.report.bytes_before),
        "after": float(made.report.bytes_after),
        **decode_speeds(model, ids[:, : command.decode_tokens], small, command.long_tokens),
    }


def decode_speeds(model: PreTrainedModel, ids: torch.Tensor, small: Cache, tokens: int) -> dict[str, float]:
    """Tokens per second (medians, the first two not counted) from both caches, token by token in turn."""
    full = DynamicCache()
    for number, layer in enumerate(small.layers):
        shape = (*layer.keys.shape[:2], tokens, layer.keys.shape[3])
        full.update(torch.randn(shape, dtype=model.dtype), torch.randn(shape, dtype=model.dtype), number)
    seconds: dict[str, list[float]] = {"full": [], "compressed": []}
    for step in range(ids.shape[1]):
        for name, cache in (("full", full), ("compressed", small)):
            started = time.perf_counter()
            model(ids[:, step : step + 1], past_key_values=cache)
            seconds[name].append(time.perf_counter() - started)
    return {f"{name}_speed": 1 / float(np.median(values[2:])) for name, values in seconds.items()}


def _part(command: Bench, part: str) -> dict[str, float]:
    """Measure one part in a process of its own."""
    flags = ["--long-tokens", command.long_tokens, "--b", command.b, "--decode-tokens", command.decode_tokens]
    line = [sys.executable, __file__, "--part", part, *map(str, flags)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{part}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def long_costs(command: Bench) -> dict[str, float]:
    """The long prompt: added time and memory of compression, and the speed after it. Medians over the pairs."""
    pairs = [(_part(command, "full"), _part(command, "compressed")) for _ in range(command.repeats)]
    full, compressed = ([pair[side] for pair in pairs] for side in (0, 1))
    cache = full[0]["cache"]
    return {
        "tokens": float(command.long_tokens),
        "prefill_seconds": min(one["seconds"] for one in full),
        "compressed_prefill_seconds": min(one["seconds"] for one in compressed),
        "added_seconds": min(one["added"] for one in compressed),
        "added_share": _median([one["added"] / (one["seconds"] - one["added"]) for one in compressed]),
        "cache_bytes": cache,
        "bytes_after": compressed[0]["after"],
        "peak_full_bytes": _median([one["peak"] for one in full]),
        "peak_compressed_bytes": _median([one["peak"] for one in compressed]),
        "extra_share": _median([few["peak"] - whole["peak"] for whole, few in pairs]) / cache,
        "full_tokens_per_second": _median([one["full_speed"] for one in compressed]),
        "compressed_tokens_per_second": _median([one["compressed_speed"] for one in compressed]),
        "speedup": _median([one["compressed_speed"] / one["full_speed"] for one in compressed]),
    }


def _median(values: list[float]) -> float:
    return float(np.median(values))


def bars_of(table: dict[str, float], long: dict[str, float]) -> list[dict[str, Any]]:
    """The engine's bars, from what was measured."""
    return [
        bar("table of 60 actions x 4 budgets, times the cost of prefilling", table["ratio"], TABLE_BOUND, above=False),
        bar("long prompt: time added, share of the prefill", long["added_share"], TIME_BOUND, above=False),
        bar("long prompt: peak memory added, share of the cache", long["extra_share"], MEMORY_BOUND, above=False),
        bar("decoding after compression to 1,024, times the full cache", long["speedup"], SPEED_BOUND, above=True),
    ]


def main(command: Bench) -> None:
    """Measure, print, write."""
    if command.part:
        parts = {"full": full_prefill, "compressed": compressed_prefill}
        print(json.dumps(parts[command.part](command)))
        return
    say(f"the table of {command.prompts} prompts")
    table = table_costs(command)
    say(json.dumps(table), f"a prompt of {command.long_tokens} tokens")
    long = long_costs(command)
    rows = [{"what": "table", **table}, {"what": "long prompt", **long}]
    shown = Table("the compression engine", ("what", "measure", "value"))
    for row in rows:
        for name, value in list(row.items())[1:]:
            shown.add(row["what"], name, value)
    shown.print()
    bars = bars_of(table, long)
    for one in bars:
        say(f"{'holds' if one['holds'] else 'FAILS'}: {one['name']}: {one['value']:.3f} (bound {one['bound']})")
    if command.json:
        result = {"rows": rows, "bars": bars, "hardware": machine.hardware(), "date": machine.today()}
        write_json(command.json, result)


if __name__ == "__main__":
    main(tyro.cli(Bench, description=__doc__))
