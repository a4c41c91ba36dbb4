"""Attribution methods: ``explain(logits_fn, images, labels, *, key, batch_size, ...)``."""

from jaxattr.attributions.agi import agi
from jaxattr.attributions.attention import (
    attention_gradients,
    attention_rollout,
    legrad,
)
from jaxattr.attributions.attexplore import attexplore, attexplore_pp
from jaxattr.attributions.blur_ig import blur_ig
from jaxattr.attributions.bsm_big_bsg import big, bsg, bsm
from jaxattr.attributions.deeplift import deeplift
from jaxattr.attributions.excitation_backprop import excitation_backprop
from jaxattr.attributions.fampe import fampe
from jaxattr.attributions.grad_cam import grad_cam
from jaxattr.attributions.gradient import input_x_gradient, saliency, smoothgrad
from jaxattr.attributions.guided import guided_ig
from jaxattr.attributions.idgi import idgi
from jaxattr.attributions.in_basis import in_basis
from jaxattr.attributions.integrated import expected_gradients, integrated_gradients
from jaxattr.attributions.isa import isa
from jaxattr.attributions.la import la
from jaxattr.attributions.layer import (
    internal_influence,
    layer_gradient_x_activation,
    layer_integrated_gradients,
)
from jaxattr.attributions.lrp import lrp
from jaxattr.attributions.mfaba import mfaba
from jaxattr.attributions.rectified import deconvnet, guided_backprop
from jaxattr.attributions.spectral_importance import (
    SpectralImportance,
    spectral_importance,
)
from jaxattr.attributions.spectral_score import spectral_distribution, spectral_score

__all__ = [
    "SpectralImportance",
    "agi",
    "attention_gradients",
    "attention_rollout",
    "attexplore",
    "attexplore_pp",
    "big",
    "blur_ig",
    "bsg",
    "bsm",
    "deconvnet",
    "deeplift",
    "excitation_backprop",
    "expected_gradients",
    "fampe",
    "grad_cam",
    "guided_backprop",
    "guided_ig",
    "idgi",
    "in_basis",
    "input_x_gradient",
    "integrated_gradients",
    "internal_influence",
    "isa",
    "la",
    "layer_gradient_x_activation",
    "layer_integrated_gradients",
    "legrad",
    "lrp",
    "mfaba",
    "saliency",
    "smoothgrad",
    "spectral_distribution",
    "spectral_importance",
    "spectral_score",
]
