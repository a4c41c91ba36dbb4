"""Cooperative games: Shapley values, interactions and Banzhaf values, exact or sampled."""

from jaxattr.games.sampled_shapley import shapley_sampled
from jaxattr.games.shapley import (
    banzhaf_values,
    coalitions,
    shapley_interactions,
    shapley_matrix,
    shapley_values,
)

__all__ = [
    "banzhaf_values",
    "coalitions",
    "shapley_interactions",
    "shapley_matrix",
    "shapley_sampled",
    "shapley_values",
]
