"""The library's loops over images, samples and steps: what ``batch_size`` means.

``batch_size`` is the most model rows in one call. Without it a call takes the N images
once: one step or sample at a time. Below N the images are split; above N,
``floor(batch_size / N)`` steps or samples share a call. Memory that would grow with the
number of steps or samples is bounded here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxattr._checks import check_batch_size
from jaxattr.typing import Array

T = TypeVar("T")
"""A pytree of arrays."""


def by_image_batches(
    compute: Callable[..., T], batch_size: int | None, *per_image: object
) -> T:
    """``compute(terms_per_call, *per_image)``, ``batch_size`` images at a time.

    Args:
      compute: takes how many steps or samples may share a model call, then pytrees of
        arrays ``(n, ...)``; returns a pytree of arrays ``(n, ...)``, rows independent.
      batch_size: the most model rows in one call, or None for N.
      *per_image: pytrees of arrays ``(N, ...)``; None has no leaves and stays None.
    """
    num_images = jax.tree.leaves(per_image)[0].shape[0]
    rows = check_batch_size(batch_size)
    if rows is None or rows >= num_images:
        return compute((rows or num_images) // num_images, *per_image)
    num_batches = -(-num_images // rows)
    # Batch b takes every num_batches-th image from the b-th on: of images sharded over
    # devices every batch then holds some of each, and no device waits.
    split = functools.partial(_split, rows=rows, num_batches=num_batches)
    results = jax.lax.map(
        lambda batch: compute(1, *batch), jax.tree.map(split, per_image)
    )

    def join(x: Array) -> Array:
        x = jnp.swapaxes(x, 0, 1)
        return x.reshape((rows * num_batches,) + x.shape[2:])[:num_images]

    return jax.tree.map(join, results)


def _split(x: Array, rows: int, num_batches: int) -> Array:
    """``(N, ...)`` to ``(num_batches, rows, ...)``, filled up with the last image."""
    num_images = x.shape[0]
    sharding = jax.typeof(x).sharding
    # Inside shard_map nothing is sharded any more, and the axes of the mesh have no part.
    axes = sharding.spec[0] if len(sharding.spec) else None
    names = axes if isinstance(axes, tuple) else (axes,) if axes else ()
    num_shards = math.prod(sharding.mesh.shape[name] for name in names)
    if num_images != rows * num_batches or rows % num_shards:
        index = jnp.minimum(jnp.arange(rows * num_batches), num_images - 1)
        # Explicitly sharded images that do not divide evenly are gathered first.
        x = x.at[index].get(out_sharding=P() if any(sharding.spec) else None)
    return jnp.swapaxes(x.reshape((rows, num_batches) + x.shape[1:]), 0, 1)


def sum_over(terms: Callable[[Array], T], num_terms: int, terms_per_call: int = 1) -> T:
    """``Σᵢ termᵢ`` for i below ``num_terms``, with one partial sum in memory.

    Args:
      terms: indices ``(S,)`` to a pytree of terms ``(S, ...)``, in one model call.
      num_terms: how many terms there are.
      terms_per_call: the most of them in one call.
    """
    calls = _calls(num_terms, terms_per_call)

    def partial_sum(index: Array, is_term: Array) -> T:
        def add_up(values: Array) -> Array:
            keep = is_term.reshape(is_term.shape + (1,) * (values.ndim - 1))
            return jnp.sum(jnp.where(keep, values, 0), axis=0)

        return jax.tree.map(add_up, terms(index))

    def add(total: T, call: tuple[Array, Array]) -> tuple[T, None]:
        return jax.tree.map(jnp.add, total, partial_sum(*call)), None

    # The sum's shape and dtype without a second copy of the terms to compile.
    total = jax.eval_shape(partial_sum, *jax.tree.map(lambda x: x[0], calls))
    return jax.lax.scan(add, jax.tree.map(jnp.zeros_like, total), calls)[0]


def mean_over(
    terms: Callable[[Array], T], num_terms: int, terms_per_call: int = 1
) -> T:
    """``1/n Σᵢ termᵢ``; see ``sum_over``."""
    total = sum_over(terms, num_terms, terms_per_call)
    return jax.tree.map(lambda x: x / num_terms, total)


def stack_over(
    terms: Callable[[Array], Array], num_terms: int, terms_per_call: int = 1
) -> Array:
    """``(num_terms, ...)``, the terms side by side, few in the making at a time."""
    index, _ = _calls(num_terms, terms_per_call)
    values = jax.lax.map(terms, index)
    return values.reshape((-1,) + values.shape[2:])[:num_terms]


def merge_rows(x: Array) -> Array:
    """``(N, S, ...)`` to ``(N S, ...)``, the samples of an image side by side.

    Image-major: where images are sharded over devices, nothing moves.
    """
    return x.reshape((-1,) + x.shape[2:])


def repeat_rows(x: Array, times: int) -> Array:
    """``(N, ...)`` to ``(N S, ...)``, each image's row S times; see ``merge_rows``."""
    return merge_rows(jnp.broadcast_to(x[:, None], (len(x), times, *x.shape[1:])))


def split_rows(rows: Array, times: int) -> Array:
    """``(N S, ...)`` to ``(S, N, ...)``: the samples lead, as terms of a sum do."""
    return jnp.swapaxes(rows.reshape((-1, times) + rows.shape[1:]), 0, 1)


def _calls(num_terms: int, terms_per_call: int) -> tuple[Array, Array]:
    """Indices ``(calls, S)``, evenly spread, and which of them are terms at all."""
    num_calls = -(-num_terms // max(1, terms_per_call))
    per_call = -(-num_terms // num_calls)
    index = jnp.arange(num_calls * per_call).reshape(num_calls, per_call)
    return jnp.minimum(index, num_terms - 1), index < num_terms
