"""The images of ``evaluate``: arrays, a folder of photographs, or any source by number."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeAlias, cast

import numpy as np

from jaxattr._checks import fail
from jaxattr.evaluation.runs import image_sets
from jaxattr.evaluation.runs.image_sets import Arrays, ImageSet, PhotographFolder
from jaxattr.evaluation.runs.models import Model
from jaxattr.evaluation.runs.read_ahead import Workers
from jaxattr.evaluation.runs.sources import Source, from_source, is_source
from jaxattr.typing import LogitsFn

Images: TypeAlias = Arrays | Mapping[str, Arrays] | Source | None
Labels: TypeAlias = str | os.PathLike[str] | Arrays | Mapping[str, Arrays] | None


def open_images(
    images: Images,
    labels: Labels,
    folder: str | os.PathLike[str] | None,
    named: Mapping[str, LogitsFn],
    *,
    max_images: int | None,
    out: str | os.PathLike[str] | None,
    on_missing: str,
    workers: Workers,
) -> tuple[ImageSet | PhotographFolder, Mapping[str, tuple[int, ...]]]:
    """The images, of which none is read yet, and their shape for each model.

    Args:
      images: as in ``evaluate``.
      labels: as in ``evaluate``.
      folder: as in ``evaluate``; then there are no ``images``.
      named: name to model.
      max_images: as in ``evaluate``.
      out: where the list of a folder's photographs may be.
      on_missing: as in ``evaluate``.
      workers: as in ``evaluate``.

    Raises:
      ValueError: labels of another kind than the images ask for.
    """
    source: ImageSet | PhotographFolder
    if folder is not None:
        source = _open_folder(
            folder, named, labels, max_images=max_images, out=out, on_missing=on_missing
        )
        shapes = source.shapes
    elif is_source(images):
        if labels is not None:
            raise fail("labels", "none, a source has its own", labels)
        source = from_source(
            cast(Source, images), named, max_images=max_images, workers=workers
        )
        shapes = {n: read(np.arange(1)).shape for n, read in source.pixels.items()}
    elif isinstance(labels, str | os.PathLike):
        raise fail("labels", "integers (N,), one label an image", labels)
    else:
        assert images is not None
        given_arrays = cast(Arrays | Mapping[str, Arrays], images)
        source = image_sets.from_arrays(given_arrays, labels, named)
        shapes = {n: read(np.arange(1)).shape for n, read in source.pixels.items()}
    return source, shapes


def _open_folder(
    folder: str | os.PathLike[str],
    models: Mapping[str, LogitsFn],
    labels: object,
    *,
    max_images: int | None,
    out: str | os.PathLike[str] | None,
    on_missing: str,
) -> PhotographFolder:
    """The photographs of a folder, for models that can prepare them."""
    for name, model in models.items():
        if not hasattr(model, "preprocess"):
            what = "a model with preprocess, which a folder of photographs needs"
            raise fail(f"models[{name!r}]", what, model)
    if not isinstance(labels, str | os.PathLike | None):
        raise fail("labels", "the path of a table, for a folder", labels)
    return PhotographFolder(
        folder,
        cast(Mapping[str, Model], models),
        table=labels,
        max_images=max_images,
        out=out,
        on_missing=on_missing,
    )
