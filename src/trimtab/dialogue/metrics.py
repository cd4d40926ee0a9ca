"""How good are the replies to a whole set of dialogues? The field's numbers, and those of ECR beside them.

Two normalisations of distinct-n go by one name in papers: over all n-grams (``dist@k``; Li et al., NAACL 2016) and over
sentences (``dist_ecr@k``, which exceeds 1). ECR's ``bleu_ecr@k`` is the mean over replies of BLEU of order k alone, without
smoothing (Zhang et al., RecSys 2024). ``bleu`` is sacrebleu's, of the corpus. Words are split at white space.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from trimtab.dialogue.example import Catalogue, Reply
from trimtab.dialogue.rewards.diversity import ngrams
from trimtab.dialogue.rewards.overlap import Bleu, Rouge, package

Words = list[str]
ORDERS = (1, 2, 3, 4)


def words_of(text: str) -> list[str]:
    """Lower-case words."""
    return text.lower().split()


# -- overlap -----------------------------------------------------------------------------------------------------------


def bleu_of_order(reply: Words, reference: Words, order: int) -> float:
    """BLEU with all weight on one order, unsmoothed, with the brevity penalty: 0 where no n-gram is shared."""
    said, wanted = Counter(ngrams(reply, order)), Counter(ngrams(reference, order))
    shared = sum((said & wanted).values())
    if not shared:
        return 0.0
    brevity = min(1.0, math.exp(1 - len(reference) / len(reply)))
    return brevity * shared / sum(said.values())


def corpus_bleu(replies: Sequence[Reply]) -> float:
    """sacrebleu's corpus BLEU in [0, 1], without regard to case."""
    metric = package("sacrebleu.metrics").BLEU(lowercase=True)
    return metric.corpus_score([r.text for r in replies], [[r.example.reference for r in replies]]).score / 100


# -- diversity ---------------------------------------------------------------------------------------------------------


def distinct(texts: Sequence[Words], order: int) -> float:
    """Different n-grams over all n-grams; 0 where there is none."""
    grams = [gram for words in texts for gram in ngrams(words, order)]
    return len(set(grams)) / len(grams) if grams else 0.0


def distinct_per_sentence(texts: Sequence[Words], order: int) -> float:
    """Different n-grams over texts, as ECR's code counts (``dist@k`` there)."""
    return len({gram for words in texts for gram in ngrams(words, order)}) / len(texts) if texts else 0.0


def distinct_at_budget(
    texts: Sequence[Words], order: int, budget_words: int, *, draws: int = 20, seed: int = 0
) -> float:
    """Different n-grams over all, within the first ``budget_words`` words of the texts in random order: the mean of draws.

    Distinct-n falls with the length of the corpus; at one budget, short and long replies compare. Raises ValueError
    where the texts have fewer words.
    """
    if sum(map(len, texts)) < budget_words or budget_words < order:
        raise ValueError(
            f"{sum(map(len, texts))} words for a budget of {budget_words}: expected as many at least, and {order} words."
        )
    random = np.random.default_rng(seed)
    found = [
        distinct(_within([texts[i] for i in random.permutation(len(texts))], budget_words), order) for _ in range(draws)
    ]
    return float(np.mean(found))


def _within(texts: Sequence[Words], budget: int) -> list[Words]:
    kept: list[Words] = []
    for words in texts:
        kept.append(words[:budget])
        budget -= len(words)
        if budget <= 0:
            break
    return kept


def expectation_adjusted_distinct(texts: Sequence[Words], order: int, vocabulary: int) -> float:
    """EAD (Liu et al., ACL 2022): different n-grams over how many would differ if drawn evenly from ``vocabulary``."""
    grams = [gram for words in texts for gram in ngrams(words, order)]
    if not grams:
        return 0.0
    expected = vocabulary * (1 - ((vocabulary - 1) / vocabulary) ** len(grams))
    return len(set(grams)) / expected


def ngram_entropy(texts: Sequence[Words], order: int = 2) -> float:
    """Entropy (nats) of the n-grams of all texts."""
    counts = np.array(list(Counter(gram for words in texts for gram in ngrams(words, order)).values()), dtype=float)
    shares = counts / counts.sum() if len(counts) else counts
    return float(-(shares * np.log(shares)).sum())


def unique_share(texts: Sequence[Words]) -> float:
    """Different replies over all replies."""
    return len({tuple(words) for words in texts}) / len(texts)


# -- recommendation ----------------------------------------------------------------------------------------------------


