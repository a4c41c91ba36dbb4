"""The networks of the goldens are those that the peers were given."""

import goldens
import jax
import numpy as np
import pytest
from quick import quick
from rules import peer_nets


@pytest.mark.parametrize("name", peer_nets.NETWORKS)
def test_logits(name):
    golden = peer_nets.load(name)
    with jax.enable_x64(True):
        weights = peer_nets.folded(golden.weights)
        logits = jax.jit(peer_nets.NETWORKS[name])(weights, golden.arrays["images"])
    np.testing.assert_allclose(logits, golden.arrays["logits"], rtol=1e-9)


@pytest.mark.slow
def test_logits_of_drawn_weights():
    arrays = peer_nets.load("small_vit").arrays
    weights = peer_nets.vit_weights(peer_nets.SMALL_VIT)
    assert goldens.checksum(weights) == arrays["checksum"]
    logits = peer_nets.small_vit(weights, goldens.images(peer_nets.SMALL_VIT.image))
    np.testing.assert_allclose(logits, arrays["logits"], atol=1e-5)


@pytest.mark.parametrize("name", quick(["tiny_conv", "tiny_residual"], "tiny_residual"))
def test_gradients(name):
    golden = peer_nets.load(name)
    images, labels = golden.arrays["images"], golden.arrays["labels"]

    def chosen(images):
        logits = peer_nets.NETWORKS[name](weights, images)
        return logits[0, labels[0]] + logits[1, labels[1]]

    with jax.enable_x64(True):
        weights = peer_nets.folded(golden.weights)
        gradient = jax.grad(chosen)(images)
    np.testing.assert_allclose(
        gradient, golden.arrays["zennit/gradient/images"], rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("model", ["vgg16", "resnet50"])
def test_zoo_networks_are_those_of_the_zoo(model):
    """Whose parity, with the same weights and images, is tested there."""
    arrays = peer_nets.load(model).arrays
    with np.load(goldens.Case(model, "torchvision").path) as zoo:
        assert arrays["checksum"] == zoo["checksum"]
        np.testing.assert_allclose(arrays["logits"], zoo["logits"], rtol=1e-9)
