"""How much faster is all this than transformers itself? One race, one process, one prompt set.

``transformers-generate`` runs in the fastest of its settings (dynamic or static cache, compiled or not, weights frozen or
not), found on the training prompts; ``prompt-lookup`` in the best of three lengths; ``eagle-best-static`` is the best of a
sweep: replay ranks the whole menu, the leaders are then timed for real, on the training prompts. All rows of this engine
share one compile option (``--compile``), which the result states. Compilation is never part of a timing.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import StaticCache

from trimtab import machine
from trimtab.console import Table, progress_bar, say
from trimtab.records import bar, write_json
from trimtab.runs import Run
from trimtab.speculation import fidelity, oracle
from trimtab.speculation.actions import EAGLE_DEFAULT, TreeShape
from trimtab.speculation.engine.compiled import compiling
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.race import Decoder, Entry, Turn, Written, by_engine, by_transformers, race, turns
from trimtab.speculation.stages import Prepared, load_pair, prepare, prompts_of
from trimtab.speculation.tasks import own_prompts
from trimtab.speculation.trained import prepared_of

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Bench

COLUMNS = ("name", "tokens_per_second", "tau", "speedup", "identical_text", "outside_models", "note")
LEADERS = 5
_TUNING_PROMPTS = 12
_LOOKUP_TOKENS = (3, 5, 10)


def fastest(decoders: dict[str, Decoder], prompts: Sequence[Turn]) -> tuple[str, dict[str, float]]:
    """The fastest of several ways, raced on ``prompts``, and the tokens per second of each."""
    entries = [Entry(name, decode) for name, decode in decoders.items()]
    race(entries, prompts)
    rates = {entry.name: entry.tokens_per_second for entry in entries}
    return max(rates, key=lambda name: rates[name]), rates


def longest(prompts: Sequence[Turn], max_new_tokens: int) -> int:
    """Tokens of the longest of these turns, its answer included: what a cache that serves them all must hold."""
    return max(len(turn.ids) for turn in prompts) + max_new_tokens


def _compiled(model: Any, decode: Decoder, warm_up: Turn, settings: AbstractContextManager[None]) -> Decoder:
    """``decode`` with a compiled forward, which is in place only while it decodes; compiled here, under ``settings``."""
    torch_compile: Any = torch.compile
    stock, compiled = model.forward, torch_compile(model.forward, dynamic=False, isolate_recompiles=True)

    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compiled for single tokens alone, as generate() itself does it: prompts come in all lengths."""
        ids = kwargs.get("input_ids", args[0] if args else None)
        return (compiled if ids is not None and ids.shape[1] == 1 else stock)(*args, **kwargs)

    def decoded(turn: Turn) -> Written:
        model.forward = forward
        try:
            return decode(turn)
        finally:
            model.forward = stock

    with settings:
        decoded(warm_up)
    return decoded


def _static(model: Any, max_new_tokens: int, cache_tokens: int) -> Decoder:
    """generate() with one static cache for all prompts, emptied between them.

    One of constant size, else a compiled forward would be compiled anew for each length; and always the same one, since
    a forward that is compiled with frozen weights writes into the cache that it was compiled with, and into no other.
    """
    cache: Any = StaticCache(config=model.config, max_cache_len=cache_tokens)
    decode = by_transformers(model, max_new_tokens, past_key_values=cache, disable_compile=True)

    def decoded(turn: Turn) -> Written:
        with torch.inference_mode():
            cache.reset()
        return decode(turn)

    return decoded


def generate_ways(
    speculator: Speculator, tuning: Sequence[Turn], max_new_tokens: int, cache_tokens: int, try_compile: bool
) -> dict[str, Decoder]:
    """transformers' generate() in each of its settings; static caches hold ``cache_tokens``."""
    model = speculator.model
    ways = {
        "dynamic cache": by_transformers(model, max_new_tokens),
        "static cache": _static(model, max_new_tokens, cache_tokens),
    }
    if not try_compile:
        return ways
    say("compiling transformers' forward: minutes, in all")
    settings: dict[str, AbstractContextManager[None]] = {"static cache, compiled": nullcontext()}
    if model.device.type == "cpu":
        settings["static cache, compiled, weights frozen"] = compiling(model.device)
    for name, setting in settings.items():
        ways[name] = _compiled(model, _static(model, max_new_tokens, cache_tokens), tuning[0], setting)
    return ways


