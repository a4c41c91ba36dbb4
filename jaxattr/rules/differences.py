"""DeepLIFT's rules: multipliers between two images, exact for every layer.

A layer's inputs get multipliers ``m`` with ``Σ_i m_i Δx_i = Σ_j m_j Δz_j``, Δ the
difference between the image and the baseline. So the sum over the images is the
difference of the scores, whatever the network is made of.

References:
  A. Shrikumar, P. Greenside, A. Kundaje, "Learning Important Features Through Propagating
  Activation Differences", ICML 2017, arXiv:1704.02685 (the rescale rule). S. Lundberg,
  S.-I. Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017,
  arXiv:1705.07874 (maxima, as their library has them).
"""

from __future__ import annotations

import functools
import itertools
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr._numerics.dtypes import widen
from jaxattr.interpreter import scalars
from jaxattr.interpreter.layer import Layer, fold
from jaxattr.interpreter.nodes import Node, Reading
from jaxattr.interpreter.pullback import Rule
from jaxattr.rules.composites import no_rule
from jaxattr.rules.nonlinear import Gradient
from jaxattr.typing import Array

READING = Reading(normalizations=False, stop_gradient=False)
"""What a network does not differentiate differs between two images all the same."""

ROUNDING = 16
"""A secant that is as near to the derivative as so many roundings tell nothing more."""

Arrays = tuple[Array, ...]


def rule(node: Node) -> Rule:
    """The rule for a layer.

    Raises:
      ValueError: for what is neither linear nor known.
    """
    if node.kind == "choice":
        return _choice(node)
    found = _RULES.get(node.kind)
    if found is None:
        raise no_rule(node)
    return found


def rule_or_gradient(node: Node) -> Rule:
    """The derivative where there is no rule."""
    return Gradient() if node.kind == "unknown" else rule(node)


def linear(layer: Layer, multipliers: Arrays) -> Arrays:
    """``m Aᵀ``."""
    return layer.transpose(multipliers)


def pointwise(layer: Layer, multipliers: Arrays) -> list[Array]:
    """``m Δz / Δx``: the rescale rule."""
    (m,), (x,), (baseline,) = multipliers, layer.inputs, layer.inputs_at(1)
    (z,), (z_baseline,) = layer.outputs, layer.outputs_at(1)
    middle = x - _difference(x, baseline) / 2
    _, derivative = jax.jvp(lambda v: layer(v)[0], (middle,), (jnp.ones_like(x),))
    scale = jnp.abs(z) + jnp.abs(z_baseline)
    slope = _slope(
        _difference(z, z_baseline), _difference(x, baseline), derivative, scale
    )
    return [m * slope.astype(m.dtype)]


def product(layer: Layer, multipliers: Arrays) -> list[Array]:
    """Each factor times the mean of the other: ``Δ(ab) = b̄ Δa + ā Δb``."""
    (a, b), (a_baseline, b_baseline) = layer.inputs, layer.inputs_at(1)
    mean_a, mean_b = (a + a_baseline) / 2, (b + b_baseline) / 2
    (of_a,) = layer.transpose_of(lambda x: layer(x, mean_b), (a,), multipliers)
    (of_b,) = layer.transpose_of(lambda x: layer(mean_a, x), (b,), multipliers)
    return [of_a, of_b]


def ratio(layer: Layer, multipliers: Arrays) -> list[Array]:
    """``Δ(a/b) = mean(1/b) Δa - ā Δb / (b b')``."""
    (m,) = multipliers
    (a, b), (a_baseline, b_baseline) = layer.inputs, layer.inputs_at(1)
    of_a = m * ((1 / b + 1 / b_baseline) / 2)
    of_b = -m * ((a + a_baseline) / 2) / b / b_baseline
    return [fold(of_a, a.shape), fold(of_b, b.shape)]


def shapley(layer: Layer, multipliers: Arrays) -> list[Array]:
    """A function of several arguments, place by place: the mean over all orders.

    ``Δ_i`` is what changing argument ``i`` adds, averaged over the orders in which the
    arguments change: exact, and zero for an argument that stays.
    """
    (m,), n = multipliers, len(layer.inputs)
    shape = m.shape
    ends = [[jnp.broadcast_to(x, shape) for x in layer.inputs_at(i)] for i in (0, 1)]
    values = {
        chosen: layer(*(ends[1 - c][i] for i, c in enumerate(chosen)))[0]
        for chosen in itertools.product((0, 1), repeat=n)
    }
    scale = functools.reduce(operator.add, (jnp.abs(v) for v in values.values()))
    middle = [x - _difference(x, b) / 2 for x, b in zip(*ends)]
    _, pull = jax.vjp(lambda *x: layer(*x)[0], *middle)
    slopes = pull(jnp.ones_like(m).astype(layer.outputs[0].dtype))
    results = []
    for i, (x, baseline) in enumerate(zip(*ends)):
        change = jnp.zeros_like(layer.outputs[0])
        for chosen, value in values.items():
            if not chosen[i]:
                others = sum(chosen)
                weight = math.factorial(others) * math.factorial(n - 1 - others)
                there = chosen[:i] + (1,) + chosen[i + 1 :]
                change = change + (values[there] - value) * (weight / math.factorial(n))
        slope = _slope(change, _difference(x, baseline), slopes[i], scale)
        results.append(fold(m * slope.astype(m.dtype), layer.inputs[i].shape))
    return results


