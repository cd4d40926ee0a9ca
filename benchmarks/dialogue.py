"""What does reinforcement learning add to the embedded dialogue model, and what does its critic know?

python benchmarks/dialogue.py [--out runs/dialogue] [--seeds 3] [--arms sft ppo ...] [--json OUT]

Arms, all from the same supervised models (three seeds) and judged on 400 unseen dialogues, with the same noise:
the supervised model; the same at lower temperatures (free, and less diverse); the best of 8 of its replies
(trains nothing); PPO with a critic, and its greedy replies; RLOO by TRL on as many replies; PPO without a cost of leaving
the reference (the negative control); one LoRA adapter, and three that take turns ("agents", at as many replies). All learn
from the proxies of `trimtab dialogue train`; the exact judge (gold_...) is met here for the first time. `--control-seeds`:
seeds of all arms but the first and PPO. Arms that were run are kept in --out, and not run again.
`--arms` with nothing behind it: the throughput alone.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from trimtab import machine
from trimtab.console import Table, say
from trimtab.dialogue.comparison import Arm, Comparison, compare
from trimtab.dialogue.evaluating import columns_of
from trimtab.dialogue.experiment import Experiment
from trimtab.dialogue.tasks.moods_reward import moods_rubric
from trimtab.dialogue.throughput import measure_throughput
from trimtab.records import write_json

ARMS = ("sft", "sft-0.3", "sft-greedy", "best-of-8", "ppo", "ppo-greedy", "rloo", "ppo-no-kl", "lora", "agents")
ALL_SEEDS = ("sft", "ppo")
LEAST_GAIN, LEAST_GRAMMATICAL, MOST_DIVERSITY_LOSS, LEAST_EXPLAINED = 0.40, 0.90, 0.15, 0.3
MOST_RATIO = 1.5


def arm_of(experiments: list[Experiment], name: str) -> Arm:
    """An arm's replies and measures, seed by seed."""
    replies = [experiment.replies(name) for experiment in experiments]
    return Arm(name, replies, [columns_of(one, moods_rubric()) for one in replies])


def run_arms(experiments: list[Experiment], arms: tuple[str, ...], control_seeds: int) -> dict[str, list[Experiment]]:
    """Run what is not there; arm -> its experiments."""
    found: dict[str, list[Experiment]] = {}
    for arm in arms:
        chosen = experiments if arm in ALL_SEEDS else experiments[:control_seeds]
        for experiment in chosen:
            experiment.run(arm)
        found[arm] = chosen
    return found


def rows_of(found: dict[str, list[Experiment]]) -> tuple[list[dict[str, Any]], dict[str, Comparison]]:
    """A row per arm, and the comparison of each with the supervised models of the same seeds."""
    rows: list[dict[str, Any]] = []
    compared: dict[str, Comparison] = {}
    for name, experiments in found.items():
        arm = arm_of(experiments, name)
        row: dict[str, Any] = {"arm": name, "seeds": len(experiments)}
        row |= {measure: float(np.mean([c[measure] for c in arm.columns])) for measure in arm.columns[0]}
        for key in ("kl", "kl_at_most", "training_replies", "training_tokens", "seconds"):
            told = [experiment.summary(name)[key] for experiment in experiments if key in experiment.summary(name)]
            row[key] = float(np.mean(told)) if told else None
        if name != "sft":
            compared[name] = compare(arm_of(experiments, "sft"), arm, force=True)
            row["verdict"] = compared[name].verdict
            row["dist2_at_budget"] = next(r.arm for r in compared[name].rows if r.metric == "dist2_at_budget")
        rows.append(row)
    return rows, compared


def bar(name: str, value: float, bound: str, holds: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "bound": bound, "holds": bool(holds)}


