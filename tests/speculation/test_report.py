"""The report says what the evaluation found, in full, and its per-turn numbers agree with replay."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path

import numpy as np
import pytest

from speculation import fabricated
from test_pages import read, stands_alone
from trimtab.speculation import oracle
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.engine.generation import Round, Seconds
from trimtab.speculation.evaluation import Evaluation
from trimtab.speculation.level_replay import FlatLevels
from trimtab.speculation.levels import LevelMenu
from trimtab.speculation.report import write_report
from trimtab.speculation.turnwise import (
    POLICY,
    STATIC,
    Prices,
    Span,
    chosen,
    differing_turns,
    held_oracles,
    predicted_over_measured,
    spans,
    views,
)

NASTY = ('<b>bold</b> & "quoted"', "$x_1$ 数学", "</main>")


@cache
def good() -> Evaluation:
    return fabricated.evaluation()


@cache
def poor() -> Evaluation:
    return fabricated.evaluation(NASTY, prompts=7, trust=0.0)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(tmp_path_factory.mktemp("run"), good()).read_text(encoding="utf-8")


def test_the_page_stands_alone_and_is_small(page: str) -> None:
    stands_alone(page)
    assert len(page.encode()) < 400_000


def test_the_verdict_and_every_row_and_bar_are_on_the_page(page: str) -> None:
    words = " ".join(read(page).words)
    assert good().sentence() in words
    assert good().verdict == "better"
    assert "Better: use the learned policy." in words
    for row in good().rows():
        assert row["name"] in words
        assert f"{row['tokens_per_second']:.1f}" in words
    for bar in good().bars():
        assert bar["name"] in words


def test_replayed_rows_are_marked(page: str) -> None:
    assert page.count('<span class="tag">replayed</span>') == 3
    assert page.count('<tr class="aside">') == 3


def test_all_plots_are_there(page: str) -> None:
    assert read(page).seen.count("svg") == 9  # ratios, held, three turns' trees, speeds, distances, two of times


def test_circumstances_are_told(page: str) -> None:
    words = " ".join(read(page).words)
    for told in ("bfloat16", "A processor of long ago", "2 times each", "3.1\N{NO-BREAK SPACE}%", "1.042×", "torch"):
        assert told in words
    assert "Calibration and evaluation differ in processor" in words


def test_a_policy_that_does_not_pay_is_called_so(tmp_path: Path) -> None:
    words = " ".join(read(write_report(tmp_path, poor()).read_text(encoding="utf-8")).words)
    assert poor().verdict == "worse"
    assert "Worse: use the fixed tree." in words
    assert poor().sentence() in words


def test_text_of_others_cannot_become_markup(tmp_path: Path) -> None:
    markup = write_report(tmp_path, poor()).read_text(encoding="utf-8")
    stands_alone(markup)
    assert "<b>bold" not in markup
    assert markup.count("</main>") == 1
    for category in NASTY:
        assert escape(category) in markup


def test_a_category_of_few_turns_has_no_interval(tmp_path: Path) -> None:
    markup = write_report(tmp_path, poor()).read_text(encoding="utf-8")
    row = markup[markup.index(f'<th scope="row">{escape(NASTY[0])}') :].split("</tr>")[0]
    assert '<td class="number">–</td>' in row


def test_a_report_replaces_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    path = write_report(tmp_path, good())
    assert path == tmp_path / "report.html"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_turn_without_a_replay_is_an_error(tmp_path: Path) -> None:
    table = good().table.where(lambda prompt: prompt.task != "task3")
    with pytest.raises(ValueError, match="lacks task3"):
        write_report(tmp_path, replace(good(), table=table))


# -- the numbers behind the plots --------------------------------------------------------------------------------------


def made(accepted: int, shape: TreeShape | None = None) -> Round:
    return Round(shape, 3, accepted, Seconds())


def test_rounds_are_laid_along_the_text_and_trimmed_at_its_end() -> None:
    laid = spans([made(2), made(0), made(5), made(1)], tokens=8)
    assert laid == [Span(0, None, 3), Span(3, None, 1), Span(4, None, 3)]


def test_prices_are_those_of_the_cost_model() -> None:
    prices, costs, shape = Prices(fabricated.COSTS), fabricated.COSTS, TreeShape(16, 7, 4)
    assert prices.seconds(shape, 30) == pytest.approx(costs.seconds(shape, 30))
    assert prices.seconds(None, 30) == costs.plain_seconds(30)
    laid = [Span(0, shape, 4), Span(4, None, 1)]
    assert prices.of(laid, 20) == pytest.approx(costs.seconds(shape, 20) + costs.plain_seconds(24))


def test_the_oracles_own_decode_is_at_its_own_distance() -> None:
    evaluation = _following(oracle.oracle)
    assert [view.policy_over_oracle for view in views(evaluation)] == pytest.approx([1.0] * 18)
    assert all(view.policy == view.oracle for view in views(evaluation))


def test_a_decode_with_the_static_tree_is_as_far_as_that() -> None:
    static = good().table.actions.index(good().best_static)
    for view in views(_following(lambda one: oracle.static(one, static))):
        assert view.policy_over_oracle == pytest.approx(view.static_over_oracle)
        assert view.static_over_oracle >= 1


def _following(choose: fabricated.Choose) -> Evaluation:
    """The good evaluation with a policy that takes no time and decodes as ``choose`` does."""
    priced = oracle.price(good().table, fabricated.COSTS)
    policy = replace(fabricated.entry("free", priced, choose, ""), name=POLICY)
    return replace(good(), entries=[*good().entries[:3], policy])


def test_predictions_agree_with_rounds_that_cost_what_was_predicted() -> None:
    for name in (STATIC, POLICY):
        assert predicted_over_measured(good(), name) == pytest.approx(1.0, abs=0.02)


def test_trees_are_counted() -> None:
    trees = chosen(good(), POLICY)
    rounds = good().entry(POLICY).rounds
    counts = [count for count, _ in trees.values()]
    assert sum(counts) == len(rounds)
    assert counts == sorted(counts, reverse=True)
    assert sum(n * mean for n, mean in trees.values()) == pytest.approx(sum(r.accepted for r in rounds))


def test_texts_that_differ_are_counted() -> None:
    assert differing_turns(good()) == 0
    entries = list(good().entries)
    decodes = [list(ws) for ws in entries[0].decodes_TR]
    decodes[2][0] = replace(decodes[2][0], tokens=[7])
    entries[0] = replace(entries[0], decodes_TR=decodes)
    assert differing_turns(replace(good(), entries=entries)) == 1


def test_holding_costs_the_oracle_and_not_holding_is_the_oracle() -> None:
    held, bounds = held_oracles(good()), good().bounds
    assert list(held) == [1, 2, 5, 10, 30]
    assert held[1] == pytest.approx(bounds.oracle / bounds.best_static)
    assert held[1] >= max(held.values())
    assert held[30] >= 1  # for so many rounds the best static tree may be held, too


def test_how_often_to_decide_is_on_the_page(page: str) -> None:
    words = " ".join(read(page).words)
    assert "What deciding more often could bring" in words
    for rounds in ("every round", "every 2 rounds", "every 30 rounds"):
        assert rounds in words
    assert "after every level" not in words


def levelled() -> Evaluation:
    """The good evaluation as of a policy that stops after any level: every turn by hand, two tokens a level."""
    menu, tasks = LevelMenu(2, 2, (2, 4)), [turn.task for turn in good().turns]
    positions = [replay.positions for replay in good().table.prompts]
    rows = sum(positions)
    accepted = np.broadcast_to(np.array([[0, 0], [1, 1], [1, 3]], dtype=np.int16), (rows, 3, 2)).copy()
    seconds = np.broadcast_to(np.array([[2.0, 9.0], [2.0, 9.0], [2.0, 3.0]]), (rows, 3, 2)).copy()
    levels = FlatLevels(
        menu,
        tasks,
        accepted,
        seconds,
        np.zeros((rows, 3, 2), dtype=np.float32),
        np.zeros((rows, 3, 2), dtype=np.float32),
        np.full(rows, 20, dtype=np.int32),
        np.concatenate([np.arange(count, 0, -1) for count in positions]),
        np.cumsum(positions) - positions,
        np.array(positions),
    )
    rate = good().bounds.best_static * 2
    return replace(good(), levels=levels, level_oracle=rate)


def test_where_the_policy_stops_after_any_level_so_does_its_oracle(tmp_path: Path) -> None:
    evaluation = levelled()
    seen = views(evaluation)
    for view, prompt in zip(seen, good().table.prompts, strict=True):
        assert len(view.oracle) == -(-prompt.positions // 4)  # four tokens in three seconds, wherever the rest goes
        assert Counter(span.shape for span in view.oracle).most_common(1)[0][0] == TreeShape(4, 2, 2)
        assert sum(span.tokens for span in view.oracle) == prompt.positions
    words = " ".join(read(write_report(tmp_path, evaluation).read_text(encoding="utf-8")).words)
    for told in ("level-oracle", "after every level", "2.000\N{MULTIPLICATION SIGN}"):
        assert told in words
