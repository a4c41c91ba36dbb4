"""Rank correlations of maps whose values were pooled over windows first."""

from __future__ import annotations

from jaxattr._checks import check_choice, check_integer
from jaxattr._numerics import windows
from jaxattr.metrics._maps import check_pair
from jaxattr.metrics.agreement import kendall, spearman
from jaxattr.typing import Array


def lens_spearman(
    a: Array, b: Array, *, window: int, pool: str = "mean", pad: str = "count"
) -> Array:
    """Spearman's ρ of the maps after each value became the mean of its window.

    ``ρ(M_w a, M_w b)``, ``M_w`` the mean over the ``(2w + 1)²`` pixels within w rows and
    columns. The paper names the metric and leaves open how the window is pooled and
    what stands beyond the border, so both are options.

    Args:
      a: maps ``(N, H, W)``.
      b: maps ``(N, H, W)``.
      window: w; 0 is ``spearman``.
      pool: ``"mean"``, or ``"max"`` for the largest value of the window.
      pad: what divides a sum at the border: ``"count"`` the pixels inside, ``"zero"``
        all ``(2w + 1)²``. The largest value is of the pixels inside.

    Returns:
      ``(N,)`` in [-1, 1]; constant maps and NaN as ``spearman``.

    Raises:
      ValueError: maps that are not float ``(N, H, W)`` of one shape; an unknown option.

    Example:
      >>> import jax, jaxattr as ja
      >>> a = jax.random.normal(jax.random.key(0), (1, 16, 16))
      >>> shifted = jax.numpy.roll(a, 1, axis=2)
      >>> bool(ja.lens_spearman(a, shifted, window=2)[0] > ja.spearman(a, shifted)[0])
      True

    References:
      Kamath, Mittal, Deshpande, Balasubramanian. Robust Attributions Require Rethinking
      Robustness Metrics. 2023, OpenReview j8Ygylt1DYJ.
    """
    return spearman(*_pooled(a, b, window, pool, pad))


def lens_kendall(
    a: Array, b: Array, *, window: int, pool: str = "mean", pad: str = "count"
) -> Array:
    """Kendall's τ-b of the maps after each value became the mean of its window.

    ``τ(M_w a, M_w b)``; arguments are those of ``lens_spearman``.

    Returns:
      ``(N,)`` in [-1, 1]; constant maps and NaN as ``kendall``.

    Example:
      >>> import jax, jaxattr as ja
      >>> a = jax.random.normal(jax.random.key(0), (1, 16, 16))
      >>> shifted = jax.numpy.roll(a, 1, axis=2)
      >>> bool(ja.lens_kendall(a, shifted, window=2)[0] > ja.kendall(a, shifted)[0])
      True

    References:
      As ``lens_spearman``.
    """
    return kendall(*_pooled(a, b, window, pool, pad))


def _pooled(
    a: Array, b: Array, window: int, pool: str, pad: str
) -> tuple[Array, Array]:
    a, b = check_pair(a, b)
    window = check_integer("window", window, 0)
    check_choice("pad", pad, ("count", "zero"))
    if check_choice("pool", pool, ("mean", "max")) == "max":
        return windows.maximum(a, window), windows.maximum(b, window)
    return windows.mean(a, window, pad=pad), windows.mean(b, window, pad=pad)
