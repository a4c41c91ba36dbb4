"""Kin of Grad-CAM: channels weighted by their gradients otherwise."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxattr import scores
from jaxattr.attributions.cam import Layer, class_activation_map, weighted
from jaxattr.typing import Array, LogitsFn, Score


def hires_cam(
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
) -> Array:
    """The features of a layer times their gradients, place by place.

    ``A = ReLU(Σₖ ∂ score / ∂ Fᵏ ⊙ Fᵏ)``, resized to the images bilinearly. Where the head
    is linear in the features, the sum over places before the ReLU is the score but for its
    bias; Grad-CAM's is not.


    Args:
      logits_fn: a model in two halves, or with ``layer`` any function of images; see
        ``grad_cam``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      relu: leave out places that speak against the class.
      grid: rows and columns of tokens, see ``grad_cam``.
      layer: the name of the features, see ``grad_cam``.

    Returns:
      ``(N, H, W, C)``, the same in every channel, in units of the score.

    Raises:
      ValueError: as ``grad_cam``.

    Example:
      >>> import types, jax.numpy as jnp, jaxattr as ja
      >>> model = types.SimpleNamespace(
      ...     features=lambda x: x,
      ...     head=lambda f: jnp.sum(f**2, axis=(1, 2)) * jnp.array([[1.0, -1.0]]))
      >>> images = jnp.array([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 2, 2, 1)
      >>> ja.hires_cam(model, images, jnp.array([0])).squeeze()
      Array([[2., 0.],
             [0., 8.]], dtype=float32)

    References:
      Draelos, Carin. Use HiResCAM Instead of Grad-CAM for Faithful Explanations of
      Convolutional Neural Networks. 2020, arXiv:2011.08891.
    """
    del key

    def combine(layer: Layer) -> Array:
        return weighted(layer.gradients(), layer.features())

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


def layer_cam(
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
) -> Array:
    """The features of a layer times the positive part of their gradients.

    ``A = ReLU(Σₖ ReLU(∂ score / ∂ Fᵏ) ⊙ Fᵏ)``, resized to the images bilinearly. Made for
    layers near the image, where one weight for a whole channel says little.


    Args:
      logits_fn: a model in two halves, or with ``layer`` any function of images; see
        ``grad_cam``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      relu: leave out places that speak against the class.
      grid: rows and columns of tokens, see ``grad_cam``.
      layer: the name of the features, see ``grad_cam``.

    Returns:
      ``(N, H, W, C)``, the same in every channel, in units of the score.

    Raises:
      ValueError: as ``grad_cam``.

    Example:
      >>> import types, jax.numpy as jnp, jaxattr as ja
      >>> model = types.SimpleNamespace(
      ...     features=lambda x: x,
      ...     head=lambda f: jnp.sum(f**2, axis=(1, 2)) * jnp.array([[1.0, -1.0]]))
      >>> images = jnp.array([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 2, 2, 1)
      >>> ja.layer_cam(model, images, jnp.array([0])).squeeze()
      Array([[2., 0.],
             [0., 8.]], dtype=float32)

    References:
      Jiang, Zhang, Hou, Cheng, Wei. LayerCAM: Exploring Hierarchical Class Activation
      Maps for Localization. IEEE Transactions on Image Processing 2021.
    """
    del key

    def combine(layer: Layer) -> Array:
        return weighted(jax.nn.relu(layer.gradients()), layer.features())

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


def grad_cam_pp(
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
) -> Array:
    """Grad-CAM++: positive gradients, weighted so that several objects count alike.

    ``A = ReLU(Σₖ wₖ Fᵏ)`` with ``wₖ = Σᵢ αᵏᵢ ReLU(gᵏᵢ)``, g the gradient of the score at
    place i, and ``αᵏᵢ = gᵏᵢ² / (2 gᵏᵢ² + Σⱼ Fᵏⱼ gᵏᵢ³) = 1 / (2 + gᵏᵢ Σⱼ Fᵏⱼ)``: the
    derivatives of ``exp(score)``, whose common factor is left out, as released code does.

    The weights depend on the unit of the score. They are made for features that are not
    negative: where a channel sums to ``-2 / g`` they have a pole.


    Args:
      logits_fn: a model in two halves, or with ``layer`` any function of images; see
        ``grad_cam``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      relu: leave out places that speak against the class.
      grid: rows and columns of tokens, see ``grad_cam``.
      layer: the name of the features, see ``grad_cam``.

    Returns:
      ``(N, H, W, C)``, the same in every channel, in units of the score.

    Raises:
      ValueError: as ``grad_cam``.

    Example:
      >>> import types, jax.numpy as jnp, jaxattr as ja
      >>> model = types.SimpleNamespace(
      ...     features=lambda x: x,
      ...     head=lambda f: jnp.sum(f**2, axis=(1, 2)) * jnp.array([[1.0, -1.0]]))
      >>> images = jnp.array([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 2, 2, 1)
      >>> ja.grad_cam_pp(model, images, jnp.array([0])).squeeze()
      Array([[0.53571427, 0.        ],
             [0.        , 1.0714285 ]], dtype=float32)

    References:
      Chattopadhyay, Sarkar, Howlader, Balasubramanian. Grad-CAM++: Improved Visual
      Explanations for Deep Convolutional Networks. WACV 2018, arXiv:1710.11063.
    """
    del key

    def combine(layer: Layer) -> Array:
        features, gradients = layer.features(), layer.gradients()
        totals = jnp.sum(features, axis=(1, 2), keepdims=True)
        is_positive = gradients > 0
        # Two wheres: a pole of what is left out would be NaN in the derivative.
        below = jnp.where(is_positive, 2 + gradients * totals, 1)
        weights = jax.nn.relu(gradients) / below  # of NaN it is NaN
        return weighted(jnp.sum(weights, axis=(1, 2)), features)

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


def xgrad_cam(
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
) -> Array:
    """XGrad-CAM: gradients averaged where the features are.

    ``A = ReLU(Σₖ wₖ Fᵏ)`` with ``wₖ = Σᵢ Fᵏᵢ gᵏᵢ / Σᵢ Fᵏᵢ``, g the gradient of the score:
    so the weights, times the sums of the channels, add up to ``Σ F ⊙ g``, which of a head
    that is linear in the features is the score but for its bias. A channel whose values sum
    to zero has no weight.


    Args:
      logits_fn: a model in two halves, or with ``layer`` any function of images; see
        ``grad_cam``.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      score: what is explained; see ``jaxattr.scores``.
      relu: leave out places that speak against the class.
      grid: rows and columns of tokens, see ``grad_cam``.
      layer: the name of the features, see ``grad_cam``.

    Returns:
      ``(N, H, W, C)``, the same in every channel, in units of the score.

    Raises:
      ValueError: as ``grad_cam``.

    Example:
      >>> import types, jax.numpy as jnp, jaxattr as ja
      >>> model = types.SimpleNamespace(
      ...     features=lambda x: x,
      ...     head=lambda f: jnp.sum(f**2, axis=(1, 2)) * jnp.array([[1.0, -1.0]]))
      >>> images = jnp.array([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 2, 2, 1)
      >>> ja.xgrad_cam(model, images, jnp.array([0])).squeeze()
      Array([[3.3333333, 0.       ],
             [0.       , 6.6666665]], dtype=float32)

    References:
      Fu, Hu, Dong, Guo, Gao, Li. Axiom-based Grad-CAM: Towards Accurate Visualization and
      Explanation of CNNs. BMVC 2020, arXiv:2008.02312.
    """
    del key

    def combine(layer: Layer) -> Array:
        features, gradients = layer.features(), layer.gradients()
        totals = jnp.sum(features, axis=(1, 2))
        is_zero = totals == 0
        products = jnp.sum(features * gradients, axis=(1, 2))
        kept = jnp.where(is_zero, 0 * products, products)  # NaN stays
        weights = kept / jnp.where(is_zero, 1, totals)
        return weighted(weights, features)

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
