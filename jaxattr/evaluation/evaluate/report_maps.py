"""Small maps of the best and the worst photographs of each method, for the report.

Scores are kept of every photograph, maps are not. When all is scored, the photographs at
both ends are explained once more, each with the key that it had, so their maps are those
that were scored.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

import jaxattr
from jaxattr.evaluation.evaluate.job import Job
from jaxattr.evaluation.evaluate.results import Evaluation
from jaxattr.evaluation.methods.registry import Method
from jaxattr.evaluation.methods.requests import Options, Requests, method_record
from jaxattr.evaluation.runs import pictures, programs
from jaxattr.evaluation.runs.digests import key_data
from jaxattr.evaluation.runs.files import atomic_write, file_names, make_folder
from jaxattr.evaluation.runs.image_sets import ImageSet
from jaxattr.evaluation.runs.models import as_argument, identity
from jaxattr.evaluation.runs.parts import write_arrays
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.readers import Reader
from jaxattr.typing import LogitsFn

FOLDER = "report_maps"
MOST = 60
"""Photographs of a model, however many methods there are."""
SIDE = 160
"""The longest side of what is kept, in pixels."""


class ReportMap(NamedTuple):
    """A photograph and its maps, small."""

    photograph: np.ndarray
    """``(h, w, 3)`` uint8: as the model sees it, so that maps lie where they belong."""
    maps: dict[str, tuple[np.ndarray, float]]
    """Method to ``(h, w)`` int8, summed over the channels, and the absolute value that is
    127 there: where its colours end."""


def keep_report_maps(
    folder: pathlib.Path,
    job: Job,
    given: ImageSet,
    models: Mapping[str, LogitsFn],
    prepared: Mapping[str, Requests],
    evaluation: Evaluation,
    count: int,
    progress: Progress | None = None,
) -> None:
    """Explains the best and the worst photographs by every method, and keeps the maps.

    Args:
      folder: of the results.
      job: of the evaluation.
      given: the images.
      models: name to model.
      prepared: name of a model to its methods.
      evaluation: all that was scored.
      count: how many photographs at either end of each score.
      progress: where it is reported.

    Raises:
      OSError: they cannot be written.
    """
    folders = report_folders(folder, models)
    for name, model in models.items():
        chosen = ends(evaluation, name, count)
        if not chosen:
            continue
        first = next(r for r in evaluation.results if r.model == name)
        labels = np.zeros(len(given.names), int)
        labels[first.index] = first.labels
        chosen = [int(first.index[i]) for i in chosen]
        pixels = given.pixels[name]
        inside, own = make_folder(folders[name]), file_names(prepared[name])
        known = {
            "jaxattr": jaxattr.__version__,
            "weights": identity(model),
            "chosen": [
                [int(given.places[i]), given.contents[name][i], int(labels[i])]
                for i in chosen
            ],
        }
        files = np.asarray([given.names[i] for i in chosen])

        def photographs() -> dict[str, ArrayLike]:
            small = [
                pictures.small_photograph(pixels(np.asarray([i]))[0], SIDE)
                for i in chosen
            ]
            return {"files": files, "photographs": np.stack(small)}

        _keep(inside / "photographs.npz", known, photographs)
        for label, (method, options) in prepared[name].items():

            def maps() -> dict[str, ArrayLike]:
                if progress:
                    progress.doing(f"maps for the report: {label} on {name}")
                explained = _explained(job, given, pixels, model, method, options)
                rows = [
                    pictures.small_map(values, SIDE)
                    for places in _batches(chosen, job.plan.size)
                    for values in explained(places, labels[places])
                ][: len(chosen)]
                small, limits = zip(*rows, strict=True)
                return {"files": files, "maps": np.stack(small), "limits": limits}

            about = {
                **known,
                **method_record(method, options),
                "key": key_data(job.plan.key),
                "batch_size": job.batch_size,
            }
            _keep(inside / f"maps.{own[label]}.npz", about, maps)


def report_folders(
    folder: pathlib.Path, models: Iterable[str]
) -> dict[str, pathlib.Path]:
    """Where the maps of each model are, models in the order of the run."""
    return {m: folder / FOLDER / name for m, name in file_names(models).items()}


def load_report_maps(
    inside: pathlib.Path, methods: Iterable[str]
) -> tuple[dict[str, ReportMap], list[str]]:
    """What was kept of a model: file to photograph and maps.

    Args:
      inside: see ``report_folders``.
      methods: in the order of the run.

    Returns:
      What there is, and a sentence for each file that cannot be read.
    """
    unread: list[str] = []

    def read(name: str) -> dict[str, np.ndarray]:
        try:
            return _arrays(inside / name)
        except FileNotFoundError:
            return {}
        except _DAMAGED as error:
            unread.append(f"{inside / name}: not maps of a report ({error})")
            return {}

    kept = read("photographs.npz")
    found = {
        str(file): ReportMap(photograph, {})
        for file, photograph in zip(
            kept.get("files", ()), kept.get("photographs", ()), strict=True
        )
    }
    for method, name in file_names(methods).items() if found else ():
        kept = read(f"maps.{name}.npz")
        columns = [kept.get(field, ()) for field in ("files", "maps", "limits")]
        for file, values, limit in zip(*columns, strict=True):
            if str(file) in found:
                found[str(file)].maps[method] = (values, float(limit))
    return found, unread


def ends(evaluation: Evaluation, model: str, count: int) -> list[int]:
    """Places of the images with the best and the worst scores.

    The first at either end by every method and metric, then the second, so that each has
    its turn before there are ``MOST``.

    Args:
      evaluation: what was scored.
      model: on which model.
      count: how many at either end.
    """
    orders = []
    for result in (r for r in evaluation.results if r.model == model):
        for metric, measured in zip(evaluation.metrics, result.measured, strict=True):
            scores = measured["score"]
            if metric.better:
                order = np.argsort(scores, kind="stable")
                order = order[np.isfinite(scores[order])]
                orders += [order, order[::-1]]
    turns = (int(order[i]) for i in range(count) for order in orders if i < len(order))
    return sorted(list(dict.fromkeys(turns))[:MOST])


_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        return {name: archive[name] for name in archive.files}


def _keep(
    path: pathlib.Path,
    made_from: Mapping[str, object],
    make: Callable[[], Mapping[str, ArrayLike]],
) -> None:
    """Writes arrays, unless they are there and of the same origin."""
    origin = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    with contextlib.suppress(*_DAMAGED):
        if str(_arrays(path)["made_from"]) == origin:
            return
    arrays = {"made_from": np.asarray(origin), **make()}
    with atomic_write(path) as file:
        write_arrays(file, arrays, compress=True)


def _batches(chosen: Sequence[int], size: int) -> Iterator[np.ndarray]:
    """As many at a time as were scored, the last batch filled up: no new program."""
    for first in range(0, len(chosen), size):
        places = np.asarray(chosen[first : first + size])
        yield np.pad(places, (0, size - len(places)), mode="edge")


def _explained(
    job: Job,
    given: ImageSet,
    pixels: Reader,
    model: LogitsFn,
    method: Method,
    options: Options,
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Places of images and their classes to maps, by the program that was scored."""
    static, arrays = programs.split_options(options)

    def explained(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
        own = jnp.asarray(given.places[places])
        keys = jax.vmap(jax.random.fold_in, (None, 0))(job.plan.key, own)
        maps = programs.attributions(
            *(as_argument(model), jnp.asarray(pixels(places))),
            *(jnp.asarray(labels, int), keys, arrays),
            explain=method.explain,
            static=static,
            batch_size=job.batch_size,
        )
        return np.asarray(maps)

    return explained
