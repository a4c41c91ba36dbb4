"""Bare forward and input gradient of the default model, here and in torch, in turn.

Needs the extra ``bench``. The same weights, the same images; the logits are compared
first, so that the same work is timed.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import report, timing
from benchmarks.torch_efficientnet_lite0 import load_torch_model
from jaxattr.gradients import gradient

SEED = 0


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    ours, theirs = ja.models.load("efficientnet_lite0"), load_torch_model()
    forward = jax.jit(lambda model, x: model(x))
    ascend = jax.jit(
        lambda model, x, y: gradient(ja.scores.logit(model, y), x),
    )

    def torch_gradient(x, y):
        x = x.detach().requires_grad_()
        picked = theirs(x).gather(1, y[:, None]).sum()
        return torch.autograd.grad(picked, x)[0]

    def torch_forward(x):
        with torch.no_grad():
            return theirs(x)

    rows = []
    for batch in arguments.batch:
        shape = (batch, *ours.input_size, 3)
        images = np.asarray(jax.random.uniform(jax.random.key(SEED), shape))
        x, y = jnp.asarray(images), jnp.arange(batch)
        tx = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        ty = torch.arange(batch)
        logits = torch_forward(tx).numpy()
        error = np.abs(forward(ours, x) - logits).max() / np.abs(logits).max()
        assert error < 1e-4, f"the two models differ by {error:.1e}"
        for name, mine, other in (
            ("forward", lambda: forward(ours, x), lambda: torch_forward(tx)),
            (
                "input gradient",
                lambda: ascend(ours, x, y),
                lambda: torch_gradient(tx, ty),
            ),
        ):
            medians, taken = timing.in_turn([mine, other], rounds=arguments.rounds)
            rows.append(
                (
                    name,
                    batch,
                    f"{batch / medians[0]:.1f}",
                    f"{batch / medians[1]:.1f}",
                    f"{timing.ratio(taken, 1, 0):.2f}",
                    f"{error:.1e}",
                )
            )
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
