"""``from_torch`` beside our own port of the same network and torch itself, in turn.

Needs the extras ``bench`` and ``torch``, and torchvision 0.28.0 installed with
``--no-deps``. The three have the same weights and the same images; logits are compared
first. torch runs on CPU. Every network has a process of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja
from benchmarks import report, timing
from benchmarks.torch_zoo import load_both
from jaxattr.gradients import gradient

SEED = 0
NAMES = ("resnet50", "mobilenet_v2", "vit_b_16")
"""Networks that torchvision and the zoo both have."""
TOLERANCES = {"float32": 1e-3, "bfloat16": 2e-1}
"""How far logits may be apart, relative to the largest."""
HEADER = (
    *("model", "dtype", "batch", "pass", "port img/s", "from_torch img/s"),
    *("torch img/s", "from_torch / port", "from_torch / torch", "error"),
)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", default=NAMES)
    add("--batch", type=int, default=8)
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
    text = (
        f"Images a second, medians over {arguments.rounds} rounds; ratios of speeds are "
        "medians of those within a round, above one where `from_torch` is faster. "
        "`error` is how far its logits are from torch's, of the largest. The same "
        f"weights, drawn. torch {torch.__version__} on CPU, {torch.get_num_threads()} "
        f"threads; torchax {metadata.version('torchax')}."
    )
    report.write(
        arguments.name or f"torch-models-{jax.default_backend()}",
        "Modules of torch through `from_torch`",
        [("", text), ("", report.markdown(HEADER, rows))],
        SEED,
    )


def measure(name: str, dtype: str, batch: int, rounds: int) -> list[tuple[str, ...]]:
    import torch

    chosen = None if dtype == "float32" else dtype
    port, native = load_both(name, chosen)
    shape = (batch, *port.input_size, 3)
    images = np.asarray(jax.random.uniform(jax.random.key(SEED), shape))
    bridge = ja.models.from_torch(native, images, dtype=chosen)
    native = native.to(getattr(torch, dtype))
    x, y = jnp.asarray(images), jnp.arange(batch)
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    pixels = pixels.to(getattr(torch, dtype))
    labels = torch.arange(batch)
    forward = jax.jit(lambda model, x: model(x))
    ascend = jax.jit(lambda model, x, y: gradient(ja.scores.logit(model, y), x))

    def torch_forward() -> Any:
        with torch.no_grad():
            return native(pixels)

    def torch_gradient() -> Any:
        taken = pixels.detach().requires_grad_()
        picked = native(taken).gather(1, labels[:, None]).sum()
        return torch.autograd.grad(picked, taken)[0]

    wanted = torch_forward().float().numpy()
    error = np.abs(forward(bridge, x) - wanted).max() / np.abs(wanted).max()
    assert error < TOLERANCES[dtype], f"its logits differ by {error:.1e}"
    passes: dict[str, tuple[Callable[[], Any], ...]] = {
        "forward": (
            lambda: forward(port, x),
            lambda: forward(bridge, x),
            torch_forward,
        ),
        "input gradient": (
            lambda: ascend(port, x, y),
            lambda: ascend(bridge, x, y),
            torch_gradient,
        ),
    }
    rows = []
    for label, three in passes.items():
        medians, taken = timing.in_turn(list(three), rounds=rounds)
        rows.append(
            (
                *(name, dtype, str(batch), label),
                *(f"{batch / seconds:.1f}" for seconds in medians),
                f"{timing.ratio(taken, 0, 1):.2f}",
                f"{timing.ratio(taken, 2, 1):.2f}",
                f"{error:.1e}",
            )
        )
        print(*rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
