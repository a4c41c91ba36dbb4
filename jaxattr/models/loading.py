"""``load``: a classifier by name, with weights from somewhere."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp

from jaxattr._checks import check_choice, check_integer, fail
from jaxattr.models.catalog import MODELS
from jaxattr.models.checkpoint import read_checkpoint
from jaxattr.models.classifier import Classifier, Config, initialise, skeleton
from jaxattr.models.convert import convert
from jaxattr.models.layers import Activation
from jaxattr.models.padding import PADDINGS
from jaxattr.typing import Array


def names() -> tuple[str, ...]:
    """The models that :func:`load` knows."""
    return tuple(MODELS)


def load(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    key: Array | None = None,
    num_classes: int = 1000,
    activation: Activation | None = None,
    dtype: Any = None,
    preprocessing: str | None = None,
    padding: str | None = None,
) -> Classifier:
    """A classifier with its weights.

    Args:
      name: one of :func:`names`.
      weights: None takes the model's own source (an installed package); a path takes
        that file, ``.pth``, ``.pt``, ``.safetensors`` or ``.npz``, read without torch
        and without executing it; ``"random"`` draws them (He normal).
      key: a typed key for ``weights="random"``.
      num_classes: of the checkpoint, or of the random weights.
      activation: instead of the model's own, for every one of them. ReLU networks have
        no curvature; ``jax.nn.softplus`` has.
      dtype: what to compute in, ``jnp.bfloat16`` for example, accumulated in float32.
        None follows parameters and images.
      preprocessing: what ``Classifier.preprocess`` does: ``"crop"`` (short side, then
        the centre) or ``"squash"`` (resized to the input size). None takes what the
        weights were trained with.
      padding: ``"tf_same"`` or ``"symmetric"``. None takes what the weights were
        trained with.

    Returns:
      A :class:`Classifier`.

    Raises:
      ValueError: for an unknown name or option, a missing key, a missing, corrupt or
        hostile file, a checkpoint of another network or number of classes (every tensor
        that does not fit is listed), or weights that are not installed.

    Example:
      >>> import jax
      >>> from jaxattr import models
      >>> model = models.load("efficientnet_lite0", "random", key=jax.random.key(0))
      >>> model(jax.numpy.zeros((2, 32, 32, 3))).shape
      (2, 1000)
    """
    model = MODELS[check_choice("name", name, MODELS)]
    if preprocessing is None:
        preprocessing = next(iter(model.preprocessings))
    if padding is None:
        padding = str(model.padding)
    config = Config(
        name=name,
        num_classes=check_integer("num_classes", num_classes),
        activation=_check_activation(activation),
        dtype=_check_dtype(dtype),
        padding=check_choice("padding", padding, PADDINGS),
        preprocessing=check_choice(
            "preprocessing", preprocessing, model.preprocessings
        ),
    )
    if isinstance(weights, str) and weights == "random":
        return Classifier(initialise(config, _check_key(key)), config)
    if weights is not None and not isinstance(weights, str | os.PathLike):
        raise fail("weights", 'None, a path or "random"', weights)
    path = model.default_weights() if weights is None else weights
    params = convert(
        read_checkpoint(path),
        model.rules(),
        skeleton(config)[1],
        epsilon=model.epsilon,
        source=os.fspath(path),
    )
    return Classifier(jax.tree.map(jnp.asarray, params), config)


def _check_activation(activation: Any) -> Activation | None:
    if activation is None:
        return None
    try:
        hash(activation)
    except TypeError:
        raise fail("activation", "a hashable function", activation) from None
    if not callable(activation):
        raise fail("activation", "a function", activation)
    return activation


def _check_dtype(dtype: Any) -> str | None:
    if dtype is None:
        return None
    try:
        resolved = jnp.dtype(dtype)
    except TypeError:
        raise fail("dtype", "a floating-point dtype", dtype) from None
    if not jnp.issubdtype(resolved, jnp.floating):
        raise fail("dtype", "a floating-point dtype", dtype)
    return resolved.name


def _check_key(key: Any) -> Array:
    expected = "a typed key, jax.random.key(0)"
    if key is None:
        raise ValueError(f'key: weights="random" needs {expected}')
    is_key = hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not is_key or key.shape != ():
        raise fail("key", expected, key)
    return key
