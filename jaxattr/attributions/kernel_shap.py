"""Shapley values of segments, as maps and with interactions."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_integer, fail
from jaxattr.attributions.segment_game import Game, check_game
from jaxattr.games import drawn_coalitions, paired_shapley
from jaxattr.games.drawn_coalitions import Draw
from jaxattr.segments import Segments
from jaxattr.typing import Array, Bounds, LogitsFn, Score


class SegmentShapley(NamedTuple):
    """What each segment and each pair of segments is worth, with standard errors.

    Zero beyond the segments of an image that has fewer than M.
    """

    values: Array
    """``(N, M)``: Shapley values; they sum to ``score(x) - score(s)``."""
    standard_error: Array
    """``(N, M)``: of ``values`` over the draws; zero where all coalitions were seen."""
    interactions: Array
    """``(N, M, M)``: Shapley interaction index of pairs; symmetric, zeros on the
    diagonal."""
    interactions_standard_error: Array
    """``(N, M, M)``."""


def kernel_shap(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    segments: Segments = (7, 7),
    substrate: Array | float = 0.0,
    num_samples: int = 1000,
    num_segments: int | None = None,
    score: Score | str = scores.logit,
    bounds: Bounds = (0.0, 1.0),
    return_standard_error: bool = False,
) -> Array:
    """Shapley values of segments by regression (KernelSHAP).

    A coalition S of segments is worth ``v(S) = score`` of the image with the substrate
    in all other segments. The Shapley value of a segment is the mean over all orders of
    what it adds when it joins; it is the solution φ of ::

        min Σ_S k(S) (v(S) - v(∅) - 1_S·φ)²,   Σ φ = v(all) - v(∅),
        k(S) = (m - 1) / (C(m, |S|) |S| (m - |S|))

    over all coalitions. With ``num_samples`` of at least ``2^m`` that is what is
    solved, and φ is exact. Else coalitions are drawn with their complements, after all
    single segments: φ still sums to ``v(all) - v(∅)``, and has a bias of order
    ``1 / num_samples``, below its standard error.

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
      num_samples: the most coalitions an image, each a model pass.
      num_segments: M, the most segments of an image; needed where they are traced.
      score: what is explained; see ``jaxattr.scores``.
      bounds: of the pixels; the substrate must lie in them.
      return_standard_error: return ``(2, N, H, W, C)``, maps and their standard
        errors over the draw of the coalitions: zero where all were taken.

    Returns:
      ``(N, H, W, C)``, in units of the score. The value of a segment is divided evenly
      among its pixels and channels: ``ja.segments.sums`` gives it back.

    Raises:
      ValueError: as ``saliency``; no key; segments with gaps or of another size, or
        traced without ``num_segments``; a substrate outside the bounds; fewer samples
        than ``min(2^M, 2M + 6)``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.sum(x, axis=(1, 2)) * jnp.array([[1.0, 2.0]])
      >>> images = jnp.array([1.0, 0.0, 0.5, 0.5]).reshape(1, 1, 4, 1)
      >>> maps = ja.kernel_shap(
      ...     logits_fn, images, jnp.array([1]), key=jax.random.key(0), segments=(1, 2))
      >>> [f"{value:.2f}" for value in maps.ravel()]
      ['1.00', '1.00', '1.00', '1.00']

    References:
      Lundberg, Lee. A Unified Approach to Interpreting Model Predictions. NeurIPS 2017,
      arXiv:1705.07874. Covert, Lee. Improving KernelSHAP. AISTATS 2021,
      arXiv:2012.01536.
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
    num_pairs = _check_samples(num_samples, task.places)

    def solve(game: Game) -> tuple[Array, ...]:
        pairs, values = _play(game, num_pairs)
        phi, error = paired_shapley.shapley(
            *(pairs, values, game.players, game.places),
            standard_error=return_standard_error,
        )
        return (phi, error) if return_standard_error else (phi,)

    found = task.solve(solve, True)
    return jnp.stack(found) if return_standard_error else found[0]


def segment_shapley(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    segments: Segments = (4, 4),
    substrate: Array | float = 0.0,
    num_samples: int = 1000,
    num_segments: int | None = None,
    score: Score | str = scores.logit,
    bounds: Bounds = (0.0, 1.0),
) -> SegmentShapley:
    """Shapley values of segments and of their pairs, from the same model passes.

    The game is that of ``kernel_shap``, with the same draws of the same key, and so are
    the values. The interaction index of two segments is ::

        Iᵢⱼ = Σ_{S∌i,j} |S|! (m - |S| - 2)! / (m - 1)! (v(S∪ij) - v(S∪i) - v(S∪j) + v(S))

    above zero where two segments are worth more together than apart. With
    ``num_samples`` of at least ``2^m`` it is exact, else an unbiased estimate
    (SHAP-IQ) whose standard error is to be looked at: it falls slowly.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: as ``kernel_shap``.
      batch_size: the most model rows in one call.
      segments: as ``kernel_shap``.
      substrate: as ``kernel_shap``.
      num_samples: the most coalitions an image, each a model pass.
      num_segments: as ``kernel_shap``.
      score: what is explained; see ``jaxattr.scores``.
      bounds: of the pixels; the substrate must lie in them.

    Returns:
      A ``SegmentShapley``, in units of the score.

    Raises:
      ValueError: as ``kernel_shap``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> both = lambda x: x[:, 0, 0] * x[:, 0, 1] * jnp.array([[1.0, 0.0]])
      >>> found = ja.segment_shapley(
      ...     both, jnp.ones((1, 1, 2, 1)), jnp.array([0]), key=jax.random.key(0),
      ...     segments=(1, 2))
      >>> found.values.tolist(), float(found.interactions[0, 0, 1])
      ([[0.5, 0.5]], 1.0)

    References:
      Fumagalli, Muschalik, Kolpaczki, Hüllermeier, Hammer. SHAP-IQ: Unified
      Approximation of any-order Shapley Interactions. NeurIPS 2023, arXiv:2303.01179.
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
    num_pairs = _check_samples(num_samples, task.places)

    def solve(game: Game) -> tuple[Array, ...]:
        pairs, values = _play(game, num_pairs)
        given = pairs, values, game.players, game.places
        of_segments = paired_shapley.shapley(*given, standard_error=True)
        return (*of_segments, *paired_shapley.interactions(*given))

    return SegmentShapley(*task.solve(solve, False))


def _check_samples(num_samples: int, places: int) -> int:
    """How many pairs of coalitions to take."""
    fewest = paired_shapley.fewest(places)
    if check_integer("num_samples", num_samples) < fewest:
        raise fail(
            "num_samples", f"at least {fewest} for {places} segments", num_samples
        )
    return paired_shapley.num_pairs(places, num_samples)


def _play(game: Game, num_pairs: int) -> tuple[Draw, Array]:
    """The pairs of coalitions and the values of nobody, all, and both of each pair."""
    pairs = drawn_coalitions.pairs(
        game.keys, game.players, game.places, num_pairs, game.dtype
    )
    values = game.values(
        lambda index: paired_shapley.members(pairs, index, game.players),
        2 * num_pairs + 2,
    )
    return pairs, values
