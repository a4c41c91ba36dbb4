"""Images as sums of frequencies: transforms, bands, and noise that is weighted by them."""

from jaxattr.frequencies import bases
from jaxattr.frequencies.bands import band_images, band_masks
from jaxattr.frequencies.transforms import spectral_snr
from jaxattr.frequencies.weighted_copies import energy_cutoff

__all__ = ["band_images", "band_masks", "bases", "energy_cutoff", "spectral_snr"]
