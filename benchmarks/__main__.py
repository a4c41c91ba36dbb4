"""``python -m benchmarks``: the timings, one process each, results in ``results/``."""

from __future__ import annotations

import subprocess
import sys

TIMINGS = ("overhead", "against_torch")

if __name__ == "__main__":
    for name in TIMINGS:
        command = [sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]]
        subprocess.run(command, check=True)
