"""Photographs and a classifier to their nearest boundary points, figures and files."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxattr
from jaxattr import attributions, boundaries, plots
from jaxattr.boundaries.nearest import BoundaryPoint
from jaxattr.boundaries.search import as_members
from jaxattr.evaluation.runs import figures, programs
from jaxattr.evaluation.runs.files import atomic_write, make_folder, unique_stems
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.photographs.reading import read_photograph
from jaxattr.typing import Array

QUICK = ("deepfool", "ddn", "fab")
"""Members that come near the whole ensemble at a quarter of its passes."""


class BoundaryRow(NamedTuple):
    """One line of the table."""

    photograph: str
    label: str
    behind: str
    """The class on the other side; empty where no boundary was found."""
    distance: float
    """Euclidean, in pixel units."""
    largest: float
    """The largest change of a value, in pixel units."""
    member: str
    """Who found the point."""
    seconds: float
    """To search and to explain, compilation apart."""
    file: pathlib.Path
    """The ``.npz`` with the point and the maps."""


class BoundaryReport(NamedTuple):
    """What came of a job."""

    rows: tuple[BoundaryRow, ...]
    broken: tuple[str, ...]
    """One line for each photograph that could not be read: which, and why."""
    not_found: tuple[str, ...]
    """The photographs for which no boundary was found."""
    figures: tuple[pathlib.Path, ...]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows for ``format_table``."""
        header = ["photograph", "class", "class behind", "distance", "largest change"]
        rows = [
            [
                row.photograph,
                row.label,
                row.behind or "none found",
                f"{row.distance:.3f}",
                f"{255 * row.largest:.2f}/255",
                row.member or "-",
                f"{row.seconds:.1f}",
            ]
            for row in self.rows
        ]
        return [*header, "found by", "seconds"], rows


def draw_boundaries(
    paths: Iterable[str | os.PathLike[str]],
    classifier: Any,
    *,
    out: str | os.PathLike[str],
    search: Sequence[str] = QUICK,
    seed: int = 0,
    batch_size: int = 8,
    num_steps: int = 50,
    progress: Progress | None = None,
) -> BoundaryReport:
    """Finds and draws the nearest boundary of photographs, one after the other.

    Args:
      paths: photograph files.
      classifier: a model of ``jaxattr.models``.
      out: the folder for ``STEM.boundary.npz`` and ``STEM.boundary.png``.
      search: names of members of the search.
      seed: of ``jax.random.key``; every photograph has the same.
      batch_size: the most model rows in one call.
      num_steps: of BIG.
      progress: whom to tell; by default nobody.

    Returns:
      A ``BoundaryReport``, which names what could not be read or found.

    Raises:
      ValueError: an unknown member, or not one photograph that could be read.
      OSError: ``out`` cannot be written.
    """
    files = [pathlib.Path(path) for path in paths]
    members = as_members(tuple(search))
    figures.need_matplotlib()
    folder = make_folder(out)
    key = jax.random.key(seed)
    rows: list[BoundaryRow] = []
    broken: list[str] = []
    drawn: list[pathlib.Path] = []
    for path, stem in zip(files, unique_stems(files), strict=True):
        try:
            seen = classifier.preprocess(read_photograph(path))
        except ValueError as error:
            broken.append(str(error))
            continue
        if progress:
            progress.doing(path.name)
        image = jnp.asarray(np.asarray(seen), jnp.float32)[None]
        given = (classifier, image, key)
        static = {"members": members, "batch_size": batch_size, "steps": num_steps}
        results, seconds = programs.timed(_boundary_and_maps, *given, **static)
        raw = folder / f"{stem}.boundary.npz"
        fields = _fields(path, classifier, image, results, members)
        with atomic_write(raw) as file:
            np.savez_compressed(file, **fields)
        drawn.append(folder / f"{stem}.boundary.png")
        _draw(drawn[-1], fields)
        rows.append(_row(path, raw, fields, seconds))
        if progress:
            progress.finished(f"{path.name}, {seconds:.1f} s")
    if not rows:
        several = f"none of {len(files)} photographs could be read; the first: "
        raise ValueError((several if len(files) > 1 else "") + broken[0])
    not_found = tuple(row.photograph for row in rows if not row.behind)
    return BoundaryReport(tuple(rows), tuple(broken), not_found, tuple(drawn))


@functools.partial(jax.jit, static_argnames=("members", "batch_size", "steps"))
def _boundary_and_maps(
    classifier: Any,
    images: Array,
    key: Array,
    *,
    members: tuple[boundaries.Member, ...],
    batch_size: int,
    steps: int,
) -> tuple[BoundaryPoint, Array, Array, Array]:
    """The point, the class predicted, BSM and BIG."""
    labels = jnp.argmax(classifier(images), axis=-1)
    boundary = boundaries.nearest_boundary(
        classifier, images, labels, key=key, search=members, batch_size=batch_size
    )
    given = (classifier, images, labels)
    options: dict[str, Any] = {"search": boundary, "batch_size": batch_size}
    bsm = attributions.bsm(*given, **options)
    big = attributions.big(*given, **options, num_steps=steps)
    return boundary, labels, bsm, big


def _fields(
    path: pathlib.Path, classifier: Any, image: Array, results: Any, members: Any
) -> dict[str, Any]:
    """What the ``.npz`` holds."""
    boundary, labels, bsm, big = jax.tree.map(lambda x: np.asarray(x)[0], results)
    name = lambda label: (
        classifier.labels[label] if classifier.labels else f"class {label}"
    )
    found = bool(boundary.found)
    return {
        "photograph": str(path),
        "model": classifier.name,
        "image": np.asarray(image)[0],
        "point": boundary.points,
        "distance": float(boundary.distances),
        "found": found,
        "label": int(labels),
        "label_name": name(int(labels)),
        "behind": int(boundary.labels),
        "behind_name": name(int(boundary.labels)) if found else "",
        "member": members[int(boundary.members)].name if found else "",
        "search": [member.name for member in members],
        "bsm": bsm,
        "big": big,
        "version": jaxattr.__version__,
    }


def _row(
    path: pathlib.Path, raw: pathlib.Path, fields: dict[str, Any], seconds: float
) -> BoundaryRow:
    return BoundaryRow(
        photograph=path.name,
        label=fields["label_name"],
        behind=fields["behind_name"],
        distance=fields["distance"],
        largest=float(np.abs(fields["point"] - fields["image"]).max()),
        member=fields["member"],
        seconds=seconds,
        file=raw,
    )


def _draw(path: pathlib.Path, fields: dict[str, Any]) -> None:
    with figures.one_figure(path, (9.5, 2.5)) as figure:
        plots.boundary_row(
            fields["image"],
            fields["point"],
            {"BSM": fields["bsm"], "BIG": fields["big"]},
            figure.subplots(1, 5),
            captions=(fields["label_name"], fields["behind_name"]),
            distance=fields["distance"],
        )
