"""What is learned where the reward of every action is known? A regression of all rewards on the context.

Full information: one row holds all A rewards of a prompt, so nothing is explored. ``ridge``: the closed form, its strength
chosen by cross-validation over prompts on what counts, the mean reward of the chosen actions. ``mlp``: a small perceptron,
mean squared error of all rewards (AdamW).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from trimtab.policies.bandit import linear_mlp
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import exported, network_of, perceptron, single_thread

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)


def solve(contexts_PF: np.ndarray, rewards_PA: np.ndarray, strength: float) -> MLP:
    """Ridge regression with an intercept that is not shrunk; ``strength`` in units of P times the contexts' variance."""
    mean_F, mean_A = contexts_PF.mean(axis=0), rewards_PA.mean(axis=0)
    centred = contexts_PF - mean_F
    gram = centred.T @ centred + strength * len(centred) * np.eye(centred.shape[1])
    weights_FA = np.linalg.solve(gram, centred.T @ (rewards_PA - mean_A))
    return linear_mlp(weights_FA, mean_A - mean_F @ weights_FA)


def earned(mlp: MLP, contexts_PF: np.ndarray, rewards_PA: np.ndarray) -> float:
    """Mean reward of the actions that ``mlp`` chooses."""
    columns = mlp.scores(contexts_PF).argmax(axis=1)
    return float(rewards_PA[np.arange(len(columns)), columns].mean())


@dataclass(frozen=True)
class Ridge:
    """Settings of the closed form. ``folds``: of the cross-validation."""

    strengths: tuple[float, ...] = STRENGTHS
    folds: int = 5

    def fit(self, contexts_PF: np.ndarray, rewards_PA: np.ndarray, seed: int = 0) -> MLP:
        """Scores of the actions. Raises ValueError for fewer prompts than folds."""
        if len(contexts_PF) < self.folds:
            raise ValueError(f"{len(contexts_PF)} prompts to learn from: expected {self.folds} or more")
        fold_P = np.random.default_rng(seed).permutation(len(contexts_PF)) % self.folds
        judged = {strength: self._judged(contexts_PF, rewards_PA, fold_P, strength) for strength in self.strengths}
        best = max(judged, key=lambda strength: (judged[strength], strength))
        return solve(contexts_PF, rewards_PA, best)

    def _judged(self, contexts_PF: np.ndarray, rewards_PA: np.ndarray, fold_P: np.ndarray, strength: float) -> float:
        total = 0.0
        for fold in range(self.folds):
            inside, outside = fold_P != fold, fold_P == fold
            mlp = solve(contexts_PF[inside], rewards_PA[inside], strength)
            total += earned(mlp, contexts_PF[outside], rewards_PA[outside]) * int(outside.sum())
        return total / len(fold_P)


