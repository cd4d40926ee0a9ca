"""Who is compared with the learned policy? Static trees and the closed-form rule, all chosen on the training prompts."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.speculation import greedy, oracle
from trimtab.speculation.actions import EAGLE_DEFAULT, TreeShape
from trimtab.speculation.context import PositionFeatures
from trimtab.speculation.engine.generation import Controller
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.level_fixed import Fixed, best_sharpened
from trimtab.speculation.race import Decoder, by_engine
from trimtab.speculation.saved import SavedPolicy
from trimtab.speculation.stages import Prepared

STATIC, SHARPENED, POLICY = "eagle-best-static", "best-static-sharpened", "eagle-policy"


@dataclass(frozen=True)
class Contender:
    """One way to decode: a static tree, or a controller."""

    note: str
    shape: TreeShape | None = None
    policy: Controller | None = None

    def decoder(self, speculator: Speculator, max_new_tokens: int) -> Decoder:
        return by_engine(speculator, max_new_tokens, shape=self.shape, policy=self.policy)


@dataclass(frozen=True)
class Contest:
    """What is compared: the static choices and the two controllers, made on the training split."""

    best_static: TreeShape
    rule: greedy.GreedyPolicy
    policy: SavedPolicy
    sharpened: Fixed | None = None

    def contenders(self) -> dict[str, Contender]:
        """The decoded rows in their order."""
        rule = self.rule.controller(PositionFeatures())
        rows = {
            "eagle-default": Contender(str(EAGLE_DEFAULT), shape=EAGLE_DEFAULT),
            STATIC: Contender(f"{self.best_static}, best on the training prompts", shape=self.best_static),
        }
        if self.sharpened is not None:
            rows[SHARPENED] = Contender(str(self.sharpened), policy=self.sharpened)
        rows["cost-model-greedy"] = Contender("closed form, from root confidence", policy=rule)
        return rows | {POLICY: Contender(str(self.policy), policy=self.policy)}


def contest(prepared: Prepared) -> Contest:
    """The contenders that the training split determines."""
    priced = oracle.price(prepared.table, prepared.costs)
    best = prepared.table.actions[oracle.best_static(priced)]
    rule = greedy.fit(prepared.table.subset(oracle.prune(prepared.table, prepared.costs, 12)), prepared.costs)
    sharpened = best_sharpened(prepared.levels, prepared.costs) if prepared.levels else None
    return Contest(best, rule, prepared.policy, sharpened)
