"""What does GRPO add to a model that writes q? And what does our wrapper cost? ``python benchmarks/qcode.py --json OUT``.

The experiment: a small model is taught the references of a few compositions of one-liners; GRPO then meets all of the train
split, with tests and without references. Held out are compositions that neither has seen, judged by inputs that no reward
used. Beside it: SFT alone with at least GRPO's time, the best by validation of several schedules; GRPO told random rewards.

Parts are kept in --work as they are done, so that a run that was stopped goes on (--seeds 0 runs one seed alone).
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import tyro

from trimtab import machine
from trimtab.console import Table, say
from trimtab.lm.training import Fit
from trimtab.qcode import models, small_model, sources
from trimtab.qcode.attempts import Answer, EngineSettings, Grader
from trimtab.qcode.evaluation.passk import pass_rates
from trimtab.qcode.evaluation.results import Evaluation
from trimtab.qcode.evaluation.verb import judged
from trimtab.qcode.evaluation.writing import LocalWriter, Manner
from trimtab.qcode.problems.format import Problem
from trimtab.qcode.training.curriculum import CurriculumSettings
from trimtab.qcode.training.running import Prepared
from trimtab.qcode.training_recipe import TINY, Train
from trimtab.records import bar, write_json
from trimtab.statistics import crossed_difference, mean_interval

TAUGHT = 160
SFT_STEPS = 60
GRPO_STEPS = 200
RANDOM_STEPS = 60
LADDER = (60, 90, 120, 180, 270)
LOOK_EVERY = 30
SAMPLES = 4
ARMS = ("sft", "grpo", "sft longer", "grpo, random reward")
SHIPPED_TOKENS = 64


def seconds() -> tuple[float, float]:
    """(on the wall, of this process's and its children's processors)."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.monotonic(), sum(u.ru_utime + u.ru_stime for u in used)


def taught(seed: int) -> list[Problem]:
    """The compositions whose references are taught."""
    train = sources.of_split(sources.load("onelines-evaluation"), "train", "onelines")
    return Random(f"taught {seed}").sample(train, TAUGHT)


def recipe_of(seed: int, steps: int, every: int) -> small_model.SmallRecipe:
    """How the base model is taught."""
    fit = Fit(
        steps=steps,
        learning_rate=3e-3,
        warmup=20,
        decay=0.5,
        weight_decay=0.05,
        log_every=every,
        checkpoint_every=10**9,
    )
    return small_model.SmallRecipe(seed=seed, fit=fit)


def grpo_recipe(seed: int, model: Path, work: Path, name: str, steps: int, **other: Any) -> Train:
    """How GRPO trains."""
    return replace(
        TINY,
        model=str(model),
        output_dir=work,
        name=name,
        learning_rate=2e-4,
        max_steps=steps,
        prompts_per_step=16,
        per_device_train_batch_size=128,
        eval_steps=0,
        save_steps=min(50, steps),
        curriculum=CurriculumSettings(filter=True, resample=True, refresh=2),
        grpo=("lr_scheduler_type=constant_with_warmup", "warmup_steps=20", "gradient_checkpointing=false"),
        track=(),
        seed=seed,
        engine=EngineSettings(workers=2),
        **other,
    )


def teach(
    seed: int, steps: int, out: Path, look: Callable[[int, Any], object] = lambda step, model: None, every: int = 20
) -> Path:
    """SFT from nothing; ``look`` sees the model every so many steps."""
    problems, vocabulary = taught(seed), sources.of_split(sources.load("onelines"), "train", "onelines")
    torch.manual_seed(seed)
    recipe = recipe_of(seed, steps, every)
    small_model.build(recipe, problems, vocabulary, out, log=lambda step, metrics: None, look=look)
    return out / "model"


def greedy_accuracy(model: Any, tokenizer: Any, problems: Sequence[Problem], grader: Grader) -> float:
    """The share of problems that the greedy answer solves."""
    writer = LocalWriter(model, tokenizer, TINY.prompt)
    found = judged(writer, problems, grader, Manner(samples=0, max_new_tokens=40, batch_size=256), greedy=True)
    return sum(a.verdict.passed for a in found.greedy) / len(problems)


def schedules(total: int) -> list[int]:
    """Lengths of the control's trainings: each a whole schedule, together at least ``total`` steps."""
    lengths = [length for length in LADDER if length <= total]
    return [*lengths, max(SFT_STEPS, total - sum(lengths))]