def bars_of(
    rows: list[dict[str, Any]], compared: dict[str, Comparison], found: dict[str, list[Experiment]]
) -> list[Any]:
    """The bars, computed from what was measured."""
    by_arm = {row["arm"]: row for row in rows}
    bars: list[dict[str, Any]] = []
    if "ppo" in compared:
        judged = {one.metric: one for one in compared["ppo"].rows}
        for name in ("gold_empathy", "gold_recommendation"):
            interval = judged[name].difference
            holds = interval.estimate >= LEAST_GAIN and interval.low > 0
            bars.append(bar(f"PPO: {name} above SFT {interval}", interval.estimate, f">= {LEAST_GAIN}", holds))
        bleu = judged["bleu"].difference
        bars.append(bar(f"PPO: BLEU not inferior {bleu}", bleu.low, ">= -0.01", bleu.low >= -0.01))
        share = by_arm["ppo"]["grammatical"]
        bars.append(bar("PPO: grammatical share", share, f">= {LEAST_GRAMMATICAL}", share >= LEAST_GRAMMATICAL))
        variety = judged["dist2_at_budget"]
        loss = 1 - variety.arm / variety.base
        bars.append(bar("PPO: loss of diversity", loss, f"<= {MOST_DIVERSITY_LOSS}", loss <= MOST_DIVERSITY_LOSS))
        mean = float(np.mean([experiment.summary("ppo")["explained_first"] for experiment in found["ppo"]]))
        bars.append(bar("critic explains at the first update", mean, f">= {LEAST_EXPLAINED}", mean >= LEAST_EXPLAINED))
    if "ppo-no-kl" in compared:
        hacked = compared["ppo-no-kl"].verdict == "hacked"
        bars.append(bar("without KL: flagged as hacked", float(hacked), "== 1", hacked))
    return bars


def sentence(rows: list[dict[str, Any]]) -> str:
    """Which arm wins, plainly."""
    others_than_sft = [row for row in rows if row["arm"] != "sft"]
    judged = [row for row in others_than_sft if row["verdict"] != "hacked"] or others_than_sft
    best = max(judged, key=lambda row: row["gold_empathy"] + row["gold_recommendation"])
    others = ", ".join(
        f"{row['arm']} {row['gold_empathy']:.2f} and {row['gold_recommendation']:.2f}"
        for row in judged
        if row is not best
    )
    return (
        f"By the exact judge {best['arm']} wins: empathy {best['gold_empathy']:.2f}, recommendation "
        f"{best['gold_recommendation']:.2f} (others: {others})."
    )


def show(rows: list[dict[str, Any]], compared: dict[str, Comparison]) -> None:
    """Print it all."""
    shown = (
        "arm",
        "seeds",
        "gold_empathy",
        "gold_recommendation",
        "grammatical",
        "bleu",
        "reward",
        "dist2_at_budget",
        "words",
    )
    table = Table("embedded dialogues", (*shown, "kl", "training_tokens", "seconds", "verdict"))
    for row in rows:
        table.add(*(row.get(column) for column in table.columns))
    table.print()
    for arm, judged in compared.items():
        print(f"{arm}: {judged.verdict}: {judged.reason}")
    print(sentence(rows))


def print_bars(bars: list[Any]) -> None:
    """Each bar, and whether it holds."""
    for one in bars:
        print(f"{one['name']}: {one['value']:.3f} ({one['bound']}): {'holds' if one['holds'] else 'FALLS SHORT'}")


def main(
    out: Path = Path("runs/dialogue"),
    seeds: int = 3,
    control_seeds: int = 3,
    arms: tuple[str, ...] = ARMS,
    ceiling: bool = True,
    throughput: bool = True,
    json: Path | None = None,
) -> None:
    """Run the arms that were not run, and print and write what came out."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    experiments = [Experiment(seed, out) for seed in range(seeds)]
    found = run_arms(experiments, arms, control_seeds)
    rows, compared = rows_of(found)
    bars = bars_of(rows, compared, found)
    record: dict[str, Any] = {"rows": rows, "bars": bars, "sentence": sentence(rows) if rows else ""}
    if ceiling and "ppo" in found:
        record["critic_at_the_end"] = experiments[0].ceiling()
        print(f"critic at the end, held-out replies: {record['critic_at_the_end']}")
    if throughput:
        record["throughput"] = measure_throughput(experiments[0].base)
        for row in record["throughput"]:
            name = (
                f"PPO update over its floor ({row['critic']} critic, {row['replies']} replies x {row['tokens']} tokens, "
                f"empathy encoder in {row['encoder']})"
            )
            bars.append(bar(name, row["ratio"], f"<= {MOST_RATIO}", row["ratio"] <= MOST_RATIO))
    if rows:
        show(rows, compared)
    print_bars(bars)
    record["verdicts"] = {arm: {"verdict": j.verdict, "reason": j.reason} for arm, j in compared.items()}
    record |= {"date": machine.today(), "hardware": machine.hardware(), "versions": machine.versions()}
    say(f"{time.perf_counter() - started:.0f} s")
    if json is not None:
        write_json(json, record)


if __name__ == "__main__":
    tyro.cli(main)
