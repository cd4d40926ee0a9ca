"""How good is an answer at its task? LongBench's metrics and RULER's, each from a text, the references and the classes.

LongBench (Bai et al., arXiv:2308.14508), its eval.py and metrics.py; RULER (arXiv:2404.06654). The best reference counts.
Differences from the published code: the classes of a classification are a set (theirs is changed while it is iterated).
The Chinese variants split words with jieba (``pip install trimtab[zh]``).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher, get_close_matches

Grade = Callable[[str, str, Sequence[str]], float]
"""(answer, one reference, all classes) -> 0..1."""

_CHINESE_MARKS = (
    "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃"
    "》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏."
)


def _jieba() -> Callable[[str], list[str]]:
    try:
        import jieba  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError("Chinese metrics split words with jieba: pip install 'trimtab[zh]'") from error
    return lambda text: list(jieba.cut(text, cut_all=False))


def normal_words(text: str) -> list[str]:
    """SQuAD's normalisation: lower case, no punctuation, no articles."""
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def _normal_words_zh(text: str) -> list[str]:
    drop = set(string.punctuation + _CHINESE_MARKS)
    words = ("".join(c for c in word.lower() if c not in drop and not c.isspace()) for word in _jieba()(text))
    return [word for word in words if word]


def overlap_f1(given: Sequence[str], reference: Sequence[str]) -> float:
    """F1 of two bags of words; 0 where nothing is shared."""
    same = sum((Counter(given) & Counter(reference)).values())
    if not same:
        return 0.0
    precision, recall = same / len(given), same / len(reference)
    return 2 * precision * recall / (precision + recall)


def qa_f1(answer: str, reference: str, _classes: Sequence[str] = ()) -> float:
    """Token F1 after SQuAD's normalisation."""
    return overlap_f1(normal_words(answer), normal_words(reference))


def qa_f1_zh(answer: str, reference: str, _classes: Sequence[str] = ()) -> float:
    """The same over jieba's words."""
    return overlap_f1(_normal_words_zh(answer), _normal_words_zh(reference))


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """One longest common subsequence."""
    rows = [[0] * (len(b) + 1)]
    for word in a:
        above, row = rows[-1], [0]
        for column, other in enumerate(b, 1):
            row.append(above[column - 1] + 1 if word == other else max(above[column], row[-1]))
        rows.append(row)
    found: list[str] = []
    i, j = len(a), len(b)
    while i and j:
        if a[i - 1] == b[j - 1]:
            found.append(a[i - 1])
            i, j = i - 1, j - 1
        elif rows[i - 1][j] > rows[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return found[::-1]


def rouge_l_summary(answer: str, reference: str, _classes: Sequence[str] = ()) -> float:
    """ROUGE-L F as the package ``rouge`` 1.0.1 computes it, which LongBench's numbers rest on.

    Sentences end at full stops; of each pair of sentences the words of a longest common subsequence count, each distinct
    word once.
    """
    ours, theirs = ([" ".join(part.split()) for part in text.split(".") if part] for text in (answer, reference))
    counts = [len({word for sentence in text for word in sentence.split(" ")}) for text in (ours, theirs)]
    if not ours or not theirs or not all(counts):
        return 0.0
    union: set[str] = set()
    for sentence in theirs:
        for other in ours:
            union.update(_common_subsequence(sentence.split(" "), other.split(" ")))
    precision, recall = len(union) / counts[0], len(union) / counts[1]
    return 2 * precision * recall / (precision + recall + 1e-8)


def rouge_zh(answer: str, reference: str, _classes: Sequence[str] = ()) -> float:
    """The same over jieba's words."""
    split = _jieba()
    return rouge_l_summary(" ".join(split(answer)), " ".join(split(reference)))


def classification(answer: str, reference: str, classes: Sequence[str] = ()) -> float:
    """1 / the number of classes named, where the right one is among them; a part of the right one's name is no class."""
    named = [name for name in classes if name in answer]
    named = [name for name in named if name == reference or name not in reference]
    return 1 / len(named) if reference in named else 0.0


def _share_of_numbers(answer: str, right: str) -> float:
    numbers = re.findall(r"\d+", answer)
    return sum(number == right for number in numbers) / len(numbers) if numbers else 0.0


def _numbered(reference: str, pattern: str) -> str:
    found = re.search(pattern, reference)
    if found is None:
        raise ValueError(f"the reference {reference!r} names no paragraph: expected {pattern}")
    return found[1]


def retrieval(answer: str, reference: str, _classes: Sequence[str] = ()) -> float:
    """The share of the answer's numbers that are the reference's ``Paragraph N``."""
    return _share_of_numbers(answer, _numbered(reference, r"Paragraph (\d+)"))


def retrieval_zh(answer: str, reference: str, _classes: Sequence[str] = ()) -> float:
    """The same for its Chinese form."""
    return _share_of_numbers(answer, _numbered(reference, r"段落(\d+)"))


def count(answer: str, reference: str, _classes: Sequence[str] = ()) -> float:
    """The share of the answer's numbers that are the reference."""
    return _share_of_numbers(answer, str(reference).strip())


def code_similarity(answer: str, reference: str, _classes: Sequence[str] = ()) -> float:
    """Similarity (difflib's ratio, to whole percents) of the answer's first line that is code."""
    lines = answer.lstrip("\n").split("\n")
    line = next((one for one in lines if not any(mark in one for mark in ("`", "#", "//"))), "")
    return round(100 * SequenceMatcher(None, line, reference).ratio()) / 100


def match_all(answer: str, reference: str, _classes: Sequence[str] = ()) -> float:
    """RULER: 1 where the reference occurs in the answer, whatever the case (averaged over references)."""
    return float(reference.lower() in answer.lower())


METRICS: dict[str, Grade] = {
    "qa_f1": qa_f1,
    "qa_f1_zh": qa_f1_zh,
    "rouge": rouge_l_summary,
    "rouge_zh": rouge_zh,
    "classification": classification,
    "retrieval": retrieval,
    "retrieval_zh": retrieval_zh,
    "count": count,
    "code_similarity": code_similarity,
    "match_all": match_all,
    "match_part": match_all,
}
_AVERAGED = {"match_all"}


def metric(name: str) -> Grade:
    """The metric of that name. Raises ValueError naming the known."""
    if name not in METRICS:
        close = get_close_matches(name, METRICS, 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no metric {name!r}. {hint}Expected one of: {', '.join(METRICS)}")
    return METRICS[name]


def grade(
    name: str, answer: str, references: Sequence[str], *, classes: Sequence[str] = (), first_line: bool = False
) -> float:
    """The best grade over ``references`` (match_all: the mean). ``first_line``: only the answer's first line counts.

    Raises ValueError for an unknown metric, or where there is no reference.
    """
    judge = metric(name)
    if not references:
        raise ValueError(f"no reference to grade by {name}: expected one right answer at least")
    text = answer.lstrip("\n").split("\n")[0] if first_line else answer
    grades = [judge(text, reference, classes) for reference in references]
    return sum(grades) / len(grades) if name in _AVERAGED else max(grades)
