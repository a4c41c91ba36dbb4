"""What figures are drawn on, and of."""

import numpy as np
import pytest
from matplotlib.figure import Figure


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def attribution():
    return np.random.default_rng(0).normal(size=(8, 10, 3))
