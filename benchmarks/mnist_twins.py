"""A small MNIST network, trained normally and adversarially.

A port of the LeNet of advertorch's examples (LGPL-3.0) to plain JAX, for studies that
hold a standard model beside its robust twin.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from benchmarks import assets
from benchmarks.convolution import conv
from jaxattr.checkpoints.reading import read_checkpoint

TRAININGS = {"normal": "cln", "adv": "adv"}


def load(
    training: str, activation: Callable[[jax.Array], jax.Array] = jax.nn.relu
) -> Partial:
    """A callable pytree: images ``(N, 28, 28, 1)`` in [0, 1] to logits ``(N, 10)``."""
    file = f"mnist_lenet5_{TRAININGS[training]}_advertorch.safetensors"
    weights = read_checkpoint(assets.folder() / file)
    return Partial(_LENETS[activation], {k: jnp.asarray(v) for k, v in weights.items()})


def test_images() -> tuple[np.ndarray, np.ndarray]:
    """The 10,000 test images in [0, 1] and their labels."""
    with np.load(assets.folder() / "mnist_test10000.npz") as archive:
        images = archive["x"][:, :, :, None].astype(np.float32) / 255
        return images, archive["y"].astype(np.int32)


def smooth(x: jax.Array) -> jax.Array:
    """A ReLU with curvature."""
    return jax.nn.softplus(20 * x) / 20


def _lenet(activation: Callable[[jax.Array], jax.Array]):
    """Convolutions 3x3 of 32 and 64, each pooled; then 200, then 10."""

    def apply(weights: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        for name in ("conv1", "conv2"):
            kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0)
            x = activation(conv(x, kernel) + weights[f"{name}.bias"])
            n, h, w, c = x.shape
            x = x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
        # Rows of the first matrix are channel by channel.
        x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
        x = activation(x @ weights["linear1.weight"].T + weights["linear1.bias"])
        return x @ weights["linear2.weight"].T + weights["linear2.bias"]

    return apply


# One function each: a model that is loaded again does not compile again.
_LENETS = {activation: _lenet(activation) for activation in (jax.nn.relu, smooth)}
