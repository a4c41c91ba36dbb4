"""Forward and input gradient of the zoo, here and in torchvision, in turn.

Needs the extra ``bench``, and torchvision 0.28.0 installed with ``--no-deps``. The same
weights, the same images; the logits are compared first, so that the same work is timed.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import report, timing
from benchmarks.torch_zoo import load_both
from jaxattr.gradients import gradient

SEED = 0
NAMES = (
    "resnet50",
    "vgg16",
    "mobilenet_v2",
    "squeezenet1_0",
    "inception_v3",
    "vit_b_16",
)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows = [
        row
        for name in arguments.names
        for row in measure(name, arguments.batch, arguments.rounds)
    ]
    header = [
        *("model", "pass", "jaxattr img/s", "torch img/s"),
        *("times faster", "at its fastest", "error"),
    ]
    text = (
        f"Batches of {arguments.batch}; medians over {arguments.rounds} rounds, the "
        "ratio within a round; `at its fastest` compares the fastest rounds of each. "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads."
    )
    report.write(
        f"zoo-{jax.default_backend()}",
        "The zoo against torchvision",
        [("", text), ("", report.markdown(header, rows))],
        SEED,
    )


def measure(name: str, batch: int, rounds: int) -> list[tuple[str, ...]]:
    import torch

    ours, theirs = load_both(name)
    forward = jax.jit(lambda model, x: model(x))
    ascend = jax.jit(lambda model, x, y: gradient(ja.scores.logit(model, y), x))

    def torch_forward(x):
        with torch.no_grad():
            return theirs(x)

    def torch_gradient(x, y):
        x = x.detach().requires_grad_()
        picked = theirs(x).gather(1, y[:, None]).sum()
        return torch.autograd.grad(picked, x)[0]

    shape = (batch, *ours.input_size, 3)
    images = np.asarray(jax.random.uniform(jax.random.key(SEED), shape))
    x, y = jnp.asarray(images), jnp.arange(batch)
    tx = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    ty = torch.arange(batch)
    logits = torch_forward(tx).numpy()
    error = np.abs(forward(ours, x) - logits).max() / np.abs(logits).max()
    assert error < 1e-3, f"the two models differ by {error:.1e}"
    rows = []
    for step, mine, other in (
        ("forward", lambda: forward(ours, x), lambda: torch_forward(tx)),
        ("input gradient", lambda: ascend(ours, x, y), lambda: torch_gradient(tx, ty)),
    ):
        medians, taken = timing.in_turn([mine, other], rounds=rounds)
        fastest = [min(column) for column in zip(*taken, strict=True)]
        rows.append(
            (
                *(name, step),
                *(f"{batch / seconds:.1f}" for seconds in medians),
                f"{timing.ratio(taken, 1, 0):.2f}",
                f"{fastest[1] / fastest[0]:.2f}",
                f"{error:.1e}",
            )
        )
    return rows


if __name__ == "__main__":
    main()
