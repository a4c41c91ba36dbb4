"""The compiled programs of a job: the classifier is an argument, never a constant."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxattr import metrics
from jaxattr.evaluation.methods.registry import Method
from jaxattr.typing import Array


@jax.jit
def probabilities(classifier: Any, images: Array) -> Array:
    """``softmax(z)``, ``(N, K)``, in float32."""
    return jax.nn.softmax(classifier(images).astype(jnp.float32))


@functools.partial(jax.jit, static_argnames=("explain", "static", "batch_size"))
def attributions(
    classifier: Any,
    images: Array,
    labels: Array,
    key: Array,
    arrays: dict[str, Array],
    *,
    explain: Callable[..., Array],
    static: tuple[tuple[str, Any], ...],
    batch_size: int | None,
) -> Array:
    """The maps of one method, ``(N, H, W, C)``; see ``split_options``."""
    return explain(
        classifier,
        images,
        labels,
        key=key,
        batch_size=batch_size,
        **dict(static),
        **arrays,
    )


@functools.partial(jax.jit, static_argnames=("metric", "batch_size"))
def measured(
    classifier: Any,
    images: Array,
    maps: Array,
    labels: Array,
    keys: Array,
    *,
    metric: Callable[..., dict[str, Array]],
    batch_size: int | None,
) -> dict[str, Array]:
    """What a metric of ``evaluation.protocols`` makes of maps."""
    return metric(classifier, images, maps, labels, keys, batch_size)


@functools.partial(jax.jit, static_argnames=("num_steps", "batch_size"))
def curves(
    classifier: Any,
    images: Array,
    maps: Array,
    labels: Array,
    *,
    num_steps: int,
    batch_size: int | None,
) -> tuple[Array, Array]:
    """Insertion and deletion curves, ``(N, T + 1)`` each."""
    options: dict[str, Any] = {
        "labels": labels,
        "num_steps": num_steps,
        "batch_size": batch_size,
    }
    return (
        metrics.insertion_curve(classifier, images, maps, **options),
        metrics.deletion_curve(classifier, images, maps, **options),
    )


def timed(program: Any, *arguments: Any, **static: Any) -> tuple[Any, float]:
    """The result of a jitted program and the seconds of the run, compilation apart."""
    program.lower(*arguments, **static).compile()  # kept, so the call finds it
    begin = time.perf_counter()
    result = jax.block_until_ready(program(*arguments, **static))
    return result, time.perf_counter() - begin


def split_options(
    options: Mapping[str, Any],
) -> tuple[tuple[tuple[str, Any], ...], dict[str, Any]]:
    """Options that choose a program, hashable, and arrays that are its arguments."""
    arrays = {k: v for k, v in options.items() if hasattr(v, "shape")}
    static = tuple(sorted((k, v) for k, v in options.items() if k not in arrays))
    return static, arrays


def num_classes(classifier: Any, shape: tuple[int, ...]) -> int:
    """K, for images ``shape``; nothing is computed."""
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(probabilities, classifier, images).shape[1]


def is_split(classifier: Any) -> bool:
    """Has two halves, ``features`` and ``head``."""
    return hasattr(classifier, "features") and hasattr(classifier, "head")


def check_options(
    method: Method,
    options: Mapping[str, Any],
    shape: tuple[int, ...],
    classes: int,
    *,
    split: bool = True,
) -> None:
    """Traces a method on a toy, so that a bad option is refused before work starts.

    Args:
      method: the method.
      options: all that it is given.
      shape: of the images, ``(N, H, W, C)``.
      classes: K.
      split: whether the model has two halves.

    Raises:
      ValueError: as the method raises it, its name in front.
    """

    def toy(images: Array, key: Array) -> Array:
        labels = jnp.zeros(images.shape[0], jnp.int32)
        return method.explain(
            _SplitToy(classes) if split else _Toy(classes),
            images,
            labels,
            key=key,
            batch_size=None,
            **options,
        )

    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    try:
        jax.eval_shape(toy, images, jax.random.key(0))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{method.name}: {error}") from None


@dataclasses.dataclass(frozen=True)
class _Toy:
    """The sum of an image for every class."""

    classes: int

    def __call__(self, images: Array) -> Array:
        ones = jnp.ones((1, self.classes), images.dtype)
        return jnp.sum(images, axis=(1, 2, 3))[:, None] * ones


class _SplitToy(_Toy):
    """In two halves, for methods that need them."""

    def features(self, images: Array) -> Array:
        return images

    head = _Toy.__call__