def _stock(ways: dict[str, Decoder], tuning: Sequence[Turn]) -> Entry:
    """transformers' generate() in its fastest setting."""
    best, rates = fastest(ways, tuning)
    said = "; ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    return Entry("transformers-generate", ways[best], f"{best} (tuning: {said} tokens/s)")


def _lookup(speculator: Speculator, tuning: Sequence[Turn], max_new_tokens: int) -> Entry:
    """transformers' prompt lookup in its best length."""
    ways = {
        f"{length} tokens": by_transformers(speculator.model, max_new_tokens, prompt_lookup_num_tokens=length)
        for length in _LOOKUP_TOKENS
    }
    best, _ = fastest(ways, tuning)
    return Entry("prompt-lookup", ways[best], f"transformers, {best}")


def leaders(prepared: Prepared, count: int) -> list[TreeShape]:
    """The ``count`` best static trees of the training table, by replay."""
    seconds = oracle.static_seconds_QA(oracle.price(prepared.table, prepared.costs)).sum(axis=0)
    return [prepared.table.actions[index] for index in seconds.argsort()[:count]]


def best_static(
    speculator: Speculator, prepared: Prepared, tuning: Sequence[Turn], max_new_tokens: int
) -> tuple[TreeShape, dict[str, float]]:
    """The static tree that is fastest for real among the replay's leaders."""
    shapes = {str(shape): shape for shape in leaders(prepared, LEADERS)}
    ways = {name: by_engine(speculator, max_new_tokens, shape=shape) for name, shape in shapes.items()}
    best, rates = fastest(ways, tuning)
    return shapes[best], rates


def entries_of(
    command: Bench, speculator: Speculator, prepared: Prepared, tuning: Sequence[Turn], cache_tokens: int
) -> list[Entry]:
    """All contenders, each tuned on the training prompts."""
    tokens = command.max_new_tokens
    say("tuning transformers' generate() and prompt lookup on training prompts")
    stock = _stock(generate_ways(speculator, tuning, tokens, cache_tokens, command.compile_baseline), tuning)
    lookup = _lookup(speculator, tuning, tokens)
    say("timing the best static trees on training prompts")
    shape, rates = best_static(speculator, prepared, tuning, tokens)
    swept = f"{shape}; menu of {len(prepared.table.actions)} replayed, {len(rates)} timed"
    return [
        stock,
        lookup,
        Entry("plain", by_engine(speculator, tokens), "this engine, no drafting"),
        Entry("eagle-default", by_engine(speculator, tokens, shape=EAGLE_DEFAULT), str(EAGLE_DEFAULT)),
        Entry("eagle-best-static", by_engine(speculator, tokens, shape=shape), swept),
        Entry("eagle-policy", by_engine(speculator, tokens, policy=prepared.policy), "learned on replay"),
    ]


def _outside(entry: Entry) -> float | None:
    """The share of a round that is neither of the models' forwards, in the median over the rounds' sums of each turn."""
    shares = [
        sum(r.seconds.outside for r in w.generation.rounds) / sum(r.seconds.total for r in w.generation.rounds)
        for decodes in entry.decodes_TR
        for w in decodes
        if w.generation and w.generation.rounds
    ]
    return statistics.median(shares) if shares else None


