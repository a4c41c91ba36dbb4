"""Files that TensorFlow exported: known by batch norms that do nothing but add a bias."""

from __future__ import annotations

import numpy as np

from jaxattr.models.convert import Tensors

_TOLERANCE = 2e-3
"""Of a variance of 1, from which the epsilon may have been taken."""


def norms_are_folded(tensors: Tensors) -> bool:
    """Whether every batch norm does nothing but add a bias.

    So are the norms of a network that was exported for inference, as TensorFlow's
    exports are, and brought back into names with norms. In training each norm comes to
    scales, means and variances of its own; before training it has no bias either.
    """
    marked = ".running_var"
    norms = [name.removesuffix(marked) for name in tensors if name.endswith(marked)]
    part = lambda norm, name: np.asarray(tensors.get(f"{norm}.{name}", np.nan))
    return any(part(norm, "bias").any() for norm in norms) and all(
        bool(np.all(part(norm, "weight") == 1))
        and bool(np.all(part(norm, "running_mean") == 0))
        and np.allclose(part(norm, "running_var"), 1, rtol=0, atol=_TOLERANCE)
        for norm in norms
    )
