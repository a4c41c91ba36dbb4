"""What a transformer attends to: maps of its attention matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_task
from jaxattr._loops import by_image_batches
from jaxattr.attributions import places
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

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function with
        attention among all tokens of an image (ViT, DeiT).
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``; the map does not depend on them.
      key: not used.
      batch_size: the most model rows in one call.
      grid: rows and columns of the patches, as ``grad_cam`` has it.

    Returns:
      ``(N, H, W, C)``, the same in every channel. Before they are resized, its values
      are shares of one, of which the class token has the rest.

    Raises:
      ValueError: as ``saliency``; a model without attention, or with attention in
        windows (MaxViT); tokens whose grid cannot be told.

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
        attention = Attention(logits_fn, images)

        def mix(row: Array, matrix: Array) -> Array:
            return (row + _product(row, jnp.mean(matrix, axis=1))) / 2

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
    ``attention_rollout`` has it.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function with
        attention among all tokens of an image (ViT, DeiT).
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      grid: rows and columns of the patches, as ``grad_cam`` has it.

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
        attention = Attention(logits_fn, images)

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

        def mix(row: Array, matrix: Array) -> Array:
            return row + _product(row, jnp.mean(matrix, axis=1))

        return _rolled(attention, mix, weighted, images, grid)

    return by_image_batches(explain, batch_size, images, labels)


def legrad(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    score: Score | str = scores.logit,
    layers: Sequence[str] | None = None,
    grid: tuple[int, int] | None = None,
) -> Array:
    """LeGrad: how the score of each block's tokens follows that block's attention.

    ``M = 1/L Σ_l mean over heads and queries of ReLU(∂ s_l / ∂ A_l)``, A_l the attention
    matrix of block l and ``s_l`` the score that the model would give if the tokens that
    block l returns were those of its last block: what is behind the last one reads them.
    M has one entry for each token; those of the patches are resized to the images
    bilinearly.

    The released code reads the mean of all tokens, with models that were trained so or
    not, and scales each map to [0, 1]; here the model reads out as it does (ViT its class
    token), and the map keeps its units.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function with
        attention among all tokens of an image (ViT, DeiT).
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      layers: the names of what the blocks return, in order, one for each attention, see
        ``ja.inside.names``; by default the outermost ``jax.named_scope`` around each that
        has no other attention, as the models of ``ja.models`` have them.
      grid: rows and columns of the patches, as ``grad_cam`` has it.

    Returns:
      ``(N, H, W, C)``, the same in every channel, never negative, in units of the score.

    Raises:
      ValueError: as ``attention_rollout``; blocks whose names cannot be told, or layers
        that do not return tokens.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> def logits_fn(x):
      ...     x = x.reshape(len(x), 2, 1)  # an image of two pixels is two tokens
      ...     with jax.named_scope("block"):
      ...         a = jax.nn.softmax(jnp.einsum("ntd,nsd->nts", x, x))
      ...         x = jnp.einsum("nts,nsd->ntd", a, x)
      ...     return x[:, 0] * jnp.array([[1.0, -1.0]])
      >>> images = jnp.array([0.0, 1.0]).reshape(1, 1, 2, 1)
      >>> ja.legrad(logits_fn, images, jnp.array([0])).ravel()
      Array([0. , 0.5], dtype=float32)

    References:
      Bousselham, Boggust, Chaybouti, Strobelt, Kuehne. LeGrad: An Explainability Method
      for Vision Transformers via Feature Formation Sensitivity. 2024, arXiv:2404.03214.
    """
    del key
    logits_fn, images, labels = check_task(logits_fn, images, labels)
    score = scores.as_score(score)

    def explain(_: int, images: Array, labels: Array) -> Array:
        attention = Attention(logits_fn, images)
        ends = attention.ends(layers)

        def total(added: list[Array]) -> Array:
            results, head = attention.blocks(added, ends)
            score_fn = score(head, labels)
            return jnp.sum(sum(score_fn(tokens) for tokens in results))

        gradients = jax.grad(total)(attention.zeros())
        maps = [
            jnp.mean(jax.nn.relu(matrix.laid_out(g)), axis=(1, 2))
            for matrix, g in zip(attention.matrices, gradients, strict=True)
        ]
        return _placed(sum(maps[1:], maps[0]) / len(maps), images, grid)

    return by_image_batches(explain, batch_size, images, labels)


def _product(row: Array, matrix: Array) -> Array:
    return jnp.einsum("nt,nts->ns", row, matrix, precision="highest")


def _rolled(
    attention: Attention,
    mix: Callable[[Array, Array], Array],
    matrices: Sequence[Array],
    images: Array,
    grid: tuple[int, int] | None,
) -> Array:
    """The row of what reads out the tokens, through the blocks back to the first."""
    num_tokens, size = attention.num_tokens, (images.shape[1], images.shape[2])
    rows, columns = places.grid_of(num_tokens, size, grid)
    has_class_token = rows * columns < num_tokens
    weights = jnp.arange(num_tokens) == 0 if has_class_token else 1 / num_tokens
    zeros = jnp.zeros_like(matrices[0][:, 0, 0])
    row = zeros + jnp.broadcast_to(jnp.asarray(weights, zeros.dtype), (1, num_tokens))
    for matrix in reversed(matrices):
        row = mix(row, matrix)
    return _placed(row, images, grid)


def _placed(tokens: Array, images: Array, grid: tuple[int, int] | None) -> Array:
    """One number a token ``(N, T)`` where its patch is."""
    size = images.shape[1], images.shape[2]
    return places.resized(
        places.features(tokens[..., None], size, grid)[..., 0], images
    )
