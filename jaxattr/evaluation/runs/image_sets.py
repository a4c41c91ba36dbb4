"""Images with names and classes, as arrays or as a folder that is read bit by bit."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxattr._checks import check_images, check_inputs, check_integer, fail
from jaxattr.evaluation.runs import programs
from jaxattr.evaluation.runs.digests import digest, file_digest
from jaxattr.evaluation.runs.models import Model, as_seen
from jaxattr.evaluation.runs.settings import UNKNOWN
from jaxattr.photographs.reading import read_photograph
from jaxattr.photographs.sets import Labelled, labelled_photographs, resolve_labels
from jaxattr.typing import Array, LogitsFn

Arrays = ArrayLike | Array


class ImageSet(NamedTuple):
    """What is explained; models may take the same image in different sizes."""

    names: tuple[str, ...]
    """One an image."""
    pixels: Mapping[str, Callable[[np.ndarray], np.ndarray]]
    """Name of a model to a reader: places ``(n,)`` to images ``(n, H, W, C)``."""
    labels: Mapping[str, np.ndarray]
    """Name of a model to classes ``(N,)``."""
    record: dict[str, object]
    """What tells this set from others, as JSON takes it; of a file that cannot be read
    it is not known."""
    broken: tuple[str, ...] = ()
    """One line for each photograph that could not be read: which, and why."""


def from_arrays(
    images: Arrays | Mapping[str, Arrays],
    labels: Arrays | Mapping[str, Arrays] | None,
    models: Mapping[str, LogitsFn],
) -> ImageSet:
    """Images and labels as they are, checked.

    Args:
      images: float ``(N, H, W, C)``, or a mapping from models' names to them.
      labels: integers ``(N,)``, or a mapping.
      models: name to model.

    Raises:
      ValueError: shapes that do not fit, or that differ in N.
    """
    pixels, classes = {}, {}
    for name in models:
        given = images[name] if isinstance(images, Mapping) else images
        known = labels[name] if isinstance(labels, Mapping) else labels
        if known is None:
            raise fail("labels", "integers (N,), one label an image", known)
        checked, classes[name] = map(
            np.asarray, check_inputs(check_images(given), known)
        )
        pixels[name] = checked.__getitem__
    counts = {name: len(values) for name, values in classes.items()}
    if len(set(counts.values())) > 1:
        raise fail("images", "as many for every model", counts)
    count = next(iter(counts.values()))
    record = {"count": count, "images": digest(images), "labels": digest(labels)}
    return ImageSet(tuple(str(i) for i in range(count)), pixels, classes, record)


def from_folder(
    folder: str | os.PathLike[str],
    models: Mapping[str, Model],
    *,
    table: str | os.PathLike[str] | None = None,
    max_images: int | None = None,
    out: str | os.PathLike[str] | None = None,
) -> ImageSet:
    """Labelled photographs, read and prepared when they are asked for.

    Args:
      folder: see ``labelled_photographs``.
      models: with ``labels`` and ``preprocess``.
      table: of labels; see ``labelled_photographs``.
      max_images: only the first so many.
      out: where results go; it is no class.

    Raises:
      ValueError: no photographs, no labels, a bad table, a class that a model does not
        have, or not one photograph that can be read.
    """
    photographs = labelled_photographs(folder, table, out=out)
    if max_images is not None:
        photographs = photographs[: check_integer("max_images", max_images)]
    # Before hours of work: a file that cannot be decoded is known at once.
    good: list[Labelled] = []
    broken: list[str] = []
    contents: dict[str, str] = {}
    root = pathlib.Path(folder)
    names = {p.path: p.path.relative_to(root).as_posix() for p in photographs}
    for photograph in photographs:
        # Mended and started again, those that cannot be read are only what is missing.
        contents[names[photograph.path]] = UNKNOWN
        try:
            read_photograph(photograph.path)
            contents[names[photograph.path]] = file_digest(photograph.path)
            good.append(photograph)
        except ValueError as error:
            broken.append(str(error))
    if not good:
        raise ValueError(f"{folder}: no photograph can be read; the first: {broken[0]}")
    pixels, labels = {}, {}
    for name, model in models.items():

        def read(index: np.ndarray, model: Model = model) -> np.ndarray:
            paths = [good[i].path for i in index]
            return np.stack([as_seen(model, read_photograph(path)) for path in paths])

        pixels[name] = read
        classes = programs.num_classes(model, read(np.arange(1)).shape)
        found = resolve_labels(good, getattr(model, "labels", None), classes)
        labels[name] = np.asarray(found, int)
    record = {
        "count": len(photographs),
        "files": contents,
        "labels": {names[p.path]: p.label for p in photographs},
    }
    return ImageSet(
        tuple(names[p.path] for p in good), pixels, labels, record, tuple(broken)
    )