@dataclass(frozen=True)
class Shared:
    """Ridge where the last columns tell what each action would keep (``kept_features``): K numbers for each action in turn.

    First one regression, the same for all actions, of an action's reward (less its mean) on its own K numbers; then a ridge
    of what remains on the other columns. Both strengths by cross-validation on the mean reward of the choices.
    """

    kept_strengths: tuple[float, ...] = (0.003, 0.03, 0.3)
    strengths: tuple[float, ...] = (1.0, 10.0, 100.0, 1e6)
    folds: int = 5

    def fit(self, contexts_PF: np.ndarray, rewards_PA: np.ndarray, kept: int, seed: int = 0) -> MLP:
        """Scores of the actions; ``kept``: columns of the block. Raises ValueError where it is no K for each action."""
        actions = rewards_PA.shape[1]
        if kept < actions or kept % actions or kept > contexts_PF.shape[1]:
            raise ValueError(f"{kept} columns for {actions} actions: expected as many numbers for each of them")
        if len(contexts_PF) < self.folds:
            raise ValueError(f"{len(contexts_PF)} prompts to learn from: expected {self.folds} or more")
        fold_P = np.random.default_rng(seed).permutation(len(contexts_PF)) % self.folds
        totals: dict[tuple[float, float], float] = {}
        for fold in range(self.folds):
            inside, outside = fold_P != fold, fold_P == fold
            for pair, mlp in self._solved(contexts_PF[inside], rewards_PA[inside], kept):
                gained = earned(mlp, contexts_PF[outside], rewards_PA[outside]) * int(outside.sum())
                totals[pair] = totals.get(pair, 0.0) + gained
        best = max(totals, key=lambda pair: (totals[pair], pair))
        one = replace(self, kept_strengths=best[:1], strengths=best[1:])
        return one._solved(contexts_PF, rewards_PA, kept)[0][1]

    def _solved(
        self, contexts_PF: np.ndarray, rewards_PA: np.ndarray, kept: int
    ) -> list[tuple[tuple[float, float], MLP]]:
        """The scores of each pair of strengths."""
        count, actions = rewards_PA.shape
        plain = contexts_PF.shape[1] - kept
        kept_PAK = contexts_PF[:, plain:].reshape(count, actions, -1)
        middle_AK, mean_A = kept_PAK.mean(axis=0), rewards_PA.mean(axis=0)
        rows_RK, rest_PA = (kept_PAK - middle_AK).reshape(count * actions, -1), rewards_PA - mean_A
        gram_KK, moment_K = rows_RK.T @ rows_RK, rows_RK.T @ rest_PA.reshape(-1)
        middle_F = contexts_PF[:, :plain].mean(axis=0)
        centred_PF = contexts_PF[:, :plain] - middle_F
        gram_FF = centred_PF.T @ centred_PF
        made: list[tuple[tuple[float, float], MLP]] = []
        for kept_strength in self.kept_strengths:
            weights_K = np.linalg.solve(gram_KK + kept_strength * len(rows_RK) * np.eye(len(gram_KK)), moment_K)
            left_PA = rest_PA - (kept_PAK - middle_AK) @ weights_K
            for strength in self.strengths:
                ridge = gram_FF + strength * count * np.eye(plain)
                weights_FA = np.linalg.solve(ridge, centred_PF.T @ left_PA)
                block_KA = np.kron(np.eye(actions), weights_K[:, None])
                bias_A = mean_A - middle_F @ weights_FA - middle_AK @ weights_K
                mlp = linear_mlp(np.concatenate((weights_FA, block_KA)), bias_A)
                made.append(((kept_strength, strength), mlp))
        return made


@dataclass(frozen=True)
class Perceptron:
    """Settings of the network. A quarter of the prompts says when to stop (by the mean reward of the choices)."""

    hidden: tuple[int, ...] = (64,)
    epochs: int = 200
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    judge_every: int = 5

    def fit(self, contexts_PF: np.ndarray, rewards_PA: np.ndarray, seed: int = 0) -> MLP:
        """Scores of the actions, those of the best epoch judged. Raises ValueError for fewer than 8 prompts."""
        if len(contexts_PF) < 8:
            raise ValueError(f"{len(contexts_PF)} prompts to learn from: expected 8 or more")
        order = np.random.default_rng(seed).permutation(len(contexts_PF))
        judged, kept = np.split(order, [len(order) // 4])
        mean_A = rewards_PA[kept].mean(axis=0)
        inputs = torch.from_numpy(contexts_PF[kept].astype(np.float32))
        targets = torch.from_numpy((rewards_PA[kept] - mean_A).astype(np.float32))
        network = network_of(perceptron(contexts_PF.shape[1], self.hidden, rewards_PA.shape[1], seed))
        optimiser = torch.optim.AdamW(network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        generator = torch.Generator().manual_seed(seed)
        best, score = _shifted(exported(network), mean_A), -np.inf
        with single_thread():
            for epoch in range(1, self.epochs + 1):
                for batch in torch.randperm(len(inputs), generator=generator).split(self.batch_size):
                    loss = torch.nn.functional.mse_loss(network(inputs[batch]), targets[batch])
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                if epoch % self.judge_every == 0:
                    mlp = _shifted(exported(network), mean_A)
                    now = earned(mlp, contexts_PF[judged], rewards_PA[judged])
                    best, score = (mlp, now) if now > score else (best, score)
        return best


def _shifted(mlp: MLP, mean_A: np.ndarray) -> MLP:
    """The same network with ``mean_A`` added to its scores."""
    weight, bias = mlp.layers[-1]
    return MLP((*mlp.layers[:-1], (weight, (bias + mean_A).astype(np.float32))))
