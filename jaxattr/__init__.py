"""Robustness-aware explanations of image classifiers, in JAX.

Conventions: ``images`` float ``(N, H, W, C)`` in [0, 1]; ``labels`` int ``(N,)``;
``logits_fn(images) -> (N, K)`` with independent rows, normalisation inside. Every
explainer is a pure function ``explain(logits_fn, images, labels, *, key=None,
batch_size=None, **options) -> (N, H, W, C)`` that runs eagerly and under ``jit``,
``vmap``, ``grad`` and sharding. Randomness comes from ``key`` alone, image by image, so
an image has the same map in any batch.
"""

from jaxattr import scores
from jaxattr.attributions import (
    attexplore,
    expected_gradients,
    guided_ig,
    input_x_gradient,
    integrated_gradients,
    saliency,
    smoothgrad,
)
from jaxattr.metrics import area_under_curve, deletion_curve, insertion_curve

__version__ = "0.1.0"

__all__ = [
    "area_under_curve",
    "attexplore",
    "deletion_curve",
    "evaluation",
    "expected_gradients",
    "guided_ig",
    "input_x_gradient",
    "insertion_curve",
    "integrated_gradients",
    "models",
    "plots",
    "saliency",
    "scores",
    "smoothgrad",
]


def __getattr__(name: str):
    # Models need flax and plots matplotlib: they are imported when first asked for.
    if name in ("evaluation", "models", "plots"):
        import importlib

        return importlib.import_module(f"jaxattr.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
