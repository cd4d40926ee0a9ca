"""Reward tables made up for the tests: which action is best is written in the features."""

from __future__ import annotations

import numpy as np

from trimtab.compression.table import RewardTable

ACTIONS = ("h2o", "tova", "snapkv")
BUDGETS = (32, 64)


def made_table(prompts: int = 240, *, seed: int = 0, informative: bool = True) -> RewardTable:
    """Three actions, equally good on average; feature ``tail`` names the best one of each prompt, if ``informative``."""
    random = np.random.default_rng(seed)
    best_P = random.integers(3, size=prompts)
    shown_P = best_P if informative else random.integers(3, size=prompts)
    rewards_PA = 0.4 + 0.4 * np.eye(3)[best_P] + 0.02 * random.standard_normal((prompts, 3))
    tail = np.eye(3)[shown_P] + 0.1 * random.standard_normal((prompts, 3))
    return RewardTable(
        tuple(f"made/{seed}/{number}" for number in range(prompts)),
        ACTIONS,
        BUDGETS,
        {"fidelity": np.stack((rewards_PA, np.full_like(rewards_PA, 0.9)), axis=2).astype(np.float32)},
        np.full(prompts, 100),
        tuple("ab"[number % 2] for number in range(prompts)),
        {
            "tail": tail.astype(np.float32),
            **{name: np.zeros((prompts, 2), np.float32) for name in ("echo", "look_back", "focus", "reach")},
            "hidden": random.standard_normal((prompts, 4)).astype(np.float32),
        },
        {"fingerprint": "0" * 16, "model": "none"},
    )
