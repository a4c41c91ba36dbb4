"""Class activation maps: the channels of a layer, each with a weight, where they are.

What the methods have in common: the layer is found, by its name or between the halves
of a model, its values are laid out in places, and what becomes of them is resized to the
images. A method says how the channels are combined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxattr import inside, scores
from jaxattr._checks import check_inputs, check_values, fail
from jaxattr._logits import checked_head, checked_model
from jaxattr._loops import by_image_batches, merge_rows, repeat_rows, split_rows
from jaxattr._numerics.dtypes import widen
from jaxattr.attributions import places
from jaxattr.gradients import gradient
from jaxattr.typing import Array, LogitsFn, Score


class Layer(NamedTuple):
    """A layer of a model for a batch of images, and what leads from it to scores."""

    images: Array
    """``(N, H, W, C)``."""
    labels: Array
    """``(N,)``."""
    values: Array
    """As the layer gives them, ``(N, h, w, D)`` or ``(N, T, D)``."""
    head: Callable[[Array], LogitsFn]
    """Images to the function from their values to logits."""
    model: LogitsFn
    """Images to logits."""
    score: Score
    grid: tuple[int, int] | None
    """Rows and columns of tokens."""
    rows: int
    """How many times the N images may share a model call."""

    def placed(self, values: Array) -> Array:
        """Values of the layer, or their gradients, in places, ``(N, h, w, D)``."""
        size = (self.images.shape[1], self.images.shape[2])
        return places.features(widen(values), size, self.grid)

    def features(self) -> Array:
        """The values in places, ``(N, h, w, D)``."""
        return self.placed(self.values)

    def gradients(self) -> Array:
        """``∂ score / ∂ F`` in places, ``(N, h, w, D)``."""
        score_fn = self.score(self.head(self.images), self.labels)
        return self.placed(gradient(score_fn, self.values))

    def scores_of_values(self, values: Array) -> Array:
        """Scores ``(S, N)`` of other values ``(S, N, ...)`` in the layer's place."""
        times = len(values)
        head = self.head(repeat_rows(self.images, times))
        return self._scores(head, values)

    def scores_of_images(self, images: Array) -> Array:
        """Scores ``(S, N)`` of images ``(S, N, H, W, C)``."""
        return self._scores(self.model, images)

    def _scores(self, logits_fn: LogitsFn, points: Array) -> Array:
        times = len(points)
        rows = merge_rows(jnp.swapaxes(points, 0, 1))
        labels = repeat_rows(self.labels, times)
        return split_rows(self.score(logits_fn, labels)(rows), times)


def class_activation_map(
    combine: Callable[[Layer], Array],
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    batch_size: int | None,
    score: Score | str,
    relu: bool,
    grid: tuple[int, int] | None,
    layer: str | None,
) -> Array:
    """Maps ``(N, H, W, C)`` of what ``combine`` makes of a layer, ``(N, h, w)``.

    The options are those of ``grad_cam``.
    """
    features_fn, last = (getattr(logits_fn, n, None) for n in ("features", "head"))
    if layer is None and (features_fn is None or last is None):
        raise fail(
            "logits_fn",
            "a model with features and head, such as model.split(layer), or layer=",
            logits_fn,
        )
    images, labels = check_inputs(images, labels)
    check_values(images)
    if layer is None:
        assert last is not None
        head_fn = checked_head(last, labels)
    else:
        logits_fn = checked_model(logits_fn, labels)
    score = scores.as_score(score)

    def explain(rows: int, images: Array, labels: Array) -> Array:
        if layer is None:
            assert features_fn is not None
            values, head = features_fn(images), lambda _: head_fn
            model = lambda images: head_fn(features_fn(images))
        else:
            values = inside.capture(logits_fn, [layer])(images)[1][layer]
            head = lambda images: inside.head(logits_fn, layer, images)
            model = logits_fn
        cam = combine(Layer(images, labels, values, head, model, score, grid, rows))
        cam = jax.nn.relu(cam) if relu else cam
        return places.resized(cam, images)

    return by_image_batches(explain, batch_size, images, labels)


def weighted(weights: Array, features: Array) -> Array:
    """``Σₖ wₖ Fᵏ``: weights ``(N, D)`` or ``(N, h, w, D)``, features ``(N, h, w, D)``."""
    if weights.ndim == 2:
        weights = weights[:, None, None, :]
    return jnp.sum(weights * features, axis=-1)
