"""A model in two halves whose features and gradients are known in closed form."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np


class Toy(NamedTuple):
    """Features a place, ``tanh`` of a matrix on 2x2 blocks; a head of their squares."""

    params: Any
    tokens: bool = False

    def features(self, x):
        n, h, w, c = x.shape
        blocks = x.reshape(n, h // 2, 2, w, c).reshape(n, h // 2, 2, w // 2, 2, c)
        values = blocks.swapaxes(2, 3).reshape(n, h // 2, w // 2, -1) @ self.matrix(x)
        values = jnp.tanh(values)
        if not self.tokens:
            return values
        token = jnp.zeros_like(values[:, :1, 0])
        return jnp.concatenate([token, values.reshape(n, -1, values.shape[-1])], 1)

    def head(self, f):
        f = f[:, 1:] if self.tokens else f
        f = f.reshape(f.shape[0], -1, f.shape[-1])
        places = self.params["places"][: f.shape[1]].astype(f.dtype)
        return jnp.sum(f**2 * places[None, :, None], 1) @ self.params["head"].astype(
            f.dtype
        )

    def matrix(self, x):
        return self.params["matrix"].astype(x.dtype)

    def __call__(self, x):
        return self.head(self.features(x))


def draw(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


PARAMS = {
    "matrix": draw(12, 5, seed=0),
    "places": draw(12, seed=1),
    "head": draw(5, 4, seed=2),
}
MODEL = Toy(PARAMS)


def features_and_slopes(image, label):
    """Of one image, place by place in float64: ``∂z_y/∂F = 2 F p_place V_y``."""
    image = np.asarray(image, np.float64)
    h, w = image.shape[0] // 2, image.shape[1] // 2
    features, slopes = np.zeros((h, w, 5)), np.zeros((h, w, 5))
    for i in range(h):
        for j in range(w):
            block = image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(-1)
            features[i, j] = np.tanh(block @ PARAMS["matrix"])
            slope = 2 * features[i, j] * PARAMS["places"][i * w + j]
            slopes[i, j] = slope * PARAMS["head"][:, label]
    return features, slopes


def logits(features):
    """Of features ``(h, w, 5)`` in float64."""
    flat = np.asarray(features, np.float64).reshape(-1, features.shape[-1])
    squares = np.sum(flat**2 * PARAMS["places"][: len(flat), None], 0)
    return squares @ PARAMS["head"]


def resized(cam):
    """To twice its size, ``(2h, 2w)``."""
    h, w = cam.shape
    return np.array(
        [
            [
                bilinear(cam, (y + 0.5) / 2 - 0.5, (x + 0.5) / 2 - 0.5)
                for x in range(2 * w)
            ]
            for y in range(2 * h)
        ]
    )


def bilinear(cam, y, x):
    """At a place between the centres of pixels, the border continued."""
    y, x = np.clip(y, 0, cam.shape[0] - 1), np.clip(x, 0, cam.shape[1] - 1)
    i, j = int(y), int(x)
    k, m = min(i + 1, cam.shape[0] - 1), min(j + 1, cam.shape[1] - 1)
    top = cam[i, j] * (1 - x + j) + cam[i, m] * (x - j)
    bottom = cam[k, j] * (1 - x + j) + cam[k, m] * (x - j)
    return top * (1 - y + i) + bottom * (y - i)
