"""Does the gain survive another temperature? The static trees and the policy, decoded at temperature 0, 1, ...

At temperature 0 all contenders write one text. Above it texts differ by chance from contender to contender, in length
too, so single texts cannot be compared: every prompt is decoded with several seeds, tokens and seconds are summed, and
the ratio of totals is bootstrapped over prompts. Trees and policy are those chosen at temperature 0.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab import machine
from trimtab.console import Table, progress_bar, say
from trimtab.records import write_json
from trimtab.speculation.contest import POLICY, STATIC, Contender, contest
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.race import Decoder, Entry, Turn, Written, race, speed_ratio, turns
from trimtab.speculation.stages import load_pair, prompts_of
from trimtab.speculation.trained import prepared_of, recipe_of
from trimtab.statistics import verdict

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Sensitivity

COMPARED = ("eagle-default", STATIC, POLICY)


def sampling(
    speculator: Speculator, contender: Contender, max_new_tokens: int, temperature: float, seed: int
) -> Decoder:
    """This engine from a cold cache, drawing tokens at ``temperature``."""

    def decode(turn: Turn) -> Written:
        speculator.forget()
        started = time.perf_counter()
        made = speculator.generate(
            turn.ids,
            max_new_tokens,
            shape=contender.shape,
            policy=contender.policy,
            temperature=temperature,
            seed=seed,
        )
        return Written(made.tokens, time.perf_counter() - started, made)

    return decode


@dataclass(frozen=True)
class AtTemperature:
    """What was decoded at one temperature: the entries' decodes of ``turns`` (each turn once for every seed)."""

    temperature: float
    seeds: int
    entries: list[Entry]
    turns: list[Turn]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each contender."""
        static = next(entry for entry in self.entries if entry.name == STATIC)
        return [self._row(entry, static) for entry in self.entries]

    def _row(self, entry: Entry, static: Entry) -> dict[str, Any]:
        interval = speed_ratio(entry, static, self.turns)
        return {
            "temperature": self.temperature,
            "seeds": self.seeds,
            "name": entry.name,
            "tokens_per_second": entry.tokens_per_second,
            "tau": entry.tau,
            "against_best_static": interval.estimate,
            "low": interval.low,
            "high": interval.high,
            "tokens": int(entry.tokens_T.sum()),
            "note": entry.note,
        }


def decoded(
    speculator: Speculator,
    contenders: dict[str, Contender],
    prompts: Sequence[Turn],
    max_new_tokens: int,
    *,
    temperature: float,
    seeds: int,
) -> AtTemperature:
    """Every prompt decoded by every contender with each seed, interleaved.

    Raises ValueError for fewer seeds than one, a negative temperature, or contenders without the best static tree.
    """
    if seeds < 1 or temperature < 0:
        raise ValueError(f"temperature {temperature:g} with {seeds} seeds: expected at least 0, and at least one seed")
    if STATIC not in contenders:
        raise ValueError(f"the contenders {', '.join(contenders)} lack {STATIC}, with which all are compared")
    whole = [Entry(name, _never, one.note) for name, one in contenders.items()]
    for seed in range(seeds):
        entries = [
            Entry(name, sampling(speculator, one, max_new_tokens, temperature, seed))
            for name, one in contenders.items()
        ]
        race(entries, prompts)
        for all_seeds, one_seed in zip(whole, entries, strict=True):
            all_seeds.decodes_TR += one_seed.decodes_TR
    return AtTemperature(temperature, seeds, whole, list(prompts) * seeds)


def _never(_turn: Turn) -> Written:
    raise AssertionError("the decodes of all seeds were made one seed at a time")


def table_of(rows: Sequence[dict[str, Any]], turns_: int) -> Table:
    """The rows as people read them."""
    columns = ("temperature", "decoding", "tokens/s", "tau", "ratio", "95%_interval")
    note = "ratio: against the best static tree at the same temperature; trees and policy were chosen at temperature 0"
    table = Table(f"{turns_} turns", columns, note=note)
    for row in rows:
        span = f"{row['low']:.3f} to {row['high']:.3f}"
        values = (row["tokens_per_second"], row["tau"], row["against_best_static"])
        table.add(f"{row['temperature']:g}", row["name"], *values, span)
    return table


def verdicts(made: Sequence[AtTemperature]) -> dict[str, str]:
    """Whether the policy is better than the best static tree, at each temperature."""
    said: dict[str, str] = {}
    for one in made:
        policy, static = (next(e for e in one.entries if e.name == name) for name in (POLICY, STATIC))
        said[f"{one.temperature:g}"] = verdict(speed_ratio(policy, static, one.turns), even=1.0)
    return said


def sensitivity(command: Sensitivity) -> None:
    """``trimtab speculation sensitivity``."""
    recipe, prepared = recipe_of(command.run_directory), prepared_of(command.run_directory)
    speculator = load_pair(recipe.pair)
    tasks = prompts_of(command.prompts, command.prompt_count)
    prompts = turns(speculator, tasks, command.max_new_tokens)
    contenders = {name: one for name, one in contest(prepared).contenders().items() if name in COMPARED}
    made: list[AtTemperature] = []
    with progress_bar("decoding") as advance:
        for done, temperature in enumerate(command.temperatures, 1):
            seeds = command.seeds if temperature else 1  # at temperature 0 all seeds write the same
            limit = command.max_new_tokens
            made.append(decoded(speculator, contenders, prompts, limit, temperature=temperature, seeds=seeds))
            advance(done / len(command.temperatures))
    rows = [row for one in made for row in one.rows()]
    table_of(rows, len(prompts)).print()
    say(*(f"{name}: {one.note}" for name, one in contenders.items()))
    result = _as_json(made, rows, command.run_directory, len(prompts))
    write_json(command.run_directory / "sensitivity.json", result)
    if command.json:
        write_json(command.json, result)


def _as_json(
    made: Sequence[AtTemperature], rows: list[dict[str, Any]], run_directory: Path, turns_: int
) -> dict[str, Any]:
    return {
        "rows": rows,
        "verdicts": verdicts(made),
        "turns": turns_,
        "run": run_directory.name,
        "hardware": machine.hardware(),
        "versions": machine.versions(),
        "date": machine.today(),
    }
