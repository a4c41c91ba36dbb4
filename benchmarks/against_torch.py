"""Bare forward and input gradient of the default model, here and in torch, in turn.

Needs the extra ``bench``. The same weights, the same images; the logits are compared
first, so that the same work is timed.
"""

from __future__ import annotations

import argparse

import jax

import jaxattr as ja
from benchmarks import report
from benchmarks.torch_efficientnet_lite0 import load_torch_model
from benchmarks.torch_passes import compare

SEED = 0


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    ours, theirs = ja.models.load("efficientnet_lite0"), load_torch_model()
    rows = []
    for batch in arguments.batch:
        found = compare(
            *(ours, theirs),
            batch=batch,
            rounds=arguments.rounds,
            seed=SEED,
            tolerance=1e-4,
        )
        rows += [
            (
                *(c.name, batch, f"{c.ours:.1f}", f"{c.theirs:.1f}"),
                *(f"{c.ratio:.2f}", f"{c.error:.1e}"),
            )
            for c in found
        ]
    header = ["pass", "batch", "jaxattr img/s", "torch img/s", "times faster", "error"]
    versions = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    report.write(
        f"against-torch-{jax.default_backend()}",
        "EfficientNet-Lite0: bare passes against torch",
        [("", versions), ("", report.markdown(header, rows))],
        SEED,
    )


if __name__ == "__main__":
    main()
