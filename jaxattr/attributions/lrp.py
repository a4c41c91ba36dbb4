"""Layer-wise relevance propagation, for any JAX function."""

from __future__ import annotations

from jaxattr import scores
from jaxattr._checks import check_choice
from jaxattr.attributions.propagation import propagated
from jaxattr.rules import composites
from jaxattr.rules.composites import Composite
from jaxattr.typing import Array, LogitsFn, Score


def lrp(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    key: Array | None = None,
    batch_size: int | None = None,
    composite: str | Composite = "epsilon_plus_flat",
    score: Score = scores.logit,
    unknown: str = "error",
) -> Array:
    """The score handed back layer by layer, each rule sharing it among a layer's inputs.

    ``R_i = Σ_j part_ij / Σ_i part_ij · R_j`` from the score, ``R = score(x)``, down to
    the images; what the parts are, the composite says layer by layer. What is handed
    down is conserved: the map sums to the score, but for what biases keep.

    Args:
      logits_fn: images ``(N, H, W, C)`` to logits ``(N, K)``, any JAX function.
      images: float ``(N, H, W, C)``.
      labels: integers ``(N,)``.
      key: not used.
      batch_size: the most model rows in one call.
      composite: which rule stands where: ``zero``, ``epsilon``, ``epsilon_plus``,
        ``epsilon_plus_flat``, ``epsilon_gamma_box`` (pixels in [0, 1]),
        ``epsilon_alpha2_beta1``, ``attn_lrp`` for transformers, or a
        ``ja.rules.Composite``; see ``docs/rules.md``.
      score: what is explained; see ``jaxattr.scores``.
      unknown: ``"error"``, or ``"gradient"`` for the derivative of what has no rule.

    Returns:
      ``(N, H, W, C)``, in units of the score.

    Raises:
      ValueError: as ``saliency``; an unknown composite; a primitive that is not linear
        and has no rule, with the line it came from; a path through integers; a
        ``while_loop`` whose steps are not known while tracing.

    Example:
      >>> import jax, jax.numpy as jnp, jaxattr as ja
      >>> weights = jnp.array([[1.0, -1.0], [2.0, 1.0]])
      >>> logits_fn = lambda x: jax.nn.relu(x.reshape(len(x), -1) @ weights) @ weights
      >>> images = jnp.array([1.0, 2.0]).reshape(1, 1, 1, 2)
      >>> ja.lrp(logits_fn, images, jnp.array([0]), composite="zero").ravel()
      Array([-1.,  8.], dtype=float32)

    References:
      S. Bach et al. On Pixel-Wise Explanations for Non-Linear Classifier Decisions by
      Layer-Wise Relevance Propagation. PLOS ONE 2015. R. Achtibat et al. AttnLRP. ICML
      2024, arXiv:2402.05602. Composites are named and defined as in zennit.
    """
    del key
    chosen = composites.composite(composite)
    if check_choice("unknown", unknown, ("error", "gradient")) == "gradient":
        chosen = composites.linearized(chosen)
    return propagated(
        logits_fn,
        images,
        labels,
        batch_size,
        score,
        start=lambda value: value,
        rules=chosen.rule,
        reading=chosen.reading,
    )
