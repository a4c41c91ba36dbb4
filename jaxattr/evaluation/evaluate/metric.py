"""A metric of ``evaluate``: a function, and what decides and describes its number."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxattr._checks import check_choice, fail
from jaxattr.evaluation.evaluate.curves import Curve
from jaxattr.evaluation.runs.digests import identify
from jaxattr.evaluation.runs.files import file_name
from jaxattr.typing import Array, LogitsFn

BETTER = ("higher", "lower", "")
"""Which scores of a metric are the better ones; the empty text where it is not known."""


class Metric(NamedTuple):
    """Any other metric of maps."""

    name: str
    measure: Callable[..., Array]
    """``(logits_fn, images, attributions, labels, *, key, batch_size) -> (N,)``."""
    protocol: str = ""
    """In words, recorded with every score; see ``described``."""
    better: str = ""
    """Which scores are better: ``higher``, ``lower``, or not known."""
    needs_explainer: bool = False
    """``measure`` also takes ``explain_fn``: images to maps, as the method and the keys
    made the ones that are scored."""

    @property
    def options(self) -> tuple[str, ...]:
        """None: those of its function are bound in ``measure``."""
        return ()

    @property
    def xlabel(self) -> str:
        """Empty: it has no curve."""
        return ""

    @property
    def subtitle(self) -> str:
        """What stands under its name on a figure."""
        return self.protocol

    @property
    def function(self) -> object:
        """What tells it from others of its name and protocol."""
        return self.measure

    def with_options(self, **options: object) -> Metric:
        """This metric, where there are no options.

        Raises:
          ValueError: there is one.
        """
        if options:
            raise ValueError(f"metric: {self.name} has no option {', '.join(options)}")
        return self

    def check(self) -> None:
        """Raises ``ValueError`` for a function that takes other things."""
        check_choice("better", self.better, BETTER)
        given = {"key": None, "batch_size": None}
        expected = "(logits_fn, images, attributions, labels, *, key, batch_size"
        if self.needs_explainer:
            given, expected = given | {"explain_fn": None}, expected + ", explain_fn"
        if not callable(self.measure):
            raise fail(f"metrics: {self.name}", f"a function {expected})", self.measure)
        try:
            signature = inspect.signature(self.measure)
        except ValueError:
            return  # some builtins have none
        try:
            signature.bind(*"xxxx", **given)
        except TypeError as error:
            raise ValueError(
                f"metrics: {self.name}: expected a function {expected}), got one that "
                f"takes {signature} ({error})"
            ) from None

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
        """``score (N,)``."""
        # Its draws have nothing to do with those of the maps.
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys, 1 << 20)
        explains = {"explain_fn": explain_fn} if self.needs_explainer else {}
        values = self.measure(
            *(model, images, maps, labels), key=keys, batch_size=batch_size, **explains
        )
        return {"score": jnp.asarray(values)}


AnyMetric: TypeAlias = Curve | Metric


def column_of(metric: AnyMetric) -> str:
    """What the scores of a metric are called among rows of results."""
    what = json.dumps([metric.name, metric.protocol, identify(metric.function)])
    mark = hashlib.sha256(what.encode()).hexdigest()[:10]
    return f"{file_name(metric.name).replace('.', '-')[:40]}-{mark}"


class Title(NamedTuple):
    """What tables and figures say of a metric, without the metric."""

    name: str
    protocol: str
    better: str
    xlabel: str
    subtitle: str
