"""The library's loops over images, samples and steps: what ``batch_size`` means.

``batch_size`` is the most model rows in one call. Without it a call takes the N images
once: one step or sample at a time. Below N the images are split; above N,
``floor(batch_size / N)`` steps or samples share a call. All memory that grows with the
number of steps or samples is bounded here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxattr._checks import check_batch_size
from jaxattr.typing import Array


def by_image_batches(
    compute: Callable[..., Any], batch_size: int | None, *per_image: Any
) -> Any:
    """``compute(terms_per_call, *per_image)`` on at most ``batch_size`` images at a time.

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
    # The last batch is filled up with the last image, so that one program serves all.
    index = jnp.minimum(jnp.arange(num_batches * rows), num_images - 1)
    batches = jax.tree.map(
        lambda x: x[index].reshape((num_batches, rows) + x.shape[1:]), per_image
    )
    results = jax.lax.map(lambda batch: compute(1, *batch), batches)
    return jax.tree.map(
        lambda x: x.reshape((num_batches * rows,) + x.shape[2:])[:num_images], results
    )


def sum_over(
    terms: Callable[[Array], Array], num_terms: int, terms_per_call: int = 1
) -> Array:
    """``Σᵢ termᵢ`` for i below ``num_terms``, with one partial sum in memory.

    Args:
      terms: indices ``(S,)`` to terms ``(S, ...)``, S of them in one model call.
      num_terms: how many terms there are.
      terms_per_call: the most of them in one call.
    """
    calls = _calls(num_terms, terms_per_call)

    def partial_sum(index: Array, is_term: Array) -> Array:
        values = terms(index)
        is_term = is_term.reshape(is_term.shape + (1,) * (values.ndim - 1))
        return jnp.sum(jnp.where(is_term, values, 0), axis=0)

    def add(total: Array, call: tuple[Array, Array]) -> tuple[Array, None]:
        return total + partial_sum(*call), None

    # The sum's shape and dtype without a second copy of the terms to compile.
    total = jax.eval_shape(partial_sum, *jax.tree.map(lambda x: x[0], calls))
    return jax.lax.scan(add, jnp.zeros_like(total), calls)[0]


def mean_over(
    terms: Callable[[Array], Array], num_terms: int, terms_per_call: int = 1
) -> Array:
    """``1/n Σᵢ termᵢ``; see ``sum_over``."""
    return sum_over(terms, num_terms, terms_per_call) / num_terms


def stack_over(
    terms: Callable[[Array], Array], num_terms: int, terms_per_call: int = 1
) -> Array:
    """``(num_terms, ...)``, the terms side by side, few in the making at a time."""
    index, _ = _calls(num_terms, terms_per_call)
    values = jax.lax.map(terms, index)
    return values.reshape((-1,) + values.shape[2:])[:num_terms]


def _calls(num_terms: int, terms_per_call: int) -> tuple[Array, Array]:
    """Indices ``(calls, S)``, evenly spread, and which of them are terms at all."""
    num_calls = -(-num_terms // max(1, terms_per_call))
    per_call = -(-num_terms // num_calls)
    index = jnp.arange(num_calls * per_call).reshape(num_calls, per_call)
    return jnp.minimum(index, num_terms - 1), index < num_terms
