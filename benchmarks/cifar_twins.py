"""Small CIFAR-10 networks, each trained normally, adversarially and with TRADES.

Ports of the networks of AkhilanB/Proper-Interpretability (MIT) to plain JAX, for
studies that hold a standard model beside its robust twin.
"""

from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from benchmarks.convolution import conv
from jaxattr.checkpoints.reading import read_checkpoint

ARCHITECTURES = ("smallgap", "wresnet")
TRAININGS = ("normal", "adv", "trades")


def load(assets: pathlib.Path, architecture: str, training: str) -> Partial:
    """A callable pytree: images ``(N, 32, 32, 3)`` in [0, 1] to logits ``(N, 10)``."""
    file = assets / f"cifar10_{architecture}_{training}_akhilanb.safetensors"
    arrays = read_checkpoint(file)
    count = sum(name.startswith("convs.") for name in arrays) // 2
    params = {
        "convs": [
            {
                # Torch keeps (out, in, height, width).
                "kernel": jnp.asarray(
                    arrays[f"convs.{i}.weight"].transpose(2, 3, 1, 0)
                ),
                "bias": jnp.asarray(arrays[f"convs.{i}.bias"]),
            }
            for i in range(count)
        ],
        "head": jnp.asarray(arrays["fc.weight"].T),
    }
    return Partial({"smallgap": smallgap, "wresnet": wresnet}[architecture], params)


def test_images(assets: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """300 exact test images in [0, 1] and their labels."""
    with np.load(assets / "cifar10_test_exact.npz") as archive:
        return archive["x"].astype(np.float32) / 255, archive["y"].astype(np.int32)


def smallgap(params, images):
    """Two strided convolutions, one of 7 x 7, the global mean."""
    x = jax.nn.relu(_conv(images, params["convs"][0], 2))
    x = jax.nn.relu(_conv(x, params["convs"][1], 2))
    x = _conv(x, params["convs"][2], 1)
    return jnp.mean(x, axis=(1, 2)) @ params["head"]


def wresnet(params, images):
    """15 pre-activation residual blocks without batch norm."""
    convs = params["convs"]
    x = _conv(images, convs[0], 1)
    for i in range(1, len(convs), 2):
        stride = 2 if i in (11, 21) else 1
        inner = _conv(jax.nn.relu(x), convs[i], stride)
        shortcut = x
        if stride == 2:
            n, h, w, c = x.shape
            shortcut = x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))
            grow = (inner.shape[-1] - c) // 2
            shortcut = jnp.pad(shortcut, ((0, 0), (0, 0), (0, 0), (grow, grow)))
        x = _conv(jax.nn.relu(inner), convs[i + 1], 1) + shortcut
    return jnp.mean(x, axis=(1, 2)) @ params["head"]


def _conv(x, layer, stride):
    bias = layer["bias"].astype(x.dtype).reshape(1, 1, 1, -1)
    return conv(x, layer["kernel"], stride) + bias