def longer(seed: int, work: Path, budget: tuple[float, float], per_step: float) -> dict[str, Any]:
    """SFT to its validation optimum: whole schedules of several lengths, together at least ``budget`` seconds (wall,
    processor); of all that was looked at on the way, what did best on validation (the base is among it)."""
    validation = sources.of_split(sources.load("onelines-evaluation"), "validation", "onelines")
    out, best = work / "longer", {"accuracy": -1.0, "step": 0, "schedule": 0}
    curves: dict[str, list[tuple[int, float]]] = {}
    tokenizer = models.load(str(work / "sft" / "model"))[1]
    lengths = schedules(int(1.1 * budget[1] / per_step))
    shutil.rmtree(out, ignore_errors=True)
    began = seconds()
    with Grader(EngineSettings(workers=2), "direct") as grader:
        for length in lengths:
            curve = curves.setdefault(str(length), [])

            def look(step: int, model: Any, length: int = length, curve: list[tuple[int, float]] = curve) -> None:
                training = model.training
                accuracy = greedy_accuracy(model.eval(), tokenizer, validation, grader)
                model.train(training)
                curve.append((step, accuracy))
                if accuracy > best["accuracy"]:
                    best.update(accuracy=accuracy, step=step, schedule=length)
                    model.save_pretrained(out / "best")
                    tokenizer.save_pretrained(out / "best")

            teach(seed, length, out / str(length), look, LOOK_EVERY)
    spent = [now - then for now, then in zip(seconds(), began, strict=True)]
    return {"schedules": lengths, "best": best, "curves": curves, "seconds": spent, "model": str(out / "best")}


def judge(path: Path, problems: Sequence[Problem], *, samples: int, tokens: int = 40) -> Evaluation:
    """Greedy answers and samples at temperature 1 of a model, run against every test."""
    model, tokenizer = models.load(str(path), dtype="float32")
    with Grader(EngineSettings(workers=2), "direct") as grader:
        manner = Manner(1.0, samples, tokens, 256, seed=1)
        return judged(LocalWriter(model, tokenizer, TINY.prompt), problems, grader, manner, greedy=True)


def figures(path: Path) -> dict[str, Any]:
    """What is kept of a model's evaluation: which problems it solves."""
    held_out = sources.of_split(sources.load("onelines-evaluation"), "test", "onelines")
    found = judge(path, held_out, samples=SAMPLES)
    shipped = judge(path, sources.load("shipped"), samples=0, tokens=SHIPPED_TOKENS)
    return {
        "greedy": [a.verdict.passed for a in found.greedy],
        "sampled": [[a.verdict.passed for a in row] for row in found.sampled],
        "unseen_pair": ["unseen-pair" in p.tags for p in held_out],
        "shipped": [a.verdict.passed for a in shipped.greedy],
    }


def train_by_cli(recipe: Train) -> None:
    """GRPO in a process of its own, so that its processor time can be told."""
    from trimtab.plain import to_plain

    code = (
        "import json,sys,torch; torch.set_num_threads(1)\n"
        "from trimtab.qcode.training.recipes import from_plain\nfrom trimtab.qcode.training_recipe import Train\n"
        "from_plain(json.loads(sys.argv[1]), Train).run()"
    )
    subprocess.run([sys.executable, "-c", code, json.dumps(to_plain(recipe))], check=True)


