"""What training code puts around a network is taken off, and the network stays."""

import numpy as np
import pytest

from jaxattr.checkpoints.reading import read_checkpoint
from jaxattr.checkpoints.wrappers import unwrap

NET = {
    "conv1.weight": np.ones((4, 3, 3, 3), np.float32),
    "fc.bias": np.arange(5, dtype=np.float32),
}


def around(prefix, tensors=NET):
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def other():
    return {name: tensor + 7 for name, tensor in NET.items()}


def inside(tensors, notes=()):
    """The network alone, whatever was around it."""
    found = unwrap(tensors)
    assert set(found.tensors) == set(NET)
    for name, tensor in NET.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)
    for note in notes:
        assert any(note in text for text in found.notes), found.notes
    return found


def test_names_that_are_the_networks_stay():
    assert inside(NET).notes == ()
    # A prefix that not every name has is the network's own.
    mixed = {**around("model."), "head.bias": np.zeros(3)}
    assert unwrap(mixed).tensors.keys() == mixed.keys()


@pytest.mark.parametrize(
    "prefix",
    [
        "_orig_mod.",
        "model.",
        "net.",
        "model._orig_mod.",
        "ema_model.module.",
        "network.",
    ],
)
def test_prefixes(prefix):
    found = inside(around(prefix), [f"{prefix.split('.')[0]}. is taken off"])
    assert len(found.notes) == prefix.count(".")


def test_averages():
    swa = {"n_averaged": np.array(30), **around("module.")}
    inside(swa, ["module."])
    both = {**around("model.", other()), **around("ema.")}
    inside(both, ["model.* is left out", "ema. is taken off"])


def test_the_robustness_library(tmp_path):
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
    column = (3, 1, 1)
    tensors = {
        **around("module.model."),
        **around("module.attacker.model.", other()),
        "module.normalizer.new_mean": mean.reshape(column),
        "module.normalizer.new_std": std.reshape(column),
        "module.attacker.normalize.new_mean": mean.reshape(column),
        "module.attacker.normalize.new_std": std.reshape(column),
    }
    notes = ["attacker.* is left out", "normalizer.new_mean 0.4, 0.5, 0.6", "model. is"]
    path = tmp_path / "robust.npz"
    np.savez(path, **tensors)
    for given in (tensors, read_checkpoint(path)):
        found = inside(given, notes)
        np.testing.assert_allclose(found.mean, mean)
        np.testing.assert_allclose(found.std, std)


def test_robustbench_and_deepmind():
    row = (1, 3, 1, 1)
    bench = {
        "normalize.mean": np.full(row, 0.5),
        "normalize.std": np.full(row, 0.25),
        **around("model."),
    }
    assert inside(bench).std == (0.25, 0.25, 0.25)
    deepmind = {"mean": np.full(row[1:], 0.5), "std": np.full(row[1:], 0.25), **NET}
    assert inside(around("module.", deepmind)).mean == (0.5, 0.5, 0.5)


def test_a_normaliser_that_is_none():
    broken = {"normalize.mean": np.zeros(3), "normalize.std": np.zeros(3), **NET}
    with pytest.raises(
        ValueError, match="weights: expected a normaliser .* above zero"
    ):
        unwrap(broken)
