"""Losses that train networks whose predictions, or explanations, resist perturbation.

Each is a pure function of ``(apply_fn, params, images, labels)``, ``apply_fn(params,
images) -> logits (N, K)``, that returns the mean over the batch: differentiate it with
respect to the parameters and hand the gradient to any optax optimiser. The points that
the inner attack finds are constants of the outer gradient, as in the published methods.
"""

from jaxattr.training.adversarial import pgd_loss, standard_loss, trades_loss
from jaxattr.training.alignment import alignment_loss
from jaxattr.training.attribution import ig_norm_loss, ig_sum_norm_loss

__all__ = [
    "alignment_loss",
    "ig_norm_loss",
    "ig_sum_norm_loss",
    "pgd_loss",
    "standard_loss",
    "trades_loss",
]
