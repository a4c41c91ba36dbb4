"""How far two attributions of an image are apart: by size, direction and order."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from jaxattr._checks import check_attributions, fail
from jaxattr._numerics import norms
from jaxattr._numerics.dtypes import widen
from jaxattr.metrics.agreement import spearman
from jaxattr.typing import Array


class Alignment(NamedTuple):
    """Two attributions of each image held together, ``(N,)`` each."""

    l2: Array
    """``‖a - b‖₂``, in units of the attributions."""
    relative_l2: Array
    """``‖a - b‖₂ / √(‖a‖₂ ‖b‖₂)``: the same whatever the size of the gradients."""
    cosine: Array
    """``⟨a, b⟩ / (‖a‖₂ ‖b‖₂)``."""
    spearman: Array
    """The correlation of the ranks of pixels, channels summed."""


def alignment(a: Array, b: Array) -> Alignment:
    """How far attributions are from their boundary twins, by four measures.

    ``‖a - b‖₂`` is what is published for integrated gradients and ``big``. It mixes
    direction with the size of gradients, which differs between models by orders of
    magnitude: read it beside the others.

    Args:
      a: attributions ``(N, H, W, C)`` or ``(N, H, W)``, such as of ``saliency``.
      b: attributions of the same shape, such as of ``bsm``.

    Returns:
      An ``Alignment``. Where one of the two vanishes the cosine is 0 and the relative
      distance not finite. A NaN makes all four NaN, an infinite value all but the ranks.

    Raises:
      ValueError: shapes or dtypes that differ.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> a = jnp.array([3.0, 4.0]).reshape(1, 1, 2, 1)
      >>> found = ja.alignment(a, 2 * a)
      >>> [f"{float(values[0]):.3f}" for values in found]
      ['5.000', '0.707', '1.000', '1.000']

    References:
      Wang, Fredrikson, Datta. Robust Models Are More Interpretable Because Attributions
      Look Normal. ICML 2022, arXiv:2103.11257.
    """
    a, b = (widen(check_attributions(x, name)) for name, x in (("a", a), ("b", b)))
    if a.shape != b.shape or a.dtype != b.dtype:
        raise fail("b", f"attributions as a, {a.dtype}{list(a.shape)}", b)
    axes = (1, 2, 3)
    size_a, size_b, apart = (norms.norm(x, axes) for x in (a, b, a - b))
    product = jnp.sum(norms.unit(a, axes) * norms.unit(b, axes), axes)
    cosine = jnp.clip(product, -1, 1)
    # An infinite value has neither a distance nor a direction.
    apart = jnp.where(jnp.isfinite(apart), apart, jnp.nan)
    return Alignment(
        apart,
        apart / jnp.sqrt(size_a) / jnp.sqrt(size_b),
        cosine,
        spearman(jnp.sum(a, -1), jnp.sum(b, -1)),
    )
