"""The networks of the goldens are those that the peers were given."""

import jax
import numpy as np
import pytest
from rules import peer_nets


@pytest.mark.parametrize("name", peer_nets.NETWORKS)
def test_logits(name):
    golden = peer_nets.load(name)
    images = golden.arrays["images"]
    with jax.enable_x64(True):
        weights = peer_nets.folded(golden.weights)
        logits = jax.jit(peer_nets.NETWORKS[name])(weights, images)
    np.testing.assert_allclose(logits, golden.arrays["logits"], rtol=1e-12)


@pytest.mark.parametrize("name", ["tiny_conv", "tiny_residual"])
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
