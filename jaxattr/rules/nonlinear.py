"""Rules for layers that are not affine, and for those that only move numbers.

References:
  R. Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for
  Transformers", ICML 2024, arXiv:2402.05602: products, softmax, layer norm.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from jaxattr.interpreter.layer import Layer, fold, quotient
from jaxattr.typing import Array


@dataclasses.dataclass(frozen=True)
class Pass:
    """A function of one argument, place by place, hands its relevance on unchanged."""

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the input gets."""
        return [fold(r, x.shape) for r, x in zip(relevance, layer.inputs, strict=True)]


@dataclasses.dataclass(frozen=True)
class Move:
    """Every number takes its relevance back to where it came from."""

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        return list(layer.transpose(relevance))


@dataclasses.dataclass(frozen=True)
class Winner:
    """Of a maximum or a choice, what was chosen gets all.

    Of equal numbers: those of ``jnp.maximum`` and ``jnp.max`` share alike, of
    ``lax.reduce_window`` (Flax, Equinox and Keras) and this package's own pooling the
    first gets all, of a ``jnp.where`` the one it takes.
    """

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        return list(layer.pull(relevance))


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Both factors of a product get half of it; of a sum of products, of each summand.

    ``R_a = a · f(·, b)ᵀ (R / s(2 z))``, and alike for ``b``.
    """

    epsilon: float = 1e-8

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the factors get."""
        (r,), factors = relevance, layer.inputs
        if layer.name in ("mul", "div"):
            return [fold(r / 2, x.shape) for x in factors]
        share = quotient(r, 2 * layer.outputs[0], self.epsilon)
        results = []
        for i, factor in enumerate(factors):

            def product(x: Array, i: int = i) -> tuple[Array, ...]:
                return layer(*factors[:i], x, *factors[i + 1 :])

            (cotangent,) = layer.transpose_of(product, (factor,), (share,))
            results.append(factor * cotangent)
        return results


@dataclasses.dataclass(frozen=True)
class SoftmaxTaylor:
    """``R_i = x_i (R_i - p_i Σ_j R_j)``: the softmax by its Taylor expansion at ``x``.

    The constant term of the expansion keeps its share, as a bias does.
    """

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the input gets."""
        (r,), (x,), (p,) = relevance, layer.inputs, layer.outputs
        # What is masked with -inf has no probability and gets nothing.
        x = jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x))
        return [x * (r - p * jnp.sum(r, layer.node.axes, keepdims=True))]


@dataclasses.dataclass(frozen=True)
class Linearized:
    """``R_x = x · Jᵀ (R / s(z))``: the derivative in the place of a matrix."""

    epsilon: float = 1e-6

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        shares = [
            quotient(r, z, self.epsilon).astype(z.dtype)
            for r, z in zip(relevance, layer.outputs, strict=True)
        ]
        return [x * c for x, c in zip(layer.inputs, layer.pull(shares), strict=True)]


@dataclasses.dataclass(frozen=True)
class Gradient:
    """``Jᵀ g``: no relevance, the derivative."""

    def __call__(self, layer: Layer, relevance: tuple[Array, ...]) -> list[Array]:
        """What the inputs get."""
        return list(layer.pull(relevance))
