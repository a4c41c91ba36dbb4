"""The compiled programs of a job: the classifier is an argument, never a constant."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import ParamSpec, Protocol, TypeVar, cast

import jax
import jax.numpy as jnp

from jaxattr import metrics
from jaxattr._checks import fail
from jaxattr.evaluation.methods.registry import Method
from jaxattr.typing import Array, LogitsFn

P = ParamSpec("P")
T = TypeVar("T", covariant=True)

Static = tuple[tuple[str, object], ...]
"""Options that choose a program, hashable."""


class Program(Protocol[P, T]):
    """A jitted function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs it."""
        ...

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> jax.stages.Lowered:
        """What would be compiled."""
        ...


@jax.jit
def probabilities(classifier: LogitsFn, images: Array) -> Array:
    """``softmax(z)``, ``(N, K)``, in float32."""
    return jax.nn.softmax(classifier(images).astype(jnp.float32))


@functools.partial(jax.jit, static_argnames=("explain", "static", "batch_size"))
def attributions(
    classifier: LogitsFn,
    images: Array,
    labels: Array,
    key: Array,
    arrays: dict[str, Array],
    *,
    explain: Callable[..., Array],
    static: Static,
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


class Measure(Protocol):
    """A metric as a program takes it: hashable, maps to fields by name."""

    @property
    def name(self) -> str:
        """How results call it."""
        ...

    def __call__(
        self,
        model: LogitsFn,
        images: Array,
        maps: Array,
        labels: Array,
        keys: Array,
        batch_size: int | None,
        explain_fn: Callable[[Array], Array] | None = None,
    ) -> dict[str, Array]:
        """``score (N,)``, and what else there is of each image."""
        ...


@functools.partial(jax.jit, static_argnames=("metric", "batch_size"))
def measured(
    classifier: LogitsFn,
    images: Array,
    maps: Array,
    labels: Array,
    keys: Array,
    *,
    metric: Measure,
    batch_size: int | None,
) -> dict[str, Array]:
    """What a metric of ``evaluate`` makes of maps."""
    fields = metric(classifier, images, maps, labels, keys, batch_size)
    return _per_image(metric, fields, labels)


@functools.partial(
    jax.jit, static_argnames=("metric", "explain", "static", "batch_size")
)
def measured_with_explainer(
    classifier: LogitsFn,
    images: Array,
    maps: Array,
    labels: Array,
    keys: Array,
    arrays: dict[str, Array],
    *,
    metric: Measure,
    explain: Callable[..., Array],
    static: Static,
    batch_size: int | None,
) -> dict[str, Array]:
    """The same where the metric explains other images by the method of the maps."""

    def explain_fn(points: Array) -> Array:
        return attributions(
            *(classifier, points, labels, keys, arrays),
            explain=explain,
            static=static,
            batch_size=batch_size,
        )

    fields = metric(classifier, images, maps, labels, keys, batch_size, explain_fn)
    return _per_image(metric, fields, labels)


def _per_image(
    metric: Measure, fields: dict[str, Array], labels: Array
) -> dict[str, Array]:
    """The fields, seen to have a score an image."""
    if fields["score"].shape != labels.shape:
        raise fail(metric.name, f"a score an image, {labels.shape}", fields["score"])
    return fields


@functools.partial(jax.jit, static_argnames=("num_steps", "batch_size"))
def curves(
    classifier: LogitsFn,
    images: Array,
    maps: Array,
    labels: Array,
    *,
    num_steps: int,
    batch_size: int | None,
) -> tuple[Array, Array]:
    """Insertion and deletion curves, ``(N, T + 1)`` each."""
    insertion, deletion = (
        curve(
            *(classifier, images, maps),
            labels=labels,
            num_steps=num_steps,
            batch_size=batch_size,
        )
        for curve in (metrics.insertion_curve, metrics.deletion_curve)
    )
    return insertion, deletion


def timed(
    program: Program[P, T], *arguments: P.args, **static: P.kwargs
) -> tuple[T, float]:
    """The result of a jitted program and the seconds of the run, compilation apart."""
    program.lower(*arguments, **static).compile()  # kept, so the call finds it
    begin = time.perf_counter()
    result = jax.block_until_ready(program(*arguments, **static))
    return result, time.perf_counter() - begin


def split_options(
    options: Mapping[str, object],
) -> tuple[Static, dict[str, Array]]:
    """Options that choose a program, hashable, and arrays that are its arguments."""
    is_array = {name: hasattr(value, "shape") for name, value in options.items()}
    arrays = {k: cast(Array, v) for k, v in options.items() if is_array[k]}
    static = ((k, v) for k, v in options.items() if not is_array[k])
    return tuple(sorted(static, key=lambda option: option[0])), arrays


def num_classes(classifier: LogitsFn, shape: tuple[int, ...]) -> int:
    """K, for images ``shape``; nothing is computed."""
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(probabilities, classifier, images).shape[1]


def is_split(classifier: LogitsFn) -> bool:
    """Has two halves, ``features`` and ``head``."""
    return hasattr(classifier, "features") and hasattr(classifier, "head")


def check_options(
    method: Method,
    options: Mapping[str, object],
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
    if method.needs_attention:
        return  # the toy has none: with the model itself such a method is first traced
    if "layer" in options:
        # One of the model's, by name; the toy has its halves instead.
        options, split = {k: v for k, v in options.items() if k != "layer"}, True

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
