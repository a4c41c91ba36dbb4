"""Photographs of every usual format, damaged: an image or a ValueError, nothing else."""

import mutations
import numpy as np
import pytest
from PIL import Image
from quick import quick

from jaxattr.photographs.reading import read_photograph

pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "suffix",
    quick(["png", "jpg", "gif", "bmp", "tif", "webp", "ppm"], "png", "jpg", "tif"),
)
def test_a_damaged_photograph_is_read_or_refused(tmp_path, suffix):
    path = tmp_path / f"photograph.{suffix}"
    Image.fromarray(pixels).save(path)

    def size(image):
        assert image.mode == "RGB"
        return np.asarray(image).size

    # A size in the header may be changed too; Pillow's own limit is far above this.
    mutations.check_reader(read_photograph, path, size, most=1 << 28)
