"""Photographs and a classifier to their nearest boundary points, figures and files."""

from __future__ import annotations

import functools
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

import jaxattr
from jaxattr import attributions, boundaries
from jaxattr.boundaries import diagnosis
from jaxattr.boundaries.member import Member
from jaxattr.boundaries.nearest import BoundaryPoint
from jaxattr.boundaries.search import as_members
from jaxattr.evaluation.boundary import outputs
from jaxattr.evaluation.boundary.outputs import NOT_FOUND, Boundary, BoundaryReport
from jaxattr.evaluation.runs import figures, programs
from jaxattr.evaluation.runs.devices import Devices
from jaxattr.evaluation.runs.digests import digest, file_digest, identify, key_data
from jaxattr.evaluation.runs.figures import DEFAULT, FigureFiles
from jaxattr.evaluation.runs.files import atomic_write
from jaxattr.evaluation.runs.models import Model, identity, label_name
from jaxattr.evaluation.runs.parts import write_arrays
from jaxattr.evaluation.runs.photographs import Photograph, Photographs, ResultFiles
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.read_ahead import Workers
from jaxattr.evaluation.runs.run_record import Run
from jaxattr.evaluation.runs.shards import WHOLE, Shard
from jaxattr.typing import Array, LogitsFn


def draw_boundaries(
    paths: Iterable[str | os.PathLike[str]],
    classifier: Model,
    *,
    out: str | os.PathLike[str],
    search: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int = 8,
    num_steps: int = 50,
    mesh: Mesh | None = None,
    workers: Workers = None,
    shard: Shard = WHOLE,
    figure_files: FigureFiles = DEFAULT,
    run: Run | None = None,
    progress: Progress | None = None,
) -> BoundaryReport:
    """Finds and draws the nearest boundary of photographs, as many at once as devices.

    Killed at any moment and called again with the same arguments it goes on where it
    was; files that other arguments, weights or pixels made are written anew.

    Args:
      paths: photograph files.
      classifier: a model of ``jaxattr.models``.
      out: the folder for ``STEM.boundary.npz``, ``STEM.boundary.png``, and the folder
        ``parts``, which says from what they were made.
      search: names of members of the search; by default all, as ``nearest_boundary``.
      seed: of ``jax.random.key``; every photograph has the same.
      batch_size: the most model rows in one call of one device.
      num_steps: of BIG.
      mesh: each of its devices takes a photograph; by default one device. It decides no
        number.
      workers: who reads photographs while the devices compute: a number of threads, by
        default one a core and at most 16, or ``"processes:N"``.
      shard: only this share of the photographs; files are those of a run of all.
      figure_files: formats, resolution and colours of the figures.
      run: the command, for ``run.json``.
      progress: where each photograph is reported; None for nowhere.

    Returns:
      A ``BoundaryReport``, which names what could not be read or found.

    Raises:
      ValueError: an unknown member, or not one photograph that could be read.
      OSError: ``out`` cannot be written.
    """
    members = as_members(None if search is None else tuple(search))
    figures.need_matplotlib()
    job = _Job(
        *(classifier, members, jax.random.key(seed), batch_size, num_steps),
        Devices(mesh),
    )
    photographs = Photographs(paths, classifier, out, workers=workers, shard=shard)
    photographs.check_one_can_be_read()
    files = ResultFiles(out, job.record(), progress, run)
    rows: list[outputs.BoundaryRow] = []
    drawn: list[pathlib.Path] = []
    not_found: list[str] = []
    for photograph, search_for in _searches(job, photographs):
        # The point and its maps.
        raw = files.folder / f"{photograph.stem}.boundary.npz"
        facts = files.write(
            f"{photograph.stem} boundary",
            {"photograph": str(photograph.path), "pixels": photograph.pixels},
            [raw],
            lambda: {"seconds": _write(job, photograph, search_for(), raw)},
            label=photograph.path.name,
        )
        boundary = load_boundary(raw)
        rows.append(outputs.table_row(boundary, float(facts["seconds"]), raw))
        if not boundary.found:
            name = photograph.path.name
            missing = f"{NOT_FOUND}, its maps are NaN: {boundary.missing}"
            not_found.append(f"{name}: {missing}")

        # The figure.
        drawing = raw.with_suffix(".png")
        made = figure_files.paths(drawing)
        drawn += made
        files.write(
            f"{photograph.stem} boundary figure",
            {"boundary": file_digest(raw), "figures": figure_files._asdict()},
            made,
            lambda: outputs.draw(drawing, boundary, figure_files),
        )
    return BoundaryReport(
        tuple(rows), tuple(photographs.broken), tuple(not_found), tuple(drawn)
    )


