"""How do the learners compare on the embedded task? Its arms, each from the same supervised models, kept arm by arm.

An arm leaves ``replies.jsonl`` (to the test dialogues, with the same noise for all arms) and ``summary.json`` in its
folder; what is there is not done again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from trimtab.checkpoints import replace_file
from trimtab.console import say
from trimtab.dialogue.answering import Manner, answer
from trimtab.dialogue.best_of import best_of, kl_bound
from trimtab.dialogue.critic.pretraining import CriticSettings, Labelled, fit_critic
from trimtab.dialogue.example import Example, Reply
from trimtab.dialogue.ppo.building import Lora, make_learner
from trimtab.dialogue.ppo.saving import load_critic, save_all, save_critic, save_policy
from trimtab.dialogue.ppo.settings import PPOSettings
from trimtab.dialogue.ppo.trainer import PPOTrainer, Update
from trimtab.dialogue.tasks.moods import Moods
from trimtab.dialogue.tasks.moods_reward import moods_rubric
from trimtab.dialogue.training import (
    PolicyTraining,
    label,
    label_references,
    make_agents_trainer,
    make_trainer,
)
from trimtab.dialogue.trl_rows import TrlSettings, train_by_trl
from trimtab.lm.load import load_model

ADAPTER_STEPS = 60
"""Updates of the arms that train adapters: enough to compare one with three."""
EMBEDDED = ("zoo:dialogue", "zoo:dialogue-1", "zoo:dialogue-2")
"""The supervised models, of three seeds."""
PPO = PPOSettings(
    steps=100,
    batch_size=64,
    minibatch_size=32,
    epochs=2,
    learning_rate=5e-4,
    critic_learning_rate=1e-3,
    warmup_steps=5,
    kl_coefficient=0.1,
    kl_target=3.0,
    kl_horizon=1000.0,
    context_max_length=64,
    reply_max_length=48,
)
RLOO = TrlSettings(steps=100, batch_size=64, minibatch_size=32, epochs=2, group_size=4, learning_rate=5e-4, beta=0.1)
CRITIC = CriticSettings(epochs=4, learning_rate=1e-3, held_out=0.08, patience=2)


@dataclass(frozen=True)
class Experiment:
    """The embedded experiment for one supervised model."""

    seed: int
    folder: Path
    model: str = ""
    prompts: int = 4000
    test: int = 400
    critic_references: int = 4000
    ppo: PPOSettings = PPO
    rloo: TrlSettings = RLOO
    critic: CriticSettings = CRITIC
    manner: Manner = field(default_factory=lambda: Manner(context_max_length=64, reply_max_length=48))

    @property
    def base(self) -> str:
        return self.model or EMBEDDED[self.seed]

    def load(self) -> tuple[Any, Any]:
        return load_model(self.base, dtype="float32")

    def test_examples(self) -> list[Example]:
        return Moods().examples("test", self.test)

    def train_examples(self, count: int | None = None) -> list[Example]:
        return Moods().examples("train", count or self.prompts)

    # -- arms ----------------------------------------------------------------------------------------------------------

    def sft(self) -> dict[str, Any]:
        model, tokenizer = self.load()
        return self._keep("sft", self._answers(model, tokenizer), {"kl": 0.0})

    def colder(self, name: str, source: str, temperature: float) -> dict[str, Any]:
        """A model that is there already, answering at another temperature: what costs nothing to try."""
        model, tokenizer = load_model(source, dtype="float32")
        manner = replace(self.manner, temperature=temperature)
        replies = answer(model, tokenizer, self.test_examples(), manner)
        return self._keep(name, replies, {"temperature": temperature, "training_replies": 0})

    def best_of_8(self) -> dict[str, Any]:
        model, tokenizer = self.load()
        replies = best_of(model, tokenizer, self.test_examples(), moods_rubric(), 8, self.manner)
        return self._keep("best-of-8", replies, {"kl_at_most": kl_bound(8), "training_replies": 0})

    def warm_critic(self) -> Path:
        """The critic trained on the references, made once for all arms; the folder that holds it."""
        folder = self.folder / str(self.seed) / "critic"
        if (folder / "summary.json").exists():
            return folder
        model, tokenizer = self.load()
        started = time.perf_counter()
        trainer = self._trainer(model, tokenizer, self.ppo)
        labelled = label_references(trainer, self.train_examples(self.critic_references), tokenizer)
        explained = fit_critic(
            trainer.learner.critic,
            model,
            labelled,
            self.critic,
            told=lambda n, found: say(f"seed {self.seed}, critic, pass {n}: explained variance {found['total']:.3f}"),
        )
        folder.mkdir(parents=True, exist_ok=True)
        save_critic(trainer.learner.critic, folder)
        _write(folder / "summary.json", {"explained": explained, "seconds": time.perf_counter() - started})
        return folder

    def _trainer(self, model: Any, tokenizer: Any, settings: PPOSettings) -> PPOTrainer:
        recipe = PolicyTraining(settings, critic=self.critic)
        return make_trainer(model, tokenizer, moods_rubric(), self.train_examples(), recipe)

    def ppo_arm(self, name: str = "ppo", **changes: Any) -> dict[str, Any]:
        """PPO with the warm critic."""
        warm = self.warm_critic()
        model, tokenizer = self.load()
        trainer = self._trainer(model, tokenizer, replace(self.ppo, seed=self.seed, **changes))
        trainer.learner.critic.load_state_dict(load_critic(warm, model).state_dict())
        return self._trained(name, trainer, tokenizer)

    def without_kl(self) -> dict[str, Any]:
        """The arm that is told to hack: no cost for leaving the reference. It needs fewer updates for that."""
        return self.ppo_arm("ppo-no-kl", steps=40, kl_coefficient=0.0, kl_target=None)

    def lora(self) -> dict[str, Any]:
        """One policy as a LoRA adapter, the agents' peer: the same rank, rates and replies."""
        model, tokenizer = self.load()
        recipe = PolicyTraining(replace(self.ppo, steps=ADAPTER_STEPS, seed=self.seed, learning_rate=2e-3), Lora(16))
        trainer = make_trainer(model, tokenizer, moods_rubric(), self.train_examples(), recipe)
        return self._trained("lora", trainer, tokenizer)

    def agents(self) -> dict[str, Any]:
        """Three adapters that take turns."""
        model, tokenizer = self.load()
        recipe = PolicyTraining(replace(self.ppo, steps=ADAPTER_STEPS, seed=self.seed, learning_rate=2e-3), Lora(16))
        trainer = make_agents_trainer(model, tokenizer, moods_rubric(), self.train_examples(), recipe)
        return self._trained("agents", trainer, tokenizer)

    def _trained(self, name: str, trainer: PPOTrainer, tokenizer: Any) -> dict[str, Any]:
        folder = self.folder / str(self.seed) / name
        folder.mkdir(parents=True, exist_ok=True)
        history: list[dict[str, float]] = []
        alarms: list[str] = []
        started = time.perf_counter()

        def told(done: Update) -> None:
            history.append(done.metrics)
            alarms.extend(f"{done.step}: {alarm}" for alarm in done.alarms)
            if done.step % 10 == 0:
                shown = {k: round(done.metrics[k], 3) for k in ("reward", "kl", "explained_variance", "length")}
                say(f"seed {self.seed}, {name}, update {done.step}: {shown}, {time.perf_counter() - started:.0f} s")

        trainer.fit(told=told)
        seconds = time.perf_counter() - started
        numbers = [{k: v for k, v in row.items() if v == v} for row in history]
        _write(folder / "history.json", {"updates": numbers})
        facts = {
            "seconds": seconds,
            "training_replies": trainer.settings.steps * trainer.settings.batch_size,
            "training_tokens": trainer.tokens_generated,
            "kl": history[-1]["kl"],
            "explained_first": history[0]["explained_variance"],
            "alarms": alarms,
            "settings": asdict(trainer.settings),
        }
        if name == "ppo":
            save_all(trainer.learner, tokenizer, folder / "model")
        return self._keep(name, self._replies_of(trainer, tokenizer), facts)

    def rloo_arm(self) -> dict[str, Any]:
        """RLOO by TRL, from the same model, as many replies."""
        started = time.perf_counter()
        scratch = self.folder / str(self.seed) / "rloo"
        model, tokenizer = self.load()
        save_policy(model, tokenizer, scratch / "start")  # TRL loads the reference from a path, in its own precision
        settings = replace(self.rloo, seed=self.seed)
        policy, tokenizer, counted = train_by_trl(
            scratch / "start",
            moods_rubric(),
            self.train_examples(),
            settings,
            log=lambda step, m: say(f"seed {self.seed}, rloo, step {step}: reward {m.get('reward', float('nan')):.3f}"),
        )
        facts = {
            "seconds": time.perf_counter() - started,
            "training_replies": counted.replies,
            "training_tokens": counted.tokens,
            "settings": asdict(settings),
        }
        learner, reference = make_learner(self.load()[0], ("kl",))
        del learner
        replies = self._answers(policy, tokenizer)
        facts["kl"] = _kl(policy, reference, tokenizer, replies, self.manner)
        return self._keep("rloo", replies, facts)

    def ceiling(self) -> dict[str, float]:
        """What of the trained policy's replies its critic explains, and what a value model fitted to them would."""
        folder = self.folder / str(self.seed) / "ppo" / "model"
        policy, tokenizer = load_model(folder, dtype="float32")
        recipe = PolicyTraining(self.ppo, critic=self.critic)
        reference, _ = self.load()
        trainer = make_trainer(
            policy, tokenizer, moods_rubric(), self.train_examples(), recipe, reference=(reference, tokenizer)
        )
        critic = load_critic(folder, policy)
        trainer.learner.critic.load_state_dict(critic.state_dict())
        labelled = label(trainer, 2048, first=50_000, progress=1.0)
        return {"critic": _held_out(trainer, labelled), "ceiling": _fitted(trainer, labelled)}

    # -- replies -------------------------------------------------------------------------------------------------------

    def _answers(self, model: Any, tokenizer: Any) -> list[Reply]:
        return answer(model, tokenizer, self.test_examples(), self.manner)

    def _replies_of(self, trainer: PPOTrainer, tokenizer: Any) -> list[Reply]:
        from trimtab.dialogue.ppo.rubric_grader import end_ids, prompt_ids, reply_text

        examples, ends = self.test_examples(), end_ids(tokenizer, trainer.learner.policy)
        prompts = [prompt_ids(tokenizer, example.prompt) for example in examples]
        noise = self.manner.noise(len(prompts))
        sampled = trainer.learner.write(prompts, noise, width=48, ends=set(ends), context=64)
        told = zip(examples, sampled.tokens.reply_lists(), sampled.ended_B.tolist(), strict=True)
        return [Reply(e, reply_text(tokenizer, ids, ends), bool(ended), len(ids)) for e, ids, ended in told]

    def _keep(self, name: str, replies: list[Reply], facts: dict[str, Any]) -> dict[str, Any]:
        folder = self.folder / str(self.seed) / name
        rows = [{"key": r.example.key, "reply": r.text, "ended": r.ended, "tokens": r.tokens} for r in replies]
        folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        replace_file(folder / "replies.jsonl", lambda scratch: scratch.write_text(lines, encoding="utf-8"))
        _write(folder / "summary.json", facts)
        return facts

    def replies(self, name: str) -> list[Reply]:
        """The replies of an arm that was run."""
        path = self.folder / str(self.seed) / name / "replies.jsonl"
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        examples = {example.key: example for example in self.test_examples()}
        return [Reply(examples[row["key"]], row["reply"], row["ended"], row["tokens"]) for row in rows]

    def summary(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / str(self.seed) / name / "summary.json").read_text("utf-8"))

    def arms(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """Arm -> what runs it."""
        return {
            "sft": self.sft,
            "sft-0.3": lambda: self.colder("sft-0.3", self.base, 0.3),
            "sft-greedy": lambda: self.colder("sft-greedy", self.base, 0.0),
            "best-of-8": self.best_of_8,
            "ppo": self.ppo_arm,
            "rloo": self.rloo_arm,
            "ppo-no-kl": self.without_kl,
            "lora": self.lora,
            "agents": self.agents,
            "ppo-greedy": lambda: self.colder("ppo-greedy", str(self.folder / str(self.seed) / "ppo" / "model"), 0.0),
        }

    def run(self, name: str) -> None:
        """Run an arm, unless its replies are there already."""
        if not (self.folder / str(self.seed) / name / "summary.json").exists():
            self.arms()[name]()


def _write(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1) + "\n"
    replace_file(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def _kl(policy: Any, reference: Any, tokenizer: Any, replies: list[Reply], manner: Manner) -> float:
    """Nats per reply between policy and reference, on the policy's own replies."""
    import torch

    from trimtab.dialogue.ppo.batches import joined
    from trimtab.dialogue.ppo.learner import chosen_logprobs, reply_logits
    from trimtab.dialogue.ppo.rubric_grader import prompt_ids

    prompts = [prompt_ids(tokenizer, r.example.prompt) for r in replies]
    said = [
        [*prompt_ids(tokenizer, r.text), *([int(tokenizer.eos_token_id)] if r.ended else [])] or [0] for r in replies
    ]
    tokens = joined(prompts, said, context=manner.context_max_length, reply=manner.reply_max_length)
    with torch.no_grad():
        own_BT = chosen_logprobs(reply_logits(policy, tokens)[0], tokens.reply_ids_BT)
    apart_BT = (own_BT - reference.logprobs(tokens, 1.0)) * tokens.reply_mask_BT
    return float(apart_BT.sum(dim=1).mean())


def _held_out(trainer: PPOTrainer, labelled: Labelled) -> float:
    """What the critic as it is explains of the replies that ``_fitted`` holds out."""
    import torch

    from trimtab.dialogue.critic.pretraining import values_of, valuing

    count = len(labelled)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    held = order[: int(count * 0.15)]
    values = values_of(valuing(trainer.learner.critic, trainer.learner.policy), labelled.tokens.rows(held), "cpu")
    return labelled.explained(values, held)["total"]


def _fitted(trainer: PPOTrainer, labelled: Labelled) -> float:
    """What a critic that goes on from there explains of held-out replies, when it is fitted to the others until it gets no
    better."""
    settings = CriticSettings(epochs=8, learning_rate=5e-4, held_out=0.15, patience=2)
    return fit_critic(trainer.learner.critic, trainer.learner.policy, labelled, settings)["total"]
