"""The one place where strings name methods, for the command line and for tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxattr import attributions
from jaxattr._checks import check_choice
from jaxattr.typing import Array

Explainer = Callable[..., Array]
"""``(logits_fn, images, labels, *, key, batch_size, **options) -> (N, H, W, C)``."""


class Method(NamedTuple):
    """A registered explainer and what a caller must know to run it."""

    name: str
    explain: Explainer
    needs_key: bool = False
    """Draws at random, so ``key`` must be given."""
    needs_references: bool = False
    """Takes ``references (R, H, W, C)``, images that stand for the data."""
    needs_split: bool = False
    """Takes a model in two halves, ``features`` and ``head``; classifiers are."""
    needs_attention: bool = False
    """Takes a model with attention among the places of an image; others it refuses."""
    differentiable: bool = True
    """The map is a continuous function of the image (no sign steps, no sorting)."""


_METHODS = (
    Method("saliency", attributions.saliency),
    Method("input_x_gradient", attributions.input_x_gradient),
    Method("smoothgrad", attributions.smoothgrad, needs_key=True),
    Method("integrated_gradients", attributions.integrated_gradients),
    Method(
        "expected_gradients",
        attributions.expected_gradients,
        needs_key=True,
        needs_references=True,
    ),
    Method("idgi", attributions.idgi),
    Method("blur_ig", attributions.blur_ig),
    Method("grad_cam", attributions.grad_cam, needs_split=True),
    Method("grad_cam_pp", attributions.grad_cam_pp, needs_split=True),
    Method("hires_cam", attributions.hires_cam, needs_split=True),
    Method("layer_cam", attributions.layer_cam, needs_split=True),
    Method("xgrad_cam", attributions.xgrad_cam, needs_split=True),
    Method("score_cam", attributions.score_cam, needs_split=True),
    Method("ablation_cam", attributions.ablation_cam, needs_split=True),
    Method("eigen_cam", attributions.eigen_cam, needs_split=True),
    Method("attention_rollout", attributions.attention_rollout, needs_attention=True),
    Method(
        "attention_gradients", attributions.attention_gradients, needs_attention=True
    ),
    Method("legrad", attributions.legrad, needs_attention=True),
    Method("lrp", attributions.lrp),
    Method("deeplift", attributions.deeplift),
    Method("guided_backprop", attributions.guided_backprop),
    Method("deconvnet", attributions.deconvnet),
    Method("excitation_backprop", attributions.excitation_backprop),
    Method("occlusion", attributions.occlusion),
    Method("rise", attributions.rise, needs_key=True),
    Method("lime", attributions.lime, needs_key=True),
    Method("kernel_shap", attributions.kernel_shap, needs_key=True),
    Method("guided_ig", attributions.guided_ig, differentiable=False),
    Method("mfaba", attributions.mfaba, differentiable=False),
    Method("agi", attributions.agi, needs_key=True, differentiable=False),
    Method("isa", attributions.isa, needs_key=True, differentiable=False),
    Method("la", attributions.la, needs_key=True, differentiable=False),
    Method("attexplore", attributions.attexplore, needs_key=True, differentiable=False),
    Method(
        "attexplore_pp",
        attributions.attexplore_pp,
        needs_key=True,
        differentiable=False,
    ),
    Method("bsm", attributions.bsm, needs_key=True, differentiable=False),
    Method("big", attributions.big, needs_key=True, differentiable=False),
    Method("bsg", attributions.bsg, needs_key=True, differentiable=False),
    Method("fampe", attributions.fampe, needs_key=True, differentiable=False),
)


_OTHER_NAMES = {
    "boundary": ("bsm", "big", "bsg"),
    "gradient": ("saliency",),
    "gradients": ("saliency",),
    "vanilla": ("saliency",),
    "vanilla_gradient": ("saliency",),
    "gradient_x_input": ("input_x_gradient",),
    "gradxinput": ("input_x_gradient",),
    "ixg": ("input_x_gradient",),
    "gradient_shap": ("expected_gradients",),
    "smooth_grad": ("smoothgrad",),
    "attexplore++": ("attexplore_pp",),
    "sliding_window": ("occlusion",),
    "feature_ablation": ("occlusion",),
    "shap": ("kernel_shap",),
    "local_attribution": ("la",),
    "grad_cam++": ("grad_cam_pp",),
    "gradcam++": ("grad_cam_pp",),
    "rollout": ("attention_rollout",),
    "chefer": ("attention_gradients",),
}
"""How else the field calls some of them."""


def methods() -> dict[str, Method]:
    """Every registered explainer by name."""
    return {method.name: method for method in _METHODS}


def method(name: str) -> Method:
    """One by name; ``ValueError`` with the nearest names for an unknown one."""
    known = methods()
    if name in _OTHER_NAMES and name not in known:
        meant = " or ".join(_OTHER_NAMES[name])
        raise ValueError(f"method: {name!r} is called {meant} here")
    return known[check_choice("method", name, known)]
