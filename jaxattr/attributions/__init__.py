"""Attribution methods: ``explain(logits_fn, images, labels, *, key, batch_size, ...)``."""

from jaxattr.attributions.ablation_cam import ablation_cam
from jaxattr.attributions.agi import agi
from jaxattr.attributions.attention import attention_gradients, attention_rollout
from jaxattr.attributions.attexplore import attexplore, attexplore_pp
from jaxattr.attributions.blur_ig import blur_ig
from jaxattr.attributions.bsm_big_bsg import big, bsg, bsm
from jaxattr.attributions.deeplift import deeplift
from jaxattr.attributions.eigen_cam import eigen_cam
from jaxattr.attributions.excitation_backprop import excitation_backprop
from jaxattr.attributions.fampe import fampe
from jaxattr.attributions.grad_cam import grad_cam
from jaxattr.attributions.gradient import input_x_gradient, saliency, smoothgrad
from jaxattr.attributions.gradient_cams import (
    grad_cam_pp,
    hires_cam,
    layer_cam,
    xgrad_cam,
)
from jaxattr.attributions.guided import guided_ig
from jaxattr.attributions.idgi import idgi
from jaxattr.attributions.in_basis import in_basis
from jaxattr.attributions.integrated import expected_gradients, integrated_gradients
from jaxattr.attributions.isa import isa
from jaxattr.attributions.kernel_shap import (
    SegmentShapley,
    kernel_shap,
    segment_shapley,
)
from jaxattr.attributions.la import la
from jaxattr.attributions.layer import (
    internal_influence,
    layer_gradient_x_activation,
    layer_integrated_gradients,
)
from jaxattr.attributions.legrad import legrad
from jaxattr.attributions.lime import lime
from jaxattr.attributions.lrp import lrp
from jaxattr.attributions.mfaba import mfaba
from jaxattr.attributions.occlusion import occlusion
from jaxattr.attributions.rectified import deconvnet, guided_backprop
from jaxattr.attributions.rise import rise
from jaxattr.attributions.score_cam import score_cam
from jaxattr.attributions.spectral_importance import (
    SpectralImportance,
    spectral_importance,
)
from jaxattr.attributions.spectral_score import spectral_distribution, spectral_score

__all__ = [
    "SegmentShapley",
    "SpectralImportance",
    "ablation_cam",
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
    "eigen_cam",
    "excitation_backprop",
    "expected_gradients",
    "fampe",
    "grad_cam",
    "grad_cam_pp",
    "guided_backprop",
    "guided_ig",
    "hires_cam",
    "idgi",
    "in_basis",
    "input_x_gradient",
    "integrated_gradients",
    "internal_influence",
    "isa",
    "kernel_shap",
    "la",
    "layer_cam",
    "layer_gradient_x_activation",
    "layer_integrated_gradients",
    "legrad",
    "lime",
    "lrp",
    "mfaba",
    "occlusion",
    "rise",
    "saliency",
    "score_cam",
    "segment_shapley",
    "smoothgrad",
    "spectral_distribution",
    "spectral_importance",
    "spectral_score",
    "xgrad_cam",
]
