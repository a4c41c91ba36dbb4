"""Metrics of attribution maps."""

from jaxattr.metrics.faithfulness import (
    area_under_curve,
    deletion_curve,
    insertion_curve,
)

__all__ = ["area_under_curve", "deletion_curve", "insertion_curve"]
