"""Metrics of attribution maps, and of the robustness of models."""

from jaxattr.metrics.agreement import kendall, spearman, top_k_intersection
from jaxattr.metrics.alignment import Alignment, alignment
from jaxattr.metrics.chance import chance_corrected, lens_chance
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
from jaxattr.metrics.lens import (
    diverse_top_k,
    lens_precision,
    lens_precision_diverse,
    lens_recall,
    lens_recall_diverse,
)
from jaxattr.metrics.localization import Localization, localization
from jaxattr.metrics.randomization import (
    RandomizationCheck,
    layer_names,
    randomization_check,
)
from jaxattr.metrics.sensitivity import local_lipschitz, max_sensitivity
from jaxattr.metrics.smoothed import lens_kendall, lens_spearman

__all__ = [
    "ALEXNET_ERRORS",
    "Alignment",
    "Localization",
    "RandomizationCheck",
    "alignment",
    "area_under_curve",
    "chance_corrected",
    "corruption_errors",
    "deletion_curve",
    "diverse_top_k",
    "fraction_shown",
    "infidelity",
    "insertion_curve",
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
    "prediction_change",
    "randomization_check",
    "spearman",
    "top_k_intersection",
]
