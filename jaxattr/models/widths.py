"""How many channels a scaled network has."""

from __future__ import annotations


def round_channels(channels: float, divisor: int = 8) -> int:
    """To a multiple of ``divisor``, and not down by more than a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor
