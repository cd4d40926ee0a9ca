"""What does a person see of one answer? The text as it is written, what was drafted in colour, and what it cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from trimtab.console import progress_bar, say
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.generation import Controller, Generation
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.saved import SavedPolicy, load_policy

if TYPE_CHECKING:
    from trimtab.speculation.recipe import Calibrate, Generate, Pair

DRAFTED, OWN = "green", "default"
LEGEND = "[green]green[/green]: drafted by the head and accepted; plain: the target's own token"


def wired(path: Path, pair: Pair) -> tuple[Speculator, SavedPolicy]:
    """A policy, and the pair that it steers: ``pair``, or, where that is the default, the one that the policy names.

    Raises FileNotFoundError where there is no policy, ValueError where the pair given has other widths than its own.
    """
    from trimtab.speculation.recipe import Pair
    from trimtab.speculation.stages import load_pair

    models = load_policy(path).models
    own = replace(pair, **models) if models and pair == Pair(device=pair.device) else pair
    speculator = load_pair(own)
    return speculator, load_policy(path, speculator)


def source_of_trees(policy: SavedPolicy | None, shape: TreeShape | None) -> str:
    """Where the trees of an answer come from, in words."""
    if policy is not None:
        return str(policy)
    if shape is None:
        return "no policy and no shape are given: no drafting"
    return f"no policy is given: the static tree {shape} of the command line"


def coloured(speculator: Speculator, generation: Generation) -> Text:
    """The text, drafted and accepted tokens in colour. Runs of one kind are decoded together, so that no letter splits."""
    text, start, tokens, drafted = Text(), 0, generation.tokens, generation.drafted_mask
    assert speculator.tokenizer is not None
    while start < len(tokens):
        stop = start
        while stop < len(tokens) and drafted[stop] == drafted[start]:
            stop += 1
        piece = str(speculator.tokenizer.decode(tokens[start:stop], skip_special_tokens=True))
        text.append(piece, style=DRAFTED if drafted[start] else OWN)
        start = stop
    return text


def summary(generation: Generation) -> str:
    """One line: tokens, speed, tau, and where the time went."""
    seconds = generation.seconds
    phases = {
        name: sum(getattr(r.seconds, name) for r in generation.rounds) for name in ("draft", "verify", "policy", "rest")
    }
    split = ", ".join(f"{name} {100 * spent / seconds:.0f}%" for name, spent in phases.items())
    speed = len(generation.tokens) / seconds
    return (
        f"{len(generation.tokens)} tokens in {seconds:.2f} s, {speed:.0f} tokens/s | {len(generation.rounds)} rounds, "
        f"tau {generation.tau:.2f} | prefill {100 * generation.prefill_seconds / seconds:.0f}%, {split}"
    )


def show(
    speculator: Speculator,
    prompt: str,
    max_new_tokens: int,
    *,
    shape: TreeShape | None = None,
    policy: Controller | None = None,
    sampling: dict[str, float] | None = None,
    console: Console | None = None,
) -> Generation:
    """Answer ``prompt`` and print the coloured text and its summary."""
    console = console or Console()
    settings = sampling or {}
    generate: Callable[..., Generation] = speculator.generate
    made = generate(prompt, max_new_tokens, shape=shape, policy=policy, **settings)
    console.print(Text(prompt, style="bold"))
    console.print(coloured(speculator, made))
    console.print(Text(summary(made), style="dim"))
    return made


def answer(command: Generate) -> None:
    """``trimtab speculation generate``."""
    from trimtab.speculation.stages import load_pair

    shape = None if command.shape is None else TreeShape(*command.shape)
    if command.policy is None:
        speculator, policy = load_pair(command.pair), None
    else:
        speculator, policy = wired(command.policy, command.pair)
    sampling = {
        "temperature": command.temperature,
        "top_p": command.top_p,
        "top_k": command.top_k,
        "seed": command.seed,
    }
    console = Console()
    console.print(f"{LEGEND}. Trees: {source_of_trees(policy, shape)}.", highlight=False)

    def reply(controller: Controller | None) -> Generation:
        prompt, limit = command.prompt, command.max_new_tokens
        return show(speculator, prompt, limit, shape=shape, policy=controller, sampling=sampling, console=console)

    if command.collect is None:
        reply(policy)
    else:
        from trimtab.speculation.recording import record_answer

        record_answer(command, speculator, policy, shape, reply)


def calibrate_to(command: Calibrate) -> None:
    """``trimtab speculation calibrate``."""
    from trimtab.console import Table
    from trimtab.speculation.calibration import calibrate
    from trimtab.speculation.stages import asked_shapes, load_pair, prompts_of

    shapes = asked_shapes(command)
    speculator = load_pair(command.pair)
    prompts = [task.turns[0] for task in prompts_of(command.prompts, 60)]
    with progress_bar("calibrating") as advance:
        costs = calibrate(
            speculator, shapes, prompts, budget_seconds=command.seconds, seed=command.seed, progress=advance
        )
    costs.save(command.out)
    table = Table("seconds of a round, at a context of 128 tokens", ("tree", "milliseconds", "against_plain"))
    seconds = costs.seconds_A(shapes, 128)
    plain = float(costs.plain_seconds(128))
    for index in seconds.argsort()[:: max(1, len(shapes) // 12)]:
        table.add(str(shapes[index]), 1e3 * float(seconds[index]), float(seconds[index]) / plain)
    table.print()
    say(f"residuals {costs.residuals}; written to {command.out}")
