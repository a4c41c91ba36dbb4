"""Classes other than the label, and sums over an image's own list of them."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxattr import _random
from jaxattr._checks import check_batch_size, fail
from jaxattr._loops import merge_rows, repeat_rows, split_rows, sum_over
from jaxattr.typing import Array, LogitsFn


def count_classes(logits_fn: LogitsFn, images: Array, batch_size: int | None) -> int:
    """K, from the shape of the logits: the model is traced, not run."""
    rows = min(len(images), check_batch_size(batch_size) or len(images))
    some = jax.ShapeDtypeStruct((rows, *images.shape[1:]), images.dtype)
    num_classes: int = jax.eval_shape(logits_fn, some).shape[-1]
    return num_classes


def check_num_targets(num_targets: int, num_classes: int) -> None:
    """Refuses as many targets as there are classes: the label is none."""
    if num_targets >= num_classes:
        expected = f"fewer targets than classes, at most {num_classes - 1}"
        raise fail("num_targets", expected, num_targets)


def draw_targets(
    keys: Array, labels: Array, num_targets: int, num_classes: int
) -> Array:
    """``(N, T)`` classes other than the label, at random without repetition."""

    def targets_of(key: Array) -> Array:
        return jax.random.permutation(key, num_classes - 1)[:num_targets]

    drawn = _random.per_key(targets_of)(keys)
    # Any class but the label: those from it on move up by one.
    is_beyond = drawn >= labels[:, None].astype(drawn.dtype)
    return jnp.where(is_beyond, drawn + 1, drawn)


def sum_over_targets(
    toward: Callable[[Array, Array, Array], Array],
    images: Array,
    labels: Array,
    targets: Array,
    targets_per_call: int,
) -> Array:
    """``Σ_l toward(images, labels, targets of all images)``, ``(N, H, W, C)``.

    Args:
      toward: images ``(n, H, W, C)``, labels and one target each to maps.
      images: ``(N, H, W, C)``.
      labels: ``(N,)``.
      targets: ``(N, T)``.
      targets_per_call: how many of an image's targets share a model call.
    """

    def terms(index: Array) -> Array:
        maps = toward(
            repeat_rows(images, len(index)),
            repeat_rows(labels, len(index)),
            merge_rows(targets[:, index]),
        )
        return split_rows(maps, len(index))

    return sum_over(terms, targets.shape[1], targets_per_call)
