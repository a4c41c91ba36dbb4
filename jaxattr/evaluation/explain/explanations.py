"""One map of one photograph with all that is needed to make it again, as ``.npz``."""

from __future__ import annotations

import json
import os
import zipfile
from typing import NamedTuple

import numpy as np

from jaxattr.evaluation.methods.options import to_json
from jaxattr.evaluation.runs.files import atomic_write


class Explanation(NamedTuple):
    """What was explained, how, and what came out."""

    photograph: str
    """The path of the file."""
    model: str
    weights: str
    """The checkpoint file, ``random``, or ``default``."""
    method: str
    image: np.ndarray
    """``(H, W, 3)`` in [0, 1], as the model saw it."""
    map: np.ndarray
    """``(H, W, 3)``, the raw attribution."""
    label: int
    """The class that is explained."""
    label_name: str
    probabilities: np.ndarray
    """``(K,)``"""
    options: dict[str, object]
    """Every option of the method with its value, defaults too."""
    key_data: np.ndarray
    """``jax.random.key_data`` of the key that was given; wrap it to have the key."""
    batch_size: int
    insertion: np.ndarray
    """``(T + 1,)``, or empty where no curve was asked for."""
    deletion: np.ndarray
    """``(T + 1,)``, or empty."""
    version: str
    """Of jaxattr."""

    @property
    def probability(self) -> float:
        """Of the class that is explained."""
        return float(self.probabilities[self.label])

    @property
    def caption(self) -> str:
        """Class and probability in words."""
        return f"{self.label_name}, {self.probability:.1%}"


def save_explanation(path: str | os.PathLike[str], explanation: Explanation) -> None:
    """Writes one ``.npz`` file, whole or not at all.

    Its arrays have the names of the fields; ``options`` is JSON text. Nothing in it is
    pickled, so it opens with ``numpy.load(path)``.

    Raises:
      OSError: it cannot be written.
    """
    fields = explanation._asdict()
    fields["options"] = to_json(explanation.options)
    with atomic_write(path) as file:
        np.savez_compressed(file, **fields)


def load_explanation(path: str | os.PathLike[str]) -> Explanation:
    """Reads what ``save_explanation`` wrote.

    Raises:
      ValueError: missing, damaged, or another kind of file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            fields = {name: archive[name] for name in Explanation._fields}
            fields = {k: v if v.ndim else v.item() for k, v in fields.items()}
            fields["options"] = json.loads(fields["options"])
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not an explanation ({error})") from None
    return Explanation(**fields)
