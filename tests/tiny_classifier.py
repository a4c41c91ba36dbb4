"""A classifier of four classes and 16 x 16 pixels, for what is around a model."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

SIZE = 16
LABELS = ("crane", "tiger cat", "espresso", "crane")
calls: list[tuple[int, ...]] = []
"""The shapes that the model was traced or called with, to count compilations."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class TinyClassifier:
    """``W tanh(mean-pooled pixels)``; what ``jaxattr.models.load`` gives, but small."""

    weights: jax.Array
    name: str = dataclasses.field(default="tiny", metadata={"static": True})
    input_size: int = dataclasses.field(default=SIZE, metadata={"static": True})
    labels: tuple[str, ...] = dataclasses.field(
        default=LABELS, metadata={"static": True}
    )

    def __call__(self, images):
        calls.append(images.shape)
        return self.head(self.features(images))

    def features(self, images):
        n = images.shape[0]
        pooled = images.reshape(n, 4, SIZE // 4, 4, SIZE // 4, 3).mean((2, 4))
        return jnp.tanh(4 * pooled - 2)

    def head(self, features):
        return features.reshape(features.shape[0], 48) @ self.weights

    def preprocess(self, image):
        resized = image.resize((SIZE, SIZE))
        return np.asarray(resized, np.float32) / np.float32(255)


def tiny_classifier(seed: int = 0) -> TinyClassifier:
    weights = jax.random.normal(jax.random.key(seed), (48, len(LABELS)))
    return TinyClassifier(weights)
