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


@pytest.mark.parametrize("split", [True, False])
def test_a_layer_is_the_models_own_and_the_other_options_are_looked_at(split):
    """The toy that options are tried on has no layers by name."""
    shape = (1, 16, 16, 3)
    options = {"layer": "blocks.3", "relu": False}
    asked = requests.as_methods({"CAM": ("grad_cam", options)})
    prepared = requests.prepare(asked, shape, 4, lambda: None, split=split)
    assert prepared["CAM"][1] == options
    asked = requests.as_methods({"CAM": ("grad_cam", options | {"rely": True})})
    with pytest.raises(ValueError, match="CAM: .*rely"):
        requests.prepare(asked, shape, 4, lambda: None, split=split)
