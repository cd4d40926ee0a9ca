"""How does one talk to a trained model? Line by line in the terminal, the parts of its reward below each reply."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.console import say
from trimtab.dialogue import models
from trimtab.dialogue.answering import Manner, answer
from trimtab.dialogue.example import Catalogue, Example, Facts, Turn
from trimtab.dialogue.heard import facts_heard
from trimtab.dialogue.reward_recipe import RewardSettings
from trimtab.dialogue.tasks.moods import USER
from trimtab.dialogue.tasks.moods_judge import CATALOGUE
from trimtab.dialogue.templates import template_of
from trimtab.rewards import Rubric

if TYPE_CHECKING:
    from trimtab.dialogue.training_recipe import Chat

NEED_A_REFERENCE = ("bleu", "rouge")


def chat(command: Chat) -> None:
    """``trimtab dialogue chat``: until an empty line or the end of the input."""
    model, tokenizer = models.load(command.model)
    manner = Manner(
        command.temperature, command.seed, command.context_max_length, reply_max_length=command.resp_max_length
    )
    catalogue = catalogue_of_chat(tokenizer, command.items)
    rubric = rubric_of_chat(reward_of(command), catalogue)
    template = template_of(command.template, tokenizer)
    say("An empty line ends the talk.")
    if catalogue is CATALOGUE:
        say("The embedded model knows small letters, and a space before each full stop: i feel so down today .")
    turns: list[Turn] = []
    for number, line in enumerate(_lines()):
        turns.append(Turn("user", line))
        facts = facts_heard(turns, catalogue) if catalogue else Facts()
        example = Example("chat", tuple(turns), template(command.instruction, turns), "", facts)
        reply = answer(model, tokenizer, [example], manner, draw=number)[0]
        print(f"model> {reply.text or '(nothing)'}{'' if reply.ended else ' (cut)'}", flush=True)
        print(f"       {shown(rubric, reply)}", flush=True)
        turns.append(Turn("system", reply.text))


def shown(rubric: Rubric[Any], reply: Any) -> str:
    """The reward of a reply, and what each part measured and adds to it."""
    graded = rubric.breakdown([reply])
    row = graded.row(0)
    parts = [f"{name} {row['raw'][name]:.2f} ({row['weighted'][name]:+.2f})" for name in graded.weights]
    gate = f" | closed by {graded.gated[0]}" if graded.gated[0] else ""
    return f"reward {graded.values[0]:.2f} = {' | '.join(parts)}{gate}"


def reward_of(command: Chat) -> RewardSettings:
    """The reward that the run was trained on, where ``model`` is such a run and no other was asked for."""
    from trimtab.dialogue.training_recipe import Train

    path = Path(command.model)
    if command.reward != RewardSettings() or not (path / "recipe.yaml").is_file():
        return command.reward
    if "class: Train\n" not in (path / "recipe.yaml").read_text(encoding="utf-8"):
        return command.reward
    from trimtab.dialogue.running import recipe_in

    return recipe_in(path, Train).reward


def catalogue_of_chat(tokenizer: Any, items: str | None) -> Catalogue | None:
    """The items of the dialogues ``items``, or for the embedded model its own; None where there are none."""
    if items is not None:
        from trimtab.dialogue.formats.reading import read_examples
        from trimtab.dialogue.reward_making import catalogue_for

        return catalogue_for(read_examples(items).good)
    return CATALOGUE if USER in tokenizer.get_vocab() else None


def rubric_of_chat(settings: RewardSettings, catalogue: Catalogue | None) -> Rubric[Any]:
    """The parts of a reward that a talk can be graded by; says which are left out."""
    from trimtab.dialogue.reward_making import rubric_with

    left = [name for name in NEED_A_REFERENCE if settings.counts(name)]
    if left:
        say(f"left out of the reward, since a talk has no reference: {', '.join(left)}")
    if catalogue is None and settings.counts("recommendation"):
        left.append("recommendation")
        say("left out of the reward, since no items are known (--items DATA): recommendation")
    weights = {name: weight for name, weight in settings.weights().items() if name not in left}
    if not any(settings.counts(name) for name in weights):
        raise ValueError("no part of the reward can be told in a talk: add one by --part, such as length=1.")
    return rubric_with(settings, weights, catalogue)


def _lines() -> Iterator[str]:
    while True:
        try:
            line = input("you> ").strip()
        except EOFError:
            return
        if not line:
            return
        yield line
