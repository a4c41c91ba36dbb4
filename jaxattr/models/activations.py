"""Activations: those of the checkpoints as torch has them, a smooth and a packed ReLU."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxattr._checks import check_number, fail
from jaxattr._numerics.dtypes import widen
from jaxattr.typing import Array, Scalar

Activation = Callable[[Array], Array]
"""Any array to one of the same shape, element by element."""


def _check_above_zero(name: str, value: Scalar) -> None:
    number = check_number(name, value, 0.0)
    if isinstance(number, float) and number == 0:
        raise fail(name, "a number above zero", value)


@dataclasses.dataclass(frozen=True)
class SmoothRelu:
    """ReLU or ReLU6 with curvature: softplus of sharpness β, ``log(1 + exp(βx)) / β``.

    A ReLU network has no second derivative, so whatever is differentiated through one of
    its gradients is zero almost everywhere. Its smooth twin is the same network with
    this in place of every ReLU. It lies at most ``log(2) / β`` above the ReLU, at zero.
    With a cap c it is ``(log(1 + exp(βx)) - log(1 + exp(β(x - c)))) / β``.

    Args:
      beta: the sharpness β, above zero. A traced one, of an attack's schedule, is taken
        where the function is called, but not by ``load``, which hashes its activation.
      cap: the largest value: 6 for a ReLU6 (MobileNetV2, EfficientNet-Lite).

    Raises:
      ValueError: for a sharpness or a cap that is not above zero.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> ja.models.SmoothRelu(10.0)(jnp.arange(3.0)).round(4)
      Array([0.0693, 1.    , 2.    ], dtype=float32)

      ``ja.models.load(name, activation=ja.models.SmoothRelu(10.0))`` is a smooth twin.

    References:
      A.-K. Dombrowski, M. Alber, C. Anders, M. Ackermann, K.-R. Müller, P. Kessel,
      "Explanations can be manipulated and geometry is to blame", NeurIPS 2019,
      arXiv:1906.07983.
    """

    beta: Scalar
    cap: float = math.inf

    def __post_init__(self) -> None:
        _check_above_zero("beta", self.beta)
        _check_above_zero("cap", self.cap)

    def __call__(self, x: Array) -> Array:
        """Of any array, element by element."""
        smooth = jax.nn.softplus(self.beta * x) / self.beta
        if self.cap == math.inf:
            return smooth
        return smooth - jax.nn.softplus(self.beta * (x - self.cap)) / self.beta


@dataclasses.dataclass(frozen=True)
class PackedRelu:
    """ReLU or ReLU6 that keeps one bit of each value for its derivative.

    A gradient to the image needs of a ReLU only where its argument was between zero and
    the cap. Compilers keep the argument for it, four bytes a value; packed, the memory of
    a gradient falls to 0.42 (ResNet-50) or 0.3 (EfficientNet-Lite0) of it. Values and
    derivatives are those of the ReLU to the bit: zero at zero and at the cap, and zero of
    second order.

    Args:
      cap: the largest value: 6 for a ReLU6 (MobileNetV2, EfficientNet-Lite).

    Raises:
      ValueError: for a cap that is not above zero.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> ja.models.PackedRelu(6.0)(jnp.array([-1.0, 2.0, 7.0]))
      Array([0., 2., 6.], dtype=float32)

      ``ja.models.load("resnet50", activation=ja.models.PackedRelu())`` for larger batches.
    """

    cap: float = math.inf

    def __post_init__(self) -> None:
        _check_above_zero("cap", self.cap)

    def __call__(self, x: Array) -> Array:
        """Of any array, element by element."""
        return _packed(self.cap, x)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _packed(cap: float, x: Array) -> Array:
    zero, top = jnp.zeros_like(x), jnp.full_like(x, cap)
    return jnp.where(x <= 0, zero, jnp.where(x >= cap, top, x))


@_packed.defjvp
def _packed_jvp(
    cap: float, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    # Behind a barrier, or the compiler would keep x to compute the bits again.
    # Along the channels alone: images stay apart, on the devices they are on.
    known = jnp.atleast_1d((x > 0) & (x < cap))
    bits = lax.optimization_barrier(jnp.packbits(known, axis=-1))
    passes = jnp.unpackbits(bits, axis=-1, count=known.shape[-1]).astype(bool)
    passes = passes.reshape(x.shape)
    return _packed(cap, x), jnp.where(passes, tangent, jnp.zeros_like(tangent))


def relu6(x: Array) -> Array:
    """``min(max(x, 0), 6)`` with derivative 0 at both corners, as torch has it.

    ``jax.nn.relu6`` has 0.5 there. Written so that NaN stays NaN.
    """
    return jnp.where(
        x <= 0, jnp.zeros_like(x), jnp.where(x >= 6, 6.0 * jnp.ones_like(x), x)
    )


def gelu(x: Array) -> Array:
    """``x Φ(x) = x (1 + erf(x / √2)) / 2``, torch's default; JAX's is an approximation.

    ``jax.nn.gelu`` without it takes the complement ``erfc``, which takes longer on CPU.
    """
    # Below zero 1 + erf(x) cancels, and half precision would have nothing left of it.
    wide = widen(x)
    return (wide * (1 + lax.erf(wide * math.sqrt(0.5))) / 2).astype(x.dtype)


def hard_sigmoid(x: Array) -> Array:
    """``min(max(x + 3, 0), 6) / 6`` with derivative 0 at both corners, as torch has it."""
    return relu6(x + 3.0) / 6.0


def hard_swish(x: Array) -> Array:
    """``x min(max(x + 3, 0), 6) / 6``, with torch's derivatives at its corners.

    They are 0 at -3, where it begins, and 1 at 3, where it is the identity again.
    """
    inside = x * (x + 3.0) / 6.0
    return jnp.where(x <= -3, jnp.zeros_like(x), jnp.where(x >= 3, x, inside))
