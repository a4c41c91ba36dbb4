"""One call: trace a function, evaluate it and pull something back through it."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence

import jax.numpy as jnp

from jaxattr.interpreter.evaluation import Evaluation
from jaxattr.interpreter.grouping import graph
from jaxattr.interpreter.nodes import Reading
from jaxattr.interpreter.program import trace
from jaxattr.interpreter.pullback import Rules, pull
from jaxattr.typing import Array, ScoreFn


def pull_back(
    score_fn: ScoreFn,
    points: Sequence[Array],
    start: Callable[..., Array],
    rules: Rules,
    reading: Reading,
) -> Array:
    """What the images get.

    Args:
      score_fn: images ``(N, H, W, C)`` to ``(N,)``.
      points: one batch of images, or two that are compared.
      start: of the scores of each point, ``(N,)``; what the scores have.
      rules: which rule stands where.
      reading: how the program is read.

    Returns:
      ``(N, H, W, C)``, NaN where a score is not a number.

    Raises:
      ValueError: as the rules do.
    """
    program, _ = trace(score_fn, points[0])
    layers = graph(program, program.inputs, reading, raw=program.inputs)
    evaluation = Evaluation(layers, [[point] for point in points])
    scores = [evaluation.outputs(i)[0] for i in range(len(points))]
    (result,) = pull(evaluation, [start(*scores)], rules, reading)
    images = points[0]
    if result is None:  # a score that does not depend on the images
        result = jnp.zeros_like(images)
    undefined = functools.reduce(operator.or_, (jnp.isnan(s) for s in scores))
    undefined = undefined.reshape(-1, *(1,) * (images.ndim - 1))
    return jnp.where(undefined, jnp.nan, result).astype(images.dtype)
