"""How robust a model is: errors on corrupted images, and change under an attack."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxattr import _random, corruptions, scores
from jaxattr._checks import (
    check_choice,
    check_images,
    check_integer,
    check_key,
    check_task,
    fail,
)
from jaxattr._loops import by_image_batches
from jaxattr.typing import Array, LogitsFn

ALEXNET_ERRORS = (
    *(0.886428, 0.894468, 0.922640, 0.819880, 0.826268),
    *(0.785948, 0.798360, 0.866816, 0.826572, 0.819324),
    *(0.564592, 0.853204, 0.646056, 0.717840, 0.606500),
)
"""AlexNet's errors on ImageNet-C, means over severities, in the order of
``corruptions.names()``: the usual reference on the whole validation set."""

# Parameters that decide shapes or filters; the severities differ in others, which are
# arguments, so that most corruptions are compiled once for all five.
_corrupted = jax.jit(
    corruptions.corrupt,
    static_argnames=(
        *("name", "severity", "preset", "radius", "stddev", "reach", "rounds"),
        *("stop", "step", "zoom", "blur", "scale", "quality"),
    ),
)


def corruption_errors(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    names: Sequence[str] | None = None,
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    preset: str = "imagenet",
    batch_size: int | None = None,
) -> Array:
    """Which images a model gets wrong under each corruption and severity.

    Every model sees the same corrupted images under the same key, so that differences
    between models are paired.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``; jitted, if speed matters.
      images: float ``(N, H, W, C)`` in [0, 1].
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      names: C of ``corruptions.names()``, by default all 15.
      severities: S of 1 to 5.
      preset: ``imagenet`` or ``cifar``; see ``corruptions.corrupt``.
      batch_size: the most model rows in one call.

    Returns:
      ``(C, S, N)`` bool, True where the prediction is not the label.

    Raises:
      ValueError: as ``corruptions.corrupt``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.mean(x, axis=(1, 2)) * jnp.array([[1.0, 0, -1]])
      >>> images, labels = jnp.full((2, 8, 8, 3), 0.5), jnp.array([0, 1])
      >>> wrong = ja.corruption_errors(
      ...     logits_fn, images, labels, key=jax.random.key(0), names=["contrast"])
      >>> wrong.mean(-1).tolist()
      [[0.5, 0.5, 0.5, 0.5, 0.5]]

    References:
      Hendrycks, Dietterich. ICLR 2019, arXiv:1903.12261.
    """
    logits_fn, images, labels = check_task(logits_fn, images, labels, finite=False)
    keys = check_key(key, labels)
    names = corruptions.names() if names is None else tuple(names)
    order = corruptions.names()
    for name in names:
        check_choice("names", name, order)
    table = corruptions.PRESETS[check_choice("preset", preset, corruptions.PRESETS)]
    for severity in severities:
        if check_integer("severities", severity) > 5:
            raise fail("severities", "1 to 5", severity)

    def wrong(_: int, images: Array, labels: Array) -> Array:
        return ~scores.correct(logits_fn(images), labels)

    rows = []
    for name in names:
        for severity in severities:
            draw = _random.fold_in(keys, 5 * order.index(name) + severity)
            seen = _corrupted(
                name, images, severity=1, key=draw, **table[name][severity - 1]
            )
            rows.append(by_image_batches(wrong, batch_size, seen, labels))
    return jnp.stack(rows).reshape(len(names), len(severities), -1)


def mean_corruption_error(errors: Array, reference: Array) -> Array:
    """``mCE = mean_c (Σ_s E_sc / Σ_s E^ref_sc)``: 1 where as bad as the reference.

    Args:
      errors: ``(C, S)`` or ``(C, S, N)``, shares or bools of wrong predictions.
      reference: the same of the reference model, or ``(C,)`` means over severities such
        as ``ALEXNET_ERRORS``.

    Returns:
      ``()``, without unit (papers print it times 100). Infinite where the reference
      makes no error at all.

    Raises:
      ValueError: shapes that do not fit.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> errors = jnp.array([[0.2, 0.4], [0.1, 0.2]])
      >>> float(ja.mean_corruption_error(errors, jnp.array([0.6, 0.3])))
      0.5

    References:
      Hendrycks, Dietterich. ICLR 2019, arXiv:1903.12261.
    """
    errors = jnp.asarray(errors).astype(float)
    reference = jnp.asarray(reference).astype(float)
    if errors.ndim not in (2, 3):
        raise fail("errors", "(C, S) or (C, S, N)", errors)
    if reference.shape[:1] != errors.shape[:1] or reference.ndim == 0:
        raise fail("reference", f"{len(errors)} corruptions", reference)
    by_corruption = jnp.mean(errors.reshape(len(errors), -1), axis=1)
    by_reference = jnp.mean(reference.reshape(len(reference), -1), axis=1)
    return jnp.mean(by_corruption / by_reference)


def prediction_change(
    logits_fn: LogitsFn,
    images: Array,
    perturbed: Array,
    labels: Array,
    *,
    batch_size: int | None = None,
) -> Array:
    """``|softmax(f(x))_y - softmax(f(x'))_y|`` of each image.

    Its mean over images is the mean prediction error under the perturbation, such as
    ``ja.attacks.run("pgd", ...)``.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)`` in [0, 1].
      perturbed: ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      batch_size: the most model rows in one call.

    Returns:
      ``(N,)`` between 0 and 1.

    Raises:
      ValueError: shapes that do not fit.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.log(jnp.mean(x, axis=(1, 2)))
      >>> before = jnp.array([0.5, 0.3, 0.2]).reshape(1, 1, 1, 3)
      >>> after = jnp.array([0.1, 0.4, 0.5]).reshape(1, 1, 1, 3)
      >>> change = ja.prediction_change(logits_fn, before, after, jnp.array([0]))
      >>> f"{change[0]:.2f}"
      '0.40'

    References:
      Luo, McDermott, O'Riordan. I-ASIDE. TMLR 2024, arXiv:2408.01139.
    """
    logits_fn, images, labels = check_task(logits_fn, images, labels, finite=False)
    perturbed = check_images(perturbed, "perturbed").astype(images.dtype)
    if perturbed.shape != images.shape:
        raise fail("perturbed", f"shape {images.shape}", perturbed)

    def change(_: int, images: Array, perturbed: Array, labels: Array) -> Array:
        score_fn = scores.probability(logits_fn, labels)
        return jnp.abs(score_fn(images) - score_fn(perturbed))

    return by_image_batches(change, batch_size, images, perturbed, labels)
