"""AttEXplore and AttEXplore++: integrate along the path of a transferable attack."""

from __future__ import annotations

from jaxattr import attacks, scores
from jaxattr.attacks.attack import Attack
from jaxattr.attacks.registry import as_attack
from jaxattr.attributions.exploration import explore
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar, Score


def attexplore(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    epsilon: Scalar = 16 / 255,
    num_steps: int = 10,
    num_samples: int = 20,
    sigma: Scalar = 16 / 255,
    rho: Scalar = 0.5,
    decay: float = 1.0,
    diversity_probability: Scalar = 0.5,
    diversity_rate: float = 1.15,
    smoothing_size: int = 7,
    direction: str = "descend",
    softmax_stack: int = 1,
    bounds: Bounds = (0.0, 1.0),
) -> Array:
    """AttEXplore: the path of a transferable attack, integrated with its own direction.

    With the cross-entropy ``L`` and s = -1 (``descend``) or +1 (``ascend``)::

        for t = 0 .. T-1:
            g = 1/N Σₙ ∇ L(D(zₙ)) at zₙ = IDCT(DCT(x + σ ξₙ) ⊙ Mₙ)
            m ← μ m + K*g / mean|K*g|
            x' = Π(x + s ε/T sign(m))
            A ← A + s (x' - x) ⊙ m
            x ← x'

    ``ξ ~ N(0, 1)``, ``M ~ U(1 - ρ, 1 + ρ)``, D random resizing and padding, K a
    Gaussian, Π the projection onto the ε-ball around the image and onto the bounds.
    Every value is at least zero: ``(x' - x)`` has the sign of ``s m`` or is zero, so a
    value that leaves its bounds contributes only as far as it moves.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      batch_size: the most model rows in one call.
      epsilon: ε, the radius of the ball in pixel units.
      num_steps: T.
      num_samples: N, gradients a step; ``T·N`` model passes in all.
      sigma: σ in pixel units.
      rho: ρ, the half-width of the spectral gain.
      decay: μ.
      diversity_probability: of resizing and padding a copy; 0 switches it off.
      diversity_rate: the padded side over the side.
      smoothing_size: taps of K an axis, odd; 0 switches it off.
      direction: ``descend`` the loss, as the released code does, or ``ascend`` it, as
        the paper's text says.
      softmax_stack: how many softmaxes stand before the logarithm: 1 is the
        cross-entropy of the logits, 3 what the released code computes on a model that
        ends in one.
      bounds: the least and the largest pixel value.

    Returns:
      ``(N, H, W, C)``, non-negative, in pixel units (the direction has mean size one).
      The sign step has no derivative: differentiating the map differentiates the
      directions along a path held fixed but for its projection.

    Raises:
      ValueError: as ``smoothgrad``; an unknown direction; ``num_steps``,
        ``num_samples`` or ``softmax_stack`` below one; an even ``smoothing_size``.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.mean(x, axis=(1, 2))
      >>> images, labels = jnp.full((2, 8, 8, 3), 0.5), jnp.array([0, 1])
      >>> maps = ja.attexplore(logits_fn, images, labels, key=jax.random.key(0))
      >>> maps.shape, bool((maps >= 0).all())
      ((2, 8, 8, 3), True)

    References:
      Zhu, Chen, Zhang, Wang, Jin, Xue, Shen. AttEXplore: Attribution for Explanation
      with model parameters eXploration. ICLR 2024. The released code was followed
      where it and the text differ; it runs 20 more gradients than it uses, this does
      not. It draws D once a batch and may feed the padded size; here each image has its
      own draw, resized back.
    """
    return explore(
        attacks.attexplore(
            num_samples=num_samples,
            sigma=sigma,
            rho=rho,
            decay=decay,
            diversity_probability=diversity_probability,
            diversity_rate=diversity_rate,
            smoothing_size=smoothing_size,
        ),
        logits_fn,
        images,
        labels,
        key=key,
        batch_size=batch_size,
        epsilon=epsilon,
        num_steps=num_steps,
        direction=direction,
        softmax_stack=softmax_stack,
        bounds=bounds,
    )


def attexplore_pp(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    attack: str | Attack = "mig",
    epsilon: Scalar = 16 / 255,
    num_steps: int = 10,
    direction: str = "descend",
    integrand: str = "direction",
    softmax_stack: int = 1,
    bounds: Bounds = (0.0, 1.0),
    score: Score | str = scores.cross_entropy,
) -> Array:
    """AttEXplore++: AttEXplore along the path of any transferable attack.

    ``A = s Σₜ (xₜ₊₁ - xₜ) ⊙ hₜ`` along ``xₜ₊₁ = Π(xₜ + s α Mₜ ⊙ sign(dₜ))``, d, M and α
    the direction, the step multiplier and the step size of the attack (``ε / T`` but
    for ``fgsm`` and ``pgd``; the jump of a random start is not integrated), s = -1
    (``descend``) or +1 (``ascend``), h the direction d or the plain gradient of the
    score at ``xₜ``.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``.
      images: float ``(N, H, W, C)``, within the bounds.
      labels: integers ``(N,)``.
      key: one typed key, or ``(N,)``, one an image. Needed.
      batch_size: the most model rows in one call.
      attack: a name of ``ja.attacks.names()`` with its published settings (``naa``
        needs a model with ``features`` and ``head``), or an ``Attack`` such as
        ``ja.attacks.gra(num_samples=10)``.
      epsilon: ε, the radius of the ball in pixel units.
      num_steps: T.
      direction: ``descend`` or ``ascend`` the score; see ``attexplore``.
      integrand: ``direction``, what the attack follows, or ``gradient``, the plain
        gradient of the score at the point, one more model pass a step.
      softmax_stack: see ``attexplore``.
      bounds: the least and the largest pixel value.
      score: what the path ascends or descends, by default the cross-entropy. ``mig``
        and ``naa`` follow the label's own evidence and take no other.

    Returns:
      ``(N, H, W, C)``; with the integrand ``direction`` non-negative and in pixel
      units, with ``gradient`` in units of the score. The sign step has no derivative.

    Raises:
      ValueError: as ``attexplore``; an unknown attack (the nearest names are listed).

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> logits_fn = lambda x: jnp.mean(x, axis=(1, 2))
      >>> images, labels = jnp.full((2, 8, 8, 3), 0.5), jnp.array([0, 1])
      >>> maps = ja.attexplore_pp(
      ...     logits_fn, images, labels, key=jax.random.key(0), attack="mi_fgsm"
      ... )
      >>> maps.shape
      (2, 8, 8, 3)

    References:
      Zhu, Zhang, Jin, Chen, Zhou, Chen. AttEXplore++. 2024, arXiv:2412.19523. Its
      abstract singles out MIG and GRA; which settings it uses is not public, here they
      are those of the attacks' own publications.
    """
    return explore(
        as_attack(attack),
        logits_fn,
        images,
        labels,
        key=key,
        batch_size=batch_size,
        epsilon=epsilon,
        num_steps=num_steps,
        direction=direction,
        integrand=integrand,
        softmax_stack=softmax_stack,
        bounds=bounds,
        score=score,
    )
