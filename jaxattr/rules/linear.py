"""Rules for affine layers ``z = A x + b``: how z's relevance is shared among the x.

Each gives ``x_i`` its part of a sum, ``R_i = Σ_j R_j · part_ij / Σ_i part_ij``, the bias
being one of the parts where it is said so. They differ in the parts. All are written with
the layer's own product and its transpose, for changed weights, so they hold for any
convolution. ``s(z)`` below is ``z + ε sign z``.

References:
  S. Bach et al., "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by
  Layer-Wise Relevance Propagation", PLOS ONE 2015. G. Montavon et al., "Explaining
  nonlinear classification decisions with deep Taylor decomposition", Pattern Recognition
  2017, arXiv:1512.02479. G. Montavon et al., "Layer-Wise Relevance Propagation: An
  Overview", 2019. S. Lapuschkin et al., "Unmasking Clever Hans predictors", Nature
  Communications 2019 (flat). L. Andéol et al., "Learning domain invariant
  representations by joint Wasserstein distance minimization", 2021 (gamma for inputs of
  both signs). C. Anders et al., "Software for Dataset-wide XAI: From Local Explanations
  to Global Insights with Zennit, CoRelAy, and ViRelAy", 2021, arXiv:2106.13200.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax

from jaxattr._numerics.dtypes import widen
from jaxattr.interpreter.layer import Layer, quotient
from jaxattr.typing import Array

Terms = Sequence[tuple[Array, Array]]
"""Inputs and weights whose products are summed."""


@dataclasses.dataclass(frozen=True)
class Epsilon:
    """``R_i = x_i Σ_j A_ji R_j / s(z_j)``; LRP-0 where ε is 0.

    The bias keeps its share ``b / z``. One product with the transpose, as a gradient.
    """

    epsilon: float = 1e-6

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        shares = [
            quotient(r, z, self.epsilon)
            for r, z in zip(relevance, layer.outputs, strict=True)
        ]
        return [
            x * c for x, c in zip(layer.inputs, layer.transpose(shares), strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class ZPlus:
    """``R_i = Σ_j (A_ji x_i)⁺ R_j / s(Σ_i (A_ji x_i)⁺ + b_j⁺)``: alpha-beta with 1, 0.

    A second product beside the transpose; twice both where inputs may be negative.
    """

    epsilon: float = 1e-6

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        return [_positive(layer, relevance[0], self.epsilon)]


@dataclasses.dataclass(frozen=True)
class AlphaBeta:
    """``α`` times the shares of positive parts less ``β`` times those of negative ones.

    ``R_i = Σ_j (α (A_ji x_i)⁺ / s(z_j⁺) - β (A_ji x_i)⁻ / s(z_j⁻)) R_j``, with ``z⁺``
    and ``z⁻`` the sums of the parts, the bias included, and ``α - β = 1``. Twice the
    products of ``ZPlus``.
    """

    alpha: float = 2.0
    beta: float = 1.0
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if self.alpha < 0 or self.beta < 0 or abs(self.alpha - self.beta - 1) > 1e-9:
            raise ValueError(
                "alpha, beta: expected numbers of at least 0 with alpha - beta = 1, "
                f"got {self.alpha} and {self.beta}"
            )

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        (r,) = relevance
        result = self.alpha * _positive(layer, r, self.epsilon)
        if self.beta:
            result = result - self.beta * _negative(layer, r, self.epsilon)
        return [result]


@dataclasses.dataclass(frozen=True)
class Gamma:
    """Epsilon with parts of the sign of ``z_j`` made larger by ``γ``.

    Where ``z_j > 0``, ``R_i = Σ_j (A_ji x_i + γ (A_ji x_i)⁺) R_j / s(Σ_i ...)``, and
    where ``z_j < 0`` with ``(·)⁻``; the bias alike. As ``p± = (p ± |p|) / 2`` for every
    part p, one more product and one more transpose than epsilon, with ``|x|`` and
    ``|A|``, whatever the signs of the inputs.
    """

    gamma: float = 0.25
    epsilon: float = 1e-6

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        (r,), (z,), (x,) = relevance, layer.outputs, layer.inputs
        weights, half = layer.weights, self.gamma / 2
        sizes = jnp.abs(weights)
        of_inputs = x if layer.nonnegative else jnp.abs(x)
        size = widen(layer.product(of_inputs, sizes)) + widen(jnp.abs(layer.bias))
        sign = jnp.sign(widen(z))
        total = (1 + half) * widen(z) + half * sign * size
        share = quotient(r, total, self.epsilon) * jnp.abs(sign)  # none where z is 0
        signed = layer.product_transpose(weights, (1 + half) * share)
        unsigned = layer.product_transpose(sizes, half * sign * share)
        return [x * signed + of_inputs * unsigned]


@dataclasses.dataclass(frozen=True)
class Flat:
    """Every input of ``z_j`` gets the same: ``R_i = Σ_j R_j / #inputs of j``."""

    epsilon: float = 1e-6

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        ones = _ones(layer.weights)
        count = layer.product(_ones(layer.inputs[0]), ones)
        share = quotient(relevance[0], count, self.epsilon)
        return [layer.product_transpose(ones, share)]


