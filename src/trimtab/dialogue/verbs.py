"""What do the verbs that train and use models do? They put data, rubric, model and run together, and say what came out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trimtab.checkpoints import replace_file
from trimtab.console import print_update, progress, say
from trimtab.dialogue import models, sources
from trimtab.dialogue.answering import Manner, answer
from trimtab.dialogue.best_of import best_of
from trimtab.dialogue.example import Example, Reply
from trimtab.dialogue.formats.others import reply_row
from trimtab.dialogue.ppo.building import Lora
from trimtab.dialogue.reward_making import catalogue_for, rubric_for
from trimtab.runs import read_metrics
from trimtab.tracking import Jsonl, read_jsonl
from trimtab.types import Choice, Grade, Step

if TYPE_CHECKING:
    from trimtab.dialogue.training_recipe import Generate, Sft, Train


# -- sft ---------------------------------------------------------------------------------------------------------------


def supervise(command: Sft) -> None:
    """``trimtab dialogue sft``."""
    from trimtab.dialogue.running import begin

    with begin(command) as (run, command):
        model, tokenizer = _embedded(command, run) if command.model_name == sources.EMBEDDED else _tuned(command, run)
        from trimtab.dialogue.ppo.saving import save_policy

        save_policy(model, tokenizer, run.path / models.MODEL)
        _report_supervised(command, model, tokenizer, run)


def _embedded(command: Sft, run: Any) -> tuple[Any, Any]:
    from trimtab.dialogue.embedded_model import EmbeddedRecipe, build

    recipe = EmbeddedRecipe(seed=command.seed)
    recipe = replace(
        recipe,
        fit=replace(recipe.fit, steps=command.steps or recipe.fit.steps),
    )

    def log(step: int, metrics: dict[str, float]) -> None:
        run.log(step, metrics)
        print_update(step, {k: v for k, v in metrics.items() if k != "seconds"}, run.elapsed_seconds)

    return build(recipe, run.path / "fit", log=log, resumed=lambda step: None)


def _tuned(command: Sft, run: Any) -> tuple[Any, Any]:
    from trimtab.dialogue.sft import SftSettings, fine_tune

    settings = SftSettings(
        epochs=command.epochs,
        steps=command.steps,
        batch_size=command.batch_size,
        accumulation=command.gradient_accumulation_steps,
        learning_rate=command.learning_rate,
        warmup_steps=command.num_warmup_steps,
        context_max_length=command.context_max_length,
        reply_max_length=command.resp_max_length,
        bf16=command.bf16,
        load_in_4bit=command.load_in_4bit,
        lora=Lora(command.lora_rank),
        seed=command.seed,
    )
    examples = sources.examples_of(command.data)

    def log(step: int, metrics: dict[str, float]) -> None:
        run.log(step, metrics)
        print_update(step, {k: v for k, v in metrics.items() if k in ("loss", "learning_rate")}, run.elapsed_seconds)

    def evaluate(step: int, model: Any, tokenizer: Any) -> None:
        _measure(command, step, model, tokenizer, run)

    return fine_tune(
        models.located(command.model_name),
        examples,
        settings,
        run.path / "trainer",
        log=log,
        evaluate=evaluate,
        evaluate_every=command.evaluate_every,
    )


def _measure(command: Sft, step: int, model: Any, tokenizer: Any, run: Any) -> float:
    """Perplexity of the held-out references, logged and told, with three replies of the model in steps.jsonl."""
    from trimtab.dialogue.sft import reply_perplexity

    held_out = sources.examples_of(command.validation)
    perplexity = reply_perplexity(model, tokenizer, held_out)
    manner = Manner(context_max_length=command.context_max_length, reply_max_length=command.resp_max_length)
    run.log(step, {"perplexity": perplexity})
    print_update(step, {"perplexity": perplexity}, run.elapsed_seconds)
    for reply in answer(model, tokenizer, held_out[:3], manner):
        outcome = {"ended": reply.ended, "tokens": reply.tokens, "after_steps": step}
        run.record([Step(reply.example.key, reply.example.prompt, Choice(reply.text), outcome, Grade(0.0, {}))])
        say(f"  {reply.example.latest}", f"    -> {reply.text}{'' if reply.ended else ' (cut)'}")
    return perplexity


def _report_supervised(command: Sft, model: Any, tokenizer: Any, run: Any) -> None:
    last = max((int(row["step"]) for row in read_metrics(run.path)), default=0)
    perplexity = _measure(command, last + 1, model, tokenizer, run)
    text = json.dumps({"perplexity": perplexity}, indent=2) + "\n"
    replace_file(run.path / "summary.json", lambda scratch: scratch.write_text(text))
    count = len(sources.examples_of(command.validation))
    say(f"perplexity {perplexity:.2f} on {count} held-out replies; the model is in {run.path / models.MODEL}")


# -- train -------------------------------------------------------------------------------------------------------------


def reinforce(command: Train) -> None:
    """``trimtab dialogue train``."""
    from trimtab.dialogue.running import train

    train(command)


# -- generate ----------------------------------------------------------------------------------------------------------


def generate(command: Generate) -> None:
    """``trimtab dialogue generate``."""
    model, tokenizer = models.load(command.model)
    examples = sources.examples_of(command.data)
    manner = Manner(
        command.temperature, command.seed, command.context_max_length, command.resp_max_length, command.batch_size
    )
    by = f"{command.model}, temperature {command.temperature:g}, seed {command.seed}, best of {command.best_of}"
    answered = _answered(command, examples, by)
    rubric = rubric_for(command.reward, examples) if command.best_of > 1 else None
    filling = _filling(command, examples)
    command.out.parent.mkdir(parents=True, exist_ok=True)
    file = Jsonl(command.out)
    batches = list(enumerate(_batches(examples, command.batch_size)))
    for number, batch in progress(batches, "answering", total=len(batches)):
        if {example.key for example in batch} <= answered:
            continue
        if rubric is None:
            replies = answer(model, tokenizer, batch, manner, draw=number)
        else:
            noisy = replace(manner, seed=command.seed + 1000 * number)
            replies = best_of(model, tokenizer, batch, rubric, command.best_of, noisy)
        for reply in filling(replies):
            if reply.example.key not in answered:
                file.append(reply_row(reply) | {"by": by})
    file.close()
    kept = f" ({len(answered)} were there before)" if answered else ""
    say(f"{len(examples)} replies in {command.out}{kept}")


def _answered(command: Generate, examples: list[Example], by: str) -> set[str]:
    """The keys that the output has replies to already. Raises ValueError where it is the output of something else."""
    if not command.out.exists():
        return set()
    rows = list(read_jsonl(command.out))
    keys = [row["key"] for row in rows]
    others = sorted({str(row.get("by")) for row in rows} - {by})
    if others or keys != [example.key for example in examples[: len(keys)]]:
        held = f"replies by {others[0]!r}" if others else "replies to other dialogues"
        raise ValueError(
            f"{command.out} holds {held}, expected those by {by!r} to {command.data}: choose another file."
        )
    return set(keys)


def _filling(command: Generate, examples: list[Example]) -> Callable[[list[Reply]], list[Reply]]:
    """What puts titles into masked replies: a recommender, or nothing."""
    if command.fill is None:
        return lambda replies: replies
    from trimtab.dialogue.formats.reading import read_examples
    from trimtab.dialogue.recommenders import filled
    from trimtab.dialogue.recommending import recommender_of

    training = read_examples(command.training).good if command.fill == "popularity" else []
    recommender = recommender_of(command.fill, catalogue_for([*examples, *training]), training)
    return lambda replies: filled(replies, recommender)


def _batches(examples: list[Example], size: int) -> Iterator[list[Example]]:
    yield from (examples[start : start + size] for start in range(0, len(examples), size))
