"""DeepLIFT: what the difference to a baseline adds, layer by layer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxattr import scores
from jaxattr._checks import (
    check_choice,
    check_float_array,
    check_like_images,
    check_task,
    fail,
)
from jaxattr._loops import by_image_batches, mean_over
from jaxattr.interpreter.backward import pull_back
from jaxattr.rules import differences
from jaxattr.typing import Array, LogitsFn, Score


def deeplift(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    baseline: ArrayLike = 0.0,
    score: Score = scores.logit,
    unknown: str = "error",
) -> Array:
    """The difference of the score to that of a baseline, shared by the rescale rule.

    ``A = (x - x') ⊙ m``, ``m`` the multipliers that reach the images: of a linear layer
    its matrix, of a function of one argument ``Δz / Δx``, of a product the mean of the
    other factor. Every rule is exact, so the map sums to ``score(x) - score(x')`` on any
    network: with max pooling, attention, norms and gates.

    Captum's ``DeepLift`` differs where a network has more than linear layers and
    activations: its rule for max pooling is this one (the winner of the larger maximum
    alone gets the difference), but it is lost where an activation stands right before
    the pooling, and where windows overlap it keeps one of the sums; softmax (there the
    mean is taken off), and products, which it differentiates: its sums miss the
    difference. A batch norm at inference is a linear layer here and there.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      baseline: x', a number, an image ``(H, W, C)``, ``(N, H, W, C)``, or several
        ``(B, 1, H, W, C)``, over which the map is the mean (DeepLIFT-SHAP).
      score: what is explained; see ``jaxattr.scores``.
      unknown: ``"error"``, or ``"gradient"`` for the derivative of what has no rule,
        which is not exact.

    Returns:
      ``(N, H, W, C)``, in units of the score.

    Raises:
      ValueError: as ``lrp``; a baseline of another shape; a ``cond`` that depends on the
        images.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jax.nn.relu(jnp.sum(x, (1, 2)) @ jnp.ones((2, 2)) - 1)
      >>> images = jnp.array([1.0, 2.0]).reshape(1, 1, 1, 2)
      >>> ja.deeplift(logits_fn, images, jnp.array([0])).ravel()
      Array([0.6666667, 1.3333334], dtype=float32)

    References:
      Shrikumar, Greenside, Kundaje. Learning Important Features Through Propagating
      Activation Differences. ICML 2017, arXiv:1704.02685. Lundberg, Lee. A Unified
      Approach to Interpreting Model Predictions. NeurIPS 2017, arXiv:1705.07874.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)
    strict = check_choice("unknown", unknown, ("error", "gradient")) == "error"
    rules = differences.rule if strict else differences.rule_or_gradient

    def difference(images: Array, labels: Array, baseline: Array) -> Array:
        multipliers = pull_back(
            score(logits_fn, labels),
            [images, baseline],
            lambda score, _: jnp.ones_like(score),
            rules,
            differences.READING,
        )
        return (images - baseline) * multipliers

    if getattr(baseline, "ndim", 0) != 5:
        baseline = check_like_images("baseline", baseline, images)
        return by_image_batches(
            lambda _, *batch: difference(*batch), batch_size, images, labels, baseline
        )

    several = check_float_array("baseline", baseline, "(B, 1, H, W, C)", 5)
    if several.shape[1:] != (1, *images.shape[1:]):
        expected = f"a number, {images.shape[1:]}, {images.shape} or several "
        raise fail("baseline", f"{expected}{('B', 1, *images.shape[1:])}", several)
    several = several.astype(images.dtype)

    def explain(baselines_per_call: int, images: Array, labels: Array) -> Array:
        def terms(index: Array) -> Array:
            return jax.vmap(
                lambda b: difference(images, labels, jnp.zeros_like(images) + b)
            )(several[index])

        return mean_over(terms, several.shape[0], baselines_per_call)

    return by_image_batches(explain, batch_size, images, labels)
