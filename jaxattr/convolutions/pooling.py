"""Pooling as torch has it: where its windows lie and where its gradients go."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, xla

from jaxattr._numerics.dtypes import accumulator
from jaxattr.convolutions.blocks import to_blocks, whole_blocks
from jaxattr.convolutions.padding import Padding, explicit_padding
from jaxattr.typing import Array


def max_pool(
    x: Array,
    window: int,
    stride: int,
    *,
    padding: Padding = "valid",
    ceil_mode: bool = False,
) -> Array:
    """The largest of each window; of equal ones the first has the gradient.

    Args:
      x: ``(N, H, W, C)``.
      window: rows and columns of a window.
      stride: from one window to the next.
      padding: as for convolutions; what is padded never wins.
      ceil_mode: a window that reaches over the lower or right edge counts too.
    """
    pads = explicit_padding(padding, x.shape[1:3], (window, window), stride)
    if ceil_mode:
        pads = tuple(
            (low, high + -(n + low + high - window) % stride)
            for n, (low, high) in zip(x.shape[1:3], pads, strict=True)
        )
    none = (0, 0, 0)
    config = [none, *((*pair, 0) for pair in pads), none]
    # Without the barrier XLA may fuse whatever made the image into every shift.
    x = lax.optimization_barrier(lax.pad(x, jnp.asarray(-jnp.inf, x.dtype), config))
    return _pool.bind(x, window=window, stride=stride)  # type: ignore[no-any-return]


def _shifts(x: Array, window: int, stride: int) -> list[Array]:
    """For each place in a window, row by row, its pixel of all windows."""
    rows, columns = ((n - window) // stride * stride + 1 for n in x.shape[-3:-1])
    return [
        x[..., i : i + rows : stride, j : j + columns : stride, :]
        for i in range(window)
        for j in range(window)
    ]


def _largest(x: Array, *, window: int, stride: int) -> Array:
    return _first_largest(_shifts(x, window, stride))[0]


def _first_largest(arrays: Sequence[Array]) -> tuple[Array, Array]:
    """The largest, and the number of the first that is; the last NaN if one is."""
    largest, where = arrays[0], jnp.zeros(arrays[0].shape, jnp.int32)
    for number, array in enumerate(arrays[1:], 1):
        is_larger = (array > largest) | jnp.isnan(array)
        largest = jnp.where(is_larger, array, largest)
        where = jnp.where(is_larger, number, where)
    return largest, where


def _largest_jvp(
    primals: tuple[Array], tangents: tuple[Array], *, window: int, stride: int
) -> tuple[Array, Array]:
    """A choice by number: on CPU its transpose is faster than that of XLA's windows.

    That of a fold of choices, each of which waits for those before it, is three to ten
    times as slow where windows overlap.
    """
    (x,), (tangent,) = primals, tangents
    largest = _pool.bind(x, window=window, stride=stride)
    _, number = _first_largest(_shifts(x, window, stride))
    return largest, lax.select_n(number, *_shifts(tangent, window, stride))


def _largest_vmap(
    arguments: tuple[Array], axes: tuple[int], *, window: int, stride: int
) -> tuple[Array, int]:
    x = jnp.moveaxis(arguments[0], axes[0], 0)
    return _pool.bind(x, window=window, stride=stride), 0


# A primitive, so that it is known as the maximum that it is.
_pool = Primitive("max_pool")
_pool.def_impl(functools.partial(xla.apply_primitive, _pool))
_pool.def_abstract_eval(
    lambda x, **window: jax.make_jaxpr(functools.partial(_largest, **window))(
        x
    ).out_avals[0]
)
ad.primitive_jvps[_pool] = _largest_jvp
batching.primitive_batchers[_pool] = _largest_vmap
mlir.register_lowering(_pool, mlir.lower_fun(_largest, multiple_results=False))


def mean_pool(x: Array, window: int, stride: int) -> Array:
    """The mean of each window, ``(window - 1) // 2`` zeros around the image included."""
    pads = explicit_padding("symmetric", x.shape[1:3], (window, window), stride)
    accumulate = accumulator(x.dtype)
    total = lax.reduce_window(
        x.astype(accumulate),
        np.zeros((), accumulate),
        lax.add,
        (1, window, window, 1),
        (1, stride, stride, 1),
        ((0, 0), *pads, (0, 0)),
    )
    return (total / window**2).astype(x.dtype)


def block_mean(x: Array, size: int) -> Array:
    """``(N, H, W, C)`` to the mean of each whole block of ``size`` by ``size`` pixels.

    As a mean over axes, whose gradient is a broadcast.
    """
    blocks = to_blocks(whole_blocks(x, size), size, size)
    return jnp.mean(blocks, (2, 4), accumulator(x.dtype)).astype(x.dtype)


def global_mean(x: Array) -> Array:
    """``(N, H, W, C) -> (N, C)``, half precision to float32."""
    return jnp.mean(x, axis=(1, 2), dtype=accumulator(x.dtype))


def adaptive_mean(x: Array, size: int) -> Array:
    """``(N, H, W, C) -> (N, size, size, C)``: means over windows that cover the image.

    Window ``i`` of an axis of ``n`` pixels is ``⌊i n / size⌋ .. ⌈(i + 1) n / size⌉``.
    """
    if x.shape[1:3] == (size, size):
        return x
    rows, columns = (
        jnp.asarray(_window_means(n, size), accumulator(x.dtype)) for n in x.shape[1:3]
    )
    wide = x.astype(rows.dtype)
    return jnp.einsum("ih,nhwc,jw->nijc", rows, wide, columns).astype(x.dtype)


def _window_means(n: int, size: int) -> np.ndarray:
    matrix = np.zeros((size, n))
    for i in range(size):
        window = slice(i * n // size, -(-(i + 1) * n // size))
        matrix[i, window] = 1 / (window.stop - window.start)
    return matrix
