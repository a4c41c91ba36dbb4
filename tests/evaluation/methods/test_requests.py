"""What a caller may ask for."""

import jax.numpy as jnp
import pytest

from jaxattr.evaluation.methods import registry, requests


@pytest.mark.slow
def test_defaults_of_every_method_are_accepted_for_a_real_number_of_classes():
    asked = requests.as_methods(list(registry.methods()))
    references = jnp.zeros((2, 16, 16, 3))
    prepared = requests.prepare(asked, (1, 16, 16, 3), 1000, lambda: references)
    assert list(prepared) == list(registry.methods())
