"""Attribution methods: ``explain(logits_fn, images, labels, *, key, batch_size, ...)``."""

from jaxattr.attributions.adversarial import attexplore
from jaxattr.attributions.gradient import input_x_gradient, saliency, smoothgrad
from jaxattr.attributions.guided import guided_ig
from jaxattr.attributions.integrated import expected_gradients, integrated_gradients

__all__ = [
    "attexplore",
    "expected_gradients",
    "guided_ig",
    "input_x_gradient",
    "integrated_gradients",
    "saliency",
    "smoothgrad",
]
