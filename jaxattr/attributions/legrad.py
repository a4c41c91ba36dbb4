"""LeGrad: the gradient of the score of each block's tokens in that block's attention."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import check_task
from jaxattr._loops import by_image_batches
from jaxattr.attributions.token_maps import attention_of, on_image, uniform
from jaxattr.typing import Array, LogitsFn, Score


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

    Attention in windows (MaxViT, Swin), which the paper does not have, is among all
    places of the features, with zeros between windows. What is behind the last block can
    read what earlier ones return if that has the same places and width: the blocks of
    the last stage, to which L and the map are confined.

    Args:
      logits_fn: as ``attention_rollout`` has it.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      layers: the names of what the blocks return, in order, one for each attention, see
        ``ja.inside.names``; by default the outermost ``jax.named_scope`` around each that
        has no other attention, as the models of ``ja.models`` have them. Of a model with
        windows one for each of the last, by default as many as the rest can read:
        blocks of earlier stages, whose features have other sizes, are left out.
      grid: as ``attention_rollout`` has it.

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
        attention = attention_of(logits_fn, images, grid)
        ends = attention.ends(layers)

        def total(added: list[Array]) -> Array:
            results, head = attention.blocks(added, ends)
            score_fn = score(head, labels)
            return jnp.sum(sum(score_fn(tokens) for tokens in results))

        gradients = jax.grad(total)(attention.zeros(len(ends)))
        first = len(attention.matrices) - len(ends)
        maps = []
        for i, slope in enumerate(gradients, first):
            positive = jax.nn.relu(attention.matrices[i].laid_out(slope))
            if attention.windows is None:
                maps.append(jnp.mean(positive, axis=(1, 2)))
            else:
                queries = uniform(attention.windows[i].grid, images, positive.dtype)
                matrix = jnp.mean(positive, axis=1)
                maps.append(attention.seen_from(i, queries, matrix))
        mean = sum(maps[1:], maps[0]) / len(maps)
        windows = attention.windows
        return on_image(mean, images, grid, windows[-1] if windows else None)

    return by_image_batches(explain, batch_size, images, labels)
