"""How fast is EAGLE decoding on the embedded pair, beside transformers' own ways? Bars: 2.0x generate(), 1.5x plain.

python benchmarks/speculation_speed.py [--policy RUN] [--json OUT]
"""

import tyro

from trimtab.speculation.bench import bench
from trimtab.speculation.recipe import Bench

if __name__ == "__main__":
    bench(tyro.cli(Bench, description=__doc__))
