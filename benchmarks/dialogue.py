"""What does reinforcement learning add to the embedded dialogue model, and what does its critic know? Three supervised seeds.

python benchmarks/dialogue.py [--out runs/dialogue] [--seeds 3] [--arms sft ppo ...] [--json OUT]

Arms, all from the same supervised model and judged on 400 dialogues that none has seen, with the same noise: the supervised
model; the best of 8 of its replies (trains nothing); PPO with a critic; RLOO by TRL on as many replies; PPO without a cost
of leaving the reference (the negative control, first seed only); one LoRA adapter, and three that take turns ("agents", at as
many replies; first seed only). All learn from the proxies of `trimtab dialogue train`; the exact judge (gold_...) is met here
for the first time. Arms that were run are kept in --out and not run again. `--throughput` measures PPO's update as well.
"""

from __future__ import annotations

import json as json_module
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from trimtab import machine
from trimtab.checkpoints import replace_file
from trimtab.console import Table, say
from trimtab.dialogue.comparing import Judged, distinct_within, judge
from trimtab.dialogue.experiment import Experiment
from trimtab.dialogue.tasks.moods_reward import gold_columns, moods_rubric
from trimtab.dialogue.throughput import measure_throughput

ARMS = ("sft", "best-of-8", "ppo", "rloo", "ppo-no-kl", "lora", "agents")
ONE_SEED = ("ppo-no-kl", "lora", "agents")
BUDGET_WORDS = 6000
"""Variety is compared on so many words."""
LEAST_GAIN, LEAST_GRAMMATICAL, MOST_DIVERSITY_LOSS, LEAST_EXPLAINED = 0.40, 0.90, 0.15, 0.3
MOST_RATIO = 1.5


def columns_of(experiments: list[Experiment], arm: str) -> tuple[dict[str, np.ndarray], list[float]]:
    """Measures [seeds, prompts] of an arm, and its variety by seed."""
    by_seed: list[dict[str, list[float]]] = []
    variety: list[float] = []
    for experiment in experiments:
        replies = experiment.replies(arm)
        graded = moods_rubric().breakdown(replies)
        own = {f"proxy_{name}": values for name, values in graded.raw.items() if name not in ("bleu", "safety")}
        words = [float(len(reply.words)) for reply in replies]
        measured = {"reward": graded.values, **gold_columns(replies), "bleu": graded.raw["bleu"], **own, "words": words}
        by_seed.append(measured)
        variety.append(distinct_within(replies, BUDGET_WORDS))
    return {name: np.array([one[name] for one in by_seed]) for name in by_seed[0]}, variety


def run_arms(experiments: list[Experiment], arms: tuple[str, ...]) -> dict[str, list[Experiment]]:
    """Run what is not there; arm -> its experiments."""
    found: dict[str, list[Experiment]] = {}
    for arm in arms:
        chosen = experiments[:1] if arm in ONE_SEED else experiments
        for experiment in chosen:
            experiment.run(arm)
        found[arm] = chosen
    return found


def rows_of(found: dict[str, list[Experiment]]) -> tuple[list[dict[str, Any]], dict[str, Judged]]:
    """A row per arm, and the verdict on each against the supervised models of the same seeds."""
    rows: list[dict[str, Any]] = []
    verdicts: dict[str, Judged] = {}
    for arm, experiments in found.items():
        columns, variety = columns_of(experiments, arm)
        base, base_variety = columns_of(experiments, "sft")
        row: dict[str, Any] = {"arm": arm, "seeds": len(experiments)}
        row |= {name: float(values.mean()) for name, values in columns.items()}
        row["distinct_2"] = float(np.mean(variety))
        for key in ("kl", "training_replies", "training_tokens", "seconds"):
            told = [experiment.summary(arm)[key] for experiment in experiments if key in experiment.summary(arm)]
            row[key] = float(np.mean(told)) if told else None
        if arm != "sft":
            verdicts[arm] = judge(base, columns, base_variety, variety)
            row["verdict"] = verdicts[arm].verdict
        rows.append(row)
    return rows, verdicts


def bar(name: str, value: float, bound: str, holds: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "bound": bound, "holds": bool(holds)}


