"""Images from anything that has a length and gives an image and its label by number.

Data sets of Hugging Face ``datasets``, of TFDS (``tfds.data_source``, ArrayRecord) and
``grain.MapDataset`` are of that kind, and so is any class with these two methods.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from jaxattr._checks import check_integer, fail
from jaxattr.evaluation.runs import programs
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.image_sets import ImageSet
from jaxattr.evaluation.runs.models import Model, as_seen
from jaxattr.evaluation.runs.read_ahead import Workers, read_ahead
from jaxattr.evaluation.runs.readers import Reader
from jaxattr.photographs.labels import resolve_label
from jaxattr.typing import LogitsFn

GROUP = 64
"""Images that are looked at together, before work."""


@runtime_checkable
class Source(Protocol):
    """Images by number; asked in threads, or in processes if it can be pickled."""

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def __getitem__(self, index: int, /) -> object:
        """``(image, label)``, or a mapping with ``image`` and ``label``.

        An image is one of Pillow, or an array ``(H, W)`` or ``(H, W, C)``: of bytes,
        prepared as a photograph, or of floats in [0, 1], taken as it is. A label is a
        number or a name of a class.
        """
        ...


class _Sample(NamedTuple):
    image: object
    """As the source gives it."""
    label: object
    content: str
    """What is in the image, as a short text."""


def is_source(given: object) -> bool:
    """Whether it is a source, and neither arrays nor a mapping of them."""
    if isinstance(given, str | list | tuple | Mapping) or hasattr(given, "dtype"):
        return False
    return isinstance(given, Source)


def from_source(
    source: Source,
    models: Mapping[str, LogitsFn],
    *,
    max_images: int | None = None,
    workers: Workers = None,
) -> ImageSet:
    """Images of a source, looked at once now, and read again when they are asked for.

    Args:
      source: see ``Source``.
      models: with ``preprocess`` where images are bytes, and ``labels`` where labels are
        names.
      max_images: only the first so many.
      workers: who reads; see ``read_ahead``.

    Raises:
      ValueError: no image that can be read, or a class that a model does not have; its
        number is named.
    """
    count = len(source)
    if max_images is not None:
        count = min(count, check_integer("max_images", max_images))
    groups = [range(i, min(i + GROUP, count)) for i in range(0, count, GROUP)]
    places: list[int] = []
    contents: list[str] = []
    given: list[object] = []
    broken: list[str] = []
    look = functools.partial(_look, source)
    for group in read_ahead(look, groups, workers=workers):
        for sample in group:
            if isinstance(sample, ValueError):
                broken.append(str(sample))
            else:
                places.append(len(places) + len(broken))
                contents.append(sample.content)
                given.append(sample.label)
    if not places:
        first = f"; the first: {broken[0]}" if broken else ""
        raise ValueError(f"images: not one of {count} can be read{first}")

    known = dict(zip(places, contents))

    def reader(model: LogitsFn) -> Reader:
        def prepare(place: int, sample: _Sample) -> np.ndarray:
            if sample.content != known[place]:
                raise ValueError(f"image {place}: has changed since this run began")
            return _seen(model, sample.image, place)

        return Reader(places.__getitem__, functools.partial(_sample, source), prepare)

    pixels = {name: reader(model) for name, model in models.items()}
    labels = {}
    for name, model in models.items():
        classes = programs.num_classes(model, pixels[name](np.arange(1)).shape)
        names = getattr(model, "labels", None)
        labels[name] = np.array(
            [_class(y, names, classes, i) for i, y in zip(places, given)], int
        )
    return ImageSet(
        tuple(map(str, places)),
        np.array(places, int),
        dict.fromkeys(models, tuple(contents)),
        pixels,
        labels,
        {"count": count},
        tuple(broken),
    )


def _look(source: Source, index: int) -> _Sample:
    """One item without its image."""
    return _sample(source, index)._replace(image=None)


def _sample(source: Source, index: int) -> _Sample:
    """One item, whatever its form.

    Raises:
      ValueError: it cannot be read; the message names its number.
    """
    try:
        item = source[index]
        if isinstance(item, Mapping):
            image, label = item["image"], item["label"]
        else:
            image, label = cast(tuple[object, object], item)
        pixels = np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:
        # What a source raises on a damaged record is its own affair.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"image {index}: cannot be read ({reason})") from None
    if pixels.dtype.kind not in "uif" or pixels.ndim not in (2, 3):
        raise ValueError(
            f"image {index}: expected an image, got {type(image).__name__}"
        )
    return _Sample(image, label, digest(pixels))


def _seen(model: LogitsFn, image: object, index: int) -> np.ndarray:
    """An image as a model takes it, float32 ``(H, W, C)``."""
    from PIL import Image

    if not isinstance(image, Image.Image):
        pixels = np.asarray(image)
        if pixels.dtype.kind == "f":
            return np.asarray(pixels, np.float32)
        if pixels.dtype != np.uint8:
            what = "bytes, or floats in [0, 1]"
            raise fail(f"image {index}", what, pixels)
        squeezed = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
        image = Image.fromarray(squeezed)
    if not hasattr(model, "preprocess"):
        raise fail("models", "with preprocess, which photographs need", model)
    return as_seen(cast(Model, model), image.convert("RGB"))


def _class(label: object, names: Sequence[str] | None, classes: int, index: int) -> int:
    try:
        return resolve_label(str(label), names, classes)
    except ValueError as error:
        raise ValueError(f"image {index}: {error}") from None