def grpo(seed: int, work: Path, name: str, steps: int, **other: Any) -> dict[str, Any]:
    """A GRPO arm; its seconds and model."""
    shutil.rmtree(work / name, ignore_errors=True)
    began = seconds()
    train_by_cli(grpo_recipe(seed, work / "sft" / "model", work, name, steps, **other))
    spent = [now - then for now, then in zip(seconds(), began, strict=True)]
    return {"seconds": spent, "model": str(work / name / "model")}


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` gives, from ``path`` where it was made before."""
    if not path.exists():
        write_json(path, make())
    return json.loads(path.read_text(encoding="utf-8"))


def one_seed(seed: int, root: Path) -> dict[str, Any]:
    """All four arms of a seed."""
    work = root / f"seed-{seed}"
    work.mkdir(parents=True, exist_ok=True)

    def base() -> dict[str, Any]:
        shutil.rmtree(work / "sft", ignore_errors=True)
        began = seconds()
        path = teach(seed, SFT_STEPS, work / "sft")
        return {"seconds": [now - then for now, then in zip(seconds(), began, strict=True)], "model": str(path)}

    arms = {"sft": kept(work / "sft.json", base)}
    arms["grpo"] = kept(work / "grpo.json", lambda: grpo(seed, work, "grpo-run", GRPO_STEPS))
    budget = tuple(arms["grpo"]["seconds"])
    per_step = arms["sft"]["seconds"][1] / SFT_STEPS
    arms["sft longer"] = kept(work / "longer.json", lambda: longer(seed, work, budget, per_step))  # type: ignore[arg-type]
    arms["grpo, random reward"] = kept(
        work / "random.json", lambda: grpo(seed, work, "random-run", RANDOM_STEPS, control="random")
    )
    for number, name in enumerate(ARMS):
        arms[name]["figures"] = kept(
            work / f"figures-{number}.json", lambda name=name: figures(Path(arms[name]["model"]))
        )
        say(f"seed {seed}, {name}: greedy {np.mean(arms[name]['figures']['greedy']):.3f}")
    return arms


def table_SP(seeds: Sequence[dict[str, Any]], arm: str, kind: str) -> np.ndarray:
    """[seeds, problems] of greedy passes, or pass@k."""
    rows = [seed[arm]["figures"] for seed in seeds]
    if kind == "greedy":
        return np.array([row["greedy"] for row in rows], dtype=float)
    return np.array([pass_rates(row["sampled"], int(kind.removeprefix("pass@"))) for row in rows])


def experiment(root: Path, seeds: Sequence[int]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows and bars of the experiment."""
    done = [one_seed(seed, root) for seed in seeds]
    rows: list[dict[str, Any]] = []
    for arm in ARMS:
        row: dict[str, Any] = {"arm": arm, "seeds": len(done), "problems": table_SP(done, arm, "greedy").shape[1]}
        for kind in ("greedy", "pass@1", "pass@4"):
            values = table_SP(done, arm, kind)
            interval = mean_interval(values.mean(axis=0))
            row |= {kind: interval.estimate, f"{kind}_low": interval.low, f"{kind}_high": interval.high}
            row[f"{kind}_by_seed"] = values.mean(axis=1).tolist()
        row["shipped_greedy"] = float(np.mean([seed[arm]["figures"]["shipped"] for seed in done]))
        unseen = np.array([seed[arm]["figures"]["unseen_pair"] for seed in done], dtype=bool)
        row["unseen_pairs_greedy"] = float(table_SP(done, arm, "greedy")[unseen].mean())
        row["wall_seconds"] = [seed[arm]["seconds"][0] for seed in done]
        row["processor_seconds"] = [seed[arm]["seconds"][1] for seed in done]
        if "best" in done[0][arm]:
            row["chosen_by_validation"] = [seed[arm]["best"] for seed in done]
        rows.append(row)
    return rows, experiment_bars(done)


def experiment_bars(done: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """GRPO above SFT by 12 points, above longer SFT by 5; random rewards do not raise; time."""
    bars: list[dict[str, Any]] = []
    for kind in ("greedy", "pass@1"):
        for other, least in (("sft", 0.12), ("sft longer", 0.05)):
            found, p = crossed_difference(table_SP(done, "grpo", kind), table_SP(done, other, kind))
            name = f"grpo above {other}, held-out {kind}"
            bars.append(
                {
                    **bar(name, found.estimate, least, above=True, equal=True),
                    "low": found.low,
                    "high": found.high,
                    "p": p,
                }
            )
        found, p = crossed_difference(table_SP(done, "grpo, random reward", kind), table_SP(done, "sft", kind))
        told = bar(f"random rewards above sft, held-out {kind}: lower end of the interval", found.low, 0.0, above=False)
        bars.append({**told, "estimate": found.estimate, "high": found.high, "p": p})
    least = min(seed["sft longer"]["seconds"][1] / seed["grpo"]["seconds"][1] for seed in done)
    bars.append(bar("processor time of longer SFT over GRPO's, the least of all", least, 1.0, above=True, equal=True))
    for clock, name in ((0, "wall"), (1, "processor")):
        minutes = max(sum(seed[arm]["seconds"][clock] for arm in ("sft", "grpo")) / 60 for seed in done)
        bars.append(bar(f"SFT and GRPO of a seed, {name} minutes, the longest", minutes, 15.0, above=False))
    lines = sources.load("onelines")
    bars.append(bar("one-liners", len(lines), 800, above=True, equal=True))
    bars.append(bar("held-out one-liners", sum(p.split == "test" for p in lines), 300, above=True, equal=True))
    return bars


# -- overhead ----------------------------------------------------------------------------------------------------------


class NoEngine:
    """An engine that runs nothing: every test passes."""

    name = "none"

    def run(self, programs: Sequence[Any], tests: Sequence[Sequence[Any]]) -> list[Any]:
        from trimtab.qcode.engine.protocol import Status, TestResult, Verdict

        return [Verdict(tuple(TestResult(Status.PASSED) for _ in some)) for some in tests]

    def close(self) -> None:
        pass


def overhead(root: Path, steps: int = 12, rounds: int = 4) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Seconds of a step: TRL with a constant reward, and ours with an engine that runs nothing; rounds interleaved."""
    ours, bare = [], []
    work = root / "overhead"
    for turn in range(rounds):
        shutil.rmtree(work, ignore_errors=True)
        bare.append(timed(bare_trainer(work / "bare", steps)))
        ours.append(timed(our_trainer(work / "ours", steps)))
        say(f"round {turn}: a bare step {bare[-1]:.3f} s, ours {ours[-1]:.3f} s of processor")
    ratio = float(np.median([a / b for a, b in zip(ours, bare, strict=True)]))
    rows = [{"part": "step", "bare_seconds": bare, "our_seconds": ours, "ratio": ratio}]
    return rows, [bar("our step without execution over a bare TRL step", ratio, 1.15, above=False)]


def timed(trainer: Any) -> float:
    """Processor seconds of a step."""
    began = time.process_time()
    trainer.train()
    return (time.process_time() - began) / trainer.args.max_steps


def bare_trainer(folder: Path, steps: int) -> Any:
    """TRL's own trainer with a constant reward, the same numbers otherwise."""
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback
    from trl import GRPOTrainer

    from trimtab.qcode import prompts
    from trimtab.qcode.training.layout import Layout

    recipe = replace(
        grpo_recipe(0, Path("zoo:q"), folder, "r", steps),
        model="zoo:q",
        per_device_train_batch_size=64,
        prompts_per_step=8,
    )
    prepared = Prepared.of(recipe)
    rows = Dataset.from_list([{"prompt": prompts.build(p, recipe.prompt)} for p in prepared.train])
    config = prepared.config(Layout(folder, "tiny", "x"))
    config.save_strategy = "no"
    trainer = GRPOTrainer(
        model=prepared.model,
        reward_funcs=[constant],
        args=config,
        train_dataset=rows,
        processing_class=prepared.tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def constant(completions: Sequence[Any], **_: Any) -> list[float]:
    """A reward that needs nothing."""
    return [1.0] * len(completions)


def our_trainer(folder: Path, steps: int) -> Any:
    """Ours, logging to a run, with an engine that runs nothing."""
    from trimtab.qcode.training.alarms import Alarms
    from trimtab.qcode.training.curriculum import Curriculum
    from trimtab.qcode.training.layout import Layout
    from trimtab.qcode.training.recorder import Recorder
    from trimtab.qcode.training.running import make_trainer
    from trimtab.runs import Run

    recipe = replace(
        grpo_recipe(0, Path("zoo:q"), folder, "r", steps),
        model="zoo:q",
        per_device_train_batch_size=64,
        prompts_per_step=8,
    )
    prepared = Prepared.of(recipe)
    prepared.grader._executors["q"] = NoEngine()  # type: ignore[assignment]
    run = Run.begin(folder, recipe, name="r", track=())
    where = Layout(run.path, "tiny", "x")
    where.prepare("")
    curriculum = Curriculum([p.id for p in prepared.train], recipe.curriculum)
    trainer = make_trainer(prepared, Recorder(run, where, Alarms(), curriculum, ""), where, curriculum)
    trainer.args.save_strategy = "no"
    return trainer


def execution(rounds: int = 7) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Seconds to run 64 different completions against three tests each, on two cores; the verdicts are not remembered."""
    problems = sources.of_split(sources.load("onelines"), "train", "onelines")[:64]
    times: list[float] = []
    with Grader(EngineSettings(workers=2), "direct") as grader:
        grader.run([Answer(problems[0], "")], [problems[0].tests[:1]])
        for turn in range(rounds):
            answers = [Answer(p, f"{p.references[0]} / {turn}") for p in problems]
            began = time.perf_counter()
            found = grader.run(answers, [p.tests[:3] for p in problems])
            times.append(time.perf_counter() - began)
            assert all(a.verdict.passed for a in found)
    rows = [{"part": "64 completions x 3 tests", "seconds": times}]
    return rows, [
        bar("seconds to run 64 completions x 3 tests, the median", float(np.median(times)), 0.25, above=False)
    ]


# -- kill and resume ---------------------------------------------------------------------------------------------------


def resumed(root: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A run that is killed by signal 9 and resumed, against one that is not: the largest difference of a metric."""
    from trimtab.runs import read_metrics

    work = root / "resume"
    shutil.rmtree(work, ignore_errors=True)
    base = [sys.executable, "-m", "trimtab", "qcode", "train"]
    flags = ["tiny", "--output-dir", str(work), "--max-steps", "12", "--save-steps", "4", "--prompts-per-step", "4"]
    flags += [
        "--per-device-train-batch-size",
        "32",
        "--eval-steps",
        "6",
        "--simple-eval-problems",
        "16",
        "--curriculum.filter",
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*base, *flags, "--name", "whole"], check=True, env=env, stdout=subprocess.DEVNULL)
    killed = subprocess.Popen([*base, *flags, "--name", "killed"], env=env, stdout=subprocess.DEVNULL)
    while not list((work / "killed").glob("final_outputs/*/*/checkpoints/checkpoint-8/trimtab.json")):
        time.sleep(0.2)
        if killed.poll() is not None:
            raise RuntimeError("the run ended before it could be killed")
    time.sleep(1.0)
    killed.kill()
    killed.wait()
    subprocess.run([*base, "--resume", str(work / "killed")], check=True, env=env, stdout=subprocess.DEVNULL)
    whole, again = (_comparable(read_metrics(work / name)) for name in ("whole", "killed"))
    if [sorted(row) for row in whole] != [sorted(row) for row in again]:
        raise RuntimeError("the resumed run has other rows than the uninterrupted one")
    apart = max(abs(row[n] - other[n]) for row, other in zip(whole, again, strict=True) for n in row)
    rows = [{"part": "kill -9 and resume", "rows": len(whole), "largest_difference": apart}]
    return rows, [bar("largest difference of any metric after kill -9 and resuming", apart, 1e-5, above=False)]


def _comparable(rows: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    timing = ("elapsed", "time/", "runtime", "per_second", "step_time")
    return [{n: float(v) for n, v in row.items() if not any(part in n for part in timing)} for row in rows]


PARTS: dict[str, Callable[[Path], tuple[list[dict[str, Any]], list[dict[str, Any]]]]] = {
    "overhead": overhead,
    "execution": lambda root: execution(),
    "resume": resumed,
}


def main(
    work: Path = Path("runs/bench-qcode"),
    seeds: tuple[int, ...] = (0, 1, 2),
    parts: tuple[str, ...] = ("experiment", *PARTS),
    json: Path | None = None,
) -> None:
    """Run the parts, print the tables, write rows and bars."""
    if unknown := set(parts) - {"experiment", *PARTS}:
        raise SystemExit(
            f"error: no parts {', '.join(sorted(unknown))}: expected some of experiment, {', '.join(PARTS)}"
        )
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    work.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {"rows": [], "bars": [], "parts": {}}
    for name in parts:
        made = experiment(work, seeds) if name == "experiment" else PARTS[name](work)
        told["rows" if name == "experiment" else "parts"] = (
            made[0] if name == "experiment" else {**told["parts"], name: made[0]}
        )
        told["bars"] += made[1]
    show(told)
    if json is not None:
        load = os.getloadavg()
        write_json(json, {**told, "hardware": machine.hardware(), "date": machine.today(), "load": load})


def show(told: dict[str, Any]) -> None:
    """Print the arms and the bars."""
    if told["rows"]:
        columns = ("arm", "greedy", "pass@1", "pass@4", "unseen_pairs_greedy", "shipped_greedy")
        Table("held-out one-liners", columns, [[row[c] for c in columns] for row in told["rows"]]).print()
    columns = ("name", "value", "bound", "holds")
    Table("bars", columns, [[one[c] for c in columns] for one in told["bars"]]).print()


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