def item_ratio(replies: Sequence[Reply], catalogue: Catalogue) -> float:
    """Items (titles of the catalogue, or its mask) per reply."""
    masked = (reply.text.count(catalogue.mask) if catalogue.mask else 0 for reply in replies)
    return (sum(masked) + sum(len(catalogue.find(reply.text)) for reply in replies)) / len(replies)


def recall_at(ranked: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]], k: int) -> float:
    """The share of all wanted items that stand among the first ``k`` of their ranking (ECR: one row per item).

    Raises ValueError where nothing is wanted, or a ranking repeats an item.
    """
    hits, total = 0, 0
    for order, items in zip(ranked, wanted, strict=True):
        if len(set(order)) < len(order):
            raise ValueError("a ranking names an item twice: expected each once, best first.")
        hits += len(set(items) & set(order[:k]))
        total += len(set(items))
    if not total:
        raise ValueError("no items are wanted: recall has no meaning. Give dialogues with items.")
    return hits / total


def mrr_at(ranked: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]], k: int) -> float:
    """The mean over wanted items of 1 / rank, 0 beyond rank ``k``."""
    places = [
        (list(order[:k]).index(item) + 1) if item in order[:k] else math.inf
        for order, items in zip(ranked, wanted, strict=True)
        for item in dict.fromkeys(items)
    ]
    return float(np.mean([1 / place for place in places])) if places else 0.0


def auc(scores: Sequence[float], labels: Sequence[float]) -> float:
    """P(a positive scores above a negative), ties one half, over the whole set. Raises ValueError for labels of one kind.

    By ranks (Mann-Whitney): sum of the positives' mid-ranks.
    """
    values, positive = np.asarray(scores, dtype=float), np.asarray(labels) == 1
    if len(values) != len(positive) or not positive.any() or positive.all() or not np.isfinite(values).all():
        raise ValueError(
            f"AUC of {len(values)} scores and {int(positive.sum())} positives among {len(positive)} labels: expected a "
            "finite score for each label, and labels 1 and 0 both."
        )
    ranks = mid_ranks(values)
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(values) - count)))


def mid_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def batch_auc(scores: Sequence[float], labels: Sequence[float], batch_size: int) -> float:
    """ECR's AUC: the mean over batches that hold both labels. It depends on the batch size; see ``auc``."""
    batches = [slice(start, start + batch_size) for start in range(0, len(scores), batch_size)]
    both = [batch for batch in batches if len({label == 1 for label in labels[batch]}) == 2]
    if not both:
        raise ValueError(f"no batch of {batch_size} holds both labels: expected one at least.")
    return float(np.mean([auc(scores[batch], labels[batch]) for batch in both]))


# -- all together ------------------------------------------------------------------------------------------------------


def per_reply(replies: Sequence[Reply]) -> dict[str, list[float]]:
    """A column of numbers for each metric that a single reply has: comparisons pair them by prompt."""
    pairs = [(words_of(reply.text), words_of(reply.example.reference)) for reply in replies]
    columns = {f"bleu_ecr@{k}": [bleu_of_order(said, wanted, k) for said, wanted in pairs] for k in ORDERS}
    return columns | {
        "bleu": Bleu()(replies),
        "rouge_l": Rouge()(replies),
        "words": [float(len(said)) for said, _ in pairs],
        "ended": [float(reply.ended) for reply in replies],
    }


def corpus(
    replies: Sequence[Reply], *, catalogue: Catalogue | None = None, budget_words: int | None = None
) -> dict[str, float]:
    """The numbers of the replies as a whole. ``budget_words``: of the length-controlled ones (default: half of all)."""
    if not replies:
        raise ValueError("no replies: there is nothing to evaluate.")
    texts = [words_of(reply.text) for reply in replies]
    budget = budget_words or sum(map(len, texts)) // 2
    found = {"corpus_bleu": corpus_bleu(replies)}
    found |= {f"dist@{k}": distinct(texts, k) for k in ORDERS}
    found |= {f"dist_ecr@{k}": distinct_per_sentence(texts, k) for k in ORDERS}
    if budget >= 2:
        found |= {"dist2_at_budget": distinct_at_budget(texts, 2, budget), "budget_words": float(budget)}
    known = {word for words in texts for word in words} | {w for r in replies for w in words_of(r.example.reference)}
    if known:
        found["ead@1"] = expectation_adjusted_distinct(texts, 1, len(known))
    found |= {"bigram_entropy": ngram_entropy(texts), "unique_replies": unique_share(texts)}
    found |= {"item_ratio": item_ratio(replies, catalogue)} if catalogue else {}
    return found


def means(columns: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The mean of each column."""
    return {name: float(np.mean(column)) for name, column in columns.items()}