class Maximum:
    """What wins for the larger of two maxima gets the difference between them.

    Where ``max x ≥ max x'`` the winner of the image has risen by at least as much, where
    it is smaller the winner of the baseline has fallen so: multipliers are in [0, 1].
    """

    def __call__(self, layer: Layer, multipliers: Arrays) -> list[Array]:
        """What the inputs get."""
        (m,), (x,), (baseline,) = multipliers, layer.inputs, layer.inputs_at(1)
        z, z_baseline = layer.outputs[0], layer.outputs_at(1)[0]
        is_minimum = layer.name in ("reduce_min", "reduce_window_min")
        risen = (z <= z_baseline) if is_minimum else (z >= z_baseline)
        change = m * _difference(z, z_baseline)
        zero = jnp.zeros_like(change)
        (up,) = layer.pull((jnp.where(risen, change, zero),))
        (down,) = layer.pull((jnp.where(risen, zero, change),), 1)
        (derivative,) = layer.pull((m,))
        return [_safe_ratio(up + down, _difference(x, baseline), derivative)]


def softmax(layer: Layer, multipliers: Arrays) -> list[Array]:
    """``e^x / Σ e^x`` as a product of its two factors, the same shift for both images."""
    (m,), (x,), (baseline,) = multipliers, layer.inputs, layer.inputs_at(1)
    axes = layer.node.axes
    tops = [jnp.max(v, axes, keepdims=True) for v in (x, baseline)]
    shift = jax.lax.stop_gradient((tops[0] + tops[1]) / 2)
    e, e_baseline = jnp.exp(x - shift), jnp.exp(baseline - shift)
    total, total_baseline = (jnp.sum(v, axes, keepdims=True) for v in (e, e_baseline))
    shared = jnp.sum(m * (e + e_baseline) / 2, axes, keepdims=True)
    of_e = m * (1 / total + 1 / total_baseline) / 2 - shared / total / total_baseline
    delta = _difference(x, baseline)
    middle = jnp.exp(x - delta / 2 - shift)
    slope = _slope(e - e_baseline, delta, middle, e + e_baseline)
    return [of_e * slope]


def _choice(node: Node) -> Rule:
    """For what chooses between branches, a maximum written out or another function."""
    if len(node.inputs) == 2:
        a, b = np.meshgrid(scalars.GRID, scalars.GRID)
        given = dict(zip(node.inputs, (a, b)))
        values = scalars.evaluate(node.equations, given)
        for sign in (1, -1):
            if values is not None and np.array_equal(
                values, sign * np.maximum(sign * a, sign * b)
            ):
                return _Larger(sign)
    return shapley


class _Larger:
    """``Maximum`` of two arguments (or minimum, with the sign -1)."""

    def __init__(self, sign: int):
        self.sign = sign

    def __call__(self, layer: Layer, multipliers: Arrays) -> list[Array]:
        (m,) = multipliers
        shape = m.shape
        (a, b), (a_baseline, b_baseline) = (
            [jnp.broadcast_to(self.sign * x, shape) for x in layer.inputs_at(i)]
            for i in (0, 1)
        )
        z, z_baseline = jnp.maximum(a, b), jnp.maximum(a_baseline, b_baseline)
        first, first_baseline = a >= b, a_baseline >= b_baseline
        risen = z >= z_baseline
        wins = jnp.where(risen, first, first_baseline)
        results = []
        for x, baseline, gets, like in (
            (a, a_baseline, wins, layer.inputs[0]),
            (b, b_baseline, ~wins, layer.inputs[1]),
        ):
            change = jnp.where(gets, _difference(z, z_baseline), jnp.zeros_like(z))
            delta = _difference(x, baseline)
            slope = _safe_ratio(change, delta, gets.astype(z.dtype))
            results.append(fold(m * slope.astype(m.dtype), like.shape))
        return results


def _difference(x: Array, baseline: Array) -> Array:
    """``x - x'``; of what is minus infinity in both, as padding and masks are, zero."""
    return jnp.where(x == baseline, jnp.zeros_like(x), x - baseline)


def _slope(change: Array, delta: Array, derivative: Array, scale: Array) -> Array:
    """``change / delta``, or the derivative where rounding cannot tell them apart."""
    # Half precision is computed in float32 and rounded once.
    info = jnp.finfo(change.dtype)
    bound = (ROUNDING if info.bits >= 32 else 1) * float(info.eps) * widen(scale)
    change, delta, derivative = widen(change), widen(delta), widen(derivative)
    alike = jnp.abs(change - derivative * delta) <= bound
    alike = alike | (delta == 0)
    safe = jnp.where(alike, jnp.ones_like(delta), delta)
    return jnp.where(alike, derivative, change / safe)


def _safe_ratio(change: Array, delta: Array, otherwise: Array) -> Array:
    safe = jnp.where(delta == 0, jnp.ones_like(delta), delta)
    return jnp.where(delta == 0, otherwise, change / safe)


_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("convolution", "dense", "sum", "move", "affine", "addition"), linear
    ),
    "maximum": Maximum(),
    "pointwise": pointwise,
    "product": product,
    "quotient": ratio,
    "elementwise": shapley,
    "softmax": softmax,
}
