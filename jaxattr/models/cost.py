"""What a network costs: parameters, multiply-adds, memory of a gradient, speed here."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from jaxattr._checks import check_integer
from jaxattr.models.classifier import Classifier
from jaxattr.typing import Array

SECONDS = 1.0
"""Of measuring, at least, for each of the two speeds."""


class Cost(NamedTuple):
    """What a network costs, for an image of the size that it was asked for."""

    parameters: int
    """Numbers that are trained, batch norms folded into the layers before them."""
    multiply_adds: int
    """Of convolutions and matrix products in a forward pass of one image."""
    gradient_bytes: int | None
    """Memory that an input gradient holds beside images and weights, of one image; None
    where the compiler does not say."""
    forward: float
    """Images a second on the default device."""
    gradient: float
    """Input gradients a second."""


def cost(
    model: Classifier,
    *,
    batch_size: int = 8,
    image_size: tuple[int, int] | None = None,
) -> Cost:
    """Counts and measures a network on the default device.

    Args:
      model: whose weights do not matter.
      batch_size: of the images that are timed together.
      image_size: height and width; None takes the model's ``input_size``.

    Returns:
      A :class:`Cost`. Multiply-adds are those of the network as it is written: a fast
      algorithm for a convolution may do fewer.

    Raises:
      ValueError: for a batch size below one.

    Example:
      >>> import jax
      >>> from jaxattr import models
      >>> from jaxattr.models.cost import multiply_adds
      >>> model = models.load("squeezenet1_1", "random", key=jax.random.key(0))
      >>> f"{multiply_adds(model, (224, 224)) / 1e9:.2f}"
      '0.35'
    """
    batch_size = check_integer("batch_size", batch_size)
    size = model.input_size if image_size is None else image_size
    images = jnp.zeros((batch_size, *size, 3), jnp.float32)
    forward = jax.jit(lambda model, images: model(images)).lower(model, images)
    gradient = jax.jit(_gradient).lower(model, images).compile()
    memory = gradient.memory_analysis()
    held = getattr(memory, "temp_size_in_bytes", None)
    return Cost(
        sum(leaf.size for leaf in jax.tree.leaves(model)),
        multiply_adds(model, size),
        None if held is None else held // batch_size,
        batch_size / _seconds(functools.partial(forward.compile(), model, images)),
        batch_size / _seconds(functools.partial(gradient, model, images)),
    )


def multiply_adds(model: Callable[[Array], Array], size: tuple[int, int]) -> int:
    """Of convolutions and matrix products in a forward pass of one image, nothing run."""
    images = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    return _count(jax.make_jaxpr(model)(images).jaxpr)


def _gradient(model: Classifier, images: Array) -> Array:
    return jax.grad(lambda images: jnp.sum(model(images)[:, 0]))(images)


def _count(jaxpr: core.Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        times = equation.params.get("length", 1) if _is(equation, "scan") else 1
        inner = sum(_count(inside) for inside in _inside(equation.params))
        total += times * inner + _products(equation)
    return total


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.aval.shape)


def _products(equation: core.JaxprEqn) -> int:
    """Those of one primitive: results times what each is a sum of."""
    if not equation.outvars:
        return 0
    results = math.prod(_shape(equation.outvars[0]))
    if _is(equation, "dot_general"):
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = _shape(equation.invars[0])
        return results * math.prod(shape[axis] for axis in contracted)
    if _is(equation, "conv_general_dilated"):
        kernel = _shape(equation.invars[1])
        outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
        return results * math.prod(kernel) // outputs
    if equation.primitive.name.endswith("_convolve"):  # of jaxattr.convolutions
        kernel = _shape(equation.invars[1])
        return results * math.prod(kernel[:-1])
    return 0


def _is(equation: core.JaxprEqn, name: str) -> bool:
    return equation.primitive.name == name


def _inside(params: Mapping[str, object]) -> Iterator[core.Jaxpr]:
    """The functions that a primitive calls."""
    for value in params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, core.ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, core.Jaxpr):
                yield part


def _seconds(call: Callable[[], Array]) -> float:
    """Of a call, the least of several."""
    jax.block_until_ready(call())
    begin, least = time.perf_counter(), math.inf
    while time.perf_counter() - begin < SECONDS or least == math.inf:
        start = time.perf_counter()
        jax.block_until_ready(call())
        least = min(least, time.perf_counter() - start)
    return least
