"""``from_torch`` beside our own port of the same network, and torch itself.

``python -m benchmarks.torch_models [--batch-size 8] [--dtype bfloat16] [NAME ...]``, with
the extra ``torch`` and torchvision, on a machine that does nothing else: images a second of
forward pass and input gradient, the three in turn, the best of several rounds. Prints a
table in Markdown. torch runs on CPU.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr as ja

NAMES = ("resnet50", "mobilenet_v2", "vit_b_16")
"""Networks that torchvision and the zoo both have."""
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    arguments = parser.parse_args()
    print(
        f"{jax.devices()[0].device_kind}, batches of {arguments.batch_size}, "
        f"{arguments.dtype}, images a second\n"
    )
    print("| network | pass | our port | from_torch | torch | from_torch / port |")
    print("|---|---|---:|---:|---:|---:|")
    for name in arguments.names or NAMES:
        for label, speeds in measure(name, arguments.batch_size, arguments.dtype):
            port, bridge, torch = speeds
            print(
                f"| {name} | {label} | {port:.1f} | {bridge:.1f} | {torch:.1f} | "
                f"{bridge / port:.2f} |",
                flush=True,
            )


def measure(name: str, batch_size: int, dtype: str) -> list[tuple[str, list[float]]]:
    import torch
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None).eval()
    images = np.random.default_rng(0).random((batch_size, 224, 224, 3), np.float32)
    chosen = None if dtype == "float32" else dtype
    port = ja.models.load(name, "random", key=jax.random.key(0), dtype=chosen)
    bridge = ja.models.from_torch(
        network, images[:1], normalize="imagenet", dtype=chosen
    )
    if dtype != "float32":
        network = network.to(getattr(torch, dtype))
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    pixels = pixels.to(next(network.parameters()).dtype)

    forward = jax.jit(lambda model, images: model(images))
    gradient = jax.jit(
        jax.grad(lambda model, images: jnp.sum(model(images)[:, 0]), argnums=1)
    )

    def torch_forward() -> Any:
        with torch.no_grad():
            return network(pixels)

    def torch_gradient() -> Any:
        taken = pixels.clone().requires_grad_()
        return torch.autograd.grad(network(taken)[:, 0].sum(), taken)

    placed = jnp.asarray(images)
    of_jax = lambda function, model: (
        lambda: jax.block_until_ready(function(model, placed))
    )
    return [
        (
            label,
            speeds(batch_size, of_jax(jitted, port), of_jax(jitted, bridge), native),
        )
        for label, jitted, native in (
            ("forward", forward, torch_forward),
            ("input gradient", gradient, torch_gradient),
        )
    ]


def speeds(batch_size: int, *calls: Callable[[], Any]) -> list[float]:
    """Images a second of each, in turn, so that what else runs meets all of them."""
    for call in calls:
        call()
    best = [float("inf")] * len(calls)
    for i in [*range(len(calls))] * ROUNDS:
        start = time.perf_counter()
        calls[i]()
        best[i] = min(best[i], time.perf_counter() - start)
    return [batch_size / seconds for seconds in best]


if __name__ == "__main__":
    main()