def result_of(
    entries: Sequence[Entry],
    prompts: Sequence[Turn],
    speculator: Speculator,
    compile: str = "off",  # noqa: A002
) -> dict[str, Any]:
    """Rows, bars and circumstances of a finished race."""
    stock, plain = entries[0], entries[2]
    truth = [written.tokens for written in stock.first_T]
    ids = [turn.ids for turn in prompts]
    rows: list[dict[str, Any]] = []
    widest = 0.0
    for entry in entries:
        same = fidelity.compare(speculator.model, ids, [w.tokens for w in entry.first_T], truth)
        widest = max(widest, same.widest)
        rate = entry.tokens_per_second
        values = (entry.name, rate, entry.tau, rate / stock.tokens_per_second, same.share, _outside(entry), entry.note)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    static = next(row for row in rows if row["name"] == "eagle-best-static")
    against_plain = static["tokens_per_second"] / plain.tokens_per_second
    outside = max(row["outside_models"] for row in rows if row["name"].startswith("eagle"))
    return {
        "rows": rows,
        "bars": [
            bar("eagle-best-static / transformers-generate", static["speedup"], 2.0, above=True, equal=True),
            bar("eagle-best-static / plain", against_plain, 1.5, above=True, equal=True),
            bar("share of a round outside the models' forwards, largest", outside, 0.15, above=False),
            bar("logit gap at a first divergence, widest", widest, fidelity.BF16_EPSILON, above=False),
        ],
        "turns": len(prompts),
        "dtype": str(speculator.model.dtype).removeprefix("torch."),
        "compile": compile,
        "compiled": f"all rows of this engine: compile={compile!r}; transformers-generate: {stock.note}",
        "hardware": machine.hardware(),
        "versions": machine.versions(),
        "date": machine.today(),
    }


def prepared_for(command: Bench) -> Prepared:
    """The policy and its table: those of the given run, or trained now."""
    from trimtab.speculation.recipe import RECIPES

    if command.policy is not None:
        return prepared_of(command.policy)
    recipe = replace(RECIPES["train"]["default"], pair=command.raced_pair)
    with Run.begin(Path("runs"), recipe) as run:
        return prepare(recipe, run)


def measure(command: Bench) -> dict[str, Any]:
    """The whole benchmark; see ``result_of`` for what comes out."""
    prepared = prepared_for(command)
    pair = command.raced_pair
    speculator = load_pair(pair)
    if pair.compile != "off":
        say(f"this engine compiles at its first answer ({pair.compile}): about a minute")
    tuning = turns(speculator, own_prompts("train")[:_TUNING_PROMPTS], command.max_new_tokens)
    prompts = turns(speculator, prompts_of(command.prompts, command.prompt_count), command.max_new_tokens)
    cache_tokens = longest([*tuning, *prompts], command.max_new_tokens)
    entries = entries_of(command, speculator, prepared, tuning, cache_tokens)
    say(f"racing {len(entries)} contenders over {len(prompts)} turns")
    with progress_bar("racing") as advance:
        race(entries, prompts, repeats=command.repeats, progress=lambda done, total: advance(done / total))
    return result_of(entries, prompts, speculator, pair.compile)


def table_of(result: dict[str, Any]) -> Table:
    """The rows as people read them."""
    held = "; ".join(f"{b['name']} {b['value']:.3g} ({'holds' if b['holds'] else 'MISSED'})" for b in result["bars"])
    columns = ("decoding", "tokens/s", "tau", "speedup", "same_text", "outside_models")
    table = Table(f"{result['turns']} turns, {result['dtype']}", columns, note=held)
    for row in result["rows"]:
        outside = None if row["outside_models"] is None else f"{100 * row['outside_models']:.1f}%"
        same = f"{100 * row['identical_text']:.0f}%"
        table.add(row["name"], row["tokens_per_second"], row["tau"], row["speedup"], same, outside)
    return table


def bench(command: Bench) -> None:
    """``trimtab speculation bench``."""
    result = measure(command)
    table_of(result).print()
    say(f"compiled: {result['compiled']}", *(f"{row['name']}: {row['note']}" for row in result["rows"]))
    if command.json:
        write_json(command.json, result)
        say(f"written to {command.json}")