@dataclasses.dataclass(frozen=True)
class WSquared:
    """In proportion to squared weights: ``R_i = Σ_j A_ji² R_j / s(Σ_i A_ji² + b_j²)``."""

    epsilon: float = 1e-6

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        squares = layer.weights**2
        total = layer.product(_ones(layer.inputs[0]), squares) + layer.bias**2
        share = quotient(relevance[0], total, self.epsilon)
        return [layer.product_transpose(squares, share)]


@dataclasses.dataclass(frozen=True)
class ZBox:
    """For inputs in a box: ``A_ji x_i - A_ji⁺ l_i - A_ji⁻ h_i``, parts not below zero.

    That is ``A_ji⁺ (x_i - l_i) + A_ji⁻ (x_i - h_i)``: two products, two transposes.
    ``low`` and ``high`` are pixel values: what the first layer is given for images of
    these values is computed by the network itself, its normalisation included. In a
    layer that is not the first they are values of its inputs. The bias has no share.
    """

    low: float = 0.0
    high: float = 1.0
    epsilon: float = 1e-6

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        (x,) = layer.inputs
        weights = layer.weights
        if layer.raw:
            low, high = layer.input_of(self.low), layer.input_of(self.high)
        else:
            low, high = (jnp.full_like(x, b) for b in (self.low, self.high))
        terms = [(x - low, _above(weights)), (x - high, _below(weights))]
        zero = jnp.zeros_like(layer.outputs[0])
        return [_shared(layer, relevance[0], terms, zero, self.epsilon)]


def _shared(
    layer: Layer, relevance: Array, terms: Terms, bias: Array, epsilon: float
) -> Array:
    """Relevance in proportion to the parts ``x · w`` of a sum."""
    total = widen(bias)
    for x, w in terms:
        total = total + widen(layer.product(x, w))
    share = quotient(relevance, total, epsilon)
    parts = [x * layer.product_transpose(w, share) for x, w in terms]
    return functools.reduce(operator.add, parts)


def _positive(layer: Layer, relevance: Array, epsilon: float) -> Array:
    (x,), weights = layer.inputs, layer.weights
    terms = [(_above(x), _above(weights)), (_below(x), _below(weights))]
    if layer.nonnegative:
        terms = [(x, _above(weights))]
    return _shared(layer, relevance, terms, _above(layer.bias), epsilon)


def _negative(layer: Layer, relevance: Array, epsilon: float) -> Array:
    (x,), weights = layer.inputs, layer.weights
    terms = [(_above(x), _below(weights)), (_below(x), _above(weights))]
    if layer.nonnegative:
        terms = [(x, _below(weights))]
    return _shared(layer, relevance, terms, _below(layer.bias), epsilon)


def _above(x: Array) -> Array:
    return jnp.where(x > 0, x, jnp.zeros_like(x))


def _below(x: Array) -> Array:
    return jnp.where(x < 0, x, jnp.zeros_like(x))


def _ones(x: Array) -> Array:
    # Behind a barrier: compilers would evaluate whole convolutions of ones.
    return lax.optimization_barrier(jnp.ones_like(x))
