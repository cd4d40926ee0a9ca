"""What are the modes of learned control worth, and what does caching actions save? Every combination, decoded for real.

python benchmarks/speculation_modes.py [--json OUT]

The same as `trimtab speculation compare-modes`: {PPO, DQN} x {standard, max-entropy} x {text, fused, statistics} x {every
round, held}, beside the default tree, the best static tree and the rule that decides after every level.
"""

import tyro

from trimtab.speculation.compare_modes import compare_modes
from trimtab.speculation.recipe import CompareModes

if __name__ == "__main__":
    compare_modes(tyro.cli(CompareModes, description=__doc__))
