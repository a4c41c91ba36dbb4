"""The metrics of ``evaluate``, each with every choice that its number depends on.

A metric is added by one function and one entry in ``METRICS``; ``curves`` has those that
are areas under a curve.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping

from jaxattr import metrics
from jaxattr._checks import check_attributions, check_choice, fail
from jaxattr._numerics.rankings import pixel_magnitudes
from jaxattr.evaluation.evaluate.curves import CURVES, Curve
from jaxattr.evaluation.evaluate.metric import AnyMetric, Metric, Title, column_of
from jaxattr.typing import Array, LogitsFn

Metrics = (
    str
    | AnyMetric
    | Callable[..., Array]
    | Iterable[str | AnyMetric | Callable[..., Array]]
    | Mapping[str, Callable[..., Array]]
)
"""What a caller may ask for; see ``as_metrics``."""


def described(measure: Callable[..., object], text: str) -> str:
    """A protocol with the defaults of a function in it, so that it is always true.

    >>> described(metrics.infidelity, "{num_samples} samples, stddev {stddev:g}")
    '100 samples, stddev 0.2'
    """
    parameters = inspect.signature(measure).parameters.values()
    return text.format(**{p.name: p.default for p in parameters})


def _max_sensitivity(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    labels: Array,
    *,
    key: Array,
    batch_size: int | None,
    explain_fn: Callable[[Array], Array],
) -> Array:
    """``metrics.max_sensitivity``, which looks at maps of other images."""
    return metrics.max_sensitivity(explain_fn, images, key=key)


def _sensitivity_n(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    labels: Array,
    *,
    key: Array,
    batch_size: int | None,
) -> Array:
    """``metrics.sensitivity_n`` of a tenth of the pixels."""
    n = max(1, images.shape[1] * images.shape[2] // 10)
    return metrics.sensitivity_n(
        *(logits_fn, images, attributions),
        labels=labels,
        key=key,
        n=n,
        batch_size=batch_size,
    )


def _mu_fidelity(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    labels: Array,
    *,
    key: Array,
    batch_size: int | None,
) -> Array:
    """``metrics.mu_fidelity`` with its defaults."""
    return metrics.mu_fidelity(
        *(logits_fn, images, attributions),
        labels=labels,
        key=key,
        batch_size=batch_size,
    )


_SQUARES = 8
"""A side of the grid whose squares stand for segments."""


def _irof(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    labels: Array,
    *,
    key: Array,
    batch_size: int | None,
) -> Array:
    """``metrics.irof`` of squares, which any image has."""
    del key
    height, width = images.shape[1:3]
    return metrics.irof(
        *(logits_fn, images, attributions),
        labels=labels,
        segments=(min(_SQUARES, height), min(_SQUARES, width)),
        batch_size=batch_size,
    )


def _of_sizes(measure: Callable[[Array], Array]) -> Callable[..., Array]:
    """A metric of maps alone, of the sizes of pixels."""

    def measured(
        logits_fn: LogitsFn,
        images: Array,
        attributions: Array,
        labels: Array,
        *,
        key: Array,
        batch_size: int | None,
    ) -> Array:
        return measure(pixel_magnitudes(check_attributions(attributions)))

    return measured


def _stability(
    logits_fn: LogitsFn,
    images: Array,
    attributions: Array,
    labels: Array,
    *,
    key: Array,
    batch_size: int | None,
    explain_fn: Callable[[Array], Array],
) -> Array:
    """The mean of three of the likenesses of ``metrics.stability``."""
    found = metrics.stability(logits_fn, explain_fn, images, key=key)
    return (found.ssim + found.spearman + found.jaccard) / 3


_INFIDELITY = functools.partial(metrics.infidelity, normalize=True)
METRICS: Mapping[str, AnyMetric] = {
    **{name: Curve(name) for name in CURVES},
    "infidelity": Metric(
        "infidelity",
        _INFIDELITY,
        described(_INFIDELITY, "normalised, {num_samples} samples, stddev {stddev:g}"),
        better="lower",
    ),
    "max_sensitivity": Metric(
        "max_sensitivity",
        _max_sensitivity,
        described(metrics.max_sensitivity, "radius {radius:g}, {num_samples} samples"),
        better="lower",
        needs_explainer=True,
    ),
    "sensitivity_n": Metric(
        "sensitivity_n",
        _sensitivity_n,
        described(
            metrics.sensitivity_n,
            "a tenth of the pixels, {num_samples} samples, substrate {substrate:g}",
        ),
        better="higher",
    ),
    "mu_fidelity": Metric(
        "mu_fidelity",
        _mu_fidelity,
        described(
            metrics.mu_fidelity,
            "{fraction:g} of a grid of {grid}, {num_samples} samples, {correlation}, "
            "substrate {substrate:g}",
        ),
        better="higher",
    ),
    "irof": Metric(
        "irof",
        _irof,
        described(
            metrics.irof, f"{_SQUARES} x {_SQUARES} squares, {{substrate}} colour"
        ),
        better="higher",
    ),
    "sparseness": Metric(
        "sparseness",
        _of_sizes(metrics.sparseness),
        "Gini index of the sizes of pixels",
        better="higher",
    ),
    "complexity": Metric(
        "complexity",
        _of_sizes(metrics.complexity),
        "entropy of the sizes of pixels, in nats",
        better="lower",
    ),
    "stability": Metric(
        "stability",
        _stability,
        described(
            metrics.stability,
            "mean of SSIM, Spearman and Jaccard, class held, stddev {stddev:g}, "
            "{num_samples} samples",
        ),
        better="higher",
        needs_explainer=True,
    ),
}
"""The metrics that have a name."""


def as_metrics(asked: Metrics) -> tuple[AnyMetric, ...]:
    """Metrics with their protocols.

    Args:
      asked: names of ``METRICS``, ``Curve``, ``Metric`` and functions in any sequence;
        or a mapping from names to functions ``(logits_fn, images, attributions, labels,
        *, key, batch_size) -> (N,)``.

    Raises:
      ValueError: an unknown name or option, a function that takes other things, or one
        protocol twice.

    Example:
      >>> for metric in as_metrics(["insertion", Curve("deletion", "joint", 50)]):
      ...     print(f"{metric.name} ({metric.better} is better): {metric.protocol}")
      insertion (higher is better): channel_sum, 224 steps, substrate 0, given class
      deletion (lower is better): joint, 50 steps, substrate 0, given class
    """
    if isinstance(asked, Mapping):
        asked = [Metric(str(name), measure) for name, measure in asked.items()]
    elif isinstance(asked, str | Curve | Metric) or callable(asked):
        asked = [asked]
    found = [_as_metric(metric) for metric in asked]
    if not found:
        raise fail("metrics", "at least one", asked)
    titles = [(metric.name, metric.protocol) for metric in found]
    for title in titles:
        if titles.count(title) > 1:
            raise ValueError(f"metrics: {', '.join(title)} is asked for twice")
    return tuple(found)


def _as_metric(asked: str | AnyMetric | Callable[..., Array]) -> AnyMetric:
    if isinstance(asked, str):
        return METRICS[check_choice("metric", asked, METRICS)]
    if not isinstance(asked, Curve | Metric):
        if not callable(asked):
            raise fail("metrics", "names, Curve, Metric or functions", asked)
        asked = Metric(getattr(asked, "__name__", repr(asked)), asked)
    asked.check()
    return asked


def with_options(
    metrics: Iterable[AnyMetric], options: Mapping[str, object]
) -> tuple[AnyMetric, ...]:
    """Metrics with those of the options that each of them has.

    Args:
      metrics: of ``as_metrics``.
      options: by name, such as ``{"num_steps": 50}``.

    Raises:
      ValueError: a bad value, or metrics that become the same.
    """
    return as_metrics(
        [
            m.with_options(**{k: v for k, v in options.items() if k in m.options})
            for m in metrics
        ]
    )


def metrics_record(metrics: tuple[AnyMetric, ...]) -> dict[str, dict[str, object]]:
    """The metrics with their protocols and what tables say of them, for JSON."""
    return {
        f"{m.name} {m.protocol}".strip(): {
            **{name: getattr(m, name) for name in Title._fields},
            "column": column_of(m),
        }
        for m in metrics
    }
