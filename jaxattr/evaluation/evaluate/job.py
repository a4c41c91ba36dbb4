"""What the models of an evaluation have in common, and where their results are kept."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from jaxattr.evaluation.evaluate.gather import PREDICTIONS, Tables
from jaxattr.evaluation.evaluate.maps import (
    check_metrics,
    kept_detail,
    map_tables,
)
from jaxattr.evaluation.evaluate.metric import AnyMetric, column_of
from jaxattr.evaluation.methods.requests import Requests, method_record
from jaxattr.evaluation.runs import devices
from jaxattr.evaluation.runs.digests import key_data
from jaxattr.evaluation.runs.models import identity
from jaxattr.evaluation.runs.rows import RowFiles, Rows
from jaxattr.evaluation.runs.work import Plan
from jaxattr.typing import LogitsFn


class Job(NamedTuple):
    """What the models of an evaluation have in common."""

    metrics: tuple[AnyMetric, ...]
    batch_size: int
    plan: Plan
    devices: devices.Devices
    explained: str = "given"
    """Which class of an image: the one ``given``, or ``predicted`` by the model."""
    save_maps: str | None = None
    """Which of ``maps.DETAILS`` is kept; None for nothing."""
    from_maps: pathlib.Path | None = None
    """A folder of results whose maps are scored; None where methods are run."""

    def record(self) -> dict[str, object]:
        """All that decides every row but for its model and method, for JSON."""
        return {
            "key": key_data(self.plan.key),
            "batch_size": self.batch_size,
            "explained": self.explained,
        }


def tables_of(
    job: Job, name: str, model: LogitsFn, methods: Requests, files: RowFiles
) -> Tables:
    """Where the results of a model are kept.

    Args:
      job: what the models have in common.
      name: of the model.
      model: images to logits.
      methods: label to a method and its options.
      files: the folder.
    """
    known = {"weights": identity(model), **job.record()}
    kept: Mapping[str, Rows] = {}
    if job.from_maps is not None:
        of = lambda detail: map_tables(job.from_maps, detail, name, methods, known)
        detail = kept_detail(job.from_maps, of)
        check_metrics(job.metrics, detail)
        kept, known = of(detail), {**known, "from_maps": detail}
    elif job.save_maps is not None:
        folder = files.folder and files.folder.parent
        kept = map_tables(folder, job.save_maps, name, methods, known)
    rows = {
        label: files.table(f"{name} {label}", {**known, **method_record(*pair)})
        for label, pair in methods.items()
    }
    predictions = files.table(f"{name} predictions", {**known, "kind": PREDICTIONS})
    columns = [column_of(metric) for metric in job.metrics]
    return Tables(name, predictions, rows, columns, kept)
