"""What is attacked, by what budgets, and the scores."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from jaxattr import metrics
from jaxattr.typing import Array

EXPLANATION_ATTACKS = ("random_sign", "mass_center", "top_k", "lens")
"""``lens`` is ``top_k`` that presses down the neighbourhood as well."""
NULLS = ("random", "shift", "photographs")


class Settings(NamedTuple):
    """What is attacked, and how it is scored."""

    attacks: tuple[str, ...] = ("random_sign", "mass_center", "top_k")
    epsilons: tuple[float, ...] = (1 / 255, 2 / 255, 4 / 255, 8 / 255)
    """In pixel units."""
    k: int = 1000
    window: int = 3
    num_steps: int = 20
    chance_samples: int = 3
    seed: int = 0
    batch_size: int = 4
    images_per_batch: int = 4
    """How many images are attacked together."""


Attacked = tuple[str, float]
"""An attack and its ε."""


def measures(k: int, window: int) -> dict[str, Callable[[Array, Array], Array]]:
    """The scores by name; the first three are drawn."""

    def near(score: Callable[..., Array]) -> Callable[[Array, Array], Array]:
        return functools.partial(score, k=k, window=window)

    return {
        "top_k": functools.partial(metrics.top_k_intersection, k=k),
        "lens_recall": near(metrics.lens_recall),
        "lens_recall_diverse": near(metrics.lens_recall_diverse),
        "lens_precision": near(metrics.lens_precision),
        "spearman": metrics.spearman,
        "kendall": metrics.kendall,
    }


def attacked(settings: Settings) -> dict[str, Attacked]:
    """Each attack and ε, by what their scores are called among rows of results.

    >>> attacked(Settings(attacks=("lens",), epsilons=(2 / 255, 0.5 / 255)))
    {'lens-2': ('lens', 0.00784...), 'lens-0_5': ('lens', 0.00196...)}
    """
    name = lambda epsilon: f"{255 * epsilon:.8g}".replace(".", "_")
    return {
        f"{a}-{name(e)}": (a, e) for a in settings.attacks for e in settings.epsilons
    }
