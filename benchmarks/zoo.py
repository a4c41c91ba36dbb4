"""Forward and input gradient of the zoo, here and in torchvision, in turn.

Needs the extra ``bench``, and torchvision 0.28.0 (and timm 1.0.31 for EfficientNet-Lite1
to 4) installed with ``--no-deps``. The same weights, the same images; the logits are
compared first, so that the same work is timed.
Every network has a process of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import jax

from benchmarks import report, timing
from benchmarks.torch_passes import compare
from benchmarks.torch_zoo import load_both

SEED = 0
NAMES = (
    "resnet50",
    "vgg16",
    "mobilenet_v2",
    "squeezenet1_0",
    "inception_v3",
    "vit_b_16",
    "alexnet",
    "googlenet",
    "densenet121",
    "mobilenet_v3_large",
    "mnasnet1_0",
    "efficientnet_lite4",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "shufflenet_v2_x1_0",
    "resnext50_32x4d",
    "regnet_y_1_6gf",
    "convnext_tiny",
    "swin_t",
    "swin_v2_t",
)
"""One of each family; any other name of the zoo that torchvision has will do, too."""
TOLERANCES = {"float32": 1e-3, "bfloat16": 2e-1}
"""How far logits may be apart, relative to the largest."""
TOLERANCE_TF32 = 2e-2
"""On a GPU float32 is multiplied as TF32, by torch too."""


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", default=NAMES)
    add("--batch", type=int, nargs="+", default=[8])
    add("--dtype", nargs="+", choices=TOLERANCES, default=["float32"])
    add("--rounds", type=int, default=5)
    add("--name", help="of the file of results")
    arguments = parser.parse_args()
    with timing.alone():
        rows = [
            row
            for name in arguments.names
            for dtype in arguments.dtype
            for row in timing.apart(
                measure, name, dtype, arguments.batch, arguments.rounds
            )
        ]
    header = [
        *("model", "dtype", "batch", "pass", "jaxattr img/s", "torch img/s"),
        *("times faster", "at its fastest", "error"),
    ]
    text = (
        f"Medians over {arguments.rounds} rounds, the ratio within a round; `at its "
        "fastest` compares the fastest rounds of each. A process a network. "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads."
    )
    if jax.default_backend() == "gpu":
        text += (
            " torch runs its modules as they are, channels last; float32 is multiplied "
            "as TF32 by both."
        )
    report.write(
        arguments.name or f"zoo-{jax.default_backend()}",
        "The zoo against torchvision",
        [("", text), ("", report.markdown(header, rows))],
        SEED,
    )


def measure(
    name: str, dtype: str, batches: Sequence[int], rounds: int
) -> list[tuple[str, ...]]:
    on_gpu = jax.default_backend() == "gpu"
    tolerance = TOLERANCES[dtype]
    both = load_both(name, None if dtype == "float32" else dtype)
    rows = []
    for batch in batches:
        found = compare(
            *both,
            batch=batch,
            rounds=rounds,
            seed=SEED,
            tolerance=max(tolerance, TOLERANCE_TF32) if on_gpu else tolerance,
            dtype=dtype,
        )
        rows += [
            (
                *(name, dtype, str(batch), c.name),
                *(f"{c.ours:.1f}", f"{c.theirs:.1f}", f"{c.ratio:.2f}"),
                *(f"{c.ratio_at_best:.2f}", f"{c.error:.1e}"),
            )
            for c in found
        ]
        for row in rows[-2:]:
            print(*row, flush=True)
    return rows


if __name__ == "__main__":
    main()
