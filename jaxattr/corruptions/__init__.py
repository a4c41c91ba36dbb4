"""The 15 common corruptions of ImageNet-C at 5 severities, as functions of arrays.

All run under ``jit`` and ``vmap``, draw from one key an image (so an image is corrupted
the same alone and in a batch) and round nothing to 8 bits on the way. Two need more than
arrays: ``jpeg_compression`` calls Pillow's codec on the host, and ``frost`` reads the
photographs of the package ``imagecorruptions-imaug`` (Apache-2.0), unless textures are
given. Motion blur (also in snow) is that package's whole-pixel form of ImageMagick's.

References:
  Hendrycks, Dietterich. Benchmarking Neural Network Robustness to Common Corruptions
  and Perturbations. ICLR 2019, arXiv:1903.12261.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import jax.numpy as jnp

from jaxattr import scores
from jaxattr._checks import (
    check_bounded_images,
    check_choice,
    check_integer,
    check_key,
    fail,
)
from jaxattr.corruptions import blur, digital, noise, weather
from jaxattr.corruptions.severities import PRESETS
from jaxattr.corruptions.textures import frost_folder
from jaxattr.typing import Array

__all__ = ["FUNCTIONS", "PRESETS", "corrupt", "frost_folder", "names"]

FUNCTIONS: dict[str, Callable[..., Array]] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
    "motion_blur": blur.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": weather.brightness,
    "contrast": digital.contrast,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}
"""The corruptions by name, each a function of images and its own parameters."""


def names() -> tuple[str, ...]:
    """The 15, in the order of the paper's tables."""
    return tuple(FUNCTIONS)


def corrupt(
    name: str,
    images: Array,
    *,
    severity: int,
    key: Array | None = None,
    preset: str = "imagenet",
    **overrides: object,
) -> Array:
    """Corrupts images as ImageNet-C does.

    Args:
      name: one of ``names()``.
      images: float ``(N, H, W, C)`` in [0, 1]. Lengths in ``imagenet`` are meant for
        224 pixels a side, in ``cifar`` for 32; they are not rescaled.
      severity: 1 to 5.
      key: one typed key, or ``(N,)``, one an image. Needed, but by those that draw
        nothing (defocus and zoom blur, brightness, contrast, pixelate, JPEG).
      preset: ``imagenet`` (ImageNet-C) or ``cifar`` (CIFAR-10-C).
      **overrides: of the function's own parameters, such as ``stddev=0.1``.

    Returns:
      ``(N, H, W, C)`` in [0, 1].

    Raises:
      ValueError: an unknown name, preset or parameter, a severity outside 1 to 5, no
        key where one is needed, images of other than 1 or 3 channels for what knows
        colours (snow, frost, brightness, JPEG).
      ImportError: the codec or the photographs are not installed.

    Example:
      >>> import jax.numpy as jnp, jaxattr as ja
      >>> images = jnp.array([0.2, 0.6]).reshape(1, 1, 2, 1)
      >>> ja.corruptions.corrupt("contrast", images, severity=1).ravel().round(2)
      Array([0.32, 0.48], dtype=float32)

    References:
      Hendrycks, Dietterich. ICLR 2019, arXiv:1903.12261.
    """
    images = scores.widen(check_bounded_images(images, (0.0, 1.0)))
    function = FUNCTIONS[check_choice("name", name, FUNCTIONS)]
    table = PRESETS[check_choice("preset", preset, PRESETS)][name]
    if check_integer("severity", severity) > len(table):
        raise fail("severity", "1 to 5", severity)
    known = inspect.signature(function).parameters
    for parameter in overrides:
        allowed = [p for p in known if p not in ("images", "keys")]
        check_choice(f"parameter of {name}", parameter, allowed)
    parameters = table[severity - 1] | overrides
    if "keys" not in known:
        return function(images, **parameters)
    keys = check_key(key, jnp.zeros_like(images[:, 0, 0, 0], int))
    return function(images, keys, **parameters)
