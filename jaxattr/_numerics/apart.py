"""Where a compiler must not merge what comes before with what comes after.

On CPU, XLA gives matrix products and means to a library (YNNPACK), and with them the sums
and products that they come from, as far as they reach. The library computes those slower
than XLA's own loops: every shift of a depthwise convolution is first written out. XLA drops
an optimization barrier before it comes to that. What it keeps, and merges with its own
loops, is rounding a number to the precision that it has.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, xla

from jaxattr.typing import Array


def apart(x: Array) -> Array:
    """The same floats; on CPU not in one call of the library with what they come from."""
    return _apart.bind(x)  # type: ignore[no-any-return]


def _rounded(x: Array) -> Array:
    kind = jnp.finfo(x.dtype)
    return lax.reduce_precision(x, kind.nexp, kind.nmant)


_apart = Primitive("apart")
_apart.def_impl(functools.partial(xla.apply_primitive, _apart))
_apart.def_abstract_eval(lambda x: x)
ad.deflinear2(_apart, lambda cotangent, _: [apart(cotangent)])
batching.defvectorized(_apart)
mlir.register_lowering(_apart, lambda _, x: [x])
_on_cpu = mlir.lower_fun(_rounded, multiple_results=False)
mlir.register_lowering(_apart, _on_cpu, platform="cpu")
