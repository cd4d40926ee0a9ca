"""Do recommenders rank what dialogues call for, and are they measured as the field does?"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dialogue.samples import embed, example, reply
from trimtab.dialogue.example import Catalogue, Example, Reply
from trimtab.dialogue.recommenders import Popularity, Similarity, filled, ranked
from trimtab.dialogue.recommending import recommendation_metrics, recommender_of, unwanted, wanted
from trimtab.dialogue.tasks.moods import Moods
from trimtab.dialogue.tasks.moods_judge import CATALOGUE as MOODS

CATALOGUE = Catalogue({"Up": ("comedy",), "Saw": ("horror",), "Cars": ("comedy",), "It": ("horror",)})


def by_name(examples: Sequence[Example]) -> list[dict[str, float]]:
    """A recommender of one's own."""
    return [dict(zip(CATALOGUE.items, (4.0, 3.0, 2.0, 1.0), strict=True)) for _ in examples]


def test_popularity_counts_what_training_wanted() -> None:
    training = [example("x", "hi", liked_items=items) for items in (("Saw", "Up"), ("Saw",))]
    scores = Popularity(CATALOGUE, training)([example("x")])[0]
    assert scores == {"Up": 1.0, "Saw": 2.0, "Cars": 0.0, "It": 0.0}
    assert ranked(scores) == ["Saw", "Up", "Cars", "It"]
    assert ranked(scores, without=["Saw"]) == ["Up", "Cars", "It"]
    with pytest.raises(ValueError, match="popularity cannot be told"):
        Popularity(CATALOGUE, [example("x")])


def test_similarity_reads_tags_from_what_was_said() -> None:
    scores = Similarity(CATALOGUE, embed)([example("x", "some comedy please")])[0]
    assert set(ranked(scores)[:2]) == {"Up", "Cars"}
    assert Similarity(CATALOGUE, embed)([]) == []


def test_measures_by_hand() -> None:
    asked = [
        example("x", "hi", liked_items=("Up",), disliked_items=("Saw",)),
        example("x", "hi", liked_tags=("horror",), disliked_tags=("comedy",), mentioned_items=("Up",)),
    ]
    assert wanted(asked[1], CATALOGUE) == ["Saw", "It"]
    assert unwanted(asked[1], CATALOGUE) == ["Cars"]
    found = recommendation_metrics(asked, CATALOGUE, by_name)
    assert found["recall@1"] == 2 / 3  # Up; Saw, first once Up is left out; not It
    assert found["recall@10"] == 1.0
    assert found["mrr@10"] == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert found["auc"] == pytest.approx((2 + 1.5 + 0) / 6)  # wanted 4, 3, 1 against unwanted 3, 2
    assert found["auc"] == found["auc_ecr_batch"]  # one batch
    assert "auc" not in recommendation_metrics([example("x", "hi", liked_items=("Up",))], CATALOGUE, by_name)


def test_a_recommender_must_score_everything() -> None:
    with pytest.raises(ValueError, match="expected a score for each item and dialogue"):
        recommendation_metrics([example("x", "hi", liked_items=("Up",))], CATALOGUE, lambda examples: [{"Up": 1.0}])
    with pytest.raises(ValueError, match="no items are wanted"):
        recommendation_metrics([example("x")], CATALOGUE, by_name)


def test_recommenders_by_name() -> None:
    found = recommender_of("dialogue.test_recommending:by_name", CATALOGUE, [])
    assert found([example("x")]) == by_name([example("x")])
    with pytest.raises(
        ValueError, match=r"no recommender 'popular'. Did you mean 'popularity'\? Expected one of popularity"
    ):
        recommender_of("popular", CATALOGUE, [])


def test_similarity_hears_what_is_named_not_whether_it_is_liked() -> None:
    examples = Moods().examples("test", 60)
    recommender = recommender_of("similarity", MOODS, [])
    first = [(made, ranked(found)[:5]) for made, found in zip(examples, recommender(examples), strict=True)]
    named = [
        bool({*MOODS.items[title]} & {*made.facts.liked_tags, *made.facts.disliked_tags})
        for made, titles in first
        for title in titles
    ]
    assert sum(named) / len(named) > 0.5  # two of eight genres are named: by chance 0.25
    found = recommendation_metrics(examples, MOODS, recommender)
    assert found["recall@10"] > 0.5
    assert found["auc"] < 0.6


def test_masked_titles_are_filled_in() -> None:
    asked = example("x", "hi", mentioned_items=("Up",))
    (made,) = filled([Reply(asked, "<movie> or <movie> ?", ended=False, tokens=3)], by_name)
    assert (made.text, made.ended, made.tokens) == ("Saw or Cars ?", False, 3)
    with pytest.raises(ValueError, match="more <movie>"):
        filled([Reply(asked, "<movie> " * 4)], by_name)
    assert filled([reply("no slot")], by_name)[0].text == "no slot"
