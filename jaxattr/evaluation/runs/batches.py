"""A set of images cut into chunks, which are kept, and batches, which are computed.

Both are cut by the place of an image in the whole set, so what an image gets depends
neither on how many processes share the work nor on what is done already: in its batch
it always has the same row, whatever the other rows hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxattr.evaluation.runs.shards import Shard
from jaxattr.typing import Array

BLOCK = 256
"""Places of results that are looked at together. What is summed is summed over blocks, so
that it does not depend on who made which file."""


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Images that are explained together, in rows of their own.

    The rows of images that are not there, or done, hold the first of the others.
    """

    size: int
    index: np.ndarray
    """``(n,)``, n up to ``size``: which images of the set."""
    places: np.ndarray
    """``(n,)`` in the whole set."""

    @property
    def rows(self) -> np.ndarray:
        """``(n,)``: where each is in the batch."""
        return self.places % self.size

    def filled(self, values: np.ndarray) -> np.ndarray:
        """``(n, ...)`` values of the images, as ``(size, ...)`` rows of the batch."""
        which = np.zeros(self.size, int)
        which[self.rows] = np.arange(len(self.index))
        return values[which]

    def keys(self, key: Array) -> Array:
        """``(size,)``, one an image: those that the set as one batch would have."""
        places = jnp.asarray(self.filled(self.places))
        return jax.vmap(jax.random.fold_in, (None, 0))(key, places)

    def without(self, gone: np.ndarray) -> Batch:
        """The batch without some of its images, ``(n,)`` bool."""
        kept = ~gone
        return dataclasses.replace(
            self, index=self.index[kept], places=self.places[kept]
        )


def chunks(
    places: np.ndarray, size: int, images_per_part: int, shard: Shard
) -> Iterator[np.ndarray]:
    """The images of a share, as many at a time as are kept together.

    Args:
      places: ``(N,)`` in growing order, of the whole set.
      size: of a batch; a chunk is so many batches.
      images_per_part: the most images of a chunk, rounded up to batches. Fewer where
        there would be too few chunks for all shares.
      shard: which of them.

    Yields:
      ``(n,)``, which images of the set.

    >>> shard = Shard(1, 2)
    >>> [found.tolist() for found in chunks(np.arange(10), 2, 4, shard)]
    [[4, 5, 6, 7]]
    """
    if not len(places):
        return
    total = int(places[-1]) + 1
    length = min(images_per_part, -(-total // shard.count))
    length = -(-length // size) * size
    numbers = places // length
    for number in np.unique(numbers):
        if shard.has(int(number)):
            yield np.flatnonzero(numbers == number)


def batches(index: np.ndarray, places: np.ndarray, size: int) -> Iterator[Batch]:
    """Some images of a set, batch by batch.

    >>> found = batches(np.array([1, 2, 5]), np.arange(6), 2)
    >>> [(batch.index.tolist(), batch.rows.tolist()) for batch in found]
    [([1], [1]), ([2], [0]), ([5], [1])]
    """
    numbers = places[index] // size
    for number in np.unique(numbers):
        found = index[numbers == number]
        yield Batch(size, found, places[found])


def blocks(places: np.ndarray) -> Iterator[np.ndarray]:
    """``(n,)``, which images of a set: those of some places, then of the next."""
    numbers = places // BLOCK
    for number in np.unique(numbers):
        yield np.flatnonzero(numbers == number)
