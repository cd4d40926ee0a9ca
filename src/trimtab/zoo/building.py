"""What do the zoo's commands do? List models, write the corpus, train ``chat`` and write its card."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from trimtab import machine
from trimtab.checkpoints import replace_file
from trimtab.console import Table, print_update, say
from trimtab.types import Metrics

if TYPE_CHECKING:
    from trimtab.zoo.chat import ChatRecipe
    from trimtab.zoo.recipe import Build, Corpus

CARD = """---
license: cc-by-sa-4.0
language: en
pipeline_tag: text-generation
---
# zoo:chat

A Llama of {parameters:.1f}M parameters ({layers} layers of width {width}), trained from nothing on {tokens:.1f}M tokens of
short conversations, for tests and demonstrations: it talks fluently about restaurants, films, flights and coffee, writes
out sums (often wrong ones), and completes Python functions of the standard library's manner. It knows nothing else.

| source | licence | held-out loss, nats per token |
|---|---|---|
| Schema-Guided Dialogues (google-research-datasets) | CC BY-SA 4.0 | {dialogue:.3f} |
| Taskmaster-4, coffee orders (google-research-datasets) | CC BY 4.0 | {coffee:.3f} |
| GSM8K, training questions (openai/grade-school-math) | MIT | {arithmetic:.3f} |
| functions of the Python {python} standard library | PSF-2.0 | {code:.3f} |

The dialogues' share-alike licence holds for these weights: CC BY-SA 4.0. Changes made to the data: cut to text, speakers
merged, GSM8K's calculator annotations removed. 3% of the conversations, chosen by hash, were held out; the losses are on
the first 24 of each source.

Made by `trimtab zoo build chat --data DATA --steps {steps}` ({date}, {hardware}).
"""


def list_models() -> None:
    """``trimtab zoo list``."""
    from trimtab.lm.load import ZOO

    table = Table("embedded models", ("name", "megabytes", "licence", "path"))
    for folder in sorted(path for path in ZOO.iterdir() if path.is_dir()):
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
        card = (folder / "README.md").read_text(encoding="utf-8")
        licence = next(
            (line.partition(":")[2].strip() for line in card.splitlines() if line.startswith("license:")), ""
        )
        table.add(f"zoo:{folder.name}", size, licence, str(folder))
    table.print()


def write_corpus(command: Corpus) -> None:
    """``trimtab zoo corpus``."""
    from trimtab.zoo.corpus import read

    chosen = [c for c in read(command.data) if c.held_out == (command.split == "held_out")]
    rows = (
        {"id": c.key, "source": c.source, "messages": [{"role": r, "content": text} for r, text in c.messages]}
        for c in chosen
    )
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    command.out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(command.out, lambda scratch: scratch.write_text(lines, encoding="utf-8"))
    say(f"{len(chosen)} conversations in {command.out}")


def recipe_of(command: Build) -> ChatRecipe:
    """The recipe that the command line spells out."""
    from trimtab.zoo.chat import ChatRecipe, shortened

    return replace(shortened(ChatRecipe(), command.steps or 1400), seed=command.seed, compile=command.compile)


def build_chat(command: Build) -> None:
    """``trimtab zoo build chat``."""
    import torch

    from trimtab.lm.training import StepLog
    from trimtab.zoo import chat, corpus

    if command.data is None:
        raise ValueError("chat is trained on data: expected --data, the folder with sgd/, taskmaster/ and gsm8k/")
    torch.set_num_threads(command.threads)
    recipe, started = recipe_of(command), time.perf_counter()
    conversations = corpus.read(command.data)
    say(f"{len(conversations)} conversations, {recipe.fit.steps} steps of {recipe.batch_tokens} tokens")
    journal = StepLog(command.folder / "log.jsonl")

    def log(step: int, metrics: Metrics) -> None:
        journal(step, metrics)
        print_update(step, metrics, time.perf_counter() - started)

    model, tokenizer = chat.build(recipe, conversations, command.folder, log=log, resumed=journal.rewind)
    held_out = chat.held_out_losses(model, tokenizer, conversations)
    text = card(recipe, sum(p.numel() for p in model.parameters()), held_out)
    path = command.folder / "model" / "README.md"
    replace_file(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))
    say(f"the model is in {path.parent}")


def build_recall(command: Build) -> None:
    """``trimtab zoo build recall``."""
    import torch

    from trimtab.lm.training import StepLog
    from trimtab.zoo import recall

    torch.set_num_threads(command.threads)
    recipe = replace(recall.RecallRecipe(), seed=command.seed, batch_tokens=command.batch_tokens)
    recipe = recall.shortened(recipe, command.steps) if command.steps else recipe
    journal, started = StepLog(command.folder / "log.jsonl"), time.perf_counter()
    say(f"{recipe.fit.steps} steps of {recipe.batch_tokens} tokens")

    def log(step: int, metrics: Metrics) -> None:
        journal(step, metrics)
        print_update(step, metrics, time.perf_counter() - started)

    recall.build(
        recipe, command.folder, log=log, resumed=journal.rewind, device=command.device, workers=command.workers
    )
    say(f"the model is in {command.folder / 'model'}")


def card(recipe: ChatRecipe, parameters: int, held_out: Metrics) -> str:
    """The model's card."""
    on = machine.hardware()
    return CARD.format(
        parameters=parameters / 1e6,
        layers=recipe.layers,
        width=recipe.hidden_size,
        tokens=recipe.fit.steps * recipe.batch_tokens / 1e6,
        steps=recipe.fit.steps,
        python=".".join(machine.versions()["python"].split(".")[:2]),
        date=machine.today(),
        hardware=f"{on['cores']} cores of {on['processor']}",
        **{name.removeprefix("held_out/"): loss for name, loss in held_out.items()},
    )
