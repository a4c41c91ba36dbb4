"""Metrics of attributions, each with every choice that its number depends on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxattr import metrics
from jaxattr._checks import check_choice, check_integer, check_number, fail
from jaxattr.metrics.faithfulness import ORDERS
from jaxattr.typing import Array

_CURVES = {
    "insertion": metrics.insertion_curve,
    "deletion": metrics.deletion_curve,
}
CLASSES = ("given", "predicted")


class Curve(NamedTuple):
    """Insertion or deletion under one protocol; see ``ja.insertion_curve``."""

    name: str = "insertion"
    """``insertion`` (higher is better) or ``deletion`` (lower is better)."""
    order: str = "channel_sum"
    num_steps: int = 224
    substrate: float = 0.0
    scored: str = "given"
    """Whose probability is followed: of the class that is ``given`` and explained, or of
    the one ``predicted`` on the clean image, as the published protocol has it."""

    @property
    def protocol(self) -> str:
        """In words, recorded with every score."""
        return (
            f"{self.order}, {self.num_steps} steps, substrate {self.substrate:g}, "
            f"{self.scored} class"
        )

    def __call__(
        self,
        model: Any,
        images: Array,
        maps: Array,
        labels: Array,
        keys: Array,
        batch_size: int | None,
    ) -> dict[str, Array]:
        """``curve (N, T + 1)``, its area ``score (N,)``, and ``shown (N,)``: the mean
        over the curve of the fraction of pixels shown (or removed)."""
        del keys
        how: dict[str, Any] = {"num_steps": self.num_steps, "order": self.order}
        curve = _CURVES[self.name](
            model,
            images,
            maps,
            labels=labels if self.scored == "given" else None,
            substrate=self.substrate,
            batch_size=batch_size,
            **how,
        )
        shown = metrics.fraction_shown(maps, **how)
        return {
            "score": metrics.area_under_curve(curve),
            "curve": curve,
            "shown": metrics.area_under_curve(shown),
        }


class Metric(NamedTuple):
    """Any other metric of maps."""

    name: str
    measure: Callable[..., Array]
    """``(logits_fn, images, attributions, labels, *, key, batch_size) -> (N,)``."""
    protocol: str = ""
    """In words, recorded with every score."""

    def __call__(
        self,
        model: Any,
        images: Array,
        maps: Array,
        labels: Array,
        keys: Array,
        batch_size: int | None,
    ) -> dict[str, Array]:
        """``score (N,)``."""
        # Its draws have nothing to do with those of the maps.
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys, 1 << 20)
        values = self.measure(
            model, images, maps, labels, key=keys, batch_size=batch_size
        )
        return {"score": jnp.asarray(values)}


KNOWN: dict[str, Curve | Metric] = {
    "insertion": Curve("insertion"),
    "deletion": Curve("deletion"),
    "infidelity": Metric(
        "infidelity",
        functools.partial(metrics.infidelity, normalize=True),
        "normalised, 100 samples, stddev 0.2",
    ),
}


def following_predictions(
    metrics: tuple[Curve | Metric, ...],
) -> tuple[Curve | Metric, ...]:
    """The metrics where the predicted class is the one explained: curves say so."""
    return tuple(
        m._replace(scored="predicted") if isinstance(m, Curve) else m for m in metrics
    )


def as_metrics(asked: Any) -> tuple[Curve | Metric, ...]:
    """Metrics with their protocols.

    Args:
      asked: names (``insertion``, ``deletion``, ``infidelity``), ``Curve`` and
        ``Metric`` in any sequence; or a mapping from names to functions ``(logits_fn,
        images, attributions, labels, *, key, batch_size) -> (N,)``.

    Raises:
      ValueError: an unknown name or option, or one protocol twice.

    Example:
      >>> for metric in as_metrics(["insertion", Curve("deletion", "joint", 50)]):
      ...     print(f"{metric.name}: {metric.protocol}")
      insertion: channel_sum, 224 steps, substrate 0, given class
      deletion: joint, 50 steps, substrate 0, given class
    """
    if isinstance(asked, str | Curve | Metric):
        asked = [asked]
    if isinstance(asked, Mapping):
        asked = [Metric(str(name), measure) for name, measure in asked.items()]
    found = []
    for metric in asked:
        if isinstance(metric, str):
            metric = KNOWN[check_choice("metric", metric, KNOWN)]
        elif isinstance(metric, Curve):
            check_choice("metric", metric.name, _CURVES)
            check_choice("order", metric.order, ORDERS)
            check_choice("scored", metric.scored, CLASSES)
            check_integer("num_steps", metric.num_steps)
            check_number("substrate", metric.substrate)
        elif not isinstance(metric, Metric):
            if not callable(metric):
                raise fail("metrics", "names, Curve, Metric or functions", metric)
            metric = Metric(getattr(metric, "__name__", repr(metric)), metric)
        found.append(metric)
    if not found:
        raise fail("metrics", "at least one", asked)
    titles = [(metric.name, metric.protocol) for metric in found]
    for title in titles:
        if titles.count(title) > 1:
            raise ValueError(f"metrics: {', '.join(title)} is asked for twice")
    return tuple(found)
