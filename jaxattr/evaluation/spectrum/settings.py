"""What is measured, and how."""

from __future__ import annotations

from typing import NamedTuple


class Settings(NamedTuple):
    """What is measured, and how."""

    num_bands: int = 8
    norm: str = "linf"
    corrupted: bool = False
    """Errors under the 15 corruptions at 5 severities: 75 passes an image."""
    preset: str = "imagenet"
    """Which severities; see ``corruptions.corrupt``."""
    attacked: tuple[str, ...] = ()
    """Names of attacks, whose mean prediction error is measured."""
    epsilon: float = 2 / 255
    num_steps: int = 10
    seed: int = 0
    batch_size: int = 16
    """The most model rows in one call of one device."""
    images_per_batch: int = 4
    """How many images are done together."""