def bars_of(rows: list[dict[str, Any]], verdicts: dict[str, Judged], found: dict[str, list[Experiment]]) -> list[Any]:
    """The bars, computed from what was measured."""
    by_arm = {row["arm"]: row for row in rows}
    bars: list[dict[str, Any]] = []
    if "ppo" in verdicts:
        judged = {one.measure: one for one in verdicts["ppo"].differences}
        for name in ("gold_empathy", "gold_recommendation"):
            interval = judged[name].interval
            holds = interval.estimate >= LEAST_GAIN and interval.low > 0
            bars.append(bar(f"PPO: {name} above SFT {interval}", interval.estimate, f">= {LEAST_GAIN}", holds))
        bleu = judged["bleu"].interval
        bars.append(bar(f"PPO: BLEU not inferior {bleu}", bleu.low, ">= -0.01", bleu.low >= -0.01))
        share = by_arm["ppo"]["grammatical"]
        bars.append(bar("PPO: grammatical share", share, f">= {LEAST_GRAMMATICAL}", share >= LEAST_GRAMMATICAL))
        loss = -verdicts["ppo"].diversity_change
        bars.append(bar("PPO: loss of diversity", loss, f"<= {MOST_DIVERSITY_LOSS}", loss <= MOST_DIVERSITY_LOSS))
        first = [experiment.summary("ppo")["explained_first"] for experiment in found["ppo"]]
        mean = float(np.mean(first))
        bars.append(bar("critic explains at the first update", mean, f">= {LEAST_EXPLAINED}", mean >= LEAST_EXPLAINED))
    if "ppo-no-kl" in verdicts:
        hacked = verdicts["ppo-no-kl"].verdict == "hacked"
        bars.append(bar("without KL: flagged as hacked", float(hacked), "== 1", hacked))
    return bars


def sentence(rows: list[dict[str, Any]]) -> str:
    """Which arm wins, plainly."""
    judged = [row for row in rows if row["arm"] != "sft" and row.get("verdict") != "hacked"]
    best = max(judged, key=lambda row: row["gold_empathy"] + row["gold_recommendation"])
    others = ", ".join(
        f"{row['arm']} {row['gold_empathy']:.2f} and {row['gold_recommendation']:.2f}" for row in judged if row is not best
    )
    return (
        f"By the exact judge {best['arm']} wins: empathy {best['gold_empathy']:.2f}, recommendation "
        f"{best['gold_recommendation']:.2f} (others: {others})."
    )


def show(rows: list[dict[str, Any]], verdicts: dict[str, Judged], bars: list[Any]) -> None:
    """Print it all."""
    shown = ("arm", "seeds", "gold_empathy", "gold_recommendation", "grammatical", "bleu", "reward", "distinct_2", "words")
    table = Table("embedded dialogues", (*shown, "kl", "training_tokens", "seconds", "verdict"))
    for row in rows:
        table.add(*(row.get(column) for column in table.columns))
    table.print()
    for arm, judged in verdicts.items():
        print(f"{arm}: {judged.verdict}: {'; '.join(judged.reasons)}")
    print(sentence(rows))
    for one in bars:
        print(f"{one['name']}: {one['value']:.3f} ({one['bound']}): {'holds' if one['holds'] else 'FALLS SHORT'}")


def main(
    out: Path = Path("runs/dialogue"),
    seeds: int = 3,
    arms: tuple[str, ...] = ARMS,
    ceiling: bool = True,
    throughput: bool = True,
    json: Path | None = None,
) -> None:
    """Run the arms that were not run, and print and write what came out."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    experiments = [Experiment(seed, out) for seed in range(seeds)]
    found = run_arms(experiments, arms)
    rows, verdicts = rows_of(found)
    bars = bars_of(rows, verdicts, found)
    record: dict[str, Any] = {"rows": rows, "bars": bars, "sentence": sentence(rows)}
    if ceiling and "ppo" in found:
        record["critic_at_the_end"] = experiments[0].ceiling()
        print(f"critic at the end, held-out replies: {record['critic_at_the_end']}")
    if throughput:
        record["throughput"] = measure_throughput(experiments[0].base)
        for row in record["throughput"]:
            name = f"PPO update over its floor ({row['critic']} critic, {row['replies']} replies x {row['tokens']} tokens)"
            bars.append(bar(name, row["ratio"], f"<= {MOST_RATIO}", row["ratio"] <= MOST_RATIO))
    show(rows, verdicts, bars)
    record["verdicts"] = {arm: {"verdict": j.verdict, "reasons": j.reasons} for arm, j in verdicts.items()}
    record |= {"date": machine.today(), "hardware": machine.hardware(), "versions": machine.versions()}
    say(f"{time.perf_counter() - started:.0f} s")
    if json is not None:
        text = json_module.dumps(record, indent=1) + "\n"
        replace_file(json, lambda scratch: scratch.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    tyro.cli(main)
