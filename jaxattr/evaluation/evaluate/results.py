"""What ``evaluate`` found: an object, a row an image, and a summary."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from jaxattr import plots
from jaxattr._checks import check_choice
from jaxattr.evaluation.runs.bootstrap import bootstrap_means, interval
from jaxattr.evaluation.runs.notebook import table_html
from jaxattr.evaluation.runs.tables import Cell, Table, TextTable


class MetricTitle(Protocol):
    """What tables and figures say of a metric; see ``metrics.AnyMetric``."""

    @property
    def name(self) -> str:
        """Such as ``insertion``."""
        ...

    @property
    def protocol(self) -> str:
        """Every choice that its number depends on, in words."""
        ...

    @property
    def better(self) -> str:
        """``higher``, ``lower`` or nothing."""
        ...

    @property
    def xlabel(self) -> str:
        """What grows along its curve, if it has one."""
        ...

    @property
    def subtitle(self) -> str:
        """What stands under its name on a figure."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class MethodScores:
    """One method on one model, for those images that all methods have scores of."""

    model: str
    method: str
    index: np.ndarray
    """``(n,)``: which images of the set."""
    labels: np.ndarray
    """``(n,)``: the classes that are explained."""
    predicted: np.ndarray
    """``(n,)``: the classes that the model predicts."""
    probability: np.ndarray
    """``(n,)``: of the class that is explained."""
    finite: np.ndarray
    """``(n,)`` bool: the map has neither NaN nor infinities."""
    images_per_second: float
    """Explained, compilation and metrics apart."""
    measured: tuple[Mapping[str, np.ndarray], ...]
    """One a metric: ``score (n,)``, of curves also ``shown``; and ``curve (n, T + 1)``
    where results are kept in memory only."""
    bands: tuple[plots.Band | None, ...]
    """One a metric: the mean of its curves, and where it may lie."""


class Evaluation(NamedTuple):
    """Scores of methods on models over a set of images."""

    names: tuple[str, ...]
    """Of the images."""
    metrics: tuple[MetricTitle, ...]
    results: tuple[MethodScores, ...]
    broken: tuple[str, ...] = ()
    """One line for each photograph that could not be read."""
    class_names: Mapping[str, Sequence[str]] = {}
    """Model to the names of its classes, where they have names."""

    def scores(self, model: str, method: str, metric: int = 0) -> np.ndarray:
        """``(n,)`` of one method by the metric in that place."""
        known = {f"{r.model}, {r.method}": r for r in self.results}
        check_choice("model, method", f"{model}, {method}", known)
        return known[f"{model}, {method}"].measured[metric]["score"]

    def table(self) -> Table:
        """Header, and a row an image, method, model and metric."""
        return self.header(), list(self.rows())

    def header(self) -> list[str]:
        """Of ``table``."""
        header = ["model", "method", "file", "class", "predicted", "probability"]
        header[4:4] = ["class_name"] * bool(self.class_names)
        return [*header, "metric", "protocol", "score", "shown"]

    def rows(self) -> Iterator[list[Cell]]:
        """Of ``table``, one after the other: of a large set they are many."""
        for r in self.results:
            names = self.class_names.get(r.model, ())
            name = lambda label: [names[label] if label < len(names) else ""]
            for metric, found in zip(self.metrics, r.measured, strict=True):
                shown = found.get("shown")
                for i, image in enumerate(r.index):
                    yield [
                        *(r.model, r.method, self.names[image]),
                        int(r.labels[i]),
                        *(name(int(r.labels[i])) if self.class_names else ()),
                        int(r.predicted[i]),
                        *(float(r.probability[i]), metric.name, metric.protocol),
                        float(found["score"][i]),
                        "" if shown is None else float(shown[i]),
                    ]

    def summary(self, reference: str | None = None) -> Table:
        """Header, and a row a method, model and metric.

        The mean over the images with a 95 % interval, and how far it is above that of a
        method on the same model, with an interval: 2,000 bootstrap resamples of the
        images, the same ones for all methods, so that the difference is paired. The
        last column says whether ``higher`` or ``lower`` scores are the better ones,
        nothing where it is not known.

        Args:
          reference: the method to compare with, by default the first.

        Raises:
          ValueError: a method that was not evaluated.
        """
        header = ["model", "method", "metric", "protocol", "images", "mean", "low"]
        header += ["high", "shown", "reference", "difference", "difference_low"]
        header += ["difference_high", "better"]
        rows: list[list[Cell]] = []
        for model in dict.fromkeys(r.model for r in self.results):
            of_model = [r for r in self.results if r.model == model]
            methods = [r.method for r in of_model]
            first = methods[0] if reference is None else reference
            base = methods.index(check_choice("reference", first, methods))
            for i, metric in enumerate(self.metrics):
                values = np.stack([r.measured[i]["score"] for r in of_model])
                middle, means = values.mean(axis=1), bootstrap_means(values)
                for j, r in enumerate(of_model):
                    shown = r.measured[i].get("shown")
                    rows.append(
                        [
                            *(model, r.method, metric.name, metric.protocol),
                            *(values.shape[1], float(middle[j])),
                            *interval(means[:, j]),
                            "" if shown is None else float(np.mean(shown)),
                            *(first, float(middle[j] - middle[base])),
                            *interval(means[:, j] - means[:, base]),
                            metric.better,
                        ]
                    )
        return header, rows

    def timings(self) -> Table:
        """Header, and a row a method and model: images a second, which differ by run."""
        rows: list[list[Cell]] = [
            [r.model, r.method, r.images_per_second] for r in self.results
        ]
        return ["model", "method", "images_per_second"], rows

    def curves(self) -> Table:
        """Header, and a row a model, method, metric with a curve, and step of it.

        The mean over the images, and 95 % of where it may lie.
        """
        header = [
            "model",
            "method",
            "metric",
            "protocol",
            "share",
            "mean",
            "low",
            "high",
        ]
        rows: list[list[Cell]] = []
        for r in self.results:
            for metric, band in zip(self.metrics, r.bands, strict=True):
                if band is None:
                    continue
                shares = np.linspace(0, 1, len(band.mean))
                rows += [
                    [r.model, r.method, metric.name, metric.protocol, *map(float, line)]
                    for line in zip(shares, *band, strict=True)
                ]
        return header, rows

    def _repr_html_(self) -> str:
        """In a notebook: a row a method, and which scores are better."""
        better = ", ".join(f"{m.name}: {m.better}" for m in self.metrics if m.better)
        return table_html(
            *self.short_summary(), note=f"better: {better}" * bool(better)
        )

    def short_summary(self) -> TextTable:
        """What fits on a terminal: a row a method, a column a metric."""
        header, rows = self.summary()
        cells: dict[tuple[str, str], list[str]] = {}
        for row in (dict(zip(header, row, strict=True)) for row in rows):
            scores = cells.setdefault((str(row["model"]), str(row["method"])), [])
            mean, low, high = (float(row[name]) for name in ("mean", "low", "high"))
            scores.append(f"{mean:.3f} ({low:.3f} to {high:.3f})")
        titles = [metric.name for metric in self.metrics]
        titles = [
            f"{m.name}, {m.protocol.split(',')[0]}"
            if titles.count(m.name) > 1
            else m.name
            for m in self.metrics
        ]
        speed = {
            (r.model, r.method): f"{r.images_per_second:.3g}" for r in self.results
        }
        several = len({model for model, _ in cells}) > 1
        lines = [
            [*([model] if several else []), method, *scores, speed[model, method]]
            for (model, method), scores in cells.items()
        ]
        return [*(["model"] if several else []), "method", *titles, "images/s"], lines
