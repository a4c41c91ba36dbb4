"""What is proved about smoothed maps: for every change of the image within a radius."""

from jaxattr.certificates.cosine import Certificate, certified_cosine, cosine_bound
from jaxattr.certificates.pixels import PixelCertificate, certified_pixels

__all__ = [
    "Certificate",
    "PixelCertificate",
    "certified_cosine",
    "certified_pixels",
    "cosine_bound",
]
