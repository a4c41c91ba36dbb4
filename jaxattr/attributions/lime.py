"""LIME: a linear model of the score on segments, near the image."""

from __future__ import annotations

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_integer, check_number, fail
from jaxattr.attributions.segment_game import Game, check_game
from jaxattr.games import drawn_coalitions
from jaxattr.games.least_squares import Rows, least_squares
from jaxattr.segments import Segments
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar, Score


def lime(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    segments: Segments = (7, 7),
    substrate: Array | float = 0.0,
    num_samples: int = 1000,
    kernel_width: Scalar = 0.25,
    alpha: Scalar = 1.0,
    num_segments: int | None = None,
    score: Score | str = scores.logit,
    bounds: Bounds = (0.0, 1.0),
    return_standard_error: bool = False,
) -> Array:
    """The coefficients of a ridge regression of the score on segments.

    A coalition z, one for each segment that is shown, is worth ``v(z) = score`` of the
    image with the substrate in all other segments. The map is β of ::

        min Σₛ π(zₛ) (v(zₛ) - β₀ - zₛ·β)² + α |β|²,
        π(z) = exp(-d² / 2σ²),   d = 1 - √(|z| / m)

    with d the cosine distance of z to the whole image. The first of the samples is the
    whole image; in the others each segment is shown with probability one half. With
    ``num_samples`` of at least ``2^m`` every coalition is taken once instead.

    Only values of the model are used, no derivatives: it may be a remote service. See
    ``docs/perturbation.md``.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed, also where nothing is drawn.
      batch_size: the most model rows in one call.
      segments: integers ``(N, H, W)`` or ``(H, W)``, from 0 on without gaps in every
        image (``ja.segments``), or ``(rows, columns)`` of a grid.
      substrate: what stands in segments that are absent: a number, ``(H, W, C)`` or
        ``(N, H, W, C)``, in pixel units.
      num_samples: coalitions an image, each a model pass.
      kernel_width: σ.
      alpha: α, the ridge penalty, of the sum over samples; zero is allowed.
      num_segments: M, the most segments of an image; needed where they are traced.
      score: what is explained; the paper has ``"probability"``.
      bounds: of the pixels; the substrate must lie in them.
      return_standard_error: return ``(2, N, H, W, C)``, maps and their standard
        errors over the draw of the samples, without the bias of the ridge.

    Returns:
      ``(N, H, W, C)``, in units of the score. The coefficient of a segment is divided
      evenly among its pixels and channels: ``ja.segments.sums`` gives it back. NaN
      where ``alpha`` is zero and the samples do not determine the coefficients.

    Raises:
      ValueError: as ``saliency``; no key; segments with gaps or of another size, or
        traced without ``num_segments``; a substrate outside the bounds; fewer than
        ``M + 2`` samples.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.array([[1.0, 2.0]])
      >>> images = jnp.array([1.0, 0.0, 0.5, 0.0]).reshape(1, 1, 4, 1)
      >>> maps = ja.lime(
      ...     logits_fn, images, jnp.array([1]), key=jax.random.key(0), segments=(1, 2),
      ...     alpha=0.0)
      >>> [f"{value:.2f}" for value in maps.ravel()]
      ['1.00', '1.00', '0.50', '0.50']

    References:
      Ribeiro, Singh, Guestrin. "Why Should I Trust You?": Explaining the Predictions of
      Any Classifier. KDD 2016, arXiv:1602.04938. Kernel, width and penalty are those of
      their code for images.
    """
    task = check_game(
        *(logits_fn, images, labels),
        key=key,
        batch_size=batch_size,
        segments=segments,
        num_segments=num_segments,
        substrate=substrate,
        score=score,
        bounds=bounds,
    )
    places = task.places
    if check_integer("num_samples", num_samples) < places + 2:
        expected = f"at least {places + 2} for {places} segments"
        raise fail("num_samples", expected, num_samples)
    num_samples = min(num_samples, max(2**places, places + 2))
    kernel_width = check_number("kernel_width", kernel_width, 0.0)
    if isinstance(kernel_width, float) and kernel_width == 0:
        raise fail("kernel_width", "a number above zero", kernel_width)
    alpha = check_number("alpha", alpha, 0.0)

    def solve(game: Game) -> tuple[Array, ...]:
        some = drawn_coalitions.halves(
            game.keys, game.players, places, num_samples, game.dtype
        )
        values = game.values(lambda index: some(index).members, num_samples)
        dtype = values.dtype

        def rows(index: Array) -> Rows:
            members, share, is_drawn = some(index)
            design = jnp.concatenate(
                [members, jnp.ones_like(members[..., :1])], axis=-1
            ).astype(dtype)
            size = jnp.sum(members, axis=-1)
            distance = 1 - jnp.sqrt(size / game.players[None]).astype(dtype)
            weight = jnp.exp(-(distance**2) / (2 * kernel_width**2))
            return Rows(design, values[index], share.astype(dtype) * weight, is_drawn)

        is_player = drawn_coalitions.present(game.players, places)
        ridge = jnp.where(is_player, alpha, 1).astype(dtype)
        ridge = jnp.concatenate([ridge, jnp.zeros_like(ridge[:, :1])], axis=1)
        penalty = ridge[:, :, None] * jnp.eye(places + 1, dtype=dtype)[None]
        beta, error = least_squares(
            rows, num_samples, penalty, standard_error=return_standard_error
        )
        found = (beta, error) if return_standard_error else (beta,)
        return tuple(x[:, :places] for x in found)

    found = task.solve(solve, True)
    return jnp.stack(found) if return_standard_error else found[0]
