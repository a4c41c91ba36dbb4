"""Images with names and classes, as arrays or as a folder that is read bit by bit."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxattr._checks import (
    check_choice,
    check_images,
    check_inputs,
    check_integer,
    fail,
)
from jaxattr._locations import as_path
from jaxattr.evaluation.runs import manifest, programs
from jaxattr.evaluation.runs.digests import digest
from jaxattr.evaluation.runs.models import Model, as_argument, as_seen
from jaxattr.evaluation.runs.readers import Reader, of_array
from jaxattr.photographs.reading import (
    list_photographs,
    read_bytes,
    read_photograph,
)
from jaxattr.photographs.sets import Labelled, labelled_photographs, resolve_labels
from jaxattr.typing import Array, LogitsFn

if TYPE_CHECKING:
    from PIL import Image

Arrays = ArrayLike | Array

ON_MISSING = ("skip", "stop")
"""What becomes of a photograph that was there when the run began, and is gone."""


class Gone(ValueError):
    """A photograph that was there when the run began."""


class ImageSet(NamedTuple):
    """What is explained; models may take the same image in different sizes."""

    names: tuple[str, ...]
    """One an image."""
    places: np.ndarray
    """``(N,)``, growing: the place of each in the whole set, which no call changes."""
    contents: Mapping[str, tuple[str, ...]]
    """Name of a model to what is in each image, as a short text."""
    pixels: Mapping[str, Reader]
    """Name of a model to a reader; it raises ``Gone`` where a photograph is."""
    labels: Mapping[str, np.ndarray]
    """Name of a model to classes ``(N,)``."""
    record: dict[str, object]
    """What tells this set from others, as JSON takes it, where it does not grow."""
    broken: tuple[str, ...] = ()
    """One line for each photograph that cannot be read: which, and why."""
    on_missing: str = "skip"
    """One of ``ON_MISSING``."""

    def gone_lines(self, images: Sequence[int]) -> list[str]:
        """A line for each image that is gone."""
        lines = [f"{self.names[i]}: is gone since the run began" for i in images]
        return list(dict.fromkeys(lines))

    def before(self, place: int) -> ImageSet:
        """The images of the first places."""
        n = int(np.searchsorted(self.places, place))
        return self._replace(
            names=self.names[:n],
            places=self.places[:n],
            contents={name: values[:n] for name, values in self.contents.items()},
            labels={name: values[:n] for name, values in self.labels.items()},
        )

    def ids(self, model: str) -> np.ndarray:
        """``(N,)`` bytes: all that tells each image from others in its place."""
        rows = zip(self.places, self.contents[model], self.labels[model], strict=True)
        texts = (
            f"{place} {content} {label}".encode() for place, content, label in rows
        )
        return np.array([hashlib.sha256(t).hexdigest()[:16] for t in texts], "S16")


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
    pixels, classes, contents = {}, {}, {}
    known: dict[int, tuple[str, ...]] = {}
    for name in models:
        given = images[name] if isinstance(images, Mapping) else images
        of_model = labels[name] if isinstance(labels, Mapping) else labels
        if of_model is None:
            raise fail("labels", "integers (N,), one label an image", of_model)
        checked, classes[name] = map(
            np.asarray, check_inputs(check_images(given), of_model)
        )
        pixels[name] = of_array(checked)
        if id(given) not in known:
            known[id(given)] = tuple(digest(image) for image in checked)
        contents[name] = known[id(given)]
    counts = {name: len(values) for name, values in classes.items()}
    if len(set(counts.values())) > 1:
        raise fail("images", "as many for every model", counts)
    count = next(iter(counts.values()))
    names = tuple(str(i) for i in range(count))
    record = {"count": count, "images": digest(images), "labels": digest(labels)}
    return ImageSet(names, np.arange(count), contents, pixels, classes, record)


class PhotographFolder:
    """Labelled photographs of a folder; nothing is read when it is made.

    Args:
      folder: see ``labelled_photographs``.
      models: with ``labels`` and ``preprocess``.
      table: of labels; see ``labelled_photographs``.
      max_images: only the first so many.
      out: where results go; it is no class. Photographs that results are there of keep
        their places.
      on_missing: what becomes of photographs that are gone; see ``ON_MISSING``.
      labelled: whether they have labels; the class of those that have none is 0.

    Raises:
      ValueError: no photographs, no labels, a bad table, or a class that a model does
        not have; a photograph that is gone, where that stops the run.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        models: Mapping[str, Model],
        *,
        table: str | os.PathLike[str] | None = None,
        max_images: int | None = None,
        out: str | os.PathLike[str] | None = None,
        on_missing: str = "skip",
        labelled: bool = True,
    ) -> None:
        check_choice("on_missing", on_missing, ON_MISSING)
        self._root, self._models = as_path(folder), models
        self._most = None
        if max_images is not None:
            self._most = check_integer("max_images", max_images)
        self._on_missing = on_missing
        results = None if out is None else as_path(out, shared=True)
        known, self._number = manifest.load(results)
        self._known = known
        self._labelled = labelled
        if labelled:
            listed = labelled_photographs(folder, table, out=out, known=known)
        else:
            listed = [Labelled(path, "") for path in list_photographs(folder)]
        name = lambda p: p.path.relative_to(self._root).as_posix()
        self._listed = {name(photograph): photograph.label for photograph in listed}
        self._new: list[manifest.Entry] = []
        self._in_order()
        self.shapes = {n: (1, *seen.shape) for n, seen in self._probes().items()}
        """Name of a model to the shape of one image as it takes it, ``(1, H, W, C)``."""
        self._classes()

    def __len__(self) -> int:
        return len(self._asked)

    def _probes(self) -> dict[str, np.ndarray]:
        return {name: as_seen(model, _probe()) for name, model in self._models.items()}

    def _in_order(self) -> None:
        """Those that are asked for, the known ones first, and those that are gone."""
        names = [f for f, entry in self._known.items() if entry.digest]
        unlisted = (f for f in names if f not in self._listed)
        self._gone = [f for f in unlisted if not (self._root / f).exists()]
        asked = dict.fromkeys([*names, *self._known, *self._listed])
        there = [f for f in asked if f in self._listed]
        self._asked = {f: self._listed[f] for f in there[: self._most]}
        if self._gone and self._on_missing == "stop":
            raise ValueError(
                f"{self._root / self._gone[0]}: is gone since the run began"
            )

    def _classes(self) -> dict[str, list[int]]:
        """The class of each photograph that is asked for, by name of a model."""
        if not self._labelled:
            return {name: [0] * len(self._asked) for name in self._models}
        asked = [Labelled(self._root / f, label) for f, label in self._asked.items()]
        found = {}
        for name, model in self._models.items():
            classes = programs.num_classes(as_argument(model), self.shapes[name])
            names = getattr(model, "labels", None)
            found[name] = resolve_labels(asked, names, classes)
        return found

    def examine(self) -> None:
        """Looks at the photographs; reads those that are new.

        Raises:
          ValueError: not one can be read, or one is not what it was.
        """
        self._new = manifest.examine(self._known, self._root, self._asked)
        entries = [*self._known.values(), *self._new]
        if not any(entry.digest and entry.file in self._asked for entry in entries):
            errors = [entry.error for entry in entries if entry.error]
            first = f"; the first: {errors[0]}" if errors else ""
            raise ValueError(f"{self._root}: no photograph can be read{first}")

    def image_set(self, out: pathlib.Path | None) -> ImageSet:
        """The photographs, read and prepared when they are asked for.

        Args:
          out: a folder that is there, where the manifest is kept; None for nowhere.

        Raises:
          ValueError: as ``examine`` does.
          OSError: the manifest cannot be written.
        """
        while self._new:
            if out is None or manifest.extend(out, self._number, self._new):
                self._known = manifest.merged(self._known, self._new)
                self._new = []
            else:
                # Another process was first.
                self._known, self._number = manifest.load(out)
                self._in_order()
                self.examine()
        return self._of(self._known)

    def _of(self, known: manifest.Manifest) -> ImageSet:
        places = manifest.with_places(known)
        good = [file for file in places if file in self._asked]
        classes = self._classes()
        rank = {file: i for i, file in enumerate(self._asked)}
        paths = [self._root / file for file in good]
        entries = [known[file] for file in good]

        def reader(model: Model) -> Reader:
            item = lambda i: (paths[i], entries[i])
            return Reader(item, _read, lambda _, image: as_seen(model, image))

        bad = [known[f].error for f in self._asked if f in known and known[f].error]
        gone = [f"{self._root / f}: is gone since the run began" for f in self._gone]
        contents = tuple(entry.digest for entry in entries)
        probes = self._probes()
        seen = {name: digest(image) for name, image in probes.items()}
        return ImageSet(
            tuple(good),
            np.array([places[file] for file in good], int),
            {n: tuple(f"{c} {seen[n]}" for c in contents) for n in self._models},
            {name: reader(model) for name, model in self._models.items()},
            {
                name: np.array([found[rank[file]] for file in good], int)
                for name, found in classes.items()
            },
            {},
            (*bad, *gone),
            self._on_missing,
        )


def _read(item: tuple[pathlib.Path, manifest.Entry]) -> Image.Image:
    path, entry = item
    if not path.exists():
        raise Gone(f"{path}: is gone since the run began")
    data = read_bytes(path)
    manifest.check_unchanged(path, entry, data)
    return read_photograph(path, data)


def _probe() -> Image.Image:
    """An image that tells two ways to prepare photographs apart."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (97, 131, 3))
    return Image.fromarray(pixels.astype(np.uint8))
