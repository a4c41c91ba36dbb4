"""Attention rolled out: what reads out the tokens, followed back through all blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_task
from jaxattr._loops import by_image_batches
from jaxattr.attributions import places
from jaxattr.attributions.token_maps import attention_of, on_image, uniform
from jaxattr.inside.attention import Attention
from jaxattr.typing import Array, LogitsFn, Score


def attention_rollout(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    grid: tuple[int, int] | None = None,
) -> Array:
    """How much of each patch the class token sees, through all blocks.

    ``R = Â_L ⋯ Â_1``, ``Â = (mean over heads of A + I) / 2``, A the attention matrices of
    the blocks in order and I what their residual connections add. The row of the class
    token (the first) is the map; without one, the mean of all rows. It has one entry for
    each patch and is resized to the images bilinearly.

    Attention in windows of features ``(N, h, w, C)`` (MaxViT, Swin) is among all their
    places, with zeros between windows. The paper has no such models; to take in those
    whose grid gets coarser from stage to stage is an extension of this library: between
    two grids a place's share is divided equally among the places that it covers.
    What convolutions and pooling mix beyond that is left out. The map has the first grid.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function with
        attention among all tokens of an image (ViT, DeiT), or in windows that together
        have each place of features once (MaxViT, Swin).
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``; the map does not depend on them.
      key: not used.
      batch_size: the most model rows in one call.
      grid: rows and columns of the patches, as ``grad_cam`` has it; of a model with
        windows those of the last features that attend, which are found by their aspect,
        by default that of the images.

    Returns:
      ``(N, H, W, C)``, the same in every channel. Before they are resized, its values
      are shares of one, of which the class token has the rest.

    Raises:
      ValueError: as ``saliency``; a model without attention, or with attention among
        other tokens (of another kind, padded, mixed beforehand); tokens whose grid
        cannot be told.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> def logits_fn(x):
      ...     x = x.reshape(len(x), 2, 1)  # an image of two pixels is two tokens
      ...     a = jax.nn.softmax(jnp.einsum("ntd,nsd->nts", x, x))
      ...     return jnp.einsum("nts,nsd->ntd", a, x)[:, 0] * jnp.array([[1.0, -1.0]])
      >>> images = jnp.array([0.0, 1.0]).reshape(1, 1, 2, 1)
      >>> maps = ja.attention_rollout(logits_fn, images, jnp.array([0]))
      >>> (100 * maps).round().astype(int).ravel()
      Array([44, 56], dtype=int32)

    References:
      Abnar, Zuidema. Quantifying Attention Flow in Transformers. ACL 2020,
      arXiv:2005.00928.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)

    def explain(_: int, images: Array, labels: Array) -> Array:
        attention = attention_of(logits_fn, images, grid)

        def mix(row: Array, seen: Array) -> Array:
            return (row + seen) / 2

        return _rolled(attention, mix, attention.values(), images, grid)

    return by_image_batches(explain, batch_size, images, labels)


def attention_gradients(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    score: Score | str = scores.logit,
    grid: tuple[int, int] | None = None,
) -> Array:
    """Attention weighted by its gradient, rolled out through all blocks.

    ``R = (I + Ā_L) ⋯ (I + Ā_1)``, ``Ā = mean over heads of ReLU(∂ score / ∂ A ⊙ A)``, A
    the attention matrices of the blocks in order. The map is made of R as
    ``attention_rollout`` has it, and windows and coarser grids are taken in as there.

    Args:
      logits_fn: as ``attention_rollout`` has it.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      grid: as ``attention_rollout`` has it.

    Returns:
      ``(N, H, W, C)``, the same in every channel, never negative. A sum of products of
      up to L factors that are each in units of the score.

    Raises:
      ValueError: as ``attention_rollout``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> def logits_fn(x):
      ...     x = x.reshape(len(x), 2, 1)  # an image of two pixels is two tokens
      ...     a = jax.nn.softmax(jnp.einsum("ntd,nsd->nts", x, x))
      ...     return jnp.einsum("nts,nsd->ntd", a, x)[:, 0] * jnp.array([[1.0, -1.0]])
      >>> images = jnp.array([0.0, 1.0]).reshape(1, 1, 2, 1)
      >>> maps = ja.attention_gradients(logits_fn, images, jnp.array([0]))
      >>> (100 * maps).round().astype(int).ravel()
      Array([50, 75], dtype=int32)

    References:
      Chefer, Gur, Wolf. Generic Attention-model Explainability for Interpreting
      Bi-Modal and Encoder-Decoder Transformers. ICCV 2021, arXiv:2103.15679.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)

    def explain(_: int, images: Array, labels: Array) -> Array:
        attention = attention_of(logits_fn, images, grid)

        def total(added: list[Array]) -> Array:
            score_fn = score(lambda x: attention.logits(added, x), labels)
            return jnp.sum(score_fn(images))

        gradients = jax.grad(total)(attention.zeros())
        weighted = [
            jax.nn.relu(matrix.laid_out(g) * value)
            for matrix, g, value in zip(
                attention.matrices, gradients, attention.values(), strict=True
            )
        ]

        def mix(row: Array, seen: Array) -> Array:
            return row + seen

        return _rolled(attention, mix, weighted, images, grid)

    return by_image_batches(explain, batch_size, images, labels)


def _rolled(
    attention: Attention,
    mix: Callable[[Array, Array], Array],
    matrices: Sequence[Array],
    images: Array,
    grid: tuple[int, int] | None,
) -> Array:
    """The row of what reads out the tokens, through the blocks back to the first."""
    windows = attention.windows
    if windows is None:
        row = _read_out(attention.num_tokens, matrices[0], images, grid)
    else:
        row = uniform(windows[-1].grid, images, matrices[-1].dtype)
    for i in reversed(range(len(matrices))):
        if windows is not None:
            last = windows[min(i + 1, len(windows) - 1)].grid
            row = places.shared(row, last, windows[i].grid)
        row = mix(row, attention.seen_from(i, row, jnp.mean(matrices[i], axis=1)))
    return on_image(row, images, grid, windows[0] if windows else None)


def _read_out(
    num_tokens: int, matrix: Array, images: Array, grid: tuple[int, int] | None
) -> Array:
    """The class token ``(N, T)``; without one, the mean of all tokens."""
    rows, columns = places.grid_of(num_tokens, (images.shape[1], images.shape[2]), grid)
    has_class_token = rows * columns < num_tokens
    weights = jnp.arange(num_tokens) == 0 if has_class_token else 1 / num_tokens
    zeros = jnp.zeros_like(matrix[:, 0, 0])
    return zeros + jnp.broadcast_to(jnp.asarray(weights, zeros.dtype), (1, num_tokens))
