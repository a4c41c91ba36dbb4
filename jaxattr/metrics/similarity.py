"""How alike two maps of one image are as pictures: structure and direction."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr._checks import check_integer, check_number, fail
from jaxattr._numerics import norms
from jaxattr.metrics._maps import check_pair, nan_where_nan
from jaxattr.typing import Array, Scalar


def ssim(
    a: Array, b: Array, *, window: int = 3, data_range: Scalar | None = None
) -> Array:
    """Structural similarity: local means, spreads and correlations held together.

    The mean over windows that lie inside the map of

        (2 μₐ μ_b + c₁) (2 σₐb + c₂) / ((μₐ² + μ_b² + c₁) (σₐ² + σ_b² + c₂))

    with means μ, variances σ² and covariance σₐb of a window, the latter two of the n
    pixels as samples (over n - 1), ``c₁ = (0.01 L)²``, ``c₂ = (0.03 L)²`` and L the range
    of the values. Higher is more alike. It is what scikit-image has by default.

    Args:
      a: maps ``(N, H, W)``.
      b: maps ``(N, H, W)``.
      window: w: windows reach w pixels each way, ``(2w + 1)²`` in all.
      data_range: L; by default from the least to the largest value of the two maps of an
        image, so that the unit of the maps does not matter.

    Returns:
      ``(N,)`` in [-1, 1], 1 for equal maps. Two maps that are equal and constant have 1;
      NaN where a map holds a NaN.

    Raises:
      ValueError: maps that are not float ``(N, H, W)`` of one shape, or smaller than a
        window.

    Example:
      >>> import jax, jaxattr as ja
      >>> a = jax.random.normal(jax.random.key(0), (1, 9, 9))
      >>> f"{ja.ssim(a, a)[0]:.4f}"
      '1.0000'

    References:
      Wang, Bovik, Sheikh, Simoncelli. Image Quality Assessment: From Error Visibility to
      Structural Similarity. IEEE Transactions on Image Processing 2004.
    """
    a, b = check_pair(a, b)
    size = 2 * check_integer("window", window, 1) + 1
    if min(a.shape[1:]) < size:
        raise fail("a", f"maps of at least {size} x {size} pixels, a window", a)
    if data_range is not None:
        data_range = check_number("data_range", data_range, 0.0)
    # On the scale of the largest: squares of small or large maps leave the range.
    scale = norms.scale_of(jnp.concatenate([a, b], axis=1), (1, 2))
    x, y = a / scale, b / scale
    axes = (1, 2)
    if data_range is None:
        high = jnp.maximum(
            jnp.max(x, axes, keepdims=True), jnp.max(y, axes, keepdims=True)
        )
        low = jnp.minimum(
            jnp.min(x, axes, keepdims=True), jnp.min(y, axes, keepdims=True)
        )
        extent = high - low
    else:
        extent = jnp.asarray(data_range, a.dtype) / scale
    # Of values near zero: products lose fewer digits.
    middle = jnp.mean(x + y, axes, keepdims=True) / 2
    x, y = x - middle, y - middle
    mean_x, mean_y = _window_mean(x, size), _window_mean(y, size)
    samples = size**2 / (size**2 - 1)
    spread = lambda u, v, means: samples * (_window_mean(u * v, size) - means)
    variances = spread(x, x, mean_x**2) + spread(y, y, mean_y**2)
    covariance = spread(x, y, mean_x * mean_y)
    c1, c2 = (0.01 * extent) ** 2, (0.03 * extent) ** 2
    mean_x, mean_y = mean_x + middle, mean_y + middle
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (variances + c2)
    # Nothing varies, and everything is alike.
    both_constant = below == 0
    values = jnp.where(both_constant, 1, above / jnp.where(both_constant, 1, below))
    return nan_where_nan(jnp.mean(values, axis=axes), a, b)


def cosine_similarity(a: Array, b: Array) -> Array:
    """``⟨a, b⟩ / (‖a‖₂ ‖b‖₂)``: whether two maps have one direction.

    Args:
      a: maps ``(N, H, W)``.
      b: maps ``(N, H, W)``.

    Returns:
      ``(N,)`` in [-1, 1]; 0 where a map is all zeros, NaN where one holds a NaN. Higher is
      more alike. ``alignment`` has it for attributions with channels.

    Raises:
      ValueError: maps that are not float ``(N, H, W)`` of one shape.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> a = jnp.array([[[3.0, 4.0]]])
      >>> f"{ja.cosine_similarity(a, jnp.array([[[4.0, 3.0]]]))[0]:.2f}"
      '0.96'
    """
    a, b = check_pair(a, b)
    axes = (1, 2)
    product = jnp.sum(norms.unit(a, axes) * norms.unit(b, axes), axes)
    return nan_where_nan(jnp.clip(product, -1, 1), a, b)


def _window_mean(values: Array, size: int) -> Array:
    """Of windows that lie inside, ``(N, H - size + 1, W - size + 1)``."""
    total = jax.lax.reduce_window(
        values,
        jnp.zeros((), values.dtype),
        jax.lax.add,
        (1, size, size),
        (1, 1, 1),
        "VALID",
    )
    return total / size**2
