"""Activations: those of the checkpoints as torch has them, and a ReLU with curvature."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxattr._checks import check_number, fail
from jaxattr.typing import Array, Scalar

Activation = Callable[[Array], Array]
"""Any array to one of the same shape, element by element."""


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
        for name, value in (("beta", self.beta), ("cap", self.cap)):
            number = check_number(name, value, 0.0)
            if isinstance(number, float) and number == 0:
                raise fail(name, "a number above zero", value)

    def __call__(self, x: Array) -> Array:
        """Of any array, element by element."""
        smooth = jax.nn.softplus(self.beta * x) / self.beta
        if self.cap == math.inf:
            return smooth
        return smooth - jax.nn.softplus(self.beta * (x - self.cap)) / self.beta


def relu6(x: Array) -> Array:
    """``min(max(x, 0), 6)`` with derivative 0 at both corners, as torch has it.

    ``jax.nn.relu6`` has 0.5 there. Written so that NaN stays NaN.
    """
    return jnp.where(
        x <= 0, jnp.zeros_like(x), jnp.where(x >= 6, 6.0 * jnp.ones_like(x), x)
    )


def gelu(x: Array) -> Array:
    """``x Φ(x)`` with the error function, torch's default; JAX's is an approximation."""
    return jax.nn.gelu(x, approximate=False)


def hard_sigmoid(x: Array) -> Array:
    """``min(max(x + 3, 0), 6) / 6`` with derivative 0 at both corners, as torch has it."""
    return relu6(x + 3.0) / 6.0


def hard_swish(x: Array) -> Array:
    """``x min(max(x + 3, 0), 6) / 6``, with torch's derivatives at its corners.

    They are 0 at -3, where it begins, and 1 at 3, where it is the identity again.
    """
    inside = x * (x + 3.0) / 6.0
    return jnp.where(x <= -3, jnp.zeros_like(x), jnp.where(x >= 3, x, inside))
