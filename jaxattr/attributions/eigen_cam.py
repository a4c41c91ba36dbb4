"""Eigen-CAM: the features along their first singular vector."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr.attributions.cam import Layer, class_activation_map
from jaxattr.typing import Array, LogitsFn, Score


def eigen_cam(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    score: Score | str = scores.logit,
    relu: bool = True,
    grid: tuple[int, int] | None = None,
    layer: str | None = None,
    center: bool = False,
) -> Array:
    """The features of a layer along the direction in which they are largest.

    ``A = ReLU(F v)``, F the features of an image as a matrix ``(h w, D)`` and v its first
    right singular vector, of whose two signs the one that makes the projection of largest
    size positive. It says what the layer sees, whatever the class: labels and score have
    no part in it.

    The derivative is that of a simple largest singular value.

    Args:
      logits_fn: a model in two halves, or with ``layer`` any function of images; see
        ``grad_cam``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``, which it does not look at.
      key: not used.
      batch_size: the most model rows in one call.
      score: not used; see ``jaxattr.scores``.
      relu: leave out places that speak against the class.
      grid: rows and columns of tokens, see ``grad_cam``.
      layer: the name of the features, see ``grad_cam``.
      center: take the mean over places off the features first, as pytorch-grad-cam does
        and the paper does not. A layer with one place then has nothing left.

    Returns:
      ``(N, H, W, C)``, the same in every channel, in units of the features.

    Raises:
      ValueError: as ``grad_cam``.

    Example:
      >>> import types, jax.numpy as jnp, jaxattr as ja
      >>> model = types.SimpleNamespace(
      ...     features=lambda x: x,
      ...     head=lambda f: jnp.sum(f, axis=(1, 2)) * jnp.array([[1.0, -1.0]]))
      >>> images = jnp.array([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 2, 2, 1)
      >>> ja.eigen_cam(model, images, jnp.array([0])).squeeze()
      Array([[1., 0.],
             [0., 2.]], dtype=float32)

    References:
      Muhammad, Yeasin. Eigen-CAM: Class Activation Map using Principal Components. IJCNN
      2020, arXiv:2008.00299.
    """
    del key

    def combine(layer: Layer) -> Array:
        features = layer.features()
        if center:
            features = features - jnp.mean(features, axis=(1, 2), keepdims=True)
        places = features.reshape(len(features), -1, features.shape[-1])
        projected = jax.vmap(_first_component)(places)
        return projected.reshape(features.shape[:-1])

    return class_activation_map(
        combine,
        logits_fn,
        images,
        labels,
        batch_size=batch_size,
        score=score,
        relu=relu,
        grid=grid,
        layer=layer,
    )


def _first_component(features: Array) -> Array:
    """Places ``(P, D)`` projected on their first right singular vector, ``(P,)``."""
    num_places, num_channels = features.shape
    if num_places <= num_channels:
        vector, size = _largest_eigenvector(features @ features.T)
        projected = vector * jnp.sqrt(jnp.where(size > 0, size, 1))
        projected = jnp.where(size > 0, projected, 0)
    else:
        vector, _ = _largest_eigenvector(features.T @ features)
        projected = features @ vector
    peak = projected[jnp.argmax(jnp.abs(jax.lax.stop_gradient(projected)))]
    return projected * jax.lax.stop_gradient(jnp.where(peak < 0, -1, 1)).astype(
        projected.dtype
    )


def _largest_eigenvector(matrix: Array) -> tuple[Array, Array]:
    """Of a symmetric matrix, with its eigenvalue; differentiable once.

    That of ``eigh`` would not be where two of the other eigenvalues are alike.
    """
    fixed = jax.lax.stop_gradient(matrix)
    values, vectors = jnp.linalg.eigh(fixed)
    value, vector = values[-1], vectors[:, -1]
    # The derivative dv solves (λ - M) dv = dM v across v.
    across = jnp.outer(vector, vector)
    level = jnp.where(value > 0, value, 1)  # of nothing, too, the system has a solution
    system = level * (jnp.eye(len(matrix), dtype=matrix.dtype) + across) - fixed
    moved = (matrix - fixed) @ vector
    moved = moved - vector * (vector @ moved)
    vector = vector + jnp.linalg.solve(system, moved)
    return vector, value + vector @ (matrix - fixed) @ vector
