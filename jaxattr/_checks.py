"""Static checks: a ``ValueError`` that names argument, expectation and what came.

They look at shapes, dtypes and Python values, so they run while tracing and cost nothing
in a compiled function. ``check_task`` looks at the values of images too, once a call, where
they are not traced.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import SupportsIndex, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxattr._errors import describe, fail
from jaxattr._logits import checked_model
from jaxattr._nearest_names import nearest
from jaxattr._numerics.dtypes import widen
from jaxattr._random import as_threefry
from jaxattr.typing import Array, Bounds, LogitsFn, Scalar


def check_float_array(name: str, value: object, shape: str, ndim: int) -> Array:
    """A floating-point array of rank ``ndim``; ``shape`` says it in words."""
    array = _as_array(name, value, f"a float array {shape}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        hint = "; divide 8-bit images by 255" if array.dtype == jnp.uint8 else ""
        raise fail(name, f"a float array {shape}{hint}", array)
    if array.ndim != ndim or 0 in array.shape:
        raise fail(name, f"a non-empty float array {shape}", array)
    return array


def check_images(images: object, name: str = "images") -> Array:
    return check_float_array(name, images, "(N, H, W, C) in [0, 1]", 4)


def check_attributions(attributions: object, name: str = "attributions") -> Array:
    """Maps ``(N, H, W, C)``; those with one value a pixel become ``(N, H, W, 1)``."""
    expected = "maps (N, H, W, C) or (N, H, W)"
    array = _as_array(name, attributions, f"float {expected}")
    if array.ndim == 3:
        return check_float_array(name, array, "(N, H, W)", 3)[..., None]
    return check_float_array(name, array, f"of {expected}", 4)


def check_attributions_of(images: Array, attributions: object) -> Array:
    """Maps of these images: ``(N, H, W, C)`` or ``(N, H, W, 1)``."""
    array = check_attributions(attributions)
    if array.shape not in (images.shape, images.shape[:-1] + (1,)):
        expected = f"shape {images.shape} or {images.shape[:-1]}"
        raise fail("attributions", expected, array)
    return array


def check_labels(labels: object, num_images: int, name: str = "labels") -> Array:
    expected = f"integers ({num_images},), one label an image"
    array = _as_array(name, labels, expected)
    if not jnp.issubdtype(array.dtype, jnp.integer) or array.shape != (num_images,):
        raise fail(name, expected, array)
    # One integer type, that of argmax: strict promotion would refuse to compare others.
    return array.astype(int)


def check_like_images(name: str, value: object, images: Array) -> Array:
    """A scalar, an image ``(H, W, C)`` or per-image ``(N, H, W, C)``, broadcast."""
    shape = images.shape
    expected = f"a number, {shape[1:]} or {shape}"
    array = _as_array(name, value, expected)
    if array.shape not in ((), shape[1:], shape):
        raise fail(name, expected, array)
    array = array.astype(images.dtype)
    # Added to zeros rather than broadcast: so it is sharded as the images are.
    return jnp.zeros_like(images) + array.reshape((1,) * (4 - array.ndim) + array.shape)


def check_key(key: object, labels: Array) -> Array:
    """One key, or ``(N,)`` keys, to ``(N,)`` keys of threefry, one an image.

    Raw keys, those of ``jax.random.PRNGKey``, are taken too. Keys made from one are
    sharded as the labels are.
    """
    num_images = labels.shape[0]
    expected = (
        f"a typed key, jax.random.key(0), or ({num_images},) of them, one an image"
    )
    if key is None:
        raise ValueError(f"key: this method draws at random and needs {expected}")
    key = _typed_key(key, expected)
    if key.shape == ():
        index = jnp.zeros_like(labels, int) + jnp.arange(num_images)
        key = jax.vmap(jax.random.fold_in, (None, 0))(key, index)
    elif key.shape != (num_images,):
        raise fail("key", expected, key)
    return as_threefry(key)


def check_single_key(
    key: object, expected: str = "one typed key, jax.random.key(0)"
) -> Array:
    """One key, typed or raw, as a key of threefry."""
    typed = _typed_key(key, expected)
    if typed.shape != ():
        raise fail("key", expected, key)
    return as_threefry(typed)


def _typed_key(key: object, expected: str) -> Array:
    """Typed keys; raw ones, integers ``(..., W)``, are those of the default kind."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    if (
        not isinstance(key, jax.Array | np.ndarray)
        or key.dtype != jnp.uint32
        or key.ndim not in (1, 2)
    ):
        raise fail("key", expected, key)
    try:
        return jax.random.wrap_key_data(jnp.asarray(key))
    except (TypeError, ValueError):
        raise fail("key", expected, key) from None


def check_integer(name: str, value: SupportsIndex, minimum: int = 1) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise fail(name, f"an integer of at least {minimum}", value) from None
    if number < minimum:
        raise fail(name, f"an integer of at least {minimum}", value)
    return number


def check_batch_size(batch_size: SupportsIndex | None) -> int | None:
    return None if batch_size is None else check_integer("batch_size", batch_size)


