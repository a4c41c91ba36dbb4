"""How a model gets the images of a set: what reads one, and what prepares it.

Only the first half may run in another process, so it knows nothing of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Reader(NamedTuple):
    """Images of a set by number; called, it reads them here and now."""

    item: Callable[[int], Any]
    """The number of an image to what the other two are called with: little, as it may
    travel to another process."""
    read: Callable[[Any], Any]
    """An item to what is stored, such as a decoded photograph. It may run in another
    process, if it can be pickled."""
    prepare: Callable[[Any, Any], np.ndarray]
    """An item and what was read to ``(H, W, C)``, as the model takes it. It runs here,
    in threads."""
    in_processes: bool = True
    """Whether there is anything to read that other processes could help with."""

    def __call__(self, index: np.ndarray) -> np.ndarray:
        """Which images ``(n,)`` to images ``(n, H, W, C)``."""
        items = [self.item(int(i)) for i in index]
        return np.stack([self.prepare(item, self.read(item)) for item in items])


def of_array(images: np.ndarray) -> Reader:
    """Of an array, which needs no reading."""
    return Reader(int, images.__getitem__, lambda _, image: image, in_processes=False)
