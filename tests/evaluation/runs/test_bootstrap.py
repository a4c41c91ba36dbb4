"""Intervals of means and of paired differences."""

import numpy as np
import pytest

from jaxattr.evaluation.runs.bootstrap import bootstrap_means, interval


def test_bootstrap_is_paired():
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 10, 40)  # what images have in common
    values = np.stack([hard, hard + 1, hard + rng.normal(1, 0.1, 40)])
    means = bootstrap_means(values)
    assert means.shape == (2000, 3)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1)
    low, high = interval(means[:, 2] - means[:, 0])
    assert 0.9 < low < high < 1.1
    low, high = interval(means[:, 0])
    error = hard.std() / 40**0.5
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)
