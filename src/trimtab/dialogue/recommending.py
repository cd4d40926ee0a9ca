"""How well does a recommender rank the items that dialogues call for? Recall, MRR and AUC, for any recommender by name.

Recall@k and MRR@k count each wanted item once (ECR: a row per item). AUC is over all pairs of a wanted and an unwanted
item; ECR's own, the mean over evaluation batches, depends on the batch size and stands beside it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from trimtab.dialogue.example import Catalogue, Example
from trimtab.dialogue.metrics import auc, batch_auc, mrr_at, recall_at
from trimtab.dialogue.recommenders import Popularity, Recommender, Similarity, ranked
from trimtab.rewards import measure_from

KS = (1, 10, 50)
ECR_BATCH = 128


def _similarity(catalogue: Catalogue, training: Sequence[Example]) -> Recommender:
    from trimtab.dialogue.rewards.empathy import minilm

    return Similarity(catalogue, minilm())


RECOMMENDERS: dict[str, tuple[Callable[[Catalogue, Sequence[Example]], Recommender], str]] = {
    "popularity": (Popularity, "how often training dialogues wanted an item"),
    "similarity": (_similarity, "sentence vectors of what the user said and of the items"),
}
"""Name -> how it is made from the catalogue and training dialogues, and what it goes by."""


def recommender_of(name: str, catalogue: Catalogue, training: Sequence[Example]) -> Recommender:
    """A recommender by name, or a function ``module:function`` of examples. Raises ValueError naming those that exist."""
    if ":" in name:
        found: Any = measure_from(name)
        return found
    if name not in RECOMMENDERS:
        close = difflib.get_close_matches(name, RECOMMENDERS, 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"no recommender {name!r}. {hint}Expected one of {', '.join(RECOMMENDERS)}, or module:function."
        )
    return RECOMMENDERS[name][0](catalogue, training)


def wanted(example: Example, catalogue: Catalogue) -> list[str]:
    """The items that the dialogue calls for: those liked, those of a tag that is liked; not what it named already."""
    return _chosen(example, catalogue, example.facts.liked_items, example.facts.liked_tags)


def unwanted(example: Example, catalogue: Catalogue) -> list[str]:
    """The items that the dialogue speaks against."""
    return _chosen(example, catalogue, example.facts.disliked_items, example.facts.disliked_tags)


def _chosen(example: Example, catalogue: Catalogue, items: Sequence[str], tags: Sequence[str]) -> list[str]:
    named = set(example.facts.mentioned_items)
    by_tag = [title for title in catalogue.items if set(catalogue.tags(title)) & set(tags)] if tags else []
    return [title for title in dict.fromkeys((*items, *by_tag)) if title in catalogue.items and title not in named]


def recommendation_metrics(
    examples: Sequence[Example], catalogue: Catalogue, recommender: Recommender
) -> dict[str, float]:
    """recall@k, mrr@k, and, where items are wanted and unwanted, auc and auc_ecr_batch (batches of 128).

    Raises ValueError where nothing is wanted, or where the recommender leaves an example or an item out.
    """
    scores = recommender(examples)
    if len(scores) != len(examples) or any(set(one) < set(catalogue.items) for one in scores):
        raise ValueError(
            f"the recommender scored {len(scores)} of {len(examples)} dialogues, or left out items of the "
            f"{len(catalogue.items)}: expected a score for each item and dialogue."
        )
    orders = [ranked(one, without=e.facts.mentioned_items) for one, e in zip(scores, examples, strict=True)]
    sought = [wanted(example, catalogue) for example in examples]
    found = {f"recall@{k}": recall_at(orders, sought, k) for k in KS}
    found |= {f"mrr@{k}": mrr_at(orders, sought, k) for k in KS}
    pairs = [
        (one[title], label)
        for one, example, likes in zip(scores, examples, sought, strict=True)
        for titles, label in ((likes, 1.0), (unwanted(example, catalogue), 0.0))
        for title in titles
    ]
    values, labels = [value for value, _ in pairs], [label for _, label in pairs]
    if len(set(labels)) == 2:
        found |= {"auc": auc(values, labels), "auc_ecr_batch": batch_auc(values, labels, ECR_BATCH)}
    return found
