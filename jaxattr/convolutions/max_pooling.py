"""Max pooling as torch has it: of equal pixels the first has the gradient.

The gradient is written out, and the derivative is its transpose. The gradient that JAX
would find moves each place of the window by itself, and XLA on CPU computes whatever the
cotangents come from again for each of them.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, xla

from jaxattr.convolutions.padding import Padding, explicit_padding
from jaxattr.convolutions.phases import of_phases, phases
from jaxattr.convolutions.trilinear import Geometry
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


def _compare(x: Array, *, window: int, stride: int) -> tuple[Array, Array]:
    """The largest of each window and the number of its place.

    Of equal ones it is the first; if there is a NaN, it is the last of them.
    """
    first, *others = _shifts(x, window, stride)
    largest, number = first, jnp.zeros(first.shape, jnp.int32)
    for place, pixel in enumerate(others, 1):
        is_larger = (pixel > largest) | jnp.isnan(pixel)
        largest = jnp.where(is_larger, pixel, largest)
        number = jnp.where(is_larger, place, number)
    # As few bytes as will do: this is kept for the gradient.
    return largest, number.astype(jnp.int8 if window**2 <= 127 else jnp.int32)


def _give(
    number: Array, windows: Array, *, window: int, stride: int, size: tuple[int, ...]
) -> Array:
    """To each pixel the sum of the windows that it won, a phase of the stride at a time."""
    output = windows.shape[-3:-1]
    geometry = Geometry(stride, ((0, 0), (0, 0)), size, (window, window), output)
    axes = [phases(geometry, axis) for axis in (0, 1)]
    margins = [(*axis.margins, 0) for axis in axes]
    config = [*[(0, 0, 0)] * (windows.ndim - 3), *margins, (0, 0, 0)]
    number = lax.pad(number, jnp.asarray(-1, number.dtype), config)
    windows = lax.pad(windows, jnp.asarray(0, windows.dtype), config)

    def phase(*offsets: int) -> Array:
        rows, columns = (p.pixels[a] for p, a in zip(axes, offsets, strict=True))
        i, j = (p.first[a] for p, a in zip(axes, offsets, strict=True))
        given = [
            jnp.where(
                number[..., y, x, :] == row * window + column, windows[..., y, x, :], 0
            )
            for row, y in zip(range(i, window, stride), rows)
            for column, x in zip(range(j, window, stride), columns)
        ]
        if not given:  # windows narrower than the stride skip these pixels
            return jnp.zeros_like(windows[..., rows[0], columns[0], :])
        return functools.reduce(jnp.add, given)

    return of_phases(phase, stride, size)


# A primitive, so that it is known as the maximum that it is.


def _largest(x: Array, **window: int) -> Array:
    return _compare(x, **window)[0]


def _jvp(
    primals: tuple[Array], tangents: tuple[Array], *, window: int, stride: int
) -> tuple[Array, Array]:
    """The pixel that won: the transpose of giving it what its window is given."""
    (x,), (tangent,) = primals, tangents
    largest = _pool.bind(x, window=window, stride=stride)
    # Which place won has no derivative, and no relevance comes to the image through it.
    _, number = _compare(lax.stop_gradient(x), window=window, stride=stride)
    give = functools.partial(
        _give, number, window=window, stride=stride, size=x.shape[-3:-1]
    )
    return largest, jax.linear_transpose(give, largest)(tangent)[0]


def _vmap(
    arguments: tuple[Array], axes: tuple[int], **window: int
) -> tuple[Array, int]:
    return _pool.bind(jnp.moveaxis(arguments[0], axes[0], 0), **window), 0


_pool = Primitive("max_pool")
_pool.def_impl(functools.partial(xla.apply_primitive, _pool))
_pool.def_abstract_eval(
    lambda x, **window: jax.make_jaxpr(functools.partial(_largest, **window))(
        x
    ).out_avals[0]
)
ad.primitive_jvps[_pool] = _jvp
batching.primitive_batchers[_pool] = _vmap
mlir.register_lowering(_pool, mlir.lower_fun(_largest, multiple_results=False))