def load_boundary(path: str | os.PathLike[str]) -> Boundary:
    """Reads ``STEM.boundary.npz``."""
    with np.load(path, allow_pickle=False) as archive:
        fields = {name: archive[name] for name in Boundary._fields}
    plain = {k: v.item() if not v.ndim else v for k, v in fields.items()}
    return Boundary(
        **plain | {name: plain[name].tolist() for name in ("search", "tried")}
    )


class _Job(NamedTuple):
    """What the photographs of a job have in common."""

    model: Model
    members: tuple[Member, ...]
    key: Array
    batch_size: int
    num_steps: int
    devices: Devices

    def record(self) -> dict[str, object]:
        """All that decides every file, as JSON takes it."""
        return {
            "model": [self.model.name, identity(self.model)],
            "labels": digest(np.asarray(self.model.labels or ())),
            "search": identify(self.members),
            "key": key_data(self.key),
            "batch_size": self.batch_size,
            "num_steps": self.num_steps,
        }


class _Found(NamedTuple):
    """What is found of one photograph, as arrays without an axis of images."""

    point: BoundaryPoint
    label: np.ndarray
    bsm: np.ndarray
    big: np.ndarray
    seconds: float


def _searches(
    job: _Job, photographs: Iterable[Photograph]
) -> Iterator[tuple[Photograph, Callable[[], _Found]]]:
    """Each photograph with its search: one search, if any, for as many as devices."""
    left = iter(photographs)
    while group := tuple(itertools.islice(left, job.devices.count)):
        search = functools.cache(functools.partial(_search, job, group))
        for i, photograph in enumerate(group):
            yield photograph, lambda: search()[i]


def _search(job: _Job, group: Sequence[Photograph]) -> list[_Found]:
    """Of each photograph; each device has one, as if it were alone."""
    images = np.concatenate([np.asarray(photograph.image) for photograph in group])
    found, seconds = programs.timed(
        job.devices.program(_boundary_and_maps, ("whole", "images", "whole")),
        *(job.devices.whole(job.model), job.devices.rows(images)),
        job.devices.whole(job.key),
        members=job.members,
        batch_size=job.batch_size,
        steps=job.num_steps,
    )
    each = []
    for i in range(len(group)):
        point, label, bsm, big = jax.tree.map(lambda x: np.asarray(x)[i], found)
        each.append(_Found(point, label, bsm, big, seconds / len(group)))
    return each


def _write(
    job: _Job, photograph: Photograph, found: _Found, file: pathlib.Path
) -> float:
    """Writes the boundary point of one photograph and its maps; the seconds."""
    point, label, bsm, big, seconds = found
    is_found = bool(point.found)
    boundary = Boundary(
        photograph=str(photograph.path),
        model=job.model.name,
        image=np.asarray(photograph.image)[0],
        point=np.asarray(point.points),
        distance=float(point.distances),
        found=is_found,
        label=int(label),
        label_name=label_name(job.model, int(label)),
        behind=int(point.labels),
        behind_name=label_name(job.model, int(point.labels)) if is_found else "",
        member=job.members[int(point.members)].name if is_found else "",
        search=[member.name for member in job.members],
        bsm=bsm,
        big=big,
        version=jaxattr.__version__,
        tried=diagnosis.budgets(job.members),
        reason="" if is_found else diagnosis.diagnose(job.model, photograph.image),
    )
    with atomic_write(file) as stream:
        write_arrays(stream, boundary._asdict(), compress=True)
    return seconds


@functools.partial(jax.jit, static_argnames=("members", "batch_size", "steps"))
def _boundary_and_maps(
    classifier: LogitsFn,
    images: Array,
    key: Array,
    *,
    members: tuple[Member, ...],
    batch_size: int,
    steps: int,
) -> tuple[BoundaryPoint, Array, Array, Array]:
    """The point, the class predicted, BSM and BIG."""
    labels = jnp.argmax(classifier(images), axis=-1)
    point = boundaries.nearest_boundary(
        classifier, images, labels, key=key, search=members, batch_size=batch_size
    )
    given = (classifier, images, labels)
    bsm = attributions.bsm(*given, search=point, batch_size=batch_size)
    big = attributions.big(*given, search=point, batch_size=batch_size, num_steps=steps)
    return point, labels, bsm, big
