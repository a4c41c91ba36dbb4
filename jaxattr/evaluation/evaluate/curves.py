"""Scores that are areas under curves, with every choice that the number depends on.

A curve is added by its function and one entry in ``CURVES``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax

from jaxattr import metrics
from jaxattr._checks import check_choice, check_integer, check_number
from jaxattr.metrics.ranked_curves import ORDERS
from jaxattr.typing import Array, LogitsFn

CLASSES = ("given", "predicted")
_ORDER_TITLES = {
    "channel_sum": "pixels by their summed channels",
    "channel_union": "pixels by the first of their channels",
    "joint": "values of all channels in one order",
}
"""The orders of pixels in words, for figures."""


class CurveKind(NamedTuple):
    """A curve whose area is a score."""

    curve: Callable[..., Array]
    """As ``metrics.insertion_curve``."""
    better: str
    """Which areas are better: ``higher`` or ``lower``."""
    xlabel: str
    """What grows along the curve."""
    imputes: bool = False
    """Takes pixels from their neighbours, with noise from ``key``; not a substrate."""


CURVES: Mapping[str, CurveKind] = {
    "insertion": CurveKind(metrics.insertion_curve, "higher", "pixels shown"),
    "deletion": CurveKind(metrics.deletion_curve, "lower", "pixels removed"),
    "road": CurveKind(metrics.road_curve, "lower", "pixels imputed", imputes=True),
}


class Curve(NamedTuple):
    """The area under a curve by one protocol; see ``ja.insertion_curve``."""

    name: str = "insertion"
    """One of ``CURVES``."""
    order: str = "channel_sum"
    num_steps: int = 224
    substrate: float = 0.0
    scored: str = "given"
    """Whose probability is followed: of the class that is ``given`` and explained, or of
    the one ``predicted`` on the clean image, as the published protocol has it."""

    @property
    def options(self) -> tuple[str, ...]:
        """What ``with_options`` takes."""
        imputes = CURVES[self.name].imputes
        return tuple(n for n in self._fields[1:] if not (imputes and n == "substrate"))

    @property
    def needs_explainer(self) -> bool:
        """It looks at one map only."""
        return False

    @property
    def better(self) -> str:
        """``higher`` or ``lower``."""
        return CURVES[self.name].better

    @property
    def protocol(self) -> str:
        """In words, recorded with every score."""
        kind = CURVES[self.name]
        filling = f"substrate {self.substrate:g}"
        if kind.imputes:
            noise = inspect.signature(kind.curve).parameters["noise"].default
            filling = f"linear imputation, noise {noise:g}"
        return f"{self.order}, {self.num_steps} steps, {filling}, {self.scored} class"

    @property
    def subtitle(self) -> str:
        """What stands under its name on a figure."""
        return _ORDER_TITLES.get(self.order, self.order)

    @property
    def xlabel(self) -> str:
        """What grows along its curve."""
        return CURVES[self.name].xlabel

    @property
    def function(self) -> object:
        """Nothing beside name and protocol tells it from others."""
        return None

    def with_options(self, **options: object) -> Curve:
        """This metric with other options."""
        return self._replace(**options)  # type: ignore[arg-type]

    def check(self) -> None:
        """Raises ``ValueError`` for an unknown name or option."""
        check_choice("metric", self.name, CURVES)
        check_choice("order", self.order, ORDERS)
        check_choice("scored", self.scored, CLASSES)
        check_integer("num_steps", self.num_steps)
        check_number("substrate", self.substrate)
        if CURVES[self.name].imputes and self.substrate != 0:
            raise ValueError(f"substrate: not an option of {self.name}, which imputes")

    def __call__(
        self,
        model: LogitsFn,
        images: Array,
        maps: Array,
        labels: Array,
        keys: Array,
        batch_size: int | None,
        explain_fn: Callable[[Array], Array] | None = None,
    ) -> dict[str, Array]:
        """``curve (N, T + 1)``, its area ``score (N,)``, and ``shown (N,)``: the mean
        over the curve of the fraction of pixels shown (or removed)."""
        del explain_fn
        kind = CURVES[self.name]
        if kind.imputes:
            # Its draws have nothing to do with those of the maps.
            own = jax.vmap(jax.random.fold_in, (0, None))(keys, 1 << 20)
            filling: dict[str, object] = {"key": own}
        else:
            filling = {"substrate": self.substrate}
        curve = kind.curve(
            *(model, images, maps),
            **filling,
            labels=labels if self.scored == "given" else None,
            batch_size=batch_size,
            num_steps=self.num_steps,
            order=self.order,
        )
        shown = metrics.fraction_shown(maps, num_steps=self.num_steps, order=self.order)
        return {
            "score": metrics.area_under_curve(curve),
            "curve": curve,
            "shown": metrics.area_under_curve(shown),
        }
