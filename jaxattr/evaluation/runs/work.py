"""The one loop of jobs over a set of images: computes what is not there, and keeps it."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from jaxattr.evaluation.runs.batches import Batch, batches, chunks
from jaxattr.evaluation.runs.image_sets import Gone, ImageSet
from jaxattr.evaluation.runs.progress import Progress
from jaxattr.evaluation.runs.read_ahead import Workers, images_ahead
from jaxattr.evaluation.runs.rows import Found, Rows
from jaxattr.evaluation.runs.shards import WHOLE, Shard
from jaxattr.typing import Array

IMAGES_PER_PART = 256
"""In one file of results."""
SECONDS_PER_PART = 300.0
"""After so long what there is gets a file of its own, so that a process that is killed
has not worked for nothing."""

Part = dict[str, np.ndarray]
"""``COLUMN.FIELD`` to rows."""


class Compute(Protocol):
    """Makes rows of a table."""

    def __call__(
        self, columns: Sequence[str], work: Work
    ) -> Mapping[str, ArrayLike | Array]:
        """Columns that are missing and a batch, to ``COLUMN.FIELD (size, ...)``."""
        ...


class Task(NamedTuple):
    """One table that a job wants to have, for all images."""

    label: str
    rows: Rows
    columns: tuple[str, ...]
    compute: Compute
    counts: bool = True
    """Whether it is an item of the progress."""


class Work(NamedTuple):
    """A batch with its pixels."""

    batch: Batch
    pixels: np.ndarray
    """``(size, H, W, C)``."""
    labels: np.ndarray
    """``(size,)``: the classes given."""
    keys: Array
    """``(size,)``."""
    results: dict[str, Part]
    """Label of a task before this one to what it has of the batch, ``(size, ...)``."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the images of a set are gone through."""

    size: int
    """Of a batch."""
    key: Array
    images_per_part: int = IMAGES_PER_PART
    shard: Shard = WHOLE
    workers: Workers = None
    """Who reads images ahead of the devices; see ``read_ahead``."""


class _Pending:
    """What is made of one table and chunk, and not kept yet."""

    def __init__(self, task: Task, places: np.ndarray, ids: np.ndarray) -> None:
        self.task = task
        found = task.rows.there(places, ids)
        self.missing = {c: found.missing(c, len(places)) for c in task.columns}
        self.lacking = np.any([*self.missing.values()], axis=0)
        self.left = int(self.lacking.sum())
        self._places, self._ids = places, ids
        self._made: list[tuple[np.ndarray, Part]] = []
        self._since = math.inf

    @functools.cached_property
    def found(self) -> Found:
        """What is known of all of them: read when some are to be computed."""
        return self.task.rows.find(self._places, self._ids)

    def columns(self, where: np.ndarray) -> tuple[str, ...]:
        """Which columns some of these rows lack."""
        return tuple(c for c, missing in self.missing.items() if missing[where].any())

    def add(self, where: np.ndarray, part: Part) -> None:
        """Keeps rows in memory, or all of them in a file when it is time to."""
        if self._made and self._made[-1][1].keys() != part.keys():
            self.write()
        if not self._made:
            self._since = time.monotonic()
        self._made.append((where, part))
        self.left -= int(self.lacking[where].sum())
        if self.left <= 0 or time.monotonic() - self._since > SECONDS_PER_PART:
            self.write()

    def drop(self, where: np.ndarray) -> None:
        """These rows will not come."""
        if not len(where):
            return
        self.left -= int(self.lacking[where].sum())
        if self.left <= 0:
            self.write()

    def write(self) -> None:
        """A file of what is in memory."""
        if self._made:
            where = np.concatenate([rows for rows, _ in self._made])
            fields = self._made[0][1]
            part = {f: np.concatenate([p[f] for _, p in self._made]) for f in fields}
            self.task.rows.add(self._places[where], self._ids[where], part)
        self._made = []


@dataclasses.dataclass(frozen=True, eq=False)
class _Chunk:
    """Images that are kept together, with what is missing of them."""

    index: np.ndarray
    pending: list[_Pending]


