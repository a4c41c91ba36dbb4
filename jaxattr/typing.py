"""The shapes of the few things everything else is made of.

Shape letters are the same everywhere: ``N`` batch, ``H W C`` image, ``K`` classes,
``T`` steps, ``S`` samples that share a model call, ``M`` bands, ``R`` references.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

Array = jax.Array

Scalar = float | Array
"""A number of Python (an int too), or an array of shape ``()``, traced or not."""

Bounds = tuple[Scalar, Scalar]
"""The least and the largest value of a pixel."""

LogitsFn = Callable[[Array], Array]
"""Images ``(N, H, W, C)`` in [0, 1] to logits ``(N, K)``; the rows are independent.

Normalisation and resizing belong inside, so that budgets, baselines and frequencies
live in pixel space. Any callable will do; one that is a pytree (a model of
``jaxattr.models``, a ``jax.tree_util.Partial``, an Equinox module) can be an argument
of a jitted function, so new weights do not compile again.
"""

ScoreFn = Callable[[Array], Array]
"""Points to one number each: what is explained or attacked.

A score takes images ``(N, H, W, C)`` to ``(N,)``. Where samples share a model call it
has been through ``scores.stacked_rows`` and takes ``(S, N, H, W, C)`` to ``(S, N)`` too.
"""

Score = Callable[[LogitsFn, Array], ScoreFn]
"""``(logits_fn, labels) -> ScoreFn``; the library's own are in ``jaxattr.scores``."""

GradientFn = Callable[[Array, Array], Any]
"""``(keys (N,), points (N, H, W, C)) -> (N, H, W, C)``: what drives a path."""

Perturbation = Callable[[Array], Callable[[Array], Array]]
"""A random image map in two stages: ``draw = perturbation(images)``, ``draw(keys)``.

The first stage does what all draws share (a cosine transform, say) once. ``keys`` is
``(..., N)``, one for each image and draw, and the result ``(..., N, H, W, C)``.
"""

Projection = Callable[[Array], Array]
"""Points to the nearest points of a feasible set, rows independent."""
