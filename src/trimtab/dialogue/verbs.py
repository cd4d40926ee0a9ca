"""What do the verbs that train and use models do? They put data, rubric, model and run together, and say what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trimtab.checkpoints import replace_file
from trimtab.console import print_update, say
from trimtab.dialogue import models, sources
from trimtab.dialogue.answering import Manner, answer
from trimtab.dialogue.best_of import best_of
from trimtab.dialogue.example import Example, Turn
from trimtab.dialogue.formats.others import reply_row
from trimtab.dialogue.ppo.building import Lora
from trimtab.dialogue.verbs_of_rewards import rubric_for
from trimtab.tracking import Jsonl, read_jsonl

if TYPE_CHECKING:
    from trimtab.dialogue.training_recipe import Chat, Generate, Sft, Train


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

    return fine_tune(models.located(command.model_name), examples, settings, run.path / "trainer", log=log)


def _report_supervised(command: Sft, model: Any, tokenizer: Any, run: Any) -> None:
    from trimtab.dialogue.sft import reply_perplexity

    held_out = sources.examples_of(command.validation)
    perplexity = reply_perplexity(model, tokenizer, held_out)
    manner = Manner(context_max_length=command.context_max_length, reply_max_length=command.resp_max_length)
    for reply in answer(model, tokenizer, held_out[:3], manner):
        say(f"  {reply.example.latest}", f"    -> {reply.text}")
    replace_file(
        run.path / "summary.json",
        lambda scratch: scratch.write_text(json.dumps({"perplexity": perplexity}, indent=2) + "\n"),
    )
    say(f"perplexity {perplexity:.2f} on {len(held_out)} held-out replies; the model is in {run.path / models.MODEL}")


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
    command.out.parent.mkdir(parents=True, exist_ok=True)
    answered = {row["key"] for row in read_jsonl(command.out)} if command.out.exists() else set[str]()
    manner = Manner(
        command.temperature, command.seed, command.context_max_length, command.resp_max_length, command.batch_size
    )
    rubric = rubric_for(command.reward, examples) if command.best_of > 1 else None
    file = Jsonl(command.out)
    for number, batch in enumerate(_batches(examples, command.batch_size)):
        if {example.key for example in batch} <= answered:
            continue
        if rubric is None:
            replies = answer(model, tokenizer, batch, manner, draw=number)
        else:
            noisy = replace(manner, seed=command.seed + 1000 * number)
            replies = best_of(model, tokenizer, batch, rubric, command.best_of, noisy)
        for reply in replies:
            if reply.example.key not in answered:
                file.append(reply_row(reply))
    file.close()
    say(f"{len(examples)} replies in {command.out}")


def _batches(examples: list[Example], size: int) -> Iterator[list[Example]]:
    yield from (examples[start : start + size] for start in range(0, len(examples), size))


# -- chat --------------------------------------------------------------------------------------------------------------


def chat(command: Chat) -> None:
    """``trimtab dialogue chat``: until an empty line or the end of the input."""
    model, tokenizer = models.load(command.model)
    manner = Manner(command.temperature, command.seed, reply_max_length=command.resp_max_length)
    rubric = _chat_rubric()
    turns: list[Turn] = []
    say("An empty line ends the talk. (The embedded model knows small letters, and a space before each full stop.)")
    for number, line in enumerate(_lines()):
        turns.append(Turn("user", line))
        example = Example("chat", tuple(turns), _prompt(tokenizer, turns), "")
        reply = answer(model, tokenizer, [example], manner, draw=number)[0]
        print(f"model> {reply.text}{'' if reply.ended else ' (cut)'}", flush=True)
        graded = rubric.breakdown([reply]).row(0)["raw"]
        print("       " + " | ".join(f"{name} {value:.2f}" for name, value in graded.items()), flush=True)
        turns.append(Turn("system", reply.text))


def _chat_rubric() -> Any:
    from trimtab.dialogue.rewards.parts import rubric_of

    return rubric_of({"distinct": "0.5", "length": "1", "repetition": "1"})


def _prompt(tokenizer: Any, turns: list[Turn]) -> str:
    if tokenizer.chat_template is None:
        raise ValueError("the model's tokenizer has no chat template: chat with a model that has one")
    roles = {"user": "user", "system": "assistant"}
    messages = [{"role": roles[turn.speaker], "content": turn.text} for turn in turns]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _lines() -> Iterator[str]:
    while True:
        try:
            line = input("you> ").strip()
        except EOFError:
            return
        if not line:
            return
        yield line
