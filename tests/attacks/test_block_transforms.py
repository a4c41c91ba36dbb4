"""Random transforms of blocks. The attack of them is held to its loop in test_run."""

import jax
import numpy as np
import toys

from jaxattr.attacks import block_transforms

KEY = jax.random.key(5)


def test_block_transforms_permute_scale_or_disturb():
    """Five of seven operations move values unchanged; noise stays within its bound."""
    transform = block_transforms.block_transforms(2, noise=0.01)
    image = toys.images(1, 9, 8, 1)
    keys = jax.random.split(KEY, 100)[:, None]
    draws = np.asarray(jax.jit(lambda x, k: transform(x)(k))(image, keys))[:, 0, ..., 0]
    original = np.asarray(image)[0, ..., 0]
    own = np.isin(draws, original)
    assert 0.55 < own.mean() < 0.85
    assert (~own & (np.abs(draws - original) <= 0.0101)).any()
