"""Are the field's numbers what hand and published packages say?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.samples import example, reply
from trimtab.dialogue import metrics
from trimtab.dialogue.example import Catalogue, Reply
from trimtab.dialogue.rewards.overlap import Bleu, Rouge

SAID, WANTED = ["the", "cat", "sat", "on", "the", "mat"], ["the", "cat", "is", "on", "the", "mat", "now"]


def test_bleu_of_one_order_by_hand() -> None:
    brevity = math.exp(1 - 7 / 6)
    assert metrics.bleu_of_order(SAID, WANTED, 1) == pytest.approx(brevity * 5 / 6)  # the cat on the mat
    assert metrics.bleu_of_order(SAID, WANTED, 2) == pytest.approx(brevity * 3 / 5)  # the cat, on the, the mat
    assert metrics.bleu_of_order(SAID, WANTED, 3) == pytest.approx(brevity * 1 / 4)  # on the mat
    assert metrics.bleu_of_order(SAID, WANTED, 4) == 0.0
    assert (
        metrics.bleu_of_order(["the"] * 4, ["the", "cat"], 1) == 0.25
    )  # clipped; longer than the reference: no brevity
    assert metrics.bleu_of_order([], WANTED, 1) == 0.0


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.lists(st.sampled_from("abc"), min_size=1, max_size=8)
)
def test_bleu_of_order_one_is_sacrebleus(said: list[str], wanted: list[str]) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    metric = sacrebleu.BLEU(max_ngram_order=1, effective_order=True, smooth_method="none", tokenize="none")
    theirs = metric.sentence_score(" ".join(said), [" ".join(wanted)]).score / 100
    assert metrics.bleu_of_order(said, wanted, 1) == pytest.approx(theirs)


def test_overlap_parts_are_the_published_packages() -> None:
    sacrebleu, rouge = pytest.importorskip("sacrebleu"), pytest.importorskip("rouge_score.rouge_scorer")
    one = reply(" ".join(SAID), " ".join(WANTED))
    metric = sacrebleu.BLEU(effective_order=True, lowercase=True)
    assert Bleu()([one]) == [pytest.approx(metric.sentence_score(one.text, [one.example.reference]).score / 100)]
    theirs = rouge.RougeScorer(["rougeL"]).score(one.example.reference, one.text)["rougeL"].fmeasure
    assert Rouge()([one]) == [theirs] == [pytest.approx(2 * (5 / 6) * (5 / 7) / (5 / 6 + 5 / 7))]  # the cat on the mat
    assert Bleu()([reply("", "a b")]) == Rouge()([reply("", "a b")]) == [0.0]
    with pytest.raises(ValueError, match="example 'one' has none: leave the part out"):
        Bleu()([reply("a", "")])


def test_distinct_by_both_normalisations() -> None:
    texts = [["a", "b", "a"], ["a", "b"]]
    assert metrics.distinct(texts, 1) == 2 / 5
    assert metrics.distinct(texts, 2) == 2 / 3  # ab, ba, ab
    assert metrics.distinct_per_sentence(texts, 2) == 1.0  # two different over two sentences
    assert metrics.distinct(texts, 4) == 0.0
    assert metrics.unique_share([*texts, texts[0]]) == 2 / 3
    assert metrics.ngram_entropy([["a", "b", "a", "b"]], 1) == pytest.approx(math.log(2))
    assert metrics.expectation_adjusted_distinct([["a", "b"]], 1, 2) == pytest.approx(2 / (2 * (1 - 0.25)))


def test_diversity_at_one_budget_does_not_reward_short_corpora() -> None:
    random = np.random.default_rng(0)
    words = [[str(w) for w in random.integers(50, size=10)] for _ in range(60)]
    assert metrics.distinct(words[:10], 1) > 2 * metrics.distinct(words, 1)
    few, many = (metrics.distinct_at_budget(texts, 1, 50) for texts in (words[:10], words))
    assert few == pytest.approx(many, abs=0.05)
    assert metrics.distinct_at_budget([["a", "b"], ["c", "d"]], 1, 2) == 1.0
    with pytest.raises(ValueError, match="2 words for a budget of 3"):
        metrics.distinct_at_budget([["a", "b"]], 1, 3)


def test_recall_and_mrr_by_hand() -> None:
    ranked, wanted = [["a", "b", "c"], ["b", "a", "c"]], [["a", "c"], ["a"]]
    assert metrics.recall_at(ranked, wanted, 1) == 1 / 3
    assert metrics.recall_at(ranked, wanted, 2) == 2 / 3
    assert metrics.mrr_at(ranked, wanted, 3) == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)
    assert metrics.mrr_at(ranked, wanted, 2) == pytest.approx((1 + 0 + 1 / 2) / 3)
    with pytest.raises(ValueError, match="no items are wanted"):
        metrics.recall_at([["a"]], [[]], 1)
    with pytest.raises(ValueError, match="names an item twice"):
        metrics.recall_at([["a", "a"]], [["a"]], 1)


def test_auc_by_hand_and_by_batches() -> None:
    assert metrics.auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert metrics.auc([1, 1, 1], [1, 0, 0]) == 0.5
    assert metrics.batch_auc([0.1, 0.4, 0.35, 0.8], [0, 1, 0, 1], 2) == 1.0
    for scores, labels in (([1.0, 2.0], [1, 1]), ([1.0], [1, 0]), ([math.nan, 1.0], [0, 1])):
        with pytest.raises(ValueError, match="labels 1 and 0 both"):
            metrics.auc(scores, labels)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=12))
def test_auc_is_the_share_of_pairs(pairs: list[tuple[int, bool]]) -> None:
    positive, negative = ([score for score, label in pairs if label is wanted] for wanted in (True, False))
    if positive and negative:
        won = [float(a > b) + 0.5 * (a == b) for a in positive for b in negative]
        found = metrics.auc([float(s) for s, _ in pairs], [float(label) for _, label in pairs])
        assert found == pytest.approx(sum(won) / len(won))


def test_items_are_counted_with_masked_ones() -> None:
    catalogue = Catalogue({"Up (2009)": (), "Up in the Air (2009)": ()}, mask="<movie>")
    said = [reply("see Up in the Air (2009) or up 2009 !"), reply("<movie> or <movie>"), reply("no")]
    assert metrics.item_ratio(said, catalogue) == 4 / 3
    assert catalogue.find("up in the air 2009") == ["Up in the Air (2009)"]


def test_all_together_and_nothing_at_all() -> None:
    replies = [Reply(example("a b c"), "a b c"), Reply(example("d e f"), "")]
    found = metrics.means(metrics.per_reply(replies)) | metrics.corpus(replies)
    assert found["bleu_ecr@1"] == found["rouge_l"] == 0.5
    assert (found["words"], found["dist@1"], found["dist_ecr@1"]) == (1.5, 1.0, 1.5)
    assert metrics.corpus([Reply(example("a"), "")])["dist@1"] == 0.0
    with pytest.raises(ValueError, match="nothing to evaluate"):
        metrics.corpus([])
