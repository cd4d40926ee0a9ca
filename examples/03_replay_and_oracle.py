"""Ask what every tree would have done: a replay table, and the fastest decode there is.

Costs come from this machine; with another machine's costs the same table gives that machine's answer.
"""

from trimtab.speculation import PositionFeatures, Speculator, oracle, own_prompts
from trimtab.speculation.actions import menu
from trimtab.speculation.calibration import calibrate
from trimtab.speculation.replay_builder import build


def main() -> None:
    """Tabulate four prompts, calibrate for a few seconds, print the bounds."""
    speculator = Speculator.from_pretrained("zoo:chat", "zoo:chat-eagle3", dtype="float32")
    tasks, shapes = own_prompts("train")[:4], menu((4, 12, 32), (1, 3, 5), (1, 4, 8))
    costs = calibrate(speculator, shapes, [task.turns[0] for task in tasks], budget_seconds=20.0)
    table = build(speculator, tasks, shapes, 40, PositionFeatures())
    priced = oracle.price(table, costs)
    best = table.actions[oracle.best_static(priced)]
    bounds = oracle.bounds(priced)
    print(
        f"best static tree {best}: {bounds.best_static:.0f} tokens/s; oracle {bounds.oracle / bounds.best_static:.2f}x"
    )


if __name__ == "__main__":
    main()