def fill(
    given: ImageSet,
    model: str,
    tasks: Sequence[Task],
    plan: Plan,
    progress: Progress | None = None,
    gone: list[int] | None = None,
) -> Iterator[tuple[Batch, dict[str, Part]]]:
    """Computes and keeps what tables lack, a batch of images after the other.

    Args:
      given: the images.
      model: the name of the model.
      tasks: the tables; one may look at the results of those before it.
      plan: how the images are gone through.
      progress: where it is reported, an item an image and task that counts.
      gone: gets the images that are not there any more and are skipped.

    Yields:
      Each batch that was computed, and of each task ``COLUMN.FIELD (size, ...)``.

    Raises:
      ValueError: a photograph that has changed, or is gone where that stops the run.
      OSError: results cannot be written.
    """
    ids = given.ids(model)

    def chunks_of_shard() -> Iterator[_Chunk]:
        for index in chunks(given.places, plan.size, plan.images_per_part, plan.shard):
            places = given.places[index]
            yield _Chunk(index, [_Pending(task, places, ids[index]) for task in tasks])

    def needed() -> Iterator[tuple[_Chunk, Batch]]:
        for chunk in chunks_of_shard():
            lacking = np.any([pending.lacking for pending in chunk.pending], axis=0)
            if progress:
                for pending in chunk.pending:
                    done = len(chunk.index) - pending.left
                    if done and pending.task.counts:
                        _tell(progress, given, pending.task, chunk.index, done)
            for batch in batches(chunk.index[lacking], given.places, plan.size):
                yield chunk, batch

    begun: list[_Pending] = []
    try:
        for chunk, batch, pixels, skipped in _read(
            *(given, model, needed()), plan.workers
        ):
            begun = chunk.pending
            places = chunk.index

            def where_of(index: np.ndarray, places: np.ndarray = places) -> np.ndarray:
                return np.asarray(np.searchsorted(places, index))

            if gone is not None:
                gone += skipped.tolist()
            for pending in chunk.pending:
                pending.drop(where_of(skipped))
            if not len(batch.index):
                continue
            labels = batch.filled(given.labels[model][batch.index])
            results: dict[str, Part] = {}
            work = Work(batch, pixels, labels, batch.keys(plan.key), results)
            where = where_of(batch.index)
            for pending in chunk.pending:
                task = pending.task
                columns = pending.columns(where)
                if progress:
                    progress.doing(task.label)
                part = _stored(pending.found, where, batch)
                if columns:
                    made = task.compute(columns, work)
                    part |= {field: np.asarray(rows) for field, rows in made.items()}
                    own = {f: part[f][batch.rows] for f in made}
                    lacking = pending.lacking[where]
                    pending.add(where[lacking], {f: r[lacking] for f, r in own.items()})
                    if progress and task.counts:
                        _tell(
                            *(progress, given, task, batch.index, int(lacking.sum())),
                            found=False,
                        )
                results[task.label] = part
            yield batch, results
    finally:
        # Stopped on the way, what was made is kept.
        for pending in begun:
            pending.write()


def _tell(
    progress: Progress,
    given: ImageSet,
    task: Task,
    index: np.ndarray,
    items: int,
    *,
    found: bool = True,
) -> None:
    label = f"{task.label} {int(index[-1]) + 1}/{len(given.names)}"
    progress.finished(label, items, found=found)


def _stored(found: Found, where: np.ndarray, batch: Batch) -> Part:
    """What was there of a batch, as ``(size, ...)``."""
    return {f: batch.filled(rows[where]) for f, rows in found.values.items()}


def _read(
    given: ImageSet,
    model: str,
    needed: Iterator[tuple[_Chunk, Batch]],
    workers: Workers,
) -> Iterator[tuple[_Chunk, Batch, np.ndarray, np.ndarray]]:
    """Batches without what is gone, their pixels ``(size, H, W, C)``, and what is gone.

    Raises:
      ValueError: as the reader of the set, but for what may be skipped.
    """
    left = collections.deque(needed)
    groups = [batch.index.tolist() for _, batch in left]
    for images in images_ahead(given.pixels[model], groups, workers=workers):
        chunk, batch = left.popleft()
        there: list[np.ndarray] = []
        for image in images:
            if isinstance(image, np.ndarray):
                there.append(image)
            elif given.on_missing == "stop" or not isinstance(image, Gone):
                raise image
        gone = np.array([not isinstance(image, np.ndarray) for image in images])
        kept = batch.without(gone)
        pixels = kept.filled(np.stack(there)) if there else np.zeros(0)
        yield chunk, kept, pixels, batch.index[gone]
