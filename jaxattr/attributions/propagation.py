"""What rules hand back to the pixels: what LRP and the changed gradients share."""

from __future__ import annotations

from collections.abc import Callable

from jaxattr import scores
from jaxattr._checks import check_task
from jaxattr._loops import by_image_batches
from jaxattr.interpreter.backward import pull_back
from jaxattr.interpreter.nodes import Reading
from jaxattr.interpreter.pullback import Rules
from jaxattr.typing import Array, LogitsFn, Score


def propagated(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    batch_size: int | None,
    score: Score,
    *,
    start: Callable[[Array], Array],
    rules: Rules,
    reading: Reading,
) -> Array:
    """What comes back to the images when a score is handed back layer by layer.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      start: of the scores ``(N,)``; what they have.
      rules: which rule stands where.
      reading: how the program is read.

    Returns:
      ``(N, H, W, C)``.

    Raises:
      ValueError: as ``saliency``, and as the rules do.
    """
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)

    def explain(_: int, images: Array, labels: Array) -> Array:
        score_fn = score(logits_fn, labels)
        return pull_back(score_fn, [images], start, rules, reading)

    return by_image_batches(explain, batch_size, images, labels)
