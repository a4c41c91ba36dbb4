"""``from_exported``: a program that ``jax.export`` wrote, as a model."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxattr._checks import check_float_array
from jaxattr._errors import fail
from jaxattr._numerics.dtypes import widen
from jaxattr.checkpoints.exported_file import orders, read_exported
from jaxattr.models.exported_program import Program
from jaxattr.models.outside import Outside, automatic, check_preprocessing
from jaxattr.typing import Array


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=[], meta_fields=["program", "outside"]
)
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ExportedModel:
    """Images ``(N, H, W, C)`` in [0, 1] to logits ``(N, K)`` by an exported program.

    A pytree without leaves: its weights are part of the program. Images are cast to the
    dtype that the program takes, logits are at least float32.
    """

    program: Program
    outside: Outside

    def __call__(self, images: Array) -> Array:
        """Logits ``(N, K)`` of images ``(N, H, W, C)`` of the size that was exported."""
        wanted = self.program.images.shape
        images = check_float_array("images", images, _shape_text(wanted), 4)
        for size, dimension in zip(images.shape[1:], wanted[1:], strict=True):
            if isinstance(dimension, int) and size != dimension:
                raise fail("images", f"{_shape_text(wanted)}, as exported", images)
        return _logits(self.program, images)

    @property
    def name(self) -> str:
        """That of the file, without its suffix."""
        return self.outside.name

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the images that it takes."""
        return self.outside.input_size

    @property
    def num_classes(self) -> int:
        """How many logits it has."""
        return self.outside.num_classes

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; numbers in words where they are not ImageNet's."""
        return self.outside.labels

    @property
    def vjp_order(self) -> int:
        """How many times it can be differentiated: 0 serves black-box methods only."""
        return self.program.vjp_order

    def preprocess(self, photo: object) -> np.ndarray:
        """A PIL image or array to float32 ``(H, W, 3)`` in [0, 1]."""
        return self.outside.preprocess(photo)

    def __repr__(self) -> str:
        shape = _shape_text(self.program.images.shape)
        return f"ExportedModel({self.name!r}, images {shape})"


def from_exported(
    path: str | os.PathLike[str], *, preprocessing: str = "crop"
) -> ExportedModel:
    """A model from a program that ``jax.export`` wrote, without the code that made it.

    Such a file is what ``jax.export.Exported.serialize`` returns: shapes, platforms and
    the program in StableHLO, with weights as constants. It must be a function of one
    float array ``(N, H, W, C)`` to one of logits ``(N, K)``, whose rows are independent;
    N may be a symbol, or a number, and then images are run in groups of so many.

    Reading it runs no code. Explaining it runs the program, as XLA compiles it: it can
    compute and take time and memory, and a program that would call a routine of this
    process, such as a callback into Python, is refused. So the numbers are trusted no
    more and no less than those of a checkpoint.

    Derivatives are programs of their own in the file. Without them (``vjp_order=0``, what
    ``jax.export`` writes unless asked) methods that need logits only, such as ``rise`` and
    ``occlusion``, explain it, and the others raise ``ValueError``. Forward-mode
    differentiation (``jax.jvp``) is not to be had of any such file.

    Args:
      path: of the file.
      preprocessing: of ``preprocess``: ``"crop"`` (the short side to 8/7 of the input
        size, then the centre) or ``"squash"``.

    Returns:
      An :class:`ExportedModel`, which explainers, attacks and metrics take.

    Raises:
      ImportError: without ``flatbuffers`` (the extra ``export``).
      ValueError: for a file that is missing, no such program, of another version of the
        format or for another platform, for a function of other arguments or results, or
        for one that calls routines of this process.

    Example:
      >>> import os, tempfile
      >>> import jax, jaxattr as ja
      >>> def logits_fn(images):
      ...     return images.reshape(len(images), -1)[:, :10]
      >>> path = os.path.join(tempfile.mkdtemp(), "toy.jaxexport")
      >>> _ = ja.models.export(logits_fn, path, image_shape=(8, 8, 3))
      >>> model = ja.models.from_exported(path)
      >>> ja.saliency(model, jax.numpy.ones((2, 8, 8, 3)), jax.numpy.array([0, 1])).shape
      (2, 8, 8, 3)

    References:
      https://docs.jax.dev/en/latest/jax.export.html.
    """
    check_preprocessing(preprocessing)
    exported = read_exported(path)
    name = os.fspath(path)
    images, logits = _checked_avals(exported, name)
    sha = hashlib.sha256()
    for one in orders(exported):
        sha.update(f"{one.in_avals}{one.out_avals}".encode())
        sha.update(one.mlir_module_serialized)
    program = Program(exported, name, sha.hexdigest()[:20])
    height, width = (n if isinstance(n, int) else 224 for n in images.shape[1:3])
    size = (height, width)
    stem = pathlib.Path(path).stem
    return ExportedModel(program, Outside(stem, size, logits.shape[1], preprocessing))


def _checked_avals(
    exported: export.Exported, path: str
) -> tuple[jax.core.ShapedArray, jax.core.ShapedArray]:
    """What the program takes and gives, if that is images and logits."""
    taken, given = exported.in_avals, exported.out_avals
    fits = (
        len(taken) == len(given) == 1
        and len(taken[0].shape) == 4
        and len(given[0].shape) == 2
        and isinstance(given[0].shape[1], int)
        and all(jnp.issubdtype(a.dtype, jnp.floating) for a in (taken[0], given[0]))
        and taken[0].shape[0] == given[0].shape[0]
    )
    if not fits:
        text = " and ".join(a.str_short() for a in taken) or "nothing"
        result = " and ".join(a.str_short() for a in given) or "nothing"
        raise ValueError(
            f"path: {path}: expected a program of images (N, H, W, C) that gives logits "
            f"(N, K), float arrays, got one of {text} that gives {result}; put weights "
            "inside, jax.export.export(jax.jit(lambda images: model(images)))(...)"
        )
    return taken[0], given[0]


@functools.partial(jax.jit, static_argnums=0)
def _logits(program: Program, images: Array) -> Array:
    call = automatic(program.call, images)
    return widen(call(images.astype(program.images.dtype)))


def _shape_text(shape: tuple[object, ...]) -> str:
    """A shape in words, symbols as they are.

    >>> _shape_text(("n", 224, 224, 3))
    '(n, 224, 224, 3)'
    """
    return f"({', '.join(map(str, shape))})"
