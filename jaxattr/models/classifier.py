"""A pretrained network as a callable pytree."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from jaxattr._checks import check_float_array, fail
from jaxattr.convolutions.padding import Padding
from jaxattr.models import chain
from jaxattr.models.activations import Activation
from jaxattr.models.catalog import MODELS
from jaxattr.models.convert import Parameters
from jaxattr.models.entries import Source
from jaxattr.models.labels import class_labels
from jaxattr.models.preprocessing import Preprocessing
from jaxattr.typing import Array

EMBEDDING_DEVIATION = 0.02
"""Of random class tokens, positions and tables of biases."""


@dataclasses.dataclass(frozen=True)
class Config:
    """All of a classifier but its numbers: small, so that hashing it costs nothing."""

    name: str
    source: str
    num_classes: int
    activation: Activation | None
    dtype: str | None
    padding: Padding
    preprocessing: str
    normaliser: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Mean and standard deviation that a checkpoint has inside, instead of the source's."""
    notes: tuple[str, ...] = dataclasses.field(default=(), compare=False, repr=False)
    """What was around the network in its checkpoint."""

    def build(self) -> nnx.Module:
        """The network, all zeros."""
        model = MODELS[self.name]
        padding = {"padding": self.padding} if model.paddings else {}
        activation = (
            self.weights.activation if self.activation is None else self.activation
        )
        return model.build(
            num_classes=self.num_classes, activation=activation, **padding
        )

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of what the network takes."""
        return self.normaliser or (self.weights.mean, self.weights.std)

    @property
    def weights(self) -> Source:
        """Where the numbers come from, and what that asks of the images."""
        return MODELS[self.name].sources[self.source]


@functools.cache
def skeleton(config: Config) -> tuple[nnx.GraphDef, Parameters]:
    """The network's graph definition and its parameters' shapes, as nested dicts."""
    graph, state = nnx.split(_abstract(config), nnx.Param)
    return graph, nnx.to_pure_dict(state)


@functools.cache
def layer_names(config: Config) -> tuple[str, ...]:
    """The layers that the network is a chain of."""
    return tuple(_abstract(config).chain())


@functools.cache
def _abstract(config: Config) -> Any:
    return nnx.eval_shape(config.build)


def initialise(config: Config, key: Array) -> Parameters:
    """Random parameters: kernels normal of variance ``2 / fan_in``, biases zero.

    Scales of norms are one, embeddings normal of deviation 0.02; what ends a residual
    branch is smaller by its layer's ``gain``.

    References:
      K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015,
      arXiv:1502.01852.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(skeleton(config)[1])
    gains = {
        path: module.gain
        for path, module in nnx.iter_modules(_abstract(config))
        if hasattr(module, "gain")
    }
    # One draw for all: a draw for each shape takes minutes to compile.
    size = sum(leaf.size for _, leaf in leaves)
    normal = np.asarray(jax.random.normal(key, (size,), jnp.float32))
    values, start = [], 0
    for path, leaf in leaves:
        *place, name = (part.key for part in path)
        drawn = normal[start : start + leaf.size].reshape(leaf.shape)
        start += leaf.size
        if name == "kernel":
            deviation = (2 / math.prod(leaf.shape[:-1])) ** 0.5
            drawn = drawn * np.float32(deviation * gains.get(tuple(place), 1.0))
        elif name in ("scale", "bias"):
            drawn = np.full(leaf.shape, float(name == "scale"), np.float32)
        else:
            drawn = drawn * np.float32(EMBEDDING_DEVIATION)
        values.append(jnp.asarray(drawn))
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

    params: Parameters
    config: Config

    def __call__(self, images: Array) -> Array:
        """Logits ``(N, num_classes)`` of images ``(N, H, W, 3)``, any H and W."""
        images = check_float_array("images", images, "(N, H, W, 3) in [0, 1]", 4)
        if images.shape[-1] != 3:
            raise fail("images", "three channels, (N, H, W, 3)", images)
        return _part(self.config, 0, None, self.params, images)

    def split(self, layer: str | None = None) -> Split:
        """Its two halves, before and after a layer.

        Args:
          layer: one of ``layers``, or a group of them (``"layer4"`` is all that starts
            with ``"layer4."``), after which it is cut. None cuts after the last layer
            whose features still are an image.

        Returns:
          ``Split(features, head)``, callable pytrees as this one is.

        Raises:
          ValueError: for a layer that it does not have; the message lists them.

        Example:
          >>> import jax
          >>> from jaxattr import models
          >>> model = models.load("squeezenet1_1", "random", key=jax.random.key(0))
          >>> features, head = model.split("features.5")
          >>> jax.eval_shape(features, jax.numpy.zeros((1, 64, 64, 3))).shape
          (1, 7, 7, 128)
        """
        network = _abstract(self.config)
        cut = chain.position(network, network.split_layer if layer is None else layer)
        parts = (
            Part(self.params, self.config, *ends) for ends in ((0, cut), (cut, None))
        )
        return Split(*parts)

    @property
    def features(self) -> Callable[[Array], Array]:
        """The first half of ``split()``: images to features."""
        return self.split().features

    @property
    def head(self) -> Callable[[Array], Array]:
        """The second half of ``split()``: features to logits."""
        return self.split().head

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that :meth:`split` knows, from the input on."""
        return layer_names(self.config)

    @property
    def name(self) -> str:
        """What :func:`load` calls it."""
        return self.config.name

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of what :meth:`preprocess` returns."""
        return self._preprocessing.size

    @property
    def num_classes(self) -> int:
        """How many logits it has."""
        return self.config.num_classes

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; numbers in words where they are not ImageNet's."""
        return class_labels(self.config.num_classes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was around the network in its checkpoint and was taken off, in words."""
        return self.config.notes

    def preprocess(self, photo: object) -> np.ndarray:
        """A PIL image or array to float32 ``(H, W, 3)`` in [0, 1].

        Modes, alpha and errors are those of ``preprocessing.Preprocessing``.
        """
        return self._preprocessing(photo)

    @property
    def _preprocessing(self) -> Preprocessing:
        return self.config.weights.preprocessings[self.config.preprocessing]

    def __repr__(self) -> str:
        return f"Classifier({self.name!r}, num_classes={self.num_classes})"


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["params"],
    meta_fields=["config", "start", "stop"],
)
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Part:
    """Some consecutive layers of a classifier as a callable pytree.

    The first takes images and normalises them; later ones take features in the dtype
    in which they come.
    """

    params: Parameters
    config: Config
    start: int
    stop: int | None

    def __call__(self, x: Array) -> Array:
        """What the layers make of images or features."""
        return _part(self.config, self.start, self.stop, self.params, x)

    def __repr__(self) -> str:
        names = layer_names(self.config)[self.start : self.stop]
        return f"Part({self.config.name!r}, {names[0]} to {names[-1]})"


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["features", "head"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A classifier in two halves, a pair; called, it is the classifier again."""

    features: Callable[[Array], Array]
    """Images ``(N, H, W, C)`` to features ``(N, ...)``."""
    head: Callable[[Array], Array]
    """Features to logits ``(N, K)``."""

    def __call__(self, images: Array) -> Array:
        """Logits ``(N, K)``."""
        return self.head(self.features(images))

    def __iter__(self) -> Iterator[Callable[[Array], Array]]:
        return iter((self.features, self.head))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _part(
    config: Config, start: int, stop: int | None, params: Parameters, x: Array
) -> Array:
    network = nnx.merge(skeleton(config)[0], params)
    return chain.run(
        network, x if start else _normalise(config, params, x), start, stop
    )


def _normalise(config: Config, params: Parameters, images: Array) -> Array:
    """Images as the weights want them, in the dtype that is computed in."""
    # Explicitly, so that it works where implicit promotion is an error.
    leaves = jax.tree.leaves(params)
    widest = max((images, *leaves), key=lambda array: jnp.finfo(array.dtype).bits).dtype
    images = images.astype(widest)
    mean, std = (
        lax.broadcast_in_dim(jnp.asarray(v, widest), images.shape, (3,))
        for v in config.normalisation
    )
    compute = widest if config.dtype is None else jnp.dtype(config.dtype)
    return ((images - mean) / std).astype(compute)
