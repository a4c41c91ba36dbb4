"""Metrics of attribution maps, and of the robustness of models."""

from jaxattr.metrics.agreement import kendall, spearman, top_k_intersection
from jaxattr.metrics.alignment import Alignment, alignment
from jaxattr.metrics.chance import chance_corrected, lens_chance
from jaxattr.metrics.concentration import complexity, sparseness
from jaxattr.metrics.corruption import (
    ALEXNET_ERRORS,
    corruption_errors,
    mean_corruption_error,
    prediction_change,
)
from jaxattr.metrics.faithfulness import (
    area_under_curve,
    deletion_curve,
    fraction_shown,
    insertion_curve,
)
from jaxattr.metrics.infidelity import infidelity
from jaxattr.metrics.irof import irof
from jaxattr.metrics.lens import (
    diverse_top_k,
    lens_precision,
    lens_precision_diverse,
    lens_recall,
    lens_recall_diverse,
)
from jaxattr.metrics.localization import Localization, localization
from jaxattr.metrics.pointing_game import pointing_game
from jaxattr.metrics.randomization import (
    RandomizationCheck,
    layer_names,
    randomization_check,
)
from jaxattr.metrics.road import road_curve
from jaxattr.metrics.sensitivity import local_lipschitz, max_sensitivity
from jaxattr.metrics.similarity import cosine_similarity, ssim
from jaxattr.metrics.smoothed import lens_kendall, lens_spearman
from jaxattr.metrics.stability import Stability, stability
from jaxattr.metrics.subset_fidelity import mu_fidelity, sensitivity_n

__all__ = [
    "ALEXNET_ERRORS",
    "Alignment",
    "Localization",
    "RandomizationCheck",
    "Stability",
    "alignment",
    "area_under_curve",
    "chance_corrected",
    "complexity",
    "corruption_errors",
    "cosine_similarity",
    "deletion_curve",
    "diverse_top_k",
    "fraction_shown",
    "infidelity",
    "insertion_curve",
    "irof",
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
    "mu_fidelity",
    "pointing_game",
    "prediction_change",
    "randomization_check",
    "road_curve",
    "sensitivity_n",
    "sparseness",
    "spearman",
    "ssim",
    "stability",
    "top_k_intersection",
]
