"""Robustness-aware explanations of image classifiers, in JAX.

Conventions: ``images`` float ``(N, H, W, C)`` in [0, 1]; ``labels`` int ``(N,)``;
``logits_fn(images) -> (N, K)`` with independent rows, normalisation inside. Every
explainer is a pure function ``explain(logits_fn, images, labels, *, key=None,
batch_size=None, **options) -> (N, H, W, C)`` that runs eagerly and under ``jit``,
``vmap``, ``grad`` and sharding. Randomness comes from ``key`` alone, image by image, so
an image has the same map in any batch.
"""

from jaxattr import attacks, boundaries, corruptions, scores, training
from jaxattr._rankings import pixel_magnitudes
from jaxattr._version import __version__
from jaxattr.attacks import attack_explanation
from jaxattr.attributions import (
    SpectralImportance,
    agi,
    attexplore,
    attexplore_pp,
    big,
    bsg,
    bsm,
    expected_gradients,
    fampe,
    grad_cam,
    guided_ig,
    input_x_gradient,
    integrated_gradients,
    mfaba,
    saliency,
    smoothgrad,
    spectral_distribution,
    spectral_importance,
    spectral_score,
)
from jaxattr.boundaries import BoundaryPoint, BoundarySearch, nearest_boundary
from jaxattr.frequencies import band_images, band_masks, spectral_snr
from jaxattr.games import (
    banzhaf_values,
    coalitions,
    shapley_interactions,
    shapley_matrix,
    shapley_sampled,
    shapley_values,
)
from jaxattr.metrics import (
    Alignment,
    Localization,
    RandomizationCheck,
    alignment,
    area_under_curve,
    chance_corrected,
    corruption_errors,
    deletion_curve,
    diverse_top_k,
    fraction_shown,
    infidelity,
    insertion_curve,
    kendall,
    layer_names,
    lens_chance,
    lens_kendall,
    lens_precision,
    lens_precision_diverse,
    lens_recall,
    lens_recall_diverse,
    lens_spearman,
    local_lipschitz,
    localization,
    max_sensitivity,
    mean_corruption_error,
    prediction_change,
    randomization_check,
    spearman,
    top_k_intersection,
)

__all__ = [
    "Alignment",
    "BoundaryPoint",
    "BoundarySearch",
    "Localization",
    "RandomizationCheck",
    "SpectralImportance",
    "__version__",
    "agi",
    "alignment",
    "area_under_curve",
    "attack_explanation",
    "attacks",
    "attexplore",
    "attexplore_pp",
    "band_images",
    "band_masks",
    "banzhaf_values",
    "big",
    "boundaries",
    "bsg",
    "bsm",
    "chance_corrected",
    "coalitions",
    "corruption_errors",
    "corruptions",
    "deletion_curve",
    "diverse_top_k",
    "evaluation",
    "expected_gradients",
    "fampe",
    "fraction_shown",
    "grad_cam",
    "guided_ig",
    "infidelity",
    "input_x_gradient",
    "insertion_curve",
    "integrated_gradients",
    "kendall",
    "layer_names",
    "lens_chance",
    "lens_kendall",
    "lens_precision",
    "lens_precision_diverse",
    "lens_recall",
    "lens_recall_diverse",
    "lens_spearman",
    "local_lipschitz",
    "localization",
    "max_sensitivity",
    "mean_corruption_error",
    "mfaba",
    "models",
    "nearest_boundary",
    "pixel_magnitudes",
    "plots",
    "prediction_change",
    "randomization_check",
    "saliency",
    "scores",
    "shapley_interactions",
    "shapley_matrix",
    "shapley_sampled",
    "shapley_values",
    "smoothgrad",
    "spearman",
    "spectral_distribution",
    "spectral_importance",
    "spectral_score",
    "spectral_snr",
    "top_k_intersection",
    "training",
]


def __getattr__(name: str):
    # Models need flax and plots matplotlib: they are imported when first asked for.
    if name in ("evaluation", "models", "plots"):
        import importlib

        return importlib.import_module(f"jaxattr.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
