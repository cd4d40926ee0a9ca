"""Does the target's batched answer equal its own generate(), and do stopped shards end as uninterrupted ones?"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trimtab.speculation.training.answers import answer, decode, fingerprint
from trimtab.speculation.training.data import Prompt
from trimtab.speculation.training.recipe import AnswerSettings

SETTINGS = AnswerSettings(tokens=10_000, max_new_tokens=12, batch_rows=3, shard_prompts=4, sampled_share=0.3)
PROMPTS = [Prompt(str(n), tuple((7 * n + 3 * i) % 38 + 2 for i in range(1 + n % 5))) for n in range(10)]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "mistral"])
def test_greedy_answers_are_those_of_generate(make_target, architecture: str) -> None:
    target = make_target(architecture)
    together = decode(target, [prompt.ids for prompt in PROMPTS], 12)
    for prompt, found in zip(PROMPTS, together, strict=True):
        ids = torch.tensor([prompt.ids])
        alone = target.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        assert found == alone[0, ids.shape[1] :].tolist()


def test_rows_that_end_leave_and_the_others_go_on(make_target) -> None:
    target = make_target()
    free = decode(target, [prompt.ids for prompt in PROMPTS], 12)
    target.generation_config.eos_token_id = stops = [Counter(t for row in free for t in row).most_common(1)[0][0]]
    stopped = decode(target, [prompt.ids for prompt in PROMPTS], 12)
    for whole, part in zip(free, stopped, strict=True):
        end = whole.index(stops[0]) + 1 if stops[0] in whole else 12
        assert part == whole[:end]
    assert len({len(row) for row in stopped}) > 1


def test_samples_follow_the_targets_distribution(make_target) -> None:
    target, count = make_target(), 4000
    drawn = decode(target, [PROMPTS[3].ids] * count, 1, sampled=[True] * count, seed=5)
    with torch.no_grad():
        expected = target(torch.tensor([PROMPTS[3].ids])).logits[0, -1].softmax(-1)
    found = torch.bincount(torch.tensor([row[0] for row in drawn]), minlength=len(expected)) / count
    assert 0.5 * (found - expected).abs().sum() < 0.06


def test_a_stopped_run_ends_with_the_same_files(make_target, tmp_path: Path) -> None:
    target = make_target()
    whole = answer(target, PROMPTS, SETTINGS, tmp_path / "whole")
    answer(target, PROMPTS, replace(SETTINGS, tokens=1), tmp_path / "stopped")
    assert len(list((tmp_path / "stopped").iterdir())) == 1
    resumed = answer(target, PROMPTS, SETTINGS, tmp_path / "stopped")
    assert [(a.key, a.prompt_tokens, a.ids.tolist()) for a in whole] == [
        (a.key, a.prompt_tokens, a.ids.tolist()) for a in resumed
    ]
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "stopped" / path.name).read_bytes()
    assert [a.key for a in whole] == [prompt.key for prompt in PROMPTS]
    assert all(tuple(a.ids[: a.prompt_tokens]) == p.ids for a, p in zip(whole, PROMPTS, strict=True))


def test_answers_of_another_target_or_settings_are_refused(make_target, tmp_path: Path) -> None:
    target, other = make_target(seed=0), make_target(seed=1)
    answer(target, PROMPTS, SETTINGS, tmp_path)
    assert fingerprint(target) != fingerprint(other)
    assert fingerprint(target) == fingerprint(make_target(seed=0).to(torch.bfloat16))
    with pytest.raises(ValueError, match=r"answers-00000.safetensors holds answers of another origin \(target"):
        answer(other, PROMPTS, SETTINGS, tmp_path)
    with pytest.raises(ValueError, match="max_new_tokens 12 there, 5 here"):
        answer(target, PROMPTS, replace(SETTINGS, max_new_tokens=5), tmp_path)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="sampled_share is 2"):
        AnswerSettings(sampled_share=2.0)
    with pytest.raises(ValueError, match="at least 1"):
        AnswerSettings(batch_rows=0)
