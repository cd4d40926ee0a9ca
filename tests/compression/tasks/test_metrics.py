"""LongBench's and RULER's metrics, by hand-worked numbers."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.compression.tasks.metrics import METRICS, grade, normal_words, rouge_l_summary


def test_f1_is_over_normal_words() -> None:
    assert normal_words("The  cat's, a Hat!") == ["cats", "hat"]
    # "red cat" against "black cat sat": 1 shared, precision 1/2, recall 1/3
    assert grade("qa_f1", "the red cat", ["A black cat sat."]) == pytest.approx(0.4)
    assert grade("qa_f1", "cats", ["dogs"]) == 0.0


def test_the_best_reference_counts_and_ruler_averages() -> None:
    assert grade("qa_f1", "blue", ["red", "blue"]) == 1.0
    assert grade("match_all", "codes 12 and 34", ["12", "99"]) == 0.5
    assert grade("match_part", "codes 12 and 34", ["12", "99"]) == 1.0


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("the cat sat on the mat", "the cat lay on the mat", 0.8),  # the set {the cat on mat} of {5} and {5} words
        ("a b c. d e", "a b c d e", 1.0),
        ("x", "", 0.0),
        ("the the the", "the", 1.0),
        ("alpha beta gamma", "gamma beta alpha", 1 / 3),
    ],
)
def test_rouge_counts_distinct_words_of_a_common_subsequence(answer: str, reference: str, expected: float) -> None:
    assert rouge_l_summary(answer, reference) == pytest.approx(expected, abs=1e-6)


def test_classes_named_share_the_grade_and_parts_of_the_right_name_do_not_count() -> None:
    classes = ["Food", "Sport", "Sport event"]
    assert grade("classification", "It is Sport event.", ["Sport event"], classes=classes) == 1.0
    assert grade("classification", "Food or Sport", ["Sport"], classes=classes) == 0.5
    assert grade("classification", "Food", ["Sport"], classes=classes) == 0.0


def test_numbers_found() -> None:
    assert grade("retrieval", "Paragraph 3, not 4", ["Paragraph 3"]) == 0.5
    assert grade("retrieval_zh", "段落7", ["段落7"]) == 1.0
    assert grade("count", "about 12", ["12"]) == 1.0
    assert grade("count", "none", ["12"]) == 0.0
    with pytest.raises(ValueError, match="names no paragraph"):
        grade("retrieval", "3", ["the third"])


def test_the_first_line_of_code_counts() -> None:
    assert grade("code_similarity", "\n# comment\n```\nreturn x\nmore", ["return x"]) == 1.0
    assert grade("code_similarity", "", ["return x"]) == 0.0


def test_first_line_only() -> None:
    assert grade("qa_f1", "\nblue\nQuestion: red", ["blue"], first_line=True) == 1.0


def test_unknown_metrics_and_missing_references_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Did you mean 'qa_f1'.*rouge_zh"):
        grade("qa_f", "x", ["x"])
    with pytest.raises(ValueError, match="no reference"):
        grade("qa_f1", "x", [])


def test_chinese_metrics_need_jieba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(ValueError, match=r"trimtab\[zh\]"):
        grade("qa_f1_zh", "好", ["好"])


def test_chinese_metrics_ignore_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Characters:
        @staticmethod
        def cut(text: str, *, cut_all: bool) -> list[str]:
            assert not cut_all
            return list(text)

    monkeypatch.setitem(sys.modules, "jieba", Characters)
    assert grade("qa_f1_zh", "北京。", ["北 京"]) == 1.0
    assert grade("rouge_zh", "我爱北京", ["我爱上海"]) == pytest.approx(0.5, abs=1e-6)


def test_chinese_words_are_those_of_jieba() -> None:
    pytest.importorskip("jieba", reason="jieba is not installed: pip install 'trimtab[zh]'")
    assert grade("qa_f1_zh", "我来到北京", ["我来到上海"]) == pytest.approx(2 / 3)  # three words, two of them shared
    assert grade("rouge_zh", "我来到北京", ["我来到上海"]) == pytest.approx(2 / 3, abs=1e-6)


@given(st.text(max_size=30), st.text(min_size=1, max_size=30))
def test_grades_lie_between_0_and_1(answer: str, reference: str) -> None:
    for name in set(METRICS) - {"qa_f1_zh", "rouge_zh", "retrieval", "retrieval_zh"}:
        assert 0 <= grade(name, answer, [reference], classes=[reference]) <= 1 + 1e-9
