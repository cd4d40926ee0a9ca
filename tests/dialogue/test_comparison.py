"""Is the verdict improved where truth rose, hacked where only the proxy did, and withheld where chance may have?"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dialogue.samples import example
from trimtab.cli import run
from trimtab.dialogue.comparison import EXPECTED, Arm, Comparison, Row, compare, judge_rows
from trimtab.dialogue.diversity_difference import distinct_difference
from trimtab.dialogue.evaluating import files_of
from trimtab.dialogue.example import Reply
from trimtab.dialogue.formats.lines import write_jsonl
from trimtab.dialogue.formats.others import reply_row
from trimtab.dialogue.report import comparison_plain, write_page
from trimtab.dialogue.tasks.moods import Moods
from trimtab.statistics import Interval

PROMPTS, SEEDS = 40, 3
WORDS = [f"w{n}" for n in range(60)]


def arm(
    name: str, shift: Mapping[str, float], *, dull: bool = False, prompts: int = PROMPTS, seeds: int = SEEDS
) -> Arm:
    """An arm whose columns are noise around a level common to all arms, moved by ``shift``."""
    random = np.random.default_rng(5)
    level = random.normal(0.5, 0.1, size=prompts)
    replies: list[list[Reply]] = []
    columns: list[dict[str, list[float]]] = []
    for seed in range(seeds):
        noise = np.random.default_rng([len(name), seed])
        said = [" ".join(noise.choice(WORDS[:4] if dull else WORDS, size=8)) for _ in range(prompts)]
        replies.append([Reply(example("r", key=str(n)), text) for n, text in enumerate(said)])
        columns.append({m: (level + v + noise.normal(0, 0.02, prompts)).tolist() for m, v in shift.items()})
    return Arm(name, replies, columns)


LEVEL = {"reward": 0.0, "gold_empathy": 0.0, "grammatical": 0.0, "bleu": 0.0, "bleu_ecr@1": 0.0}


def verdict(shift: Mapping[str, float], **options: bool) -> Comparison:
    return compare(arm("base", LEVEL), arm("other", LEVEL | shift, **options), resamples=500)


def test_improved_hacked_and_not_shown() -> None:
    assert verdict({"reward": 0.3, "gold_empathy": 0.2}).verdict == "improved"
    hacked = verdict({"reward": 0.3, "gold_empathy": -0.2})
    assert (hacked.verdict, hacked.reason) == ("hacked", "reward rose while gold_empathy fell")
    assert verdict({"reward": 0.3, "gold_empathy": 0.2, "grammatical": -0.3}).verdict == "hacked"
    assert verdict({"reward": 0.3, "gold_empathy": 0.2}, dull=True).verdict == "hacked"  # diversity fell
    assert verdict({}).verdict == "not shown"
    assert verdict({"reward": 0.3}).verdict == "not shown"
    assert verdict({"bleu": -0.3}).reason == "bleu fell"


def test_without_any_truth_the_proxies_decide_and_it_is_said() -> None:
    only = {"reward": 0.0}
    found = compare(arm("base", only), arm("other", {"reward": 0.3}), resamples=500)
    assert found.verdict == "improved"
    assert "nothing but the proxies was measured" in found.reason


def test_holms_correction_is_over_all_metrics() -> None:
    found = verdict({"reward": 0.3})
    reward = next(row for row in found.rows if row.metric == "reward")
    assert reward.rises
    assert reward.adjusted >= len(found.rows) * 1 / 501  # the smallest p that 500 resamples give, times the metrics
    assert reward.prompts == PROMPTS


def test_the_expected_rows_are_measured_percentages() -> None:
    found = verdict({"bleu_ecr@1": 0.25})
    assert set(found.expected()) == set(EXPECTED) == {"BLEU-1", "BLEU-2", "DIST-1", "empathy", "recommendation"}
    assert found.expected()["BLEU-1"] == pytest.approx(50, abs=10)
    assert found.expected()["DIST-1"] is not None
    assert found.expected()["empathy"] is None  # not measured
    zero = Row("empathy", "proxy", 0.0, 1.0, Interval(1.0, 1.0, 1.0), 0.0, False)
    assert zero.percent is None


def test_guards_fall_by_their_margin_only() -> None:
    slight = Row("bleu", "guard", 0.5, 0.49, Interval(-0.01, -0.02, 0.0), 0.01, False)
    assert judge_rows([slight])[0] == "not shown"
    assert judge_rows([slight])[1] == "nothing that counts rose beyond chance"


def test_a_judges_missing_scores_leave_their_prompts_out() -> None:
    base, other = arm("base", LEVEL | {"judge": 0.0}), arm("other", LEVEL | {"judge": 0.2})
    columns = [dict(one) for one in other.columns]
    columns[1]["judge"] = [math.nan, math.nan, *columns[1]["judge"][2:]]
    found = compare(
        Arm("base", base.replies, base.columns, "gpt"), Arm("other", other.replies, columns, "gpt"), resamples=500
    )
    row = next(row for row in found.rows if row.metric == "judge")
    assert (row.prompts, row.kind, row.rises) == (PROMPTS - 2, "gold", True)
    columns[1]["judge"] = [math.nan] * (PROMPTS - 5) + [1.0] * 5
    with pytest.raises(ValueError, match="scored all replies to 5 of 40 prompts"):
        compare(Arm("base", base.replies, base.columns, "gpt"), Arm("other", other.replies, columns, "gpt"))
    with pytest.raises(ValueError, match="expected the same judge"):
        compare(Arm("base", base.replies, base.columns, "gpt"), Arm("other", other.replies, other.columns, "llama"))


def test_what_cannot_be_compared() -> None:
    base = arm("base", LEVEL)
    with pytest.raises(ValueError, match="other has 2 seeds, expected 3"):
        compare(base, arm("other", LEVEL, seeds=2))
    with pytest.raises(ValueError, match="3 seeds of base, 2 of other"):
        compare(base, arm("other", LEVEL, seeds=2), force=True)
    with pytest.raises(ValueError, match="other answers other prompts than base"):
        compare(base, arm("other", LEVEL, prompts=30))
    assert compare(arm("base", LEVEL, seeds=1), arm("other", LEVEL, seeds=1), force=True, resamples=100).rows


def test_diversity_falls_where_replies_repeat() -> None:
    random = np.random.default_rng(0)
    varied = [[list(random.choice(WORDS, size=8)) for _ in range(40)] for _ in range(2)]
    dull = [[list(random.choice(WORDS[:3], size=8)) for _ in range(40)] for _ in range(2)]
    base, arm_, interval, p = distinct_difference(varied, dull, order=2)
    assert base > arm_
    assert interval.high < 0
    assert p < 0.001
    same = distinct_difference(varied, varied, order=2)
    assert same[2].contains(0.0)
    empty = [[[] for _ in range(40)] for _ in range(2)]
    assert distinct_difference(varied, empty, order=2)[:2] == (1.0, 0.0)


def test_the_page_shows_transcripts_side_by_side(tmp_path: Path) -> None:
    base, other = arm("base", LEVEL), arm("other", LEVEL | {"reward": 0.3})
    found = compare(base, other, resamples=200)
    write_page(tmp_path / "page.html", [base, other], [found], transcripts=5)
    page = (tmp_path / "page.html").read_text()
    assert "BLEU-1" in page
    assert "not shown" in page
    shown = [n for n in range(PROMPTS) if base.replies[0][n].text in page and other.replies[0][n].text in page]
    assert len(shown) == 5
    assert comparison_plain(found)["expected"]["BLEU-1"] is not None


def test_the_command_on_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = Moods().examples("test", 30)
    for name, better in (("base", 0), ("arm", 1)):
        for seed in range(3):
            turned = [*examples[1 + seed :], *examples[: 1 + seed]]
            replies = [Reply(e, e.reference if better else t.reference) for e, t in zip(examples, turned, strict=True)]
            path = tmp_path / name / f"{seed}.jsonl"
            write_jsonl(path, map(reply_row, replies))
            rows = [{"key": r.example.key, "reply": r.text, "judge": "gpt", "mean": 4.0 + better} for r in replies]
            write_jsonl(path.with_suffix(".scores.jsonl"), rows)
    assert len(files_of(tmp_path / "arm")) == 3
    asked = ["dialogue", "compare", f"sft={tmp_path / 'base'}", f"ppo={tmp_path / 'arm'}", "--empathy-weight", "0"]
    out = tmp_path / "c.json"
    assert run([*asked, "--json", str(out), "--html", str(tmp_path / "c.html"), "--gate"]) == 0
    assert "ppo against sft: improved" in " ".join(capsys.readouterr().out.split())
    (found,) = json.loads(out.read_text())
    assert {"judge", "gold_recommendation", "reward"} <= {row["metric"] for row in found["rows"]}
    assert found["expected"]["BLEU-1"] > 100
    (tmp_path / "arm" / "1.scores.jsonl").unlink()
    assert run(asked) == 2
    assert "expected one judge for all" in capsys.readouterr().err
    assert run(["dialogue", "compare", f"sft={tmp_path / 'base'}"]) == 2
    assert "at least one other" in capsys.readouterr().err
