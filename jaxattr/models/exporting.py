"""``export``: a model as a program of its own, which needs no code to be explained."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import export as jax_export
from jax.typing import DTypeLike

from jaxattr._checks import check_float_dtype, check_integer, fail
from jaxattr.checkpoints.exported_file import need_flatbuffers
from jaxattr.typing import Array, LogitsFn

FAILURES = (
    NotImplementedError,
    TypeError,
    jax.errors.InconclusiveDimensionOperation,
)
"""What ``jax.export`` raises of a function that it does not take."""
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def export(
    model: LogitsFn,
    path: str | os.PathLike[str],
    *,
    image_shape: tuple[int, int, int] | None = None,
    batch_size: int | None = None,
    platforms: Sequence[str] | None = None,
    vjp_order: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> pathlib.Path:
    """Writes a model as a program of ``jax.export``, which :func:`from_exported` reads.

    The file holds the program and the weights, for each order of derivatives once more:
    with ``vjp_order=1`` it is about twice as large as a checkpoint.

    Args:
      model: images ``(N, H, W, C)`` to logits ``(N, K)``, any callable.
      path: of the file that is written; ``.jaxexport`` is a good suffix, by which the
        command line knows it.
      image_shape: ``(H, W, C)``. None takes the model's ``input_size`` and three channels.
      batch_size: None lets the number of images be any, as a symbol; a number fixes it.
      platforms: of ``"cpu"``, ``"cuda"``, ``"rocm"`` and ``"tpu"``, where it will run; None
        takes the one of this process.
      vjp_order: of the derivatives that the file has: 1 serves gradients, 2 attacks on
        gradient maps, 0 black-box methods only.
      dtype: of the images.

    Returns:
      The path.

    Raises:
      ImportError: without ``flatbuffers`` (the extra ``export``).
      ValueError: for a model whose image shape is not known, one that is no function of
        images to logits, an unknown platform, or what ``jax.export`` refuses (callbacks,
        for example).

    Example:
      >>> import os, tempfile
      >>> import jax
      >>> from jaxattr import models
      >>> model = models.load("squeezenet1_1", "random", key=jax.random.key(0))
      >>> path = os.path.join(tempfile.mkdtemp(), "squeezenet1_1.jaxexport")
      >>> models.export(model, path, image_shape=(64, 64, 3), vjp_order=0).name
      'squeezenet1_1.jaxexport'
    """
    need_flatbuffers()
    shape = _image_shape(model, image_shape)
    vjp_order = check_integer("vjp_order", vjp_order, minimum=0)
    dtype = check_float_dtype("dtype", dtype)
    if batch_size is None:
        number = jax_export.symbolic_shape("n")[0]
    else:
        number = check_integer("batch_size", batch_size)
    images = jax.ShapeDtypeStruct((number, *shape), dtype)

    chosen = _check_platforms(platforms)
    try:
        exported = _export(model, images, chosen)
        _check_logits(exported)
        data = exported.serialize(vjp_order=vjp_order)
    except FAILURES as error:
        raise ValueError(f"model: cannot be exported: {error}") from error
    path = pathlib.Path(path)
    path.write_bytes(data)
    return path


def _export(
    model: LogitsFn, images: jax.ShapeDtypeStruct, platforms: tuple[str, ...] | None
) -> jax_export.Exported:
    """Of the model as it is, or image by image where it asks for their number.

    Such as ``len(images)``, which a symbol does not have.
    """

    def logits(images: Array) -> Array:
        return model(images)

    def by_image(images: Array) -> Array:
        return jax.vmap(lambda image: model(image[None])[0])(images)

    try:
        return jax_export.export(jax.jit(logits), platforms=platforms)(images)
    except FAILURES:
        if isinstance(images.shape[0], int):
            raise
        return jax_export.export(jax.jit(by_image), platforms=platforms)(images)


def _image_shape(
    model: LogitsFn, image_shape: tuple[int, int, int] | None
) -> tuple[int, int, int]:
    if image_shape is None:
        size = getattr(model, "input_size", None)
        if size is None:
            raise ValueError(
                "image_shape: expected (H, W, C), as the model has no input_size"
            )
        height, width = (size, size) if isinstance(size, int) else size
        return (height, width, 3)
    if len(tuple(image_shape)) != 3:
        raise fail("image_shape", "(H, W, C)", image_shape)
    height, width, channels = (check_integer("image_shape", n) for n in image_shape)
    return (height, width, channels)


def _check_platforms(platforms: Sequence[str] | None) -> tuple[str, ...] | None:
    if platforms is None:
        return None
    chosen = (platforms,) if isinstance(platforms, str) else tuple(platforms)
    if not chosen or not set(chosen) <= set(PLATFORMS):
        raise fail("platforms", f"some of {', '.join(PLATFORMS)}", platforms)
    return chosen


def _check_logits(exported: jax_export.Exported) -> None:
    results = exported.out_avals
    number = exported.in_avals[0].shape[0]
    if not (
        len(results) == 1
        and len(results[0].shape) == 2
        and results[0].shape[0] == number
        and jnp.issubdtype(results[0].dtype, jnp.floating)
    ):
        got = " and ".join(a.str_short() for a in results)
        raise ValueError(
            f"model: expected a function of images that gives float logits (N, K), "
            f"got one that gives {got}"
        )
