"""Which commands does this room have, and what can be set? ``trimtab dialogue <verb>``, as frozen recipes.

Light to import: whatever needs torch is imported by ``run``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from trimtab.dialogue import training_recipe
from trimtab.dialogue.reward_recipe import Reward, RewardSettings


@dataclass(frozen=True)
class Audit:
    """Find out whether a reward can be trusted, on the replies of a data set: constant, saturated, or cheated?"""

    data: str = "moods:test:500"
    """A file of dialogues (ReDial raw or processed, INSPIRED, instructions, trimtab's own), or moods:SPLIT:COUNT."""
    format: str = "auto"
    """redial, processed, inspired, instructions, dialogues; auto: by its first lines."""
    replies: Path | None = None
    """A model's replies (`trimtab dialogue generate`) instead of the references of --data."""
    limit: int = 500
    """At most so many replies, the first ones."""
    reward: Reward = RewardSettings()
    json: Path | None = None
    """Write the numbers to this file."""

    def run(self) -> int:
        from trimtab.dialogue.verbs_of_rewards import audit_data

        return audit_data(self)


@dataclass(frozen=True)
class Prepare:
    """Turn raw ReDial (or INSPIRED) into processed turns, instructions, or trimtab's own dialogues."""

    input: Path
    """The file to read."""
    output: Path
    """The JSON Lines file to write; what cannot be read goes to OUTPUT.rejected.jsonl."""
    format: str = "auto"
    """Of the input: redial, processed, inspired, instructions, dialogues."""
    to: Literal["processed", "titles", "instructions", "dialogues"] = "dialogues"
    """processed: ECR's rows with <movie> slots (from redial alone); titles: the same with titles; instructions:
    instruction, input, output; dialogues: turns, prompt, reference, facts."""
    template: str = "llama2"
    """Of the prompts in `dialogues`: llama2, plain, moods, or chat (the tokenizer's own)."""
    tokenizer: str | None = None
    """For the template chat: the tokenizer's hub id or path."""

    def run(self) -> None:
        from trimtab.dialogue.verbs_of_rewards import prepare_data

        prepare_data(self)


@dataclass(frozen=True)
class Score:
    """Have a language model judge the replies of a file, on five rubrics. Run it again to go on where it stopped."""

    input: Path
    """Replies as `trimtab dialogue generate` writes them."""
    output: Path
    """Scores, a line per reply, in its order."""
    model: str = "zoo:chat"
    """The judge: a local chat model, or the model's name at the endpoint."""
    endpoint: str | None = None
    """A server with OpenAI's chat interface, up to /v1; None: a local model."""
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the endpoint's key."""
    cache: Path | None = Path("runs/judge-cache.jsonl")
    """Scores by judge, dialogue and reply, kept for all files."""
    device: str | None = None
    """Where a local judge runs."""
    against: Path | None = None
    """Another judge's scores of the same replies: print how far the two agree."""

    def run(self) -> None:
        from trimtab.dialogue.verbs_of_rewards import score_file

        score_file(self)


@dataclass(frozen=True)
class FitEmpathy:
    """Fit the empathy head to labelled replies, and tell its AUC on replies held out."""

    out: Path
    """The folder to write."""
    data: str | None = None
    """Dialogues whose references carry a label (INSPIRED's strategies, or `label` among the facts); None: the embedded
    task's."""
    format: str = "auto"
    epochs: int = 20
    hidden: int = 128
    """Hidden units; 0: logistic regression."""
    seed: int = 0

    def run(self) -> None:
        from trimtab.dialogue.verbs_of_rewards import fit_empathy

        fit_empathy(self)


@dataclass(frozen=True)
class Evaluate:
    """Measure the replies of a file: overlap, diversity, items, reward, and the exact judge on the embedded task."""

    replies: tyro.conf.Positional[Path]
    """Replies as `trimtab dialogue generate` writes them."""
    reward: Reward = RewardSettings()
    judged: Path | None = None
    """Scores of these replies (`trimtab dialogue score`); None: REPLIES.scores.jsonl, where it exists."""
    model: str | None = None
    """The model that gave the replies: its KL divergence to --reference-model is measured on them."""
    reference_model: str = "zoo:dialogue"
    """What that KL is measured to."""
    context_max_length: int = 256
    """Tokens of a prompt that the model read."""
    recommender: str | None = None
    """Rank the items for these dialogues (recall@k, mrr@k, AUC): popularity, similarity, or your module:function."""
    training: str = "moods:train:1000"
    """The dialogues in which popularity counts items."""
    json: Path | None = None
    """Write the numbers to this file."""

    def run(self) -> None:
        from trimtab.dialogue.verbs_of_rewards import evaluate_file

        evaluate_file(self)


@dataclass(frozen=True)
class Compare:
    """Compare models with a base: paired, corrected, over seeds. Verdict: improved, not shown, or hacked."""

    arms: tyro.conf.Positional[tuple[str, ...]]
    """The base, then the others: NAME=FOLDER, a file of replies per seed in each folder, to the same prompts. A judge's
    scores of 0.jsonl are taken from 0.scores.jsonl, where it exists."""
    reward: Reward = RewardSettings()
    json: Path | None = None
    """Write the numbers to this file."""
    html: Path | None = None
    """Write a page with transcripts side by side."""
    force: bool = False
    """Compare fewer than three seeds."""

    def run(self) -> None:
        from trimtab.dialogue.verbs_of_rewards import compare_arms

        compare_arms(self)


VERBS: dict[str, type] = {
    "prepare": Prepare,
    "audit": Audit,
    "fit-empathy": FitEmpathy,
    "evaluate": Evaluate,
    "compare": Compare,
    "score": Score,
    **training_recipe.VERBS,
}
RECIPES: dict[str, dict[str, object]] = training_recipe.RECIPES
