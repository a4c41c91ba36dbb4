"""Agreement of top pixels that allows for small shifts (LENS), and its diverse form."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr._checks import check_choice, check_integer, fail
from jaxattr._numerics import windows
from jaxattr._numerics.rankings import top_k_mask
from jaxattr.metrics._maps import check_k, check_maps, check_pair, nan_where_nan
from jaxattr.typing import Array

DILATE = ("original", "perturbed")
_RELEASED_POOLS = {1: 6, 2: 15, 3: 25}
"""Candidates a pixel wanted, for each window."""


def lens_recall(
    a: Array,
    b: Array,
    *,
    k: int,
    window: int,
    dilate: str = "original",
    legacy: bool = False,
) -> Array:
    """The share of the perturbed map's top pixels that lie near the original's.

    ``|N_w(Sₖ(a)) ∩ Sₖ(b)| / k``: Sₖ the k largest values as they are, N_w all pixels
    within w rows and columns of the set (squares of ``2w + 1``, cut at the border).

    ==================  =============  ==================  =====================
    function            dilated        counted             default of ``dilate``
    ==================  =============  ==================  =====================
    ``lens_recall``     ``Sₖ(a)``      pixels of Sₖ(b)     ``"original"``
    ``lens_precision``  ``Sₖ(b)``      pixels of Sₖ(a)     ``"perturbed"``
    ==================  =============  ==================  =====================

    These are the names of the authors' scripts. In the words of retrieval (what was
    retrieved under perturbation, what is relevant) they are the other way round, so
    ``dilate`` says which map is dilated whatever the function is called.

    Args:
      a: maps ``(N, H, W)`` of the original images.
      b: maps ``(N, H, W)`` of the perturbed images.
      k: how many pixels, at most ``H·W``; also the denominator.
      window: w; 0 is ``top_k_intersection``, 1, 2 and 3 are windows of 3, 5 and 7.
      dilate: ``"original"`` or ``"perturbed"``.
      legacy: windows of flat offsets that run on into the next row, and never hold the
        first pixel, as in the released scripts.

    Returns:
      ``(N,)`` in [0, 1], not falling in w; NaN where a map holds a NaN. A window can
      make any score look good: see ``lens_chance``.

    Raises:
      ValueError: maps that are not float ``(N, H, W)`` of one shape; k or window not in
        range; an unknown ``dilate``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> a = jnp.array([[[9.0, 0.0, 0.0, 8.0]]])
      >>> b = jnp.array([[[0.0, 9.0, 8.0, 0.0]]])
      >>> ja.lens_recall(a, b, k=2, window=0), ja.lens_recall(a, b, k=2, window=1)
      (Array([0.], dtype=float32), Array([1.], dtype=float32))

    References:
      Kamath, Mittal, Deshpande, Balasubramanian. Rethinking Robustness of Model
      Attributions. AAAI 2024, arXiv:2312.10534.
    """
    a, b = check_pair(a, b)
    k = check_k(k, a)
    top = (top_k_mask(v.reshape(len(v), -1), k).reshape(v.shape) for v in (a, b))
    count = _count_near(*top, window=window, dilate=dilate, legacy=legacy)
    return nan_where_nan(count.astype(a.dtype) / k, a, b)


def lens_precision(
    a: Array,
    b: Array,
    *,
    k: int,
    window: int,
    dilate: str = "perturbed",
    legacy: bool = False,
) -> Array:
    """The share of the original map's top pixels that lie near the perturbed one's.

    ``|Sₖ(a) ∩ N_w(Sₖ(b))| / k``, which is ``lens_recall`` with the maps exchanged; the
    table there says which is dilated.

    Args:
      a: maps ``(N, H, W)`` of the original images.
      b: maps ``(N, H, W)`` of the perturbed images.
      k: how many pixels, at most ``H·W``; also the denominator.
      window: w.
      dilate: ``"original"`` or ``"perturbed"``.
      legacy: see ``lens_recall``.

    Returns:
      ``(N,)`` in [0, 1]; NaN where a map holds a NaN.

    Raises:
      ValueError: as ``lens_recall``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> a = jnp.array([[[9.0, 0.0, 0.0, 0.0, 8.0]]])
      >>> b = jnp.array([[[0.0, 9.0, 8.0, 0.0, 0.0]]])
      >>> ja.lens_precision(a, b, k=2, window=1)
      Array([0.5], dtype=float32)

    References:
      Kamath et al. AAAI 2024, arXiv:2312.10534.
    """
    return lens_recall(a, b, k=k, window=window, dilate=dilate, legacy=legacy)


def diverse_top_k(
    a: Array, *, k: int, window: int, pool: int | None = None, legacy: bool = False
) -> Array:
    """The greedy top k whose members keep their distance.

    Take the largest value, strike out its window, repeat: no two of the pixels are
    within w rows and columns of each other. Of equal values the first in row-major
    order is taken. On a crowded map fewer than k pixels may be left to take: the mask's
    sum says how many there are.

    Args:
      a: maps ``(N, H, W)``; NaN is never taken.
      k: how many pixels, at most ``⌈H/(w+1)⌉·⌈W/(w+1)⌉``, all that fit.
      window: w; 0 is the plain top k.
      pool: only the ``pool`` largest values are candidates; None for all.
      legacy: as in the released scripts: windows of flat offsets that run on into the
        next row, the first pixel never taken, the second one taken then dropped, and,
        for w of 1, 2 and 3, a default ``pool`` of 6, 15 and 25 k.

    Returns:
      Bool ``(N, H, W)``.

    Raises:
      ValueError: maps that are not float ``(N, H, W)``; more pixels than fit, naming
        the largest k that does.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> a = jnp.array([[[9.0, 8.0, 7.0, 6.0, 5.0]]])
      >>> ja.diverse_top_k(a, k=2, window=1).astype(int)
      Array([[[1, 0, 1, 0, 0]]], dtype=int32)

    References:
      Kamath et al. AAAI 2024, arXiv:2312.10534.
    """
    a = check_maps(a)
    window = check_integer("window", window, 0)
    num_maps, height, width = a.shape
    k = _check_diverse_k(k, window, a)
    candidates = ~jnp.isnan(a)
    if legacy:
        released = window in _RELEASED_POOLS
        candidates = candidates.at[:, 0, 0].set(False)
        pool = _RELEASED_POOLS[window] * k if pool is None and released else pool
    if pool is not None:
        pool = min(check_integer("pool", pool), height * width)
        candidates &= top_k_mask(a.reshape(num_maps, -1), pool).reshape(a.shape)
    places = windows.greedy_distant_set(
        jnp.where(candidates, a, -jnp.inf),
        # The scripts strike out the window of the second pixel before it is taken.
        k + 1 if legacy else k,
        window,
        candidates=candidates,
        flat=legacy,
    )
    if legacy:
        places = jnp.concatenate([places[:, :1], places[:, 2:]], axis=1)
    mask = jnp.zeros((num_maps, height * width), bool)
    rows = jnp.arange(num_maps)[:, None]
    return mask.at[rows, places].set(True, mode="drop").reshape(a.shape)


def lens_recall_diverse(
    a: Array,
    b: Array,
    *,
    k: int,
    window: int,
    dilate: str = "original",
    pool: int | None = None,
    legacy: bool = False,
) -> Array:
    """``lens_recall`` of the diverse sets: ``|N_w(Dₖ(a)) ∩ Dₖ(b)| / k``.

    Dₖ is ``diverse_top_k`` with the same window that dilates. The denominator is k
    even where a map has fewer diverse pixels, so a crowded map scores less than one
    against itself.

    Args:
      a: maps ``(N, H, W)`` of the original images.
      b: maps ``(N, H, W)`` of the perturbed images.
      k: how many pixels, at most ``⌈H/(w+1)⌉·⌈W/(w+1)⌉``.
      window: w.
      dilate: ``"original"`` or ``"perturbed"``; see ``lens_recall``.
      pool: see ``diverse_top_k``.
      legacy: see ``diverse_top_k`` and ``lens_recall``.

    Returns:
      ``(N,)`` in [0, 1]; NaN where a map holds a NaN.

    Raises:
      ValueError: as ``lens_recall`` and ``diverse_top_k``.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> a = jnp.array([[[9.0, 8.0, 0.0, 0.0, 7.0]]])
      >>> b = jnp.array([[[1.0, 2.0, 0.0, 0.0, 3.0]]])
      >>> ja.lens_recall_diverse(a, b, k=2, window=1)
      Array([1.], dtype=float32)

    References:
      Kamath et al. AAAI 2024, arXiv:2312.10534.
    """
    a, b = check_pair(a, b)
    a_pixels, b_pixels = (
        diverse_top_k(v, k=k, window=window, pool=pool, legacy=legacy) for v in (a, b)
    )
    count = _count_near(a_pixels, b_pixels, window=window, dilate=dilate, legacy=legacy)
    return nan_where_nan(count.astype(a.dtype) / k, a, b)


def lens_precision_diverse(
    a: Array,
    b: Array,
    *,
    k: int,
    window: int,
    dilate: str = "perturbed",
    pool: int | None = None,
    legacy: bool = False,
) -> Array:
    """``lens_precision`` of the diverse sets: ``|Dₖ(a) ∩ N_w(Dₖ(b))| / k``.

    ``lens_recall_diverse`` with the maps exchanged; arguments and results are its own.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> a = jnp.array([[[9.0, 0.0, 8.0, 0.0, 7.0]]])
      >>> ja.lens_precision_diverse(a, a[..., ::-1], k=2, window=1)
      Array([0.5], dtype=float32)
    """
    return lens_recall_diverse(
        a, b, k=k, window=window, dilate=dilate, pool=pool, legacy=legacy
    )


def _count_near(a: Array, b: Array, *, window: int, dilate: str, legacy: bool) -> Array:
    """``|N_w(A) ∩ B|`` of two sets of pixels, or with B dilated instead."""
    window = check_integer("window", window, 0)
    if check_choice("dilate", dilate, DILATE) == "perturbed":
        a, b = b, a
    near = windows.dilate(a, window, flat=legacy)
    if legacy:
        near = near.at[:, 0, 0].set(False)
    return jnp.sum(near & b, axis=(1, 2))


def _check_diverse_k(k: int, window: int, maps: Array) -> int:
    k = check_integer("k", k)
    fits = 1
    for length in maps.shape[1:]:
        fits *= -(-length // (window + 1))
    if k > fits:
        shape = "x".join(map(str, maps.shape[1:]))
        raise fail(
            "k", f"at most {fits}, all that fit {window} apart in maps of {shape}", k
        )
    return k