@overload
def check_number(
    name: str, value: float, minimum: float = ..., maximum: float = ...
) -> float: ...
@overload
def check_number(
    name: str, value: Scalar, minimum: float = ..., maximum: float = ...
) -> Scalar: ...
def check_number(
    name: str,
    value: Scalar | str,
    minimum: float = -math.inf,
    maximum: float = math.inf,
) -> Scalar:
    """A real number in a closed interval, as a Python float, which takes any dtype.

    A traced number is returned as it is: its value is not known.
    """
    if isinstance(value, jax.core.Tracer):
        return value
    if isinstance(value, str):  # float reads "5", what takes the value does not
        raise fail(name, "a number", value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise fail(name, "a number", value) from None
    if not minimum <= number <= maximum:
        if maximum == math.inf:
            raise fail(name, f"a number of at least {minimum:g}", value)
        raise fail(name, f"a number between {minimum:g} and {maximum:g}", value)
    return number


def check_float_dtype(name: str, dtype: DTypeLike) -> np.dtype:
    """A floating-point dtype, ``bfloat16`` and its like among them."""
    expected = "a floating-point dtype"
    try:
        resolved = jnp.dtype(dtype)
    except TypeError:
        raise fail(name, expected, dtype) from None
    if not jnp.issubdtype(resolved, jnp.floating):
        raise fail(name, expected, dtype)
    return resolved


def check_bounds(bounds: Bounds) -> Bounds:
    try:
        low, high = bounds
    except (TypeError, ValueError):
        raise fail("bounds", "a pair (low, high)", bounds) from None
    low, high = check_number("bounds[0]", low), check_number("bounds[1]", high)
    known = isinstance(low, float) and isinstance(high, float)
    if known and not low < high:
        raise fail("bounds", "a pair (low, high) with low < high", bounds)
    return low, high


MOST_NAMED = 60
"""Of names that are known, so many are listed in a message."""


def check_choice(name: str, value: object, choices: Iterable[str]) -> str:
    """One of ``choices``; the message names the nearest and then all, if not too many."""
    known = sorted(choices)
    if value in known:
        return value
    near = nearest(str(value), known)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    # Of a long list the nearest help, all of them do not.
    all_known = f"{len(known)} names" if len(known) > MOST_NAMED else ", ".join(known)
    raise ValueError(f"{name}: unknown {describe(value)}; {hint}known: {all_known}")


def _as_array(name: str, value: object, expected: str) -> Array:
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError):
        raise fail(name, expected, value) from None


def check_inputs(images: object, labels: object) -> tuple[Array, Array]:
    """Images ``(N, H, W, C)``, at least float32, and labels ``(N,)``."""
    images = check_images(images)
    labels = check_labels(labels, images.shape[0])
    return widen(images), labels


def check_task(
    logits_fn: LogitsFn,
    images: Array,
    labels: Array,
    *,
    bounds: Bounds | None = None,
    finite: bool = True,
) -> tuple[LogitsFn, Array, Array]:
    """A model that checks its logits, images ``(N, H, W, C)`` and labels ``(N,)``.

    Args:
      logits_fn: images to logits ``(N, K)``.
      images: at least float32 when they come back.
      labels: integers; classes of the model, where they are not traced.
      bounds: of the pixels, for methods that keep to them; see ``check_values``.
      finite: refuse NaN, where there is no field that would tell of it.
    """
    # As they were given: while tracing, what is made of known values is traced.
    check_values(images, bounds=bounds, finite=finite)
    model = checked_model(logits_fn, labels)
    images, labels = check_inputs(images, labels)
    return model, images, labels


def check_bounded_images(images: Array, bounds: Bounds) -> Array:
    """Images that are not far outside the bounds, as they came."""
    images = check_images(images)
    check_values(images, bounds=bounds, finite=False)
    return images


def check_values(
    images: Array, *, bounds: Bounds | None = None, finite: bool = True
) -> None:
    """Refuses images of another range, such as 0 to 255, and NaN.

    Far is more than the width of the bounds outside them: rounding, noise and an odd
    overshoot are none of our business.
    """
    bounds = None if bounds is None or not _are_numbers(bounds) else bounds
    if (bounds is None and not finite) or not _is_float(images):
        return
    is_traced = isinstance(images, jax.core.Tracer)
    if is_traced or not getattr(images, "is_fully_addressable", True):
        return
    with jax.ensure_compile_time_eval():
        low, high = np.asarray(jax.device_get(_extremes(images)), float)
    if finite and not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("images: expected finite values, got NaN or infinity")
    if bounds is None:
        return
    width = bounds[1] - bounds[0]
    if low < bounds[0] - width or high > bounds[1] + width:
        raise ValueError(
            f"images: expected values within the bounds {bounds[0]:g} to "
            f"{bounds[1]:g}, got {low:g} to {high:g}; divide 8-bit images by 255, and "
            "normalise inside logits_fn"
        )


def _is_float(value: object) -> bool:
    """A floating-point array that is not empty; of anything else others complain."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating) and value.size > 0  # type: ignore[attr-defined]


def _are_numbers(bounds: Bounds) -> bool:
    return all(isinstance(b, int | float) for b in bounds)


@jax.jit
def _extremes(images: Array) -> Array:
    return jnp.stack([jnp.min(images), jnp.max(images)])
