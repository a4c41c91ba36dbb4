"""A pretrained network as a callable pytree."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from jaxattr._checks import check_float_array, fail
from jaxattr.models.catalog import MODELS
from jaxattr.models.labels import class_labels
from jaxattr.models.layers import Activation
from jaxattr.models.padding import Padding
from jaxattr.typing import Array


@dataclasses.dataclass(frozen=True)
class Config:
    """All of a classifier but its numbers: small, so that hashing it costs nothing."""

    name: str
    num_classes: int
    activation: Activation | None
    dtype: str | None
    padding: Padding
    preprocessing: str

    def build(self) -> nnx.Module:
        """The network, all zeros."""
        return MODELS[self.name].build(
            num_classes=self.num_classes,
            activation=self.activation,
            padding=self.padding,
        )


@functools.cache
def skeleton(config: Config) -> tuple[Any, Any]:
    """The network's graph definition and its parameters' shapes, as nested dicts."""
    network = nnx.eval_shape(config.build)
    graph, state = nnx.split(network, nnx.Param)
    return graph, nnx.to_pure_dict(state)


def initialise(config: Config, key: Array) -> Any:
    """Random parameters: kernels normal of variance ``2 / fan_in``, biases zero.

    References:
      K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015,
      arXiv:1502.01852.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(skeleton(config)[1])
    # One draw for all: a draw for each shape takes minutes to compile.
    size = sum(leaf.size for _, leaf in leaves)
    normal = np.asarray(jax.random.normal(key, (size,), jnp.float32))
    values = []
    for path, leaf in leaves:
        drawn, normal = np.split(normal, [leaf.size])
        fan_in = math.prod(leaf.shape[:-1])
        scale = (2 / fan_in) ** 0.5 if path[-1].key == "kernel" else 0.0
        values.append(jnp.asarray(drawn.reshape(leaf.shape) * np.float32(scale)))
    return jax.tree.unflatten(structure, values)


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["config"]
)
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Classifier:
    """Images ``(N, H, W, 3)`` in [0, 1] to logits ``(N, num_classes)``.

    A pytree whose leaves are the parameters, nested dicts of arrays in ``params``: pass
    it through ``jit`` as an argument, differentiate with respect to it, replace its
    numbers with ``jax.tree.map``, and nothing compiles again. Normalisation happens
    inside, so it needs no preparation but :meth:`preprocess`.

    Calling it compiles once a shape, eagerly too. It computes in float32, or in float64
    for such images, unless it was loaded with another ``dtype``; the logits are at
    least float32.
    """

    params: Any
    config: Config

    def __call__(self, images: Array) -> Array:
        """Logits ``(N, num_classes)`` of images ``(N, H, W, 3)``, any H and W."""
        images = check_float_array("images", images, "(N, H, W, 3) in [0, 1]", 4)
        if images.shape[-1] != 3:
            raise fail("images", "three channels, (N, H, W, 3)", images)
        return _logits(self.config, self.params, images)

    @property
    def name(self) -> str:
        """What :func:`load` calls it."""
        return self.config.name

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of what :meth:`preprocess` returns."""
        return MODELS[self.name].preprocessings[self.config.preprocessing].size

    @property
    def num_classes(self) -> int:
        """How many logits it has."""
        return self.config.num_classes

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; numbers in words where they are not ImageNet's."""
        return class_labels(self.config.num_classes)

    def preprocess(self, photo: Any) -> np.ndarray:
        """A PIL image or array to float32 ``(H, W, 3)`` in [0, 1].

        Modes, alpha and errors are those of ``preprocessing.Preprocessing``.
        """
        return MODELS[self.name].preprocessings[self.config.preprocessing](photo)

    def __repr__(self) -> str:
        return f"Classifier({self.name!r}, num_classes={self.num_classes})"


@functools.partial(jax.jit, static_argnums=0)
def _logits(config: Config, params: Any, images: Array) -> Array:
    model = MODELS[config.name]
    graph, _ = skeleton(config)
    # Explicitly, so that it works where implicit promotion is an error.
    leaves = jax.tree.leaves(params)
    widest = max((images, *leaves), key=lambda array: jnp.finfo(array.dtype).bits).dtype
    images = images.astype(widest)
    shape = images.shape
    mean, std = (
        lax.broadcast_in_dim(jnp.asarray(v, widest), shape, (3,))
        for v in (model.mean, model.std)
    )
    images = (images - mean) / std
    compute = widest if config.dtype is None else jnp.dtype(config.dtype)
    return nnx.merge(graph, params)(images.astype(compute))
