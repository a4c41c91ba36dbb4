"""What ``PackedRelu`` gains and costs: an input gradient with it and without, in turn.

Random weights. The memory is what the compiler plans for intermediate values. Both
gradients are compared first. Every network has a process of its own.
"""

from __future__ import annotations

import argparse
import math

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import report, timing
from jaxattr.gradients import gradient

SEED = 0
CAPS = {"resnet50": math.inf, "efficientnet_lite0": 6.0}
"""The largest value of the activation of each network."""
HEADER = (
    *("model", "batch", "ReLU MB", "packed MB", "of it"),
    *("ReLU img/s", "packed img/s", "times as long"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", default=tuple(CAPS))
    add("--batch", type=int, nargs="+", default=[8])
    add("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with timing.alone():
        rows = [
            timing.apart(measure, name, batch, arguments.rounds)
            for name in arguments.names
            for batch in arguments.batch
        ]
    text = (
        f"Of the gradient of a logit in the pixels, float32. Medians over "
        f"{arguments.rounds} rounds, the ratio of times within a round."
    )
    report.write(
        f"packed-relu-{jax.default_backend()}",
        "ReLUs that keep one bit of each value",
        [("", text), ("", report.markdown(HEADER, rows))],
        SEED,
    )


def measure(name: str, batch: int, rounds: int) -> tuple[str, ...]:
    key = jax.random.key(SEED)
    packed = ja.models.PackedRelu(CAPS[name])
    models = [
        ja.models.load(name, "random", key=key, activation=activation)
        for activation in (None, packed)
    ]
    images = jax.random.uniform(key, (batch, *models[0].input_size, 3))
    labels = jnp.arange(batch)
    calls, memory, maps = [], [], []
    for model in models:
        ascend = jax.jit(lambda model, x, y: gradient(ja.scores.logit(model, y), x))
        program = ascend.lower(model, images, labels).compile()
        memory.append(program.memory_analysis().temp_size_in_bytes / 1e6)
        calls.append(
            lambda program=program, model=model: program(model, images, labels)
        )
        maps.append(np.asarray(calls[-1]()))
    error = np.abs(maps[1] - maps[0]).max() / np.abs(maps[0]).max()
    assert error < 1e-5, f"the two gradients differ by {error:.1e}"
    medians, taken = timing.in_turn(calls, rounds=rounds)
    row = (
        *(name, str(batch), f"{memory[0]:.0f}", f"{memory[1]:.0f}"),
        f"{memory[1] / memory[0]:.2f}",
        *(f"{batch / seconds:.1f}" for seconds in medians),
        f"{timing.ratio(taken, 1, 0):.2f}",
    )
    print(*row, flush=True)
    return row


if __name__ == "__main__":
    main()
